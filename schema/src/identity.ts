/**
 * Identities that are derived from entries and never stored in them: which keys, which state, which
 * key of the name map. Normative text: docs/spec/entry.md, "Identities" and "The name map".
 *
 * ```
 * keys_id   = SHA-256("dslog/keys/v1\0"  | zone | u16 k | k × (u16 len | DNSKEY RDATA))
 * state_id  = SHA-256("dslog/state/v1\0" | owner | zone | u8 present | n × (u16 len | DS RDATA))
 * map key   = SHA-256(u8 kind | name)                 kind 1: delegation of a name, 2: keys of a zone
 * map value = RFC 6962 tree hash over the leaves u64be(entry index), in log order
 * ```
 */
import { ByteWriter } from '@dslog/tlog/binary'
import { compare, u64be, utf8 } from '@dslog/tlog/bytes'
import { type Hash, leafHash, sha256 } from '@dslog/tlog/hash'
import { CompactRange } from '@dslog/tlog/tree'
import type { Name } from '@dslog/dnssec/name'
import type { DelegationEntry, Entry } from './entry.ts'
import { writeRdata, writeRecords } from './fields.ts'

const KEYS_DOMAIN = utf8('dslog/keys/v1\0')
const STATE_DOMAIN = utf8('dslog/state/v1\0')

/** What a key of the name map stands for. */
export const MapKind = { delegation: 1, zoneKeys: 2 } as const
export type MapKind = (typeof MapKind)[keyof typeof MapKind]

/** Identity of a DNSKEY RRset of a zone. The records may come in any order. */
export function keysId(zone: Name, keys: readonly Uint8Array[]): Hash {
  const w = new ByteWriter()
  w.bytes(KEYS_DOMAIN)
  w.bytes(zone)
  writeRecords(w, keys.toSorted(compare))
  return sha256(w.view())
}

/**
 * Identity of a delegation's state: its DS RRset at its signing zone, or the absence of one. TTL,
 * signature, time and vantage are no part of it, so re-signing a zone changes no state.
 *
 * @param ds the DS RDATA in any order; empty for proven absence
 */
export function stateId(owner: Name, zone: Name, ds: readonly Uint8Array[]): Hash {
  const w = new ByteWriter()
  w.bytes(STATE_DOMAIN)
  w.bytes(owner)
  w.bytes(zone)
  w.u8(ds.length > 0 ? 1 : 0)
  for (const rdata of ds.toSorted(compare)) writeRdata(w, rdata)
  return sha256(w.view())
}

/** {@link stateId} of what an entry records. */
export function stateOf(entry: DelegationEntry): Hash {
  return stateId(entry.owner, entry.zone, entry.type === 'ds' ? entry.ds : [])
}

/** Key of the name map under which the entries of a name are found. */
export function mapKey(kind: MapKind, name: Name): Hash {
  return sha256(new ByteWriter().u8(kind).bytes(name).view())
}

/** Key of the name map that an entry belongs to; `undefined` for types that have none. */
export function mapKeyOf(entry: Entry): Hash | undefined {
  switch (entry.type) {
    case 'ds':
    case 'no-ds':
      return mapKey(MapKind.delegation, entry.owner)
    case 'zone-keys':
      return mapKey(MapKind.zoneKeys, entry.zone)
    case 'map-head':
    case 'unknown':
      return undefined
  }
}

/** Value of the name map: commits to the whole list of entry indices of a key, in log order. */
export function mapValue(indices: readonly number[]): Hash {
  // Most names have one entry, whose leaf is the tree.
  if (indices.length === 1) return leafHash(u64be(indices[0]!))
  const range = new CompactRange()
  for (const index of indices) range.append(leafHash(u64be(index)))
  return range.root()
}
