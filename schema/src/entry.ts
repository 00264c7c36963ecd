/**
 * The log entry, version 1: what one leaf of the log holds. Normative text: docs/spec/entry.md.
 *
 * ```
 * entry = u8 version (1) | u8 type | body               big-endian, at most 65,535 bytes
 *
 * 1 DS         u64 time | u8 flags | name owner | u8 zone_labels | [32] keys_id
 *              | u16 n | n × (u16 len | DS RDATA) | u16 len | RRSIG RDATA
 * 2 NO_DS      u64 time | u8 flags | name owner | u8 zone_labels | [32] keys_id
 *              | u8 proof | u8 n | n × (name | u16 type | u16 len | RDATA | u16 len | RRSIG RDATA)
 * 3 ZONE_KEYS  u64 time | u8 flags | name zone | u16 k | k × (u16 len | DNSKEY RDATA) | u16 len | RRSIG RDATA
 *              non-root: | u8 zone_labels | [32] keys_id | u16 m | m × (u16 len | DS RDATA) | u16 len | RRSIG RDATA
 *              root:     | u16 key tag | [32] SHA-256 DS digest
 * 4 MAP_HEAD   u64 covers | [32] map_root | u64 key_count | u64 previous | u64 time
 * ```
 *
 * One state has one encoding: the decoder re-encodes what it read and refuses any difference, so
 * two different leaves can never decode to the same entry. This file knows the shape only, and of
 * names, RDATA and sets of them not even that (fields.ts); whether the evidence in an entry is valid
 * is the business of @dslog/verify.
 */
import { ByteReader, ByteWriter } from '@dslog/tlog/binary'
import { compare, equal } from '@dslog/tlog/bytes'
import { TlogError } from '@dslog/tlog/error'
import { asHash, type Hash } from '@dslog/tlog/hash'
import { DENIAL, type DenialKind, type DenialRecord, MAX_PROOF_RECORDS } from '@dslog/dnssec/denial'
import { DnssecError } from '@dslog/dnssec/error'
import { isBelow, labelCount, lastLabels, type Name } from '@dslog/dnssec/name'
import { TYPE } from '@dslog/dnssec/records'
import { EntryError } from './error.ts'
import {
  readName,
  readRdata,
  readRecords,
  writeCanonicalRecords,
  writeRdata,
  writeRrsig,
} from './fields.ts'

/** The only version there is. */
export const ENTRY_VERSION = 1

/** An entry bundle carries a 16-bit length (C2SP tlog-tiles), so no entry can be longer. */
export const MAX_ENTRY_BYTES = 65_535

/** What DS and NO_DS entries share. */
export interface DelegationHead {
  /** Milliseconds since the Unix epoch at which the evidence is checked. */
  readonly time: number
  /** Brought in later, from an archive, by the operator; `time` is then the archive's. */
  readonly historical: boolean
  /** Valid, but signed before the state that is already in force: never the latest state. */
  readonly outOfOrder: boolean
  readonly owner: Name
  /** The signing zone, strictly above the owner. */
  readonly zone: Name
  /** The ZONE_KEYS that vouch for the zone; see `keysId`. */
  readonly keysId: Hash
}

/** A delegation is signed: the DS RRset of `owner` at `zone`. */
export interface DsEntry extends DelegationHead {
  readonly type: 'ds'
  /** DS RDATA in canonical order (RFC 4034 §6.3), at least one, no duplicates. */
  readonly ds: readonly Uint8Array[]
  /** RDATA of one RRSIG over that RRset, signer lower-cased. */
  readonly rrsig: Uint8Array
}

/** A delegation that had a DS provably has none any more. */
export interface NoDsEntry extends DelegationHead {
  readonly type: 'no-ds'
  readonly proof: DenialKind
  /** One to three records, sorted by the owner's wire bytes. */
  readonly records: readonly DenialRecord[]
}

