/**
 * Questions over UDP: connected sockets, so that the kernel drops what comes from elsewhere, each with a port
 * of its own. A socket serves some questions at once, never two with one id, and is given up after a second
 * or a thousand questions, so that who finds out its port has little use of it.
 *
 * A datagram that is not the reply waited for does not end the wait (RFC 5452 §9.1): it is counted. Whether
 * anything came at all decides what the error says when time is up. One that is the reply, and larger than
 * we said we take (RFC 6891 §6.2.3), is not read: like a reply that is cut, it is a reason to ask over TCP.
 *
 * Measured: the system's default receive buffer loses up to 2 % of the replies at full speed.
 */
import { createSocket, type Socket } from 'node:dgram'
import { isIPv6 } from 'node:net'
import { nextTick } from 'node:process'
import { awakeMs, deadlineIn, onTick } from './awake.ts'
import { Batch } from '@dslog/service/batch'
import { ResolverError } from './error.ts'
import type { Question, Reply, Server } from './exchange.ts'
import { EDNS_PAYLOAD_BYTES, encodeQuery, questionEnd, random16 } from './query.ts'
import { idOf, isReplyTo, isTruncated, questionToText, readReply } from './reply.ts'

/** Asked of the system, which may give less (net.core.rmem_max). */
const RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024
/** Questions a socket asks in its life, and the ms it takes new ones: then its port is known too well. */
const SOCKET_QUESTIONS = 1_000
const SOCKET_AGE_MS = 1_000
/** Questions under way on one socket; ids are 2^16, so a free one is found at the first try nearly always. */
const SOCKET_OUTSTANDING = 500
/** Open sockets, those that wait for their last replies included: less than the 1,024 files a process may open. */
const MAX_SOCKETS = 512

/**
 * A datagram that is not taken: `stray` if no question under way has its id, so late or guessed; `mismatched`
 * if it is of the right id and to another question; `oversized` if it is larger than the question allowed.
 */
export type Unwanted = 'stray' | 'mismatched' | 'oversized'

/** What came that was not waited for, and what did not come. */
export interface UdpCounts extends Record<Unwanted, number> {
  sent: number
  received: number
  timeouts: number
  /** Replies that were cut. */
  truncated: number
}

/** How to ask over UDP. */
export interface UdpQuestion {
  readonly server: Required<Pick<Server, 'port'>> & Server
  /** What shares a socket: the server's address and port. */
  readonly key: string
  readonly question: Question
  readonly recursive?: boolean | undefined
  readonly checkingDisabled?: boolean | undefined
  readonly mixCase: boolean
  /** In ms. */
  readonly timeout: number
}

/** A question and who waits: exactly one of the three is called, once, after `ask` has returned. */
export interface Waiting extends UdpQuestion {
  reply(reply: Reply): void
  /** There is a reply, and no room for it in a datagram: ask over TCP. */
  goOver(): void
  fail(error: ResolverError): void
}

/** A question under way. */
class Pending {
  readonly socket: UdpSocket
  readonly id: number
  readonly query: Uint8Array
  readonly waiting: Waiting
  sentAt = 0
  /** By {@link awakeMs}. */
  readonly deadline: number
  /** Something of our id came that was no reply to our question. */
  mismatched = false

  constructor(socket: UdpSocket, id: number, query: Uint8Array, waiting: Waiting) {
    this.socket = socket
    this.id = id
    this.query = query
    this.waiting = waiting
    this.deadline = deadlineIn(waiting.timeout)
  }

  /** Gives up, without a word to who waits. */
  cancel(): void {
    this.socket.cancel(this)
  }
}

/** A datagram, and which socket it came to. */
interface Arrival {
  readonly socket: UdpSocket
  readonly bytes: Uint8Array
}

