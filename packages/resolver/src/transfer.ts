/**
 * Zone transfers (AXFR, RFC 5936) over TCP: the records of a zone as they come, the SOA first, and again as
 * the sign of the end. A stream that ends before is no zone: nothing that was read of it may be used.
 * What the records are worth is for the zone reader (@dslog/dnssec/zone): transfers prove nothing.
 *
 * A transfer may be a gigabyte, so records are handed on message by message; and a server may dribble
 * bytes for ever, so time is limited for each message and for all, and bytes and records are.
 */
import { connect, type Socket } from 'node:net'
import { equal } from '@dslog/tlog/bytes'
import { DnssecError } from '@dslog/dnssec/error'
import { type Message, parseMessage, RCODE } from '@dslog/dnssec/message'
import { type Name, nameToText, sameName } from '@dslog/dnssec/name'
import { CLASS_IN, type RR, TYPE } from '@dslog/dnssec/records'
import { type Clock, systemClock } from '@dslog/service/clock'
import { specialRange } from '@dslog/service/specialaddress'
import { abortError, onAbort } from './abort.ts'
import { deadlineIn, whenOver } from './awake.ts'
import { ResolverError } from './error.ts'
import { DNS_PORT, type Server } from './exchange.ts'
import { Deframer, frame } from './framing.ts'
import { encodeQuery, random16 } from './query.ts'
import { type TsigKey, TsigSession } from './tsig.ts'

/** The type of a question for a whole zone (IANA). */
const TYPE_AXFR = 252
/** What one zone may have unless told, in bytes: .com has 20 GB in text, .se 400 MB here. */
export const MAX_TRANSFER_BYTES: number = 2 * 1024 ** 3
/** For the first message, and then for each next one, in ms in which this process listened (awake.ts). */
export const MESSAGE_TIMEOUT_MS = 15_000
/** For all, in ms of the same. */
export const TRANSFER_TIMEOUT_MS: number = 30 * 60_000

/** How to transfer. */
export interface TransferOptions {
  readonly key?: TsigKey | undefined
  /** May this address be asked? Default: no special-purpose address. */
  readonly permits?: (address: string) => boolean
  readonly maxBytes?: number
  readonly messageTimeout?: number
  readonly timeout?: number
  readonly signal?: AbortSignal | undefined
  /** For TSIG, ms since the epoch. */
  readonly now?: Clock
}

/**
 * The records of a zone, its SOA once, as they come. Whoever stops reading closes the connection.
 *
 * @throws ResolverError; then what came before counts for nothing
 */
export async function* transferZone(
  server: Server,
  zone: Name,
  options: TransferOptions = {},
): AsyncGenerator<RR> {
  for await (const records of transferMessages(server, zone, options)) yield* records
}

/** As `transferZone`, the records of each message together. */
export async function* transferMessages(
  server: Server,
  zone: Name,
  options: TransferOptions = {},
): AsyncGenerator<readonly RR[]> {
  const { key, now = systemClock } = options
  const session = key === undefined ? undefined : new TsigSession(key, now)
  const id = random16()
  const query = encodeQuery({ name: zone, type: TYPE_AXFR }, id)
  const sent = session?.sign(query) ?? query
  const reading = new ZoneStream(zone, server)
  for await (const bytes of messagesOf(server, sent, options)) {
    const message = read(
      named(server, () => session?.open(bytes) ?? bytes),
      server,
    )
    reading.check(message, id)
    const records = reading.take(message.answer)
    if (reading.isDone) named(server, () => session?.done())
    if (records.length > 0) yield records
    if (reading.isDone) return
  }
  throw new ResolverError('bad-transfer', `${nameToText(zone)} ended before its end`, { server })
}

/** Adds the server to an error. */
function named<T>(server: Server, work: () => T): T {
  try {
    return work()
  } catch (cause) {
    if (!(cause instanceof ResolverError)) throw cause
    throw new ResolverError(cause.code, `${server.address}: ${cause.message}`, { server, cause })
  }
}

function read(bytes: Uint8Array, server: Server): Message {
  try {
    return parseMessage(bytes)
  } catch (cause) {
    if (!(cause instanceof DnssecError)) throw cause
    throw new ResolverError('malformed', cause.message, { server, cause })
  }
}

/** Where in a transfer we are. */
class ZoneStream {
  readonly #zone: Name
  readonly #server: Server
  #soa: RR | undefined
  #isDone = false

  constructor(zone: Name, server: Server) {
    this.#zone = zone
    this.#server = server
  }

  get isDone(): boolean {
    return this.#isDone
  }

