/**
 * Questions over TCP (RFC 7766): connections are kept for a while and shared, questions on one do not wait
 * for each other, answers may come in any order. The connection itself is given, so that a proxy may
 * make it (socks.ts).
 *
 * A server may close an idle connection just when we use it again; then the question is asked once more on
 * a new one (§6.2.4). More than that is for the caller.
 */
import type { Duplex } from 'node:stream'
import { abortError, onAbort } from './abort.ts'
import { deadlineIn, whenOver } from './awake.ts'
import { ResolverError } from './error.ts'
import type { Question, Reply, Server, Transport } from './exchange.ts'
import { Deframer, frame } from './framing.ts'
import { encodeQuery, questionEnd, random16 } from './query.ts'
import { idOf, isReplyTo, isTruncated, questionToText, readReply } from './reply.ts'

/** How long a connection without questions is kept, in ms. */
const IDLE_MS = 5_000
/** Questions under way on one connection. */
const CONNECTION_OUTSTANDING = 100
/** Connections at once. */
const MAX_CONNECTIONS = 256
/** Messages nobody asked for until a connection is closed. */
const MAX_STRAY = 16

/** Makes a connection, which may still be opening. */
export type Connect = (server: Required<Pick<Server, 'port'>> & Server) => Duplex

/** How to ask over TCP. */
export interface TcpQuestion {
  readonly server: Required<Pick<Server, 'port'>> & Server
  readonly question: Question
  readonly recursive?: boolean | undefined
  readonly checkingDisabled?: boolean | undefined
  /** In ms, the connection included. */
  readonly timeout: number
  readonly signal?: AbortSignal | undefined
}

/** Connections to many servers. */
export class TcpConnections {
  readonly #connect: Connect
  readonly #transport: Transport
  readonly #all = new Set<Connection>()
  /** By server, the one that takes questions. */
  readonly #current = new Map<string, Connection>()

  constructor(connect: Connect, transport: Transport = 'tcp') {
    this.#connect = connect
    this.#transport = transport
  }

  /** Connections open now. */
  get open(): number {
    return this.#all.size
  }

  /**
   * Asks on the connection kept for the server, or on a new one.
   *
   * @param key what shares a connection; the server's address and port unless told
   * @throws ResolverError
   */
  async ask(
    asked: TcpQuestion,
    key = `${asked.server.address} ${asked.server.port}`,
  ): Promise<Reply> {
    const deadline = deadlineIn(asked.timeout)
    const kept = this.#current.get(key)
    const isKept = kept?.takesMore() === true
    const connection = isKept ? kept : this.#open(asked.server, key)
    try {
      return await connection.ask(asked, deadline)
    } catch (error) {
      if (!isKept || !(error instanceof ConnectionClosed)) throw error
      return await this.#open(asked.server, key).ask(asked, deadline)
    }
  }

  /** Fails what is under way, and closes. */
  close(): void {
    for (const connection of this.#all) connection.fail('aborted', 'closed')
  }

  #open(server: TcpQuestion['server'], key: string): Connection {
    if (this.#all.size >= MAX_CONNECTIONS) {
      const idle = [...this.#all].find((connection) => connection.isIdle)
      if (idle === undefined) {
        throw new ResolverError('busy', `${MAX_CONNECTIONS} connections are open`, { server })
      }
      idle.fail('aborted', 'closed')
    }
    const connection = new Connection(this.#connect(server), server, this.#transport, () => {
      this.#all.delete(connection)
      if (this.#current.get(key) === connection) this.#current.delete(key)
    })
    this.#all.add(connection)
    this.#current.set(key, connection)
    return connection
  }
}

/** The other side has closed before it answered. */
class ConnectionClosed extends ResolverError {}

interface Pending {
  readonly query: Uint8Array
  readonly end: number
  readonly asked: TcpQuestion
  readonly sentAt: number
  settle(outcome: Reply | ResolverError): void
}

/** One connection to one server. */
class Connection {
  readonly #stream: Duplex
  readonly #server: Server
  readonly #transport: Transport
  readonly #onClose: () => void
  readonly #pending = new Map<number, Pending>()
  readonly #deframer = new Deframer()
  #idle: NodeJS.Timeout | undefined
  #stray = 0
  #closed = false