/** How a zone's keys hang from its parent. */
export interface ParentLink {
  readonly zone: Name
  readonly keysId: Hash
  readonly ds: readonly Uint8Array[]
  readonly rrsig: Uint8Array
}

/** Which trust anchor vouches for the root's keys. */
export interface AnchorLink {
  readonly tag: number
  /** SHA-256 DS digest of the anchor's key. */
  readonly digest: Uint8Array
}

/** The DNSKEY RRset of a parent zone, and what vouches for it. */
export interface ZoneKeysEntry {
  readonly type: 'zone-keys'
  readonly time: number
  readonly historical: boolean
  readonly zone: Name
  /** DNSKEY RDATA in canonical order, at least one, no duplicates. */
  readonly keys: readonly Uint8Array[]
  /** RDATA of an RRSIG over that RRset by a key that `link` names. */
  readonly rrsig: Uint8Array
  readonly link: ParentLink | AnchorLink
}

/** The root of the name map over every entry before this one. */
export interface MapHeadEntry {
  readonly type: 'map-head'
  /** Equal to the entry's own index. */
  readonly covers: number
  readonly mapRoot: Hash
  readonly keyCount: number
  /** Index of the previous MAP_HEAD; `undefined` in leaf 0. */
  readonly previous: number | undefined
  readonly time: number
}

/** An entry of a version or type that is not known here: kept and shown raw, never fatal. */
export interface UnknownEntry {
  readonly type: 'unknown'
  readonly bytes: Uint8Array
}

export type Entry = DsEntry | NoDsEntry | ZoneKeysEntry | MapHeadEntry | UnknownEntry
/** An entry about a delegation: what the name map calls kind 1. */
export type DelegationEntry = DsEntry | NoDsEntry

const WIRE_TYPE = { ds: 1, 'no-ds': 2, 'zone-keys': 3, 'map-head': 4 } as const
const HISTORICAL = 0x01
const OUT_OF_ORDER = 0x02
/** `previous` of the first MAP_HEAD. */
const NO_PREVIOUS = 0xffff_ffff_ffff_ffffn

/** Whether the keys hang from a parent zone (true) or from a trust anchor (false: the root). */
export function isParentLink(link: ParentLink | AnchorLink): link is ParentLink {
  return 'zone' in link
}

/**
 * Encodes an entry.
 *
 * @throws EntryError where a field breaks a rule of the format; nothing is repaired silently.
 */
export function encodeEntry(entry: Entry): Uint8Array {
  return bounded(entry.type === 'unknown' ? entry.bytes : typed(() => writeEntry(entry)))
}

function writeEntry(entry: Exclude<Entry, UnknownEntry>): Uint8Array {
  const w = new ByteWriter()
  w.u8(ENTRY_VERSION)
  w.u8(WIRE_TYPE[entry.type])
  switch (entry.type) {
    case 'ds':
      writeHead(w, entry)
      writeCanonicalRecords(w, entry.ds, 'DS')
      writeRrsig(w, entry.rrsig)
      break
    case 'no-ds':
      writeHead(w, entry)
      writeProof(w, entry)
      break
    case 'zone-keys':
      writeZoneKeys(w, entry)
      break
    case 'map-head':
      w.u64(entry.covers)
      w.bytes(entry.mapRoot)
      w.u64(entry.keyCount)
      w.u64(entry.previous ?? NO_PREVIOUS)
      w.u64(entry.time)
      checkMapHead(entry)
      break
  }
  return w.view()
}

/**
 * Decodes an entry, strictly: the result encodes to exactly the same bytes.
 *
 * @param bytes one whole leaf, as an attacker may have written it
 * @throws EntryError on every deviation; an unknown version or type is not one
 */
