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
import { type UdpCounts, UdpSockets, type Waiting } from './udp.ts'

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
  readonly #targets = new WeakMap<Server, Target>()
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

  // One promise for a question, and few objects: a crawler asks 10^5 a second.
  ask(to: Server, question: Question, options: AskOptions = {}): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const { recursive, checkingDisabled, signal, timeout = DEFAULT_TIMEOUT_MS } = options
      const { server, refusal } = this.#targetOf(to)
      if (refusal !== undefined) {
        reject(new ResolverError('forbidden-address', refusal, { server }))
        return
      }
      if (signal?.aborted === true) {
        reject(abortError(signal, server))
        return
      }
      const mixCase = this.#mixCase
      const asked = { server, question, recursive, checkingDisabled, mixCase, timeout, signal }
      if (options.transport === 'tcp') {
        this.#tcp.ask(asked).then(resolve, reject)
        return
      }
      const waiting = new Asking(resolve, reject, () => {
        this.#truncated++
        return this.#tcp.ask(asked)
      })
      const cancel = this.#udp.ask(asked, waiting)
      if (signal === undefined) return
      waiting.settled = onAbort(signal, () => {
        cancel()
        reject(abortError(signal, server))
      })
    })
  }

  /** Looked at once for each server that is named, not for each question. */
  #targetOf(to: Server): Target {
    const known = this.#targets.get(to)
    if (known !== undefined) return known
    const server = { ...to, port: to.port ?? this.#port }
    const isPermitted = this.#permits(to.address)
    const why = specialRange(to.address) ?? 'not permitted'
    const refusal = isPermitted ? undefined : `${to.address} is not asked: ${why}`
    const target = { server, refusal }
    this.#targets.set(to, target)
    return target
  }

  close(): Promise<void> {
    this.#udp.close()
    this.#tcp.close()
    return Promise.resolve()
  }
}

/** A server as it is asked, or why not. */
interface Target {
  readonly server: Server & { readonly port: number }
  readonly refusal: string | undefined
}

/** One question over UDP. */
class Asking implements Waiting {
  readonly #resolve: (reply: Reply | Promise<Reply>) => void
  readonly #reject: (error: ResolverError) => void
  readonly #overTcp: () => Promise<Reply>
  settled: (() => void) | undefined

  constructor(
    resolve: (reply: Reply | Promise<Reply>) => void,
    reject: (error: ResolverError) => void,
    overTcp: () => Promise<Reply>,
  ) {
    this.#resolve = resolve
    this.#reject = reject
    this.#overTcp = overTcp
  }

  reply(reply: Reply): void {
    this.settled?.()
    this.#resolve(reply)
  }

  truncated(): void {
    this.settled?.()
    this.#resolve(this.#overTcp())
  }

  fail(error: ResolverError): void {
    this.settled?.()
    this.#reject(error)
  }
}