  constructor(stream: Duplex, server: Server, transport: Transport, onClose: () => void) {
    this.#stream = stream
    this.#server = server
    this.#transport = transport
    this.#onClose = onClose
    stream.on('data', (chunk: Uint8Array) => this.#receive(chunk))
    stream.on('error', (error) => this.fail('network', error.message, error))
    stream.on('end', () => this.fail('network', 'the connection was closed'))
    stream.on('close', () => this.fail('network', 'the connection was closed'))
  }

  get isIdle(): boolean {
    return this.#pending.size === 0
  }

  takesMore(): boolean {
    return !this.#closed && this.#pending.size < CONNECTION_OUTSTANDING
  }

  ask(asked: TcpQuestion, deadline: number): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const { question, recursive, checkingDisabled, signal, server } = asked
      let id = random16()
      while (this.#pending.has(id)) id = random16()
      const settle = (outcome: Reply | ResolverError): void => {
        this.#pending.delete(id)
        inTime()
        keepOn()
        if (this.#pending.size === 0) this.#rest()
        if (outcome instanceof ResolverError) reject(outcome)
        else resolve(outcome)
      }
      const inTime = whenOver(deadline, () => {
        const text = `no answer to ${questionToText(question)} from ${server.address} over TCP`
        settle(new ResolverError('timeout', `${text} in ${asked.timeout} ms`, { server }))
        // One that does not answer in time is of no use to the next question either.
        if (this.#pending.size === 0) this.fail('network', 'given up')
      })
      const keepOn = onAbort(signal, () => settle(abortError(signal, server)))
      clearTimeout(this.#idle)
      const query = encodeQuery(question, id, { recursive, checkingDisabled })
      const sentAt = performance.now()
      this.#pending.set(id, { query, end: questionEnd(question), asked, sentAt, settle })
      this.#stream.write(frame(query))
    })
  }

  fail(code: 'network' | 'aborted' | 'mismatch', reason: string, cause?: unknown): void {
    if (this.#closed) return
    this.#closed = true
    clearTimeout(this.#idle)
    this.#stream.destroy()
    this.#onClose()
    const text = `${this.#server.address}: ${reason}`
    for (const pending of this.#pending.values()) {
      const options = { server: this.#server, cause }
      const error =
        code === 'network'
          ? new ConnectionClosed(code, text, options)
          : new ResolverError(code, text, options)
      pending.settle(error)
    }
  }

  #receive(chunk: Uint8Array): void {
    for (const message of this.#deframer.push(chunk)) this.#take(message)
  }

  #take(bytes: Uint8Array): void {
    const pending = this.#pending.get(idOf(bytes) ?? -1)
    // No stranger writes into a connection: the server itself does what it should not.
    if (pending === undefined || !isReplyTo(bytes, pending.query, pending.end, false)) {
      if (++this.#stray > MAX_STRAY || pending !== undefined) {
        this.fail('mismatch', 'answers to other questions')
      }
      return
    }
    const { asked, end, sentAt } = pending
    const { question, server } = asked
    if (isTruncated(bytes)) {
      const text = `truncated reply over TCP to ${questionToText(question)}`
      pending.settle(new ResolverError('truncated', text, { server }))
      return
    }
    const rtt = performance.now() - sentAt
    pending.settle(readReply(bytes, end, { question, server, transport: this.#transport, rtt }))
  }

  #rest(): void {
    if (this.#closed) return
    this.#idle = setTimeout(() => this.fail('network', 'idle'), IDLE_MS)
    // A connection kept for later is no reason for a program to go on.
    this.#idle.unref()
  }
}
