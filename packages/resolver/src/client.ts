/**
 * Questions to authoritative servers and resolvers, over UDP and TCP: a datagram first, TCP where the reply
 * is cut (RFC 7766 §5). Addresses come from the DNS, so from strangers; those in special-purpose ranges are
 * refused here, last of all, whatever was checked before.
 */
import { connect } from 'node:net'
import { specialRange } from '@dslog/service/specialaddress'
import { abortError, onAbort } from './abort.ts'
import { ResolverError } from './error.ts'
import {
  type AskOptions,
  DEFAULT_TIMEOUT_MS,
  DNS_PORT,
  type Exchange,
  type Question,
  type Reply,
  type Server,
} from './exchange.ts'
import { TcpConnections } from './tcp.ts'
import { type UdpCounts, UdpSockets } from './udp.ts'

/** How a client asks. */
export interface DnsClientOptions {
  /** Port of servers that have none of their own. Default 53. */
  readonly port?: number
  /** May this address be asked? Default: no special-purpose address. */
  readonly permits?: (address: string) => boolean
  /** Random case in names over UDP. A server that does not keep it does not answer, but over TCP. Default true. */
  readonly mixCase?: boolean
}

/** What was counted since the start. */
export interface DnsClientCounts extends Readonly<UdpCounts> {
  /** Replies over UDP that were cut, so asked again over TCP. */
  readonly truncated: number
}

/** Asks over UDP and TCP. */
export class DnsClient implements Exchange {
  readonly #port: number
  readonly #permits: (address: string) => boolean
  readonly #mixCase: boolean
  readonly #udp = new UdpSockets()
  readonly #tcp = new TcpConnections(({ address, port }) =>
    connect({ host: address, port, noDelay: true }),
  )
  #truncated = 0

  constructor(options: DnsClientOptions = {}) {
    this.#port = options.port ?? DNS_PORT
    this.#permits = options.permits ?? ((address) => specialRange(address) === undefined)
    this.#mixCase = options.mixCase ?? true
  }

  /** Counts, of UDP where nothing else is said. */
  get counts(): DnsClientCounts {
    return { ...this.#udp.counts, truncated: this.#truncated }
  }

  /** Sockets and connections open now. */
  get open(): number {
    return this.#udp.open + this.#tcp.open
  }

  // One promise for a question: a crawler asks 10^5 a second.
  ask(to: Server, question: Question, options: AskOptions = {}): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const { recursive, checkingDisabled, signal, timeout = DEFAULT_TIMEOUT_MS } = options
      const server = to.port === undefined ? { ...to, port: this.#port } : { ...to, port: to.port }
      if (!this.#permits(to.address)) {
        const what = specialRange(to.address) ?? 'not permitted'
        const text = `${to.address} is not asked: ${what}`
        reject(new ResolverError('forbidden-address', text, { server }))
        return
      }
      if (signal?.aborted === true) {
        reject(abortError(signal, server))
        return
      }
      const asked = { server, question, recursive, checkingDisabled, timeout }
      const overTcp = (): void => {
        this.#tcp.ask({ ...asked, signal }).then(resolve, reject)
      }
      if (options.transport === 'tcp') {
        overTcp()
        return
      }
      const cancel = this.#udp.ask(
        { ...asked, mixCase: this.#mixCase },
        {
          reply: (reply) => {
            settled()
            resolve(reply)
          },
          truncated: () => {
            settled()
            this.#truncated++
            overTcp()
          },
          fail: (error) => {
            settled()
            reject(error)
          },
        },
      )
      const settled = onAbort(signal, () => {
        cancel()
        reject(abortError(signal, server))
      })
    })
  }

  close(): Promise<void> {
    this.#udp.close()
    this.#tcp.close()
    return Promise.resolve()
  }
}
