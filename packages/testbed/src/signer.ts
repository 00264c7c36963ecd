/**
 * Signs zones (RFC 4034, RFC 4035 §2, RFC 5155 §7.1): takes the plain records of a zone and keys, gives
 * every record of the signed zone. Made for tests and the demo: it shares with the verifier names,
 * canonical form and hashes, but builds keys, signatures, bitmaps and chains of its own, so that
 * neither can hide a fault of the other. `ldns-verify-zone` judges both.
 *
 * What it is asked to sign it signs: signatures that are expired, back-dated or missing, and wrong
 * ones, are what tests are about. Only a zone that is no zone is an error.
 */
import { ByteWriter } from '@dslog/tlog/binary'
import { compare, concat } from '@dslog/tlog/bytes'
import {
  compareCanonical,
  isAtOrBelow,
  isBelow,
  isWildcard,
  labelCount,
  nameKey,
  nameToText,
  parentOf,
  sameName,
  type Name,
} from '@dslog/dnssec/name'
import { NSEC3_OPT_OUT, NSEC3_SHA1, nsec3Hash, nsec3Owner } from '@dslog/dnssec/nsec3'
import { RdataBuffer } from '@dslog/dnssec/presentation/field'
import { putBitmap } from '@dslog/dnssec/rdata'
import {
  CLASS_IN,
  FLAG_REVOKE,
  FLAG_SEP,
  parseSoaNumbers,
  TYPE,
  type RR,
  type RRset,
} from '@dslog/dnssec/records'
import { rrset } from '@dslog/dnssec/rrset'
import type { SignatureWindow } from '@dslog/dnssec/rrsig'
import { parseZoneFile } from '@dslog/dnssec/zonefile'
import type { ZoneKey } from './key.ts'
import { Zone } from './zone.ts'

/** TTL of the records that signing adds, but for NSEC and NSEC3, in seconds. */
const KEY_TTL = 3600

/** How NSEC3 records are made. */
export interface Nsec3Options {
  /** Empty unless told (RFC 9276 §3.1). */
  readonly salt?: Uint8Array
  /** None unless told (RFC 9276 §3.1). */
  readonly iterations?: number
  /** Leaves delegations without DS out of the chain. */
  readonly optOut?: boolean
}

/** How a zone denies that something exists. */
export type Denial = 'nsec' | { readonly nsec3: Nsec3Options }

/** What to sign, and how. */
export interface SignOptions {
  /** The apex. */
  readonly origin: Name
  /** The plain records, SOA and NS of the apex among them; or a master file of them. */
  readonly records: readonly RR[] | string
  /**
   * Keys to publish and to sign with. Keys with the SEP flag sign the DNSKEY RRset and others sign the
   * rest; where all have it, all sign everything. Revoked ones sign the DNSKEY RRset only.
   */
  readonly keys: readonly ZoneKey[]
  /** Keys that are published but sign nothing, as before and after a roll-over. */
  readonly published?: readonly ZoneKey[]
  readonly denial: Denial
  /** From when to when signatures are valid, in seconds since the epoch. */
  readonly window: SignatureWindow
  /** What is unusual about the signatures of an RRset; undefined for nothing. */
  readonly oddity?: (owner: Name, type: number) => Oddity | undefined
}

/** A signature that is not what it should be. */
export type Oddity =
  /** Another window: expired, back-dated, in the future. */
  | { readonly window: SignatureWindow }
  /** A signature that does not verify. */
  | 'bad'
  /** None at all. */
  | 'missing'

/** A name that owns records, while a zone is put together. */
interface Node {
  readonly name: Name
  readonly sets: Map<number, RR[]>
  /** A delegation. */
  readonly isCut: boolean
  /** Below a delegation or DNAME: not the zone's. */
  readonly isGlue: boolean
}

/**
 * Signs a zone.
 * @throws RangeError if there is no SOA or NS at the origin, a record outside the zone, no key, or a
 *   record that only signing may make
 */
