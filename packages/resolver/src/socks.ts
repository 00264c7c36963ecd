/**
 * Questions over TCP through a SOCKS5 proxy (RFC 1928, RFC 1929): another vantage, such as Tor. Every question
 * has a connection of its own under a user name of its own, which Tor takes as the wish for another
 * circuit (IsolateSOCKSAuth), so that no exit sees two names that belong together.
 */
import { randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { specialRange } from '@dslog/service/specialaddress'
import { concat } from '@dslog/tlog/bytes'
import { abortError, firstOf, onAbort } from './abort.ts'
import { awakeMs, deadlineIn, whenOver } from './awake.ts'
import { ResolverError } from './error.ts'
import {
  type AskOptions,
  DNS_PORT,
  type Exchange,
  type Question,
  type Reply,
  type Server,
} from './exchange.ts'
import { askForWay, type Turn } from './proxy.ts'
import { TcpConnections } from './tcp.ts'

/** For a question, in ms in which this process listened (`awake.ts`): a new circuit takes seconds. */
export const SOCKS_TIMEOUT_MS = 20_000
/** Questions under way at once. */
const MAX_OUTSTANDING = 50
const USER_BYTES = 12

/** Where the proxy is, and how to ask through it. */
export interface SocksOptions {
  readonly host: string
  readonly port: number
  /** Port of servers that have none of their own. Default 53. */
  readonly dnsPort?: number
  /** May this address be asked? Default: no special-purpose address. */
  readonly permits?: (address: string) => boolean
}

/** Asks through a proxy. */
export class SocksExchange implements Exchange {
  readonly #options: SocksOptions
  readonly #closing = new AbortController()
  #outstanding = 0

  constructor(options: SocksOptions) {
    this.#options = options
  }

  async ask(to: Server, question: Question, options: AskOptions = {}): Promise<Reply> {
    const { dnsPort = DNS_PORT, permits = (address) => specialRange(address) === undefined } =
      this.#options
    const server = { ...to, port: to.port ?? dnsPort }
    if (!permits(to.address)) {
      const text = `${to.address} is not asked: ${specialRange(to.address) ?? 'not permitted'}`
      throw new ResolverError('forbidden-address', text, { server })
    }
    if (this.#outstanding >= MAX_OUTSTANDING) {
      throw new ResolverError('busy', `${MAX_OUTSTANDING} questions are under way`, { server })
    }
    const { recursive, checkingDisabled, timeout = SOCKS_TIMEOUT_MS } = options
    const { signal, release } = firstOf(this.#closing.signal, options.signal)
    const deadline = deadlineIn(timeout)
    this.#outstanding++
    try {
      const socket = await this.#wayTo(server, deadline, signal)
      const left = Math.max(0, Math.round(deadline - awakeMs()))
      const one = new TcpConnections(() => socket, 'socks5')
      try {
        return await one.ask({
          server,
          question,
          recursive,
          checkingDisabled,
          timeout: left,
          signal,
        })
      } finally {
        one.close()
      }
    } finally {
      release()
      this.#outstanding--
    }
  }

  close(): Promise<void> {
    this.#closing.abort(new Error('closed'))
    return Promise.resolve()
  }

  /** A connection that the proxy has led to the server. */
  async #wayTo(
    server: Required<Pick<Server, 'port'>> & Server,
    deadline: number,
    signal: AbortSignal,
  ): Promise<Socket> {
    if (signal.aborted) throw abortError(signal, server)
    const { host, port } = this.#options
    const socket = connect({ host, port, noDelay: true })
    const late = `no way to ${server.address} through ${host} in time`
    const inTime = whenOver(deadline, () => {
      socket.destroy(new ResolverError('timeout', late, { server }))
    })
    const keepOn = onAbort(signal, () => socket.destroy(abortError(signal, server)))
    try {
      await converse(socket, askForWay(server, randomBytes(USER_BYTES).toString('hex')))
      return socket
    } catch (cause) {
      socket.destroy()
      if (cause instanceof ResolverError) throw cause
      const reason = cause instanceof Error ? cause.message : String(cause)
      const text = `${server.address} through ${host}: ${reason}`
      throw new ResolverError('network', text, { server, cause })
    } finally {
      inTime()
      keepOn()
    }
  }
}

/** Says what is to be said on a connection, and hears what is answered, until there is no more of either. */
function converse(socket: Socket, talk: Generator<Turn, void, Uint8Array>): Promise<void> {
  return new Promise((resolve, reject) => {
    let heard: Uint8Array = new Uint8Array(0)
    const say = (turn: IteratorResult<Turn, void>): typeof turn => {
      if (turn.done !== true && turn.value.send !== undefined) socket.write(turn.value.send)
      return turn
    }
    let turn = say(talk.next())
    const hear = (chunk: Uint8Array): void => {
      heard = concat(heard, chunk)
      while (turn.done !== true && heard.length >= turn.value.take) {
        const { take } = turn.value
        const answer = heard.subarray(0, take)
        heard = heard.subarray(take)
        turn = say(talk.next(answer))
      }
      if (turn.done !== true) return
      // Nobody behind the proxy has been asked yet.
      if (heard.length > 0) throw new Error('an answer before the question')
      socket.off('data', onData)
      resolve()
    }
    const onData = (chunk: Uint8Array): void => {
      try {
        hear(chunk)
      } catch (error) {
        reject(error instanceof Error ? error : new Error(String(error)))
      }
    }
    socket.on('data', onData)
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('the connection was closed')))
  })
}
