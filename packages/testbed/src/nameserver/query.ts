/**
 * Questions as a name server reads them (RFC 1035 §4, RFC 6891, RFC 8945 §5.1): whoever can reach the
 * port may send anything, so nothing is taken on trust, and nothing costs more than the bytes that came.
 *
 *     u16 id | u16 flags | 4 × u16 counts | question | records, of which OPT and TSIG are looked into
 */
import { ByteReader } from '@dslog/tlog/binary'
import { TlogError } from '@dslog/tlog/error'
import { DnssecError } from '@dslog/dnssec/error'
import { expandName, nameFromWire, readName, type Name } from '@dslog/dnssec/name'
import { TYPE } from '@dslog/dnssec/records'

/** Bits of the second word of a header, and what is between them. */
export const FLAG = { QR: 0x8000, AA: 0x0400, TC: 0x0200, RD: 0x0100, AD: 0x0020, CD: 0x0010 }
export const OPCODE_QUERY = 0
/** Types that no zone has: signature of a message, transfers, everything (IANA). */
export const QTYPE = { TSIG: 250, IXFR: 251, AXFR: 252, ANY: 255 } as const

const HEADER_BYTES = 12
const DO = 0x8000

/** A signature under a question, and where in the message it begins. */
export interface QueryTsig {
  readonly start: number
  readonly keyName: Name
  readonly rdata: Uint8Array
}

/** A question. */
export interface Query {
  readonly id: number
  /** The second word of the header, as it came. */
  readonly flags: number
  readonly opcode: number
  readonly name: Name
  /** The name with its letters as they were sent. */
  readonly sent: Uint8Array
  readonly type: number
  readonly class: number
  readonly edns?: { readonly version: number; readonly size: number; readonly dnssecOk: boolean }
  readonly tsig?: QueryTsig
}

/** What cannot be answered, but told so: by header alone. */
export interface BrokenQuery {
  readonly id: number
  readonly flags: number
}

/**
 * Reads a question. Undefined for what deserves no answer: too short for a header, or a reply; a
 * `BrokenQuery` for what is not one question in one piece.
 */
export function readQuery(bytes: Uint8Array): Query | BrokenQuery | undefined {
  if (bytes.length < HEADER_BYTES) return undefined
  const header = new ByteReader(bytes)
  const id = header.u16()
  const flags = header.u16()
  if ((flags & FLAG.QR) !== 0) return undefined
  const counts = [header.u16(), header.u16(), header.u16(), header.u16()]
  try {
    return { id, flags, opcode: (flags >> 11) & 0xf, ...readBody(bytes, counts) }
  } catch (error) {
    if (!(error instanceof DnssecError) && !(error instanceof TlogError)) throw error
    return { id, flags }
  }
}

function readBody(
  bytes: Uint8Array,
  counts: readonly number[],
): Omit<Query, 'id' | 'flags' | 'opcode'> {
  const [questions = 0, answers = 0, authorities = 0, additionals = 0] = counts
  const broken = (why: string): DnssecError => new DnssecError('bad-message', why)
  if (questions !== 1) throw broken('not one question')
  const { wire: sent, end } = expandName(bytes, HEADER_BYTES, { compressed: false })
  const reader = new ByteReader(bytes.subarray(end))
  const type = reader.u16()
  const cls = reader.u16()
  let edns: Query['edns']
  let tsig: Query['tsig']
  // Ends at the last byte, whatever the counts promise: each record takes some.
  for (let left = answers + authorities + additionals; left > 0; left--) {
    const start = end + reader.pos
    const owner = readName(bytes, start)
    reader.bytes(owner.end - start)
    const recordType = reader.u16()
    const size = reader.u16()
    const ttl = reader.u32()
    const rdata = reader.bytes(reader.u16())
    if (tsig !== undefined) throw broken('records behind the TSIG')
    if (recordType === TYPE.OPT) {
      const isPlaced = left <= additionals && owner.name.length === 1 && edns === undefined
      if (!isPlaced) throw broken('OPT where none may be')
      edns = { version: (ttl >>> 16) & 0xff, size, dnssecOk: (ttl & DO) !== 0 }
    } else if (recordType === QTYPE.TSIG) {
      if (left > additionals) throw broken('TSIG where none may be')
      tsig = { start, keyName: owner.name, rdata }
    }
  }
  reader.done()
  return {
    sent,
    name: nameFromWire(sent),
    type,
    class: cls,
    ...(edns !== undefined && { edns }),
    ...(tsig !== undefined && { tsig }),
  }
}