export function signZone(options: SignOptions): Zone {
  const { origin, keys, published = [], denial } = options
  if (keys.length === 0) throw new RangeError('no key to sign with')
  const plain =
    typeof options.records === 'string'
      ? parseZoneFile(options.records, { origin })
      : options.records
  const minimum = denialTtl(origin, plain)
  const records = [
    ...plain,
    ...[...keys, ...published].map((key) => made(origin, TYPE.DNSKEY, KEY_TTL, key.rdata)),
  ]
  if (denial !== 'nsec') {
    records.push(made(origin, TYPE.NSEC3PARAM, 0, nsec3Fields(denial.nsec3, 0)))
  }
  const nodes = nodesOf(origin, records)
  const chain =
    denial === 'nsec' ? nsecChain(nodes, minimum) : nsec3Chain(origin, nodes, denial.nsec3, minimum)
  const signed = nodesOf(origin, [...records, ...chain])
  return new Zone(origin, [...records, ...chain, ...signatures(signed, options)], denial)
}

/** TTL of NSEC and NSEC3: the lesser of that of the SOA and its minimum (RFC 9077). */
function denialTtl(origin: Name, records: readonly RR[]): number {
  const added: readonly number[] = [TYPE.RRSIG, TYPE.NSEC, TYPE.NSEC3, TYPE.DNSKEY, TYPE.NSEC3PARAM]
  for (const { owner, type } of records) {
    if (!isAtOrBelow(owner, origin)) {
      throw new RangeError(`${nameToText(owner)} is not in the zone ${nameToText(origin)}`)
    }
    if (added.includes(type)) throw new RangeError(`type ${type} is for the signer to make`)
  }
  const apex = records.filter(({ owner }) => sameName(owner, origin))
  const soa = apex.find(({ type }) => type === TYPE.SOA)
  if (soa === undefined || !apex.some(({ type }) => type === TYPE.NS)) {
    throw new RangeError(`${nameToText(origin)} has no SOA and NS`)
  }
  return Math.min(soa.ttl, parseSoaNumbers(soa.rdata).minimum)
}

function made(owner: Name, type: number, ttl: number, rdata: Uint8Array): RR {
  return { owner, type, class: CLASS_IN, ttl, rdata }
}

/** The names of a zone in canonical order. */
function nodesOf(origin: Name, records: readonly RR[]): Node[] {
  const byName = new Map<string, RR[]>()
  for (const record of records) {
    const key = nameKey(record.owner)
    const held = byName.get(key)
    if (held === undefined) byName.set(key, [record])
    else held.push(record)
  }
  const owners = [...byName.values()].sort((a, b) => compareCanonical(a[0]!.owner, b[0]!.owner))
  const nodes: Node[] = []
  let cover: Name | undefined
  for (const held of owners) {
    const name = held[0]!.owner
    const sets = new Map<number, RR[]>()
    for (const record of held) sets.set(record.type, [...(sets.get(record.type) ?? []), record])
    const isGlue = cover !== undefined && isBelow(name, cover) && !sets.has(TYPE.NSEC3)
    const isCut = !isGlue && sets.has(TYPE.NS) && !sameName(name, origin)
    if (isCut || (!isGlue && sets.has(TYPE.DNAME))) cover = name
    nodes.push({ name, sets, isCut, isGlue })
  }
  return nodes
}

/** The types that are signed at a node. */
function signedTypes({ sets, isCut, isGlue }: Node): number[] {
  if (isGlue) return []
  const atCut: readonly number[] = [TYPE.DS, TYPE.NSEC, TYPE.NSEC3]
  return [...sets.keys()].filter((type) => !isCut || atCut.includes(type))
}

function bitmap(types: Iterable<number>): Uint8Array {
  const out = new RdataBuffer()
  putBitmap([...types], out)
  return out.finish()
}

function nsecChain(nodes: readonly Node[], ttl: number): RR[] {
  const own = nodes.filter((node) => !node.isGlue)
  return own.map((node, i) => {
    const next = own[(i + 1) % own.length]!.name
    const types = [...signedTypes(node), ...(node.isCut ? [TYPE.NS] : []), TYPE.NSEC, TYPE.RRSIG]
    return made(node.name, TYPE.NSEC, ttl, concat(next, bitmap(types)))
  })
}

