/**
 * From a question to a reply, without network: which of the zones that a server holds answers, and
 * how that is put into a message (RFC 1034 §4.3.2, RFC 4035 §3.1, RFC 6891). What is in the answer is
 * `zone.ts`'s business, what goes wrong on purpose `fault.ts`'s.
 */
import { RCODE } from '@dslog/dnssec/message'
import { isAtOrBelow, isBelow, type Name } from '@dslog/dnssec/name'
import { CLASS_IN, TYPE, type RR } from '@dslog/dnssec/records'
import type { Answer, Zone } from '../zone.ts'
import { MAX_MESSAGE_BYTES, optRecord, Packet, type Section } from './packet.ts'
import { FLAG, OPCODE_QUERY, QTYPE, type BrokenQuery, type Query } from './query.ts'

/** The largest datagram that is sent and, by EDNS, taken: it passes everywhere (DNS flag day 2020). */
const MAX_UDP_BYTES = 1232
/** What who knows no EDNS takes (RFC 1035 §4.2.1). */
const MIN_UDP_BYTES = 512
const OPCODE_BITS = 0x7800
/** Size of an OPT record without options. */
export const OPT_BYTES = 11

/** A zone as a server holds it: an authority, whose every change shows at once, or a zone that stays. */
export interface Source {
  readonly name: Name
  readonly zone: Zone
}

/** What is put into a reply. */
export interface Content {
  readonly rcode: number
  readonly authoritative: boolean
  readonly answer: readonly RR[]
  readonly authority: readonly RR[]
  readonly additional: readonly RR[]
}

/** A code, and nothing else. */
export function bare(rcode: number): Content {
  return { rcode, authoritative: false, answer: [], authority: [], additional: [] }
}

/** What the server says that holds these zones. Not for transfers. */
export function answer(query: Query, sources: readonly Source[]): Content {
  if (query.opcode !== OPCODE_QUERY) return bare(RCODE.NOTIMP)
  if (query.edns !== undefined && query.edns.version > 0) return bare(RCODE.BADVERS)
  const source = query.class === CLASS_IN ? sourceFor(query, sources) : undefined
  if (source === undefined) return bare(RCODE.REFUSED)
  const found = source.zone.answer(query.name, query.type)
  return query.edns?.dnssecOk === true ? found : withoutDnssec(found, query.type)
}

/** The nearest zone above a name, or the one that it is the apex of; its DS is in the one above. */
function sourceFor({ name, type }: Query, sources: readonly Source[]): Source | undefined {
  const above = sources
    .filter((source) => isAtOrBelow(name, source.name))
    .sort((a, b) => b.name.length - a.name.length)
  const isDs = type === TYPE.DS && above.length > 1
  return isDs ? above.find((source) => isBelow(name, source.name)) : above[0]
}

const DNSSEC_TYPES: readonly number[] = [TYPE.RRSIG, TYPE.NSEC, TYPE.NSEC3]

/** Without the records that only who understands them gets (RFC 4035 §3.1), unless asked for by type. */
function withoutDnssec(content: Answer, type: number): Content {
  const isPlain = (rr: RR): boolean =>
    !DNSSEC_TYPES.includes(rr.type) || rr.type === type || type === QTYPE.ANY
  return {
    ...content,
    answer: content.answer.filter(isPlain),
    authority: content.authority.filter(
      (rr) => !DNSSEC_TYPES.includes(rr.type) && rr.type !== TYPE.DS,
    ),
  }
}

/** How many bytes a reply by UDP may have. */
export function udpLimit({ edns }: Query): number {
  return Math.max(MIN_UDP_BYTES, Math.min(edns?.size ?? 0, MAX_UDP_BYTES))
}

/** The OPT record of a reply: none to who sent none. */
export function optOf({ edns }: Query, rcode: number): RR | undefined {
  return edns === undefined ? undefined : optRecord(MAX_UDP_BYTES, edns.dnssecOk, rcode)
}

/** QR, and what a reply repeats of the question: opcode, RD, CD. */
export function replyFlags({ flags }: BrokenQuery): number {
  return FLAG.QR + (flags & (OPCODE_BITS | FLAG.RD | FLAG.CD))
}

/**
 * Writes a reply. Where it does not all fit, nothing of it is sent but TC: half an RRset helps nobody,
 * and a referral without its glue leads nowhere (RFC 2181 §9, RFC 9471).
 *
 * @param limit bytes it may have; any by TCP. With 0 nothing fits, whatever it is
 */
export function encodeReply(
  query: Query,
  content: Content,
  limit: number = MAX_MESSAGE_BYTES,
): Uint8Array {
  const { authoritative, rcode } = content
  const opt = optOf(query, rcode)
  const flags = replyFlags(query) + (authoritative ? FLAG.AA : 0) + (rcode & 0xf)
  const write = (sections: readonly Section[], more: number): Uint8Array | undefined => {
    const packet = new Packet(limit - OPT_BYTES)
    packet.question(query.sent, query.type, query.class)
    const fits = sections.every((name) => content[name].every((rr) => packet.add(name, rr)))
    if (!fits) return undefined
    if (opt !== undefined) packet.addReserved('additional', opt)
    return packet.finish(query.id, flags + more)
  }
  const whole = limit === 0 ? undefined : write(['answer', 'authority', 'additional'], 0)
  return whole ?? write([], FLAG.TC)!
}

/** What there is to say to what is no question: FORMERR, by a header alone. */
export function encodeBroken(query: BrokenQuery): Uint8Array {
  return new Packet().finish(query.id, replyFlags(query) + RCODE.FORMERR)
}
