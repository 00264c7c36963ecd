/** DNS messages as servers send them (RFC 1035 section 4), without compression. */
import { ByteWriter } from '@dslog/tlog/binary'
import type { Name } from '@dslog/dnssec/name'
import { CLASS_IN, type RR } from '@dslog/dnssec/records'
import { encodeRecord } from '@dslog/dnssec/wire'

/** What a reply holds; an answer to a question, unless told. */
export interface Reply {
  readonly name: Name
  readonly type: number
  readonly answer?: readonly RR[]
  readonly authority?: readonly RR[]
  readonly additional?: readonly RR[]
  readonly rcode?: number
  /** A query, in place of a reply. */
  readonly query?: boolean
  readonly truncated?: boolean
}

const QR = 0x8000
const TC = 0x0200

export function encodeReply(reply: Reply): Uint8Array {
  const { additional = [], answer = [], authority = [], name, rcode = 0, type } = reply
  const w = new ByteWriter().u16(4711)
  w.u16((reply.query === true ? 0 : QR) + (reply.truncated === true ? TC : 0) + rcode)
  w.u16(1).u16(answer.length).u16(authority.length).u16(additional.length)
  w.bytes(name).u16(type).u16(CLASS_IN)
  for (const record of [...answer, ...authority, ...additional]) w.bytes(encodeRecord(record))
  return w.finish()
}