function nsec3Fields(
  { salt = new Uint8Array(), iterations = 0 }: Nsec3Options,
  flags: number,
): Uint8Array {
  const fields = new ByteWriter().u8(NSEC3_SHA1).u8(flags).u16(iterations)
  return fields.u8(salt.length).bytes(salt).finish()
}

function nsec3Chain(
  origin: Name,
  nodes: readonly Node[],
  options: Nsec3Options,
  ttl: number,
): RR[] {
  const { salt = new Uint8Array(), iterations = 0, optOut = false } = options
  const types = new Map<string, { name: Name; types: number[] }>()
  for (const node of nodes) {
    if (node.isGlue) continue
    const signed = signedTypes(node)
    if (optOut && node.isCut && signed.length === 0) continue
    const rrsig = signed.length > 0 ? [TYPE.RRSIG] : []
    const held = [...signed, ...(node.isCut ? [TYPE.NS] : []), ...rrsig]
    types.set(nameKey(node.name), { name: node.name, types: held })
    // Empty non-terminals between this name and the apex exist too (RFC 5155 §7.1).
    for (let above = node.name; isBelow(above, origin); above = parentOf(above)) {
      const empty = { name: above, types: [] }
      if (!types.has(nameKey(above))) types.set(nameKey(above), empty)
    }
  }
  const links = [...types.values()]
    .map((entry) => ({ ...entry, hash: nsec3Hash(entry.name, salt, iterations) }))
    .sort((a, b) => compare(a.hash, b.hash))
  return links.map((link, i) => {
    const next = links[(i + 1) % links.length]!.hash
    const fields = nsec3Fields(options, optOut ? NSEC3_OPT_OUT : 0)
    const rdata = concat(fields, Uint8Array.of(next.length), next, bitmap(link.types))
    return made(nsec3Owner(link.hash, origin), TYPE.NSEC3, ttl, rdata)
  })
}

function signatures(nodes: readonly Node[], options: SignOptions): RR[] {
  const { origin, keys, oddity } = options
  const isRevoked = ({ flags }: ZoneKey): boolean => (flags & FLAG_REVOKE) !== 0
  const forKeys = keys.filter(({ flags }) => (flags & FLAG_SEP) !== 0)
  const forData = keys.filter(({ flags }) => (flags & FLAG_SEP) === 0)
  const current = forKeys.filter((key) => !isRevoked(key))
  const dataKeys = forData.length > 0 ? forData : current
  const keyKeys = forKeys.length > 0 ? forKeys : forData
  return nodes.flatMap((node) =>
    signedTypes(node).flatMap((type) => {
      const odd = oddity?.(node.name, type)
      if (odd === 'missing') return []
      const window = typeof odd === 'object' ? odd.window : options.window
      const records = node.sets.get(type)!
      const set = rrset(
        node.name,
        type,
        records.map(({ rdata }) => rdata),
      )
      const { ttl } = records[0]!
      return (type === TYPE.DNSKEY ? keyKeys : dataKeys).map((key) => {
        const rdata = signRRset(set, ttl, key, origin, window)
        if (odd === 'bad') rdata[rdata.length - 1]! ^= 1
        return made(node.name, TYPE.RRSIG, ttl, rdata)
      })
    }),
  )
}

/** RDATA of an RRSIG over an RRset (RFC 4034 §3.1). */
export function signRRset(
  set: RRset,
  ttl: number,
  key: ZoneKey,
  signer: Name,
  { inception, expiration }: SignatureWindow,
): Uint8Array {
  const fields = new ByteWriter()
    .u16(set.type)
    .u8(key.algorithm)
    .u8(labelCount(set.owner) - (isWildcard(set.owner) ? 1 : 0))
    .u32(ttl)
    .u32(expiration % 0x1_0000_0000)
    .u32(inception % 0x1_0000_0000)
    .u16(key.tag)
    .bytes(signer)
    .finish()
  const data = new ByteWriter().bytes(fields)
  for (const rdata of set.rdatas) {
    data.bytes(set.owner).u16(set.type).u16(CLASS_IN).u32(ttl).u16(rdata.length).bytes(rdata)
  }
  return concat(fields, key.sign(data.finish()))
}