  /** @throws ResolverError unless the message is one of a transfer */
  check({ id, qr, opcode, tc, rcode, question }: Message, ours: number): void {
    const server = this.#server
    const bad = (what: string): ResolverError => this.#bad(what)
    if (id !== ours || !qr || opcode !== 0) throw bad('a message that is no reply to us')
    const [asked] = question
    // Messages after the first may leave the question out (RFC 5936 §2.2.1).
    if (
      asked === undefined
        ? this.#soa === undefined && rcode === 0
        : !sameName(asked.name, this.#zone)
    ) {
      throw bad('a reply to another question')
    }
    if (rcode === RCODE.REFUSED) {
      throw new ResolverError('refused', `${nameToText(this.#zone)} is not given to us`, { server })
    }
    if (rcode === RCODE.SERVFAIL) {
      throw new ResolverError('servfail', `SERVFAIL for ${nameToText(this.#zone)}`, { server })
    }
    if (rcode !== RCODE.NOERROR) {
      const text = `RCODE ${rcode} for a transfer of ${nameToText(this.#zone)}`
      throw new ResolverError('rcode', text, { server })
    }
    if (tc) throw new ResolverError('truncated', 'a truncated message in a transfer', { server })
  }

  /** The records to hand on: the first SOA, not the last. */
  take(answer: readonly RR[]): readonly RR[] {
    if (answer.length === 0) throw this.#bad('a message without records')
    const [first] = answer
    if (this.#soa === undefined) {
      if (first === undefined || !this.#isApexSoa(first)) throw this.#bad('no SOA at its begin')
      this.#soa = first
      const rest = this.#rest(answer.slice(1))
      return [first, ...rest]
    }
    return this.#rest(answer)
  }

  #rest(records: readonly RR[]): readonly RR[] {
    const end = records.findIndex((rr) => rr.type === TYPE.SOA)
    if (end < 0) return records
    const last = records[end]!
    // A zone that changed under way is sent as it was at the start; another serial is another zone.
    if (!this.#isApexSoa(last) || !equal(last.rdata, this.#soa!.rdata)) {
      throw this.#bad('another SOA than at its begin')
    }
    if (end !== records.length - 1) throw this.#bad('records behind its end')
    this.#isDone = true
    return records.slice(0, end)
  }

  #isApexSoa({ owner, type, class: cls }: RR): boolean {
    return type === TYPE.SOA && cls === CLASS_IN && sameName(owner, this.#zone)
  }

  #bad(what: string): ResolverError {
    const server = this.#server
    return new ResolverError('bad-transfer', `${nameToText(this.#zone)}: ${what}`, { server })
  }
}

/** Sends one message and reads what comes, within the limits of time and size. */
async function* messagesOf(
  server: Server,
  query: Uint8Array,
  options: TransferOptions,
): AsyncGenerator<Uint8Array> {
  const {
    maxBytes = MAX_TRANSFER_BYTES,
    messageTimeout = MESSAGE_TIMEOUT_MS,
    permits = (address) => specialRange(address) === undefined,
    signal,
    timeout = TRANSFER_TIMEOUT_MS,
  } = options
  const { address, port = DNS_PORT } = server
  if (!permits(address)) {
    const text = `${address} is not asked: ${specialRange(address) ?? 'not permitted'}`
    throw new ResolverError('forbidden-address', text, { server })
  }
  if (signal?.aborted === true) throw abortError(signal, server)
  const socket: Socket = connect({ host: address, port, noDelay: true })
  const late = (): Error => new ResolverError('timeout', `${address} takes too long`, { server })
  // Not for each chunk: who sends byte after byte sends no message.
  const waitForMessage = (): (() => void) => {
    return whenOver(deadlineIn(messageTimeout), () => socket.destroy(late()))
  }
  let waited = waitForMessage()
  const ended = whenOver(deadlineIn(timeout), () => socket.destroy(late()))
  const keepOn = onAbort(signal, () => socket.destroy(abortError(signal, server)))
  const deframer = new Deframer()
  let bytes = 0
  try {
    socket.write(frame(query))
    for await (const chunk of socket as AsyncIterable<Uint8Array>) {
      bytes += chunk.length
      if (bytes > maxBytes) {
        throw new ResolverError('too-large', `${address} sends over ${maxBytes} bytes`, { server })
      }
      const messages = deframer.push(chunk)
      if (messages.length === 0) continue
      waited()
      yield* messages
      waited = waitForMessage()
    }
    if (deframer.isBetween) return
    throw new ResolverError('bad-transfer', `${address} broke off in a message`, { server })
  } catch (cause) {
    if (cause instanceof ResolverError) throw cause
    const text = `${address}: ${cause instanceof Error ? cause.message : String(cause)}`
    throw new ResolverError('network', text, { server, cause })
  } finally {
    waited()
    ended()
    keepOn()
    socket.destroy()
  }
}
