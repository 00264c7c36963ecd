/**
 * One resource record as bytes of its own, uncompressed (RFC 1035 §3.2.1, RFC 4034 §6.2): how records
 * of a zone transfer travel where there is no message around them.
 *
 * ```
 * owner | u16 type | u16 class | u32 TTL | u16 length | RDATA
 * ```
 */
import { ByteReader, ByteWriter } from '@dslog/tlog/binary'
import { TlogError } from '@dslog/tlog/error'
import { DnssecError } from './error.ts'
import { readName } from './name.ts'
import type { RR } from './records.ts'

/** Writes a record. */
export function encodeRecord({ class: cls, owner, rdata, ttl, type }: RR): Uint8Array {
  const w = new ByteWriter().bytes(owner).u16(type).u16(cls).u32(ttl)
  return w.u16(rdata.length).bytes(rdata).finish()
}

/**
 * Reads a record; RDATA stays as it is.
 *
 * @throws DnssecError `bad-record`, or `bad-name`, also for a compressed owner
 */
export function parseRecord(bytes: Uint8Array): RR {
  const { end, name: owner } = readName(bytes, 0, { compressed: false })
  const r = new ByteReader(bytes.subarray(end))
  try {
    const type = r.u16()
    const cls = r.u16()
    const ttl = r.u32()
    const rdata = r.bytes(r.u16())
    r.done()
    return { owner, type, class: cls, ttl, rdata }
  } catch (cause) {
    if (!(cause instanceof TlogError)) throw cause
    throw new DnssecError('bad-record', `malformed record: ${cause.message}`, { cause })
  }
}