export function decodeEntry(bytes: Uint8Array): Entry {
  bounded(bytes)
  if (bytes.length < 2) throw new EntryError('truncated', 'an entry has at least two bytes')
  if (bytes[0] !== ENTRY_VERSION) return { type: 'unknown', bytes }
  const r = new ByteReader(bytes.subarray(2))
  const entry = typed(() => readBody(r, bytes))
  if (entry.type === 'unknown') return entry
  if (!equal(encodeEntry(entry), bytes)) {
    throw new EntryError('order', 'the entry is not in its one canonical encoding')
  }
  return entry
}

/** Decodes an entry that is known to be a key set. @throws Error if it is another */
export function decodeZoneKeys(bytes: Uint8Array): ZoneKeysEntry {
  const entry = decodeEntry(bytes)
  if (entry.type !== 'zone-keys') throw new Error(`a ${entry.type} entry in place of keys`)
  return entry
}

/** Whether a leaf says that it is a MAP_HEAD, by its first two bytes; it may still not decode. */
export function claimsMapHead(bytes: Uint8Array): boolean {
  return bytes[0] === ENTRY_VERSION && bytes[1] === WIRE_TYPE['map-head']
}

function readBody(r: ByteReader, bytes: Uint8Array): Entry {
  let entry: Entry
  switch (bytes[1]) {
    case WIRE_TYPE.ds: {
      const head = readHead(r)
      entry = { type: 'ds', ...head, ds: readRecords(r), rrsig: readRdata(r) }
      break
    }
    case WIRE_TYPE['no-ds']: {
      const head = readHead(r)
      const proof = proofKind(r.u8())
      const records: DenialRecord[] = []
      for (let n = r.u8(); n > 0; n--) {
        const owner = readName(r)
        records.push({ owner, type: r.u16(), rdata: readRdata(r), rrsig: readRdata(r) })
      }
      entry = { type: 'no-ds', ...head, proof, records }
      break
    }
    case WIRE_TYPE['zone-keys']:
      entry = readZoneKeys(r)
      break
    case WIRE_TYPE['map-head']: {
      const covers = r.u64()
      const mapRoot = asHash(r.bytes(32))
      const keyCount = r.u64()
      const raw = r.u64big()
      if (raw !== NO_PREVIOUS && raw > BigInt(Number.MAX_SAFE_INTEGER)) {
        throw new EntryError('range', 'the index of the previous MAP_HEAD is above 2^53-1')
      }
      const previous = raw === NO_PREVIOUS ? undefined : Number(raw)
      entry = { type: 'map-head', covers, mapRoot, keyCount, previous, time: r.u64() }
      break
    }
    default:
      return { type: 'unknown', bytes }
  }
  r.done()
  return entry
}

function writeHead(w: ByteWriter, head: DelegationHead): void {
  if (!isBelow(head.owner, head.zone)) {
    throw new EntryError('name', 'the owner is not strictly below the signing zone')
  }
  w.u64(head.time)
  w.u8((head.historical ? HISTORICAL : 0) | (head.outOfOrder ? OUT_OF_ORDER : 0))
  w.bytes(head.owner)
  w.u8(labelCount(head.zone))
  w.bytes(asHash(head.keysId))
}

function readHead(r: ByteReader): DelegationHead {
  const time = r.u64()
  const flags = r.u8()
  if ((flags & ~(HISTORICAL | OUT_OF_ORDER)) !== 0) {
    throw new EntryError('reserved', `reserved flag bits are set: ${flags}`)
  }
  const owner = readName(r)
  const labels = r.u8()
  if (labels >= labelCount(owner)) {
    throw new EntryError('name', 'the signing zone is not strictly above the owner')
  }
  return {
    time,
    historical: (flags & HISTORICAL) !== 0,
    outOfOrder: (flags & OUT_OF_ORDER) !== 0,
    owner,
    zone: lastLabels(owner, labels),
    keysId: asHash(r.bytes(32)),
  }
}

