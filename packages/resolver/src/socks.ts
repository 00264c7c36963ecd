/**
 * Questions over TCP through a SOCKS5 proxy (RFC 1928, RFC 1929): another vantage, such as Tor. Every question
 * has a connection of its own under a user name of its own, which Tor takes as the wish for another
 * circuit (IsolateSOCKSAuth), so that no exit sees two names that belong together.
 */
import { randomBytes } from 'node:crypto'
import type { Socket } from 'node:net'
import { SocksClient } from 'socks'
import { specialRange } from '@dslog/service/specialaddress'
import { abortError, firstOf, onAbort } from './abort.ts'
import { ResolverError } from './error.ts'
import {
  type AskOptions,
  DNS_PORT,
  type Exchange,
  type Question,
  type Reply,
  type Server,
} from './exchange.ts'
import { TcpConnections } from './tcp.ts'

/** For a question, in ms: a new circuit takes seconds. */
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
    const deadline = performance.now() + timeout
    this.#outstanding++
    try {
      const socket = await this.#connect(server, timeout, signal)
      const left = deadline - performance.now()
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

  async #connect(
    server: Server & { readonly port: number },
    timeout: number,
    signal: AbortSignal,
  ): Promise<Socket> {
    if (signal.aborted) throw abortError(signal, server)
    const { host, port } = this.#options
    const user = randomBytes(USER_BYTES).toString('hex')
    const proxy = { host, port, type: 5, userId: user, password: user } as const
    const destination = { host: server.address, port: server.port }
    const connecting = SocksClient.createConnection({
      proxy,
      destination,
      command: 'connect',
      timeout,
    })
    return new Promise((resolve, reject) => {
      const settled = onAbort(signal, () => reject(abortError(signal, server)))
      connecting
        .then(({ socket }) => {
          // Given up while it was opened: nobody else would close it.
          if (signal.aborted) socket.destroy()
          else resolve(socket)
        })
        .catch((cause: unknown) => {
          const reason = cause instanceof Error ? cause.message : String(cause)
          const code = /timed out/i.test(reason) ? 'timeout' : 'network'
          const text = `${server.address} through ${host}: ${reason}`
          reject(new ResolverError(code, text, { server, cause }))
        })
        .finally(settled)
    })
  }
}
