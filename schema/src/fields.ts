/**
 * The fields that entries are made of, and the rows and identities that are derived from them:
 *
 * ```
 * name      RFC 1035 wire format, uncompressed, ASCII letters in lower case
 * RDATA     u16 len | len octets
 * records   u16 n | n × RDATA; in an entry at least one, strictly ascending as octet strings (RFC 4034 §6.3)
 * RRSIG     RDATA whose signer is in lower case
 * ```
 */
import type { ByteReader, ByteWriter } from '@dslog/tlog/binary'
import { compare, equal } from '@dslog/tlog/bytes'
import { isLowerCase, MAX_LABEL_BYTES, type Name, nameFromWire } from '@dslog/dnssec/name'
import { parseRrsig, RRSIG_FIXED_BYTES } from '@dslog/dnssec/records'
import { EntryError } from './error.ts'

/** @throws EntryError `too-large` */
export function writeRdata(w: ByteWriter, rdata: Uint8Array): void {
  if (rdata.length > 0xffff) throw new EntryError('too-large', 'RDATA is longer than 65535 bytes')
  w.u16(rdata.length)
  w.bytes(rdata)
}

/** A view of what is read. @throws TlogError `truncated` */
export function readRdata(r: ByteReader): Uint8Array {
  return r.bytes(r.u16())
}

/** Writes records in the order in which they come. @throws EntryError `range` for too many, `too-large` */
export function writeRecords(w: ByteWriter, set: readonly Uint8Array[]): void {
  if (set.length > 0xffff) throw new EntryError('range', 'a set has at most 65535 records')
  w.u16(set.length)
  for (const rdata of set) writeRdata(w, rdata)
}

/** Writes records as an entry has them. @throws EntryError `range` for none, `order`, and as {@link writeRecords} */
export function writeCanonicalRecords(
  w: ByteWriter,
  set: readonly Uint8Array[],
  what: string,
): void {
  if (set.length === 0) throw new EntryError('range', `a ${what} set has 1 to 65535 records`)
  for (const [i, rdata] of set.entries()) {
    const before = set[i - 1]
    if (before !== undefined && compare(before, rdata) >= 0) {
      throw new EntryError('order', `the ${what} records are unsorted or repeated`)
    }
  }
  writeRecords(w, set)
}

/** Views of what is read, in the order that it has. @throws TlogError `truncated` */
export function readRecords(r: ByteReader): Uint8Array[] {
  const set: Uint8Array[] = []
  for (let n = r.u16(); n > 0; n--) set.push(readRdata(r))
  return set
}

/**
 * The signer's name inside RRSIG RDATA must be lower-case, or one signature had 2^n encodings.
 *
 * @throws EntryError `name`, `too-large`; DnssecError for what is no RRSIG
 */
export function writeRrsig(w: ByteWriter, rdata: Uint8Array): void {
  // What is wrong, the parser says.
  if (!isLowerCase(rdata, RRSIG_FIXED_BYTES) && !equal(parseRrsig(rdata).rdata, rdata)) {
    throw new EntryError('name', 'the RRSIG signer is not lower-case')
  }
  writeRdata(w, rdata)
}

/** Reads a name. @throws EntryError `name`; TlogError `truncated`; DnssecError for one that is too long */
export function readName(r: ByteReader): Name {
  const start = r.pos
  for (let length = r.u8(); length > 0; length = r.u8()) {
    if (length > MAX_LABEL_BYTES) {
      throw new EntryError('name', `a label is longer than ${MAX_LABEL_BYTES} bytes`)
    }
    r.bytes(length)
  }
  const wire = r.since(start)
  const name = nameFromWire(wire)
  if (!equal(name, wire)) throw new EntryError('name', 'a name is not lower-case')
  return name
}
