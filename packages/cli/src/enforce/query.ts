/**
 * Questions as a forwarder reads them, and the answers it writes itself (RFC 1035 §4.1, RFC 6891,
 * RFC 8914): errors, which are the question again behind another header. All else is handed on as it came.
 *
 *     u16 id | u16 flags | 1 0 0 1 | question as it came |
 *     00 | 41 | u16 payload size | u32 0 | u16 length | 15 | u16 length | u16 info code | text
 */
import { ByteWriter } from '@dslog/tlog/binary'
import { concat, utf8 } from '@dslog/tlog/bytes'
import { DnssecError } from '@dslog/dnssec/error'
import { HEADER_BYTES, parseMessage, RCODE } from '@dslog/dnssec/message'
import { expandName, type Name } from '@dslog/dnssec/name'
import { CLASS_IN, TYPE } from '@dslog/dnssec/records'
import { EDNS_PAYLOAD_BYTES } from '@dslog/resolver/query'

/** Why a question failed (RFC 8914 §4): by a policy of whoever runs this, or since somebody did not answer. */
export const EDE = { other: 0, blocked: 15, networkError: 23 } as const

/** More than a reason for people needs; less than a reply over UDP may have. */
const MAX_TEXT_BYTES = 300

const FLAG = { QR: 0x8000, RD: 0x0100, RA: 0x0080, CD: 0x0010 }
const OPCODE_MASK = 0x7800
const EDE_OPTION = 15
/** Transfers are many messages: no resolver answers them (IXFR and AXFR). */
const TRANSFERS: ReadonlySet<number> = new Set([251, 252])

/** A question that may be handed on. */
export interface Query {
  readonly bytes: Uint8Array
  readonly name: Name
  readonly type: number
  /** Of class IN: another has no DNSSEC, so nothing to check. */
  readonly isInternet: boolean
  /** Where the question ends. */
  readonly end: number
  readonly hasEdns: boolean
}

/** What cannot be handed on, and the RCODE it is answered with. */
export interface Refused {
  readonly rcode: number
}

/**
 * Reads a question. Undefined for what deserves no answer: too short for a header, or a reply, with which
 * two servers could talk for ever.
 */
export function readQuery(bytes: Uint8Array): Query | Refused | undefined {
  if (bytes.length < HEADER_BYTES || (flagsOf(bytes) & FLAG.QR) !== 0) return undefined
  if ((flagsOf(bytes) & OPCODE_MASK) !== 0) return { rcode: RCODE.NOTIMP }
  let message
  let end
  try {
    message = parseMessage(bytes)
    // A pointer would point into the header, and the question would not end where it seems to.
    end = HEADER_BYTES + expandName(bytes, HEADER_BYTES, { compressed: false }).wire.length + 4
  } catch (error) {
    if (!(error instanceof DnssecError)) throw error
    return { rcode: RCODE.FORMERR }
  }
  const [question, ...more] = message.question
  if (question === undefined || more.length > 0) return { rcode: RCODE.FORMERR }
  const { class: cls, name, type } = question
  if (TRANSFERS.has(type)) return { rcode: RCODE.REFUSED }
  const hasEdns = message.additional.some((rr) => rr.type === TYPE.OPT)
  return { bytes, name, type, isInternet: cls === CLASS_IN, end, hasEdns }
}

/** The answer to what was not understood: a header alone. */
export function refuse(bytes: Uint8Array, { rcode }: Refused): Uint8Array {
  const header = bytes.slice(0, HEADER_BYTES).fill(0, 4)
  return withFlags(header, bytes, rcode)
}

/** SERVFAIL; with the reason, where the question had EDNS (RFC 8914 §2). */
export function servfail(query: Query, infoCode: number, reason: string): Uint8Array {
  const { bytes, end, hasEdns } = query
  const head = bytes.slice(0, end)
  head.set([0, 1, 0, 0, 0, 0, 0, hasEdns ? 1 : 0], 4)
  withFlags(head, bytes, RCODE.SERVFAIL)
  if (!hasEdns) return head
  const text = utf8(reason).subarray(0, MAX_TEXT_BYTES)
  const opt = new ByteWriter().u8(0).u16(TYPE.OPT).u16(EDNS_PAYLOAD_BYTES).u32(0)
  opt
    .u16(6 + text.length)
    .u16(EDE_OPTION)
    .u16(2 + text.length)
    .u16(infoCode)
  return concat(head, opt.bytes(text).finish())
}

/** The flags of a reply: what the question had of RD and CD comes back. */
function withFlags(head: Uint8Array, { 2: high = 0, 3: low = 0 }: Uint8Array, rcode: number) {
  head[2] = ((FLAG.QR | OPCODE_MASK | FLAG.RD) >> 8) & (high | (FLAG.QR >> 8))
  head[3] = (low & FLAG.CD) | FLAG.RA | rcode
  return head
}

function flagsOf({ 2: high = 0, 3: low = 0 }: Uint8Array): number {
  return high * 256 + low
}
