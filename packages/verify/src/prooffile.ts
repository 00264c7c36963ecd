/**
 * What dslog puts into the `extra` line of a `.tlog-proof` file, so that the file proves, alone and
 * offline, an entry with its DNSSEC evidence, or everything the log holds about a name.
 * Normative text: docs/spec/entry.md, "Proof files".
 *
 * ```
 * extra = "dslog/proof/v1\0" | n × (u8 type | u32 length | value)      in this order, nothing else
 *
 * entry proof   leaf = the entry                 1, 2…
 * name proof    leaf = the MAP_HEAD at size-1    1, 5, 3, 4, 6…, 2…
 *
 * 1 entry of the leaf
 * 2 ZONE_KEYS item of a chain: u64 index | u8 n | n × [32] inclusion path | entry
 * 3 map proof (C2SP map format, @dslog/tlog/map)
 * 4 n × u64 entry index: what the map's value commits to; empty: absent
 * 5 u8 kind | name
 * 6 history item, in log order; same form as 2
 * ```
 *
 * Items 2 stand in the order in which verification first needs them: each chain nearest first,
 * histories oldest first. What is in the file is an attacker's claim until prooffile's reader,
 * `verify.ts`, has checked it against a policy and trust anchors of the verifier's own.
 */
import { ByteReader, ByteWriter } from '@dslog/tlog/binary'
import { concat, equal, utf8 } from '@dslog/tlog/bytes'
import { asHash, type Hash } from '@dslog/tlog/hash'
import { TlogError } from '@dslog/tlog/error'
import { DnssecError } from '@dslog/dnssec/error'
import { type Name, nameFromWire } from '@dslog/dnssec/name'
import { MapKind } from '@dslog/schema/identity'
import { VerifyError } from './error.ts'

const DOMAIN = utf8('dslog/proof/v1\0')

const Tlv = { leaf: 1, zoneKeys: 2, mapProof: 3, indices: 4, name: 5, history: 6 } as const

/** An entry with its place in the tree. */
export interface ProofItem {
  readonly index: number
  /** Inclusion path, leaf side first. */
  readonly path: readonly Hash[]
  readonly entry: Uint8Array
}

/** Proof of one entry. */
export interface EntryProof {
  readonly kind: 'entry'
  readonly leaf: Uint8Array
  /** The keys above it, nearest first, up to the root; empty for entries without evidence. */
  readonly chain: readonly ProofItem[]
}

/** Proof of everything the log holds about a name, or that it holds nothing. */
export interface NameProof {
  readonly kind: 'name'
  /** The MAP_HEAD. */
  readonly leaf: Uint8Array
  readonly mapKind: MapKind
  readonly name: Name
  readonly mapProof: Uint8Array
  readonly history: readonly ProofItem[]
  readonly chain: readonly ProofItem[]
}

/** Writes an `extra` value. */
export function encodeExtra(proof: EntryProof | NameProof): Uint8Array {
  const w = new ByteWriter().bytes(DOMAIN)
  const tlv = (type: number, value: Uint8Array) => w.u8(type).u32(value.length).bytes(value)
  tlv(Tlv.leaf, proof.leaf)
  if (proof.kind === 'name') {
    tlv(Tlv.name, concat(Uint8Array.of(proof.mapKind), proof.name))
    tlv(Tlv.mapProof, proof.mapProof)
    const indices = new ByteWriter()
    for (const { index } of proof.history) indices.u64(index)
    tlv(Tlv.indices, indices.view())
    for (const item of proof.history) tlv(Tlv.history, encodeItem(item))
  }
  for (const item of proof.chain) tlv(Tlv.zoneKeys, encodeItem(item))
  return w.finish()
}

/**
 * Reads an `extra` value: the exact inverse of {@link encodeExtra}.
 *
 * @throws VerifyError `malformed`
 */
export function decodeExtra(bytes: Uint8Array): EntryProof | NameProof {
  try {
    return read(bytes)
  } catch (cause) {
    if (cause instanceof TlogError || cause instanceof DnssecError) {
      throw new VerifyError('malformed', `extra line: ${cause.message}`, { cause })
    }
    throw cause
  }
}

function read(bytes: Uint8Array): EntryProof | NameProof {
  const r = new ByteReader(bytes)
  if (r.remaining < DOMAIN.length || !equal(r.bytes(DOMAIN.length), DOMAIN)) {
    throw new VerifyError('malformed', 'the extra line is not of dslog')
  }
  let type = -1
  let value = bytes
  const next = () => {
    type = r.remaining === 0 ? -1 : r.u8()
    if (type !== -1) value = r.bytes(r.u32())
  }
  const take = (wanted: number): Uint8Array => {
    if (type !== wanted) {
      const got = type === -1 ? 'the end' : `type ${type}`
      throw new VerifyError(
        'malformed',
        `extra line: type ${wanted} should stand where ${got} does`,
      )
    }
    const taken = value
    next()
    return taken
  }
  const end = () => {
    if (type !== -1) throw new VerifyError('malformed', `extra line: type ${type} is out of place`)
  }
  const items = (wanted: number): ProofItem[] => {
    const list: ProofItem[] = []
    while (type === wanted) list.push(decodeItem(take(wanted)))
    return list
  }
  next()
  const leaf = take(Tlv.leaf)
  if (type !== Tlv.name) {
    const chain = items(Tlv.zoneKeys)
    end()
    return { kind: 'entry', leaf, chain }
  }
  const named = take(Tlv.name)
  const mapProof = take(Tlv.mapProof)
  const indices = new ByteReader(take(Tlv.indices))
  const history = items(Tlv.history)
  for (const { index } of history) {
    if (indices.u64() !== index) {
      throw new VerifyError('malformed', 'another entry than the list names')
    }
  }
  indices.done()
  const chain = items(Tlv.zoneKeys)
  end()
  const mapKind = kindOf(named[0])
  const wire = named.subarray(1)
  const name = nameFromWire(wire)
  if (!equal(name, wire)) throw new VerifyError('malformed', 'the name is not lower-case')
  return { kind: 'name', leaf, mapKind, name, mapProof, history, chain }
}

function kindOf(byte: number | undefined): MapKind {
  if (byte === MapKind.delegation || byte === MapKind.zoneKeys) return byte
  throw new VerifyError('malformed', 'unknown kind of map key')
}

/** A view, to be written at once. */
function encodeItem({ entry, index, path }: ProofItem): Uint8Array {
  const w = new ByteWriter().u64(index).u8(path.length)
  for (const hash of path) w.bytes(hash)
  return w.bytes(entry).view()
}

function decodeItem(bytes: Uint8Array): ProofItem {
  const r = new ByteReader(bytes)
  const index = r.u64()
  const path: Hash[] = []
  for (let n = r.u8(); n > 0; n--) path.push(asHash(r.bytes(32)))
  return { index, path, entry: r.bytes(r.remaining) }
}
