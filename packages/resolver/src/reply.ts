/**
 * Replies before they are parsed: is this the one we wait for, and is it whole? A walk over the records
 * that makes nothing is all a crawler pays for what it will drop; parsing comes when somebody looks.
 *
 * Everything here comes from whoever guessed a port, or from a server that wishes us ill.
 */
import { DnssecError } from '@dslog/dnssec/error'
import { HEADER_BYTES, type Message, parseMessage, RCODE } from '@dslog/dnssec/message'
import { nameToText } from '@dslog/dnssec/name'
import { typeToText } from '@dslog/dnssec/rdata'
import { TYPE } from '@dslog/dnssec/records'
import { ResolverError } from './error.ts'
import type { Question, Reply, Server, Transport } from './exchange.ts'

const FLAG_QR = 0x80
const OPCODE_BITS = 0x78
const FLAG_TC = 0x02

/** The id of a message, which may be too short to have one. */
export function idOf(bytes: Uint8Array): number | undefined {
  return bytes.length < 2 ? undefined : bytes[0]! * 256 + bytes[1]!
}

/**
 * Does the message reply to the question that `query` asks? The id, QR, opcode QUERY, one question, and that
 * one ours: to the letter where `exactCase`, so where the query had random case.
 *
 * @param end where the question ends in `query`
 */
export function isReplyTo(
  bytes: Uint8Array,
  query: Uint8Array,
  end: number,
  exactCase: boolean,
): boolean {
  if (bytes.length < end) return false
  if (bytes[0] !== query[0] || bytes[1] !== query[1]) return false
  if ((bytes[2]! & (FLAG_QR | OPCODE_BITS)) !== FLAG_QR) return false
  if (bytes[4] !== 0 || bytes[5] !== 1) return false
  for (let i = HEADER_BYTES; i < end; i++) {
    const a = bytes[i]!
    const b = query[i]!
    if (a !== b && (exactCase || lower(a) !== lower(b))) return false
  }
  return true
}

function lower(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte
}

/** Does the sender say that the message is cut? */
export function isTruncated(bytes: Uint8Array): boolean {
  return (bytes[2]! & FLAG_TC) !== 0
}

/**
 * Walks the records behind the question, up to the last byte.
 *
 * @param start where the question ends
 * @returns the RCODE, with the upper bits of an OPT record; -1 if the message is malformed
 */
export function walkRecords(bytes: Uint8Array, start: number): number {
  const answers = bytes[6]! * 256 + bytes[7]!
  const authorities = bytes[8]! * 256 + bytes[9]!
  const additionals = bytes[10]! * 256 + bytes[11]!
  const count = answers + authorities + additionals
  let rcode = bytes[3]! & 0x0f
  let pos = start
  for (let i = 0; i < count; i++) {
    pos = skipName(bytes, pos)
    if (pos < 0 || pos + 10 > bytes.length) return -1
    if (bytes[pos] === 0 && bytes[pos + 1] === TYPE.OPT) rcode += bytes[pos + 4]! * 16
    pos += 10 + bytes[pos + 8]! * 256 + bytes[pos + 9]!
  }
  return pos === bytes.length ? rcode : -1
}

/** The position behind a name, its pointers not followed; -1 if it has no end. */
function skipName(bytes: Uint8Array, pos: number): number {
  for (let at = pos; ;) {
    const size = bytes[at]
    if (size === undefined) return -1
    if (size === 0) return at + 1
    if (size >= 0xc0) return at + 2
    if (size > 0x3f) return -1
    at += 1 + size
  }
}

/** The error that an RCODE is; none for NOERROR and NXDOMAIN. */
function rcodeError(rcode: number, server: Server, question: Question): ResolverError | undefined {
  if (rcode === RCODE.NOERROR || rcode === RCODE.NXDOMAIN) return undefined
  const asked = questionToText(question)
  if (rcode === RCODE.SERVFAIL) {
    return new ResolverError('servfail', `SERVFAIL for ${asked}`, { server })
  }
  if (rcode === RCODE.REFUSED) {
    return new ResolverError('refused', `REFUSED for ${asked}`, { server })
  }
  return new ResolverError('rcode', `RCODE ${rcode} for ${asked}`, { server })
}

/** For people. */
export function questionToText({ name, type }: Question): string {
  return `${nameToText(name)} ${typeToText(type)}`
}

/** What is known of a reply besides its bytes. */
export type ReplyDetails = Omit<Reply, 'bytes' | 'message'>

/** A reply that is parsed when somebody looks. */
class LazyReply implements Reply {
  readonly bytes: Uint8Array
  readonly question: Question
  readonly server: Server
  readonly transport: Transport
  readonly rtt: number
  #message: Message | undefined

  constructor(bytes: Uint8Array, { question, server, transport, rtt }: ReplyDetails) {
    this.bytes = bytes
    this.question = question
    this.server = server
    this.transport = transport
    this.rtt = rtt
  }

  get message(): Message {
    try {
      this.#message ??= parseMessage(this.bytes, { views: true })
      return this.#message
    } catch (cause) {
      if (!(cause instanceof DnssecError)) throw cause
      const { server } = this
      throw new ResolverError('malformed', cause.message, { server, cause })
    }
  }
}

/**
 * The reply in a message that `isReplyTo` holds for and that is not truncated.
 *
 * @param end where the question ends
 * @returns what went wrong where the server says so, or where the records do not fit
 */
export function readReply(
  bytes: Uint8Array,
  end: number,
  details: ReplyDetails,
): Reply | ResolverError {
  const { question, server } = details
  const rcode = walkRecords(bytes, end)
  if (rcode < 0) {
    const text = `malformed reply to ${questionToText(question)}`
    return new ResolverError('malformed', text, { server })
  }
  return rcodeError(rcode, server, question) ?? new LazyReply(bytes, details)
}