function writeProof(w: ByteWriter, entry: NoDsEntry): void {
  const { records } = entry
  if (records.length < 1 || records.length > MAX_PROOF_RECORDS) {
    throw new EntryError('range', `a proof of absence has 1 to ${MAX_PROOF_RECORDS} records`)
  }
  w.u8(proofKind(entry.proof))
  w.u8(records.length)
  for (const [i, record] of records.entries()) {
    if (record.type !== TYPE.NSEC && record.type !== TYPE.NSEC3) {
      throw new EntryError(
        'range',
        `a proof of absence holds NSEC or NSEC3, not type ${record.type}`,
      )
    }
    const before = records[i - 1]
    if (before !== undefined && compare(before.owner, record.owner) >= 0) {
      throw new EntryError('order', 'the records of a proof are unsorted or repeated')
    }
    w.bytes(record.owner)
    w.u16(record.type)
    writeRdata(w, record.rdata)
    writeRrsig(w, record.rrsig)
  }
}

function writeZoneKeys(w: ByteWriter, entry: ZoneKeysEntry): void {
  const { zone, link } = entry
  w.u64(entry.time)
  w.u8(entry.historical ? HISTORICAL : 0)
  w.bytes(zone)
  writeCanonicalRecords(w, entry.keys, 'DNSKEY')
  writeRrsig(w, entry.rrsig)
  if (isParentLink(link)) {
    if (!isBelow(zone, link.zone)) {
      throw new EntryError('name', 'the zone is not strictly below its parent')
    }
    w.u8(labelCount(link.zone))
    w.bytes(asHash(link.keysId))
    writeCanonicalRecords(w, link.ds, 'DS')
    writeRrsig(w, link.rrsig)
  } else {
    if (labelCount(zone) !== 0) throw new EntryError('name', 'only the root hangs from an anchor')
    w.u16(link.tag)
    w.bytes(asHash(link.digest))
  }
}

function readZoneKeys(r: ByteReader): ZoneKeysEntry {
  const time = r.u64()
  const flags = r.u8()
  if ((flags & ~HISTORICAL) !== 0) {
    throw new EntryError('reserved', `reserved flag bits are set: ${flags}`)
  }
  const zone = readName(r)
  const keys = readRecords(r)
  const rrsig = readRdata(r)
  const head = {
    type: 'zone-keys',
    time,
    historical: flags === HISTORICAL,
    zone,
    keys,
    rrsig,
  } as const
  if (labelCount(zone) === 0) return { ...head, link: { tag: r.u16(), digest: r.bytes(32) } }
  const labels = r.u8()
  if (labels >= labelCount(zone)) {
    throw new EntryError('name', 'the parent is not strictly above the zone')
  }
  const keysId = asHash(r.bytes(32))
  const parent = lastLabels(zone, labels)
  return { ...head, link: { zone: parent, keysId, ds: readRecords(r), rrsig: readRdata(r) } }
}

function checkMapHead(entry: MapHeadEntry): void {
  const { covers, previous } = entry
  if (previous === undefined ? covers !== 0 : previous >= covers) {
    throw new EntryError('range', 'a MAP_HEAD follows the previous one; only leaf 0 has none')
  }
}

function proofKind(n: number): DenialKind {
  for (const kind of Object.values(DENIAL)) if (kind === n) return kind
  throw new EntryError('range', `unknown kind of proof: ${n}`)
}

function bounded(bytes: Uint8Array): Uint8Array {
  if (bytes.length <= MAX_ENTRY_BYTES) return bytes
  throw new EntryError(
    'too-large',
    `an entry has at most ${MAX_ENTRY_BYTES} bytes, not ${bytes.length}`,
  )
}

/** Gives the typed error of this package to whatever the packages below refuse. */
function typed<T>(read: () => T): T {
  try {
    return read()
  } catch (cause) {
    if (cause instanceof TlogError) {
      const code = cause.code === 'truncated' || cause.code === 'trailing' ? cause.code : 'range'
      throw new EntryError(code, cause.message, { cause })
    }
    if (cause instanceof DnssecError) throw new EntryError('name', cause.message, { cause })
    throw cause
  }
}