/** What sockets have in common. */
interface Shared {
  readonly counts: UdpCounts
  readonly onUnwanted: (what: Unwanted) => void
  /** To be sent: when all have asked who can at present. */
  readonly questions: Batch<Pending>
  /** To be looked at: when every socket has been read, and before time goes on (`awake.ts`). */
  readonly arrivals: Batch<Arrival>
}

/** Sockets to many servers. */
export class UdpSockets {
  readonly counts: UdpCounts = {
    sent: 0,
    received: 0,
    timeouts: 0,
    truncated: 0,
    stray: 0,
    mismatched: 0,
    oversized: 0,
  }
  readonly #all = new Set<UdpSocket>()
  /** By server, the one that takes questions now. */
  readonly #current = new Map<string, UdpSocket>()
  #endSweeping: (() => void) | undefined
  readonly #shared: Shared

  /** @param onUnwanted called for each */
  constructor(onUnwanted: (what: Unwanted) => void = () => {}) {
    this.#shared = {
      counts: this.counts,
      onUnwanted: (what) => {
        this.counts[what]++
        onUnwanted(what)
      },
      questions: new Batch(nextTick, (pending) => pending.socket.send(pending)),
      arrivals: new Batch(setImmediate, ({ bytes, socket }) => socket.receive(bytes)),
    }
  }

  /** Asks. What is returned can be given up. */
  ask(waiting: Waiting): { cancel(): void } | undefined {
    const socket = this.#socketTo(waiting)
    if (socket !== undefined) return socket.ask(waiting)
    const { server } = waiting
    const error = new ResolverError('busy', `${MAX_SOCKETS} sockets are open`, { server })
    queueMicrotask(() => waiting.fail(error))
    return undefined
  }

  /** Sockets open now. */
  get open(): number {
    return this.#all.size
  }

  /** Fails what is under way, and closes. */
  close(): void {
    for (const socket of this.#all) socket.fail('aborted', 'closed')
  }

  #socketTo({ key, server: { address, port } }: UdpQuestion): UdpSocket | undefined {
    const current = this.#current.get(key)
    if (current?.takesMore() === true) return current
    if (this.#all.size >= MAX_SOCKETS) return undefined
    const socket = new UdpSocket(address, port, this.#shared, () => {
      this.#all.delete(socket)
      if (this.#current.get(key) === socket) this.#current.delete(key)
      if (this.#all.size > 0) return
      this.#endSweeping?.()
      this.#endSweeping = undefined
    })
    current?.retire()
    this.#all.add(socket)
    this.#current.set(key, socket)
    this.#endSweeping ??= onTick(() => this.#sweep())
    return socket
  }

  #sweep(): void {
    const now = performance.now()
    for (const socket of this.#all) socket.sweep(now)
  }
}

/** One socket to one server. */
class UdpSocket {
  readonly #socket: Socket
  readonly #shared: Shared
  readonly #onClose: () => void
  readonly #pending = new Map<number, Pending>()
  readonly #openedAt = performance.now()
  /** Questions asked before the socket was connected. */
  #unsent: Pending[] | undefined = []
  #asked = 0
  #retired = false
  #closed = false

  constructor(address: string, port: number, shared: Shared, onClose: () => void) {
    this.#shared = shared
    this.#onClose = onClose
    const family = isIPv6(address) ? 6 : 4
    this.#socket = createSocket({
      type: `udp${family}`,
      recvBufferSize: RECEIVE_BUFFER_BYTES,
      // An address is no name: nothing is looked up.
      lookup: (host, _options, done) => done(null, host, family),
    })
    // A Buffer's `slice` does not copy; nothing behind this line knows Buffers.
    this.#socket.on('message', ({ buffer, byteOffset, byteLength }) => {
      shared.arrivals.add({ socket: this, bytes: new Uint8Array(buffer, byteOffset, byteLength) })
    })
    // ECONNREFUSED is the answer of a host without a server: none will be answered that was not before.
    this.#socket.on('error', (error) => {
      shared.arrivals.flush()
      this.fail('network', error.message, error)
    })
    this.#socket.on('connect', () => this.#connected())
    this.#socket.connect(port, address)
  }

  takesMore(): boolean {
    return !this.#retired && !this.#closed && this.#pending.size < SOCKET_OUTSTANDING
  }

  ask(waiting: Waiting): Pending {
    let id = random16()
    while (this.#pending.has(id)) id = random16()
    const query = encodeQuery(waiting.question, id, waiting)
    const pending = new Pending(this, id, query, waiting)
    this.#pending.set(id, pending)
    if (++this.#asked >= SOCKET_QUESTIONS) this.#retired = true
    if (this.#unsent === undefined) this.#shared.questions.add(pending)
    else this.#unsent.push(pending)
    return pending
  }

  cancel(pending: Pending): void {
    if (this.#pending.get(pending.id) === pending) this.#forget(pending.id)
  }

  /** No new questions: closes when those under way have ended. */
  retire(): void {
    this.#retired = true
    this.#closeIfDone()
  }

  sweep(now: number): void {
    if (now - this.#openedAt > SOCKET_AGE_MS) this.#retired = true
    for (const pending of this.#pending.values()) {
      if (awakeMs() < pending.deadline) continue
      this.#shared.counts.timeouts++
      this.#forget(pending.id)
      pending.waiting.fail(timeoutError(pending))
    }
    this.#closeIfDone()
  }

  fail(code: 'network' | 'aborted', reason: string, cause?: unknown): void {
    this.#retired = true
    const all = [...this.#pending.values()]
    this.#pending.clear()
    this.#closeIfDone()
    for (const { waiting } of all) {
      const { server } = waiting
      waiting.fail(new ResolverError(code, `${server.address}: ${reason}`, { server, cause }))
    }
  }

  /** Sends a question, unless it was given up meanwhile. */
  send(pending: Pending): void {
    if (this.#pending.get(pending.id) !== pending) return
    this.#shared.counts.sent++
    pending.sentAt = performance.now()
    // Errors come as the event; a datagram that a full buffer drops times out as one lost on the way.
    this.#socket.send(pending.query)
  }

  receive(bytes: Uint8Array): void {
    const { counts, onUnwanted } = this.#shared
    counts.received++
    const pending = this.#pending.get(idOf(bytes) ?? -1)
    if (pending === undefined) {
      onUnwanted('stray')
      return
    }
    const { query, sentAt, waiting } = pending
    const { mixCase, question, server } = waiting
    const end = questionEnd(question)
    if (!isReplyTo(bytes, query, end, mixCase)) {
      onUnwanted('mismatched')
      pending.mismatched = true
      return
    }
    this.#forget(pending.id)
    if (bytes.length > EDNS_PAYLOAD_BYTES) {
      onUnwanted('oversized')
      waiting.goOver()
      return
    }
    if (isTruncated(bytes)) {
      counts.truncated++
      waiting.goOver()
      return
    }
    const rtt = performance.now() - sentAt
    const read = readReply(bytes, end, { question, server, transport: 'udp', rtt })
    if (read instanceof ResolverError) waiting.fail(read)
    else waiting.reply(read)
  }

  #connected(): void {
    const unsent = this.#unsent ?? []
    this.#unsent = undefined
    for (const pending of unsent) this.send(pending)
  }

  #forget(id: number): void {
    this.#pending.delete(id)
    this.#closeIfDone()
  }

  #closeIfDone(): void {
    if (!this.#retired || this.#pending.size > 0 || this.#closed) return
    this.#closed = true
    this.#socket.close()
    this.#onClose()
  }
}

function timeoutError({ mismatched, waiting }: Pending): ResolverError {
  const { question, server, timeout } = waiting
  const text = `to ${questionToText(question)} from ${server.address} in ${timeout} ms`
  return mismatched
    ? new ResolverError('mismatch', `only answers to other questions ${text}`, { server })
    : new ResolverError('timeout', `no answer ${text}`, { server })
}
