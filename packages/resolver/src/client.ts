/**
 * Questions to authoritative servers and resolvers, over UDP and TCP: a datagram first, TCP where the reply
 * is cut or too large for one (RFC 7766 §5). Addresses come from the DNS, so from strangers; those in
 * special-purpose ranges are refused here, last of all, whatever was checked before.
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
import { TcpConnections, type TcpQuestion } from './tcp.ts'
import { type UdpCounts, UdpSockets, type Unwanted, type Waiting } from './udp.ts'

/** How a client asks. */
export interface DnsClientOptions {
  /** Port of servers that have none of their own. Default 53. */
  readonly port?: number
  /** May this address be asked? Default: no special-purpose address. */
  readonly permits?: (address: string) => boolean
  /** Random case in names over UDP. A server that does not keep it does not answer, but over TCP. Default true. */
  readonly mixCase?: boolean
  /** How long one try takes at most unless a question says so, in ms. Default 2,000. */
  readonly timeout?: number | undefined
  /** A datagram came that is not taken: somebody guesses, or a server does not do as it should. */
  readonly onUnwanted?: (what: Unwanted) => void
}

/** Asks over UDP and TCP. */
export class DnsClient implements Exchange {
  readonly #port: number
  readonly #permits: (address: string) => boolean
  readonly #mixCase: boolean
  readonly #timeout: number
  readonly #udp: UdpSockets
  readonly #tcp = new TcpConnections(({ address, port }) =>
    connect({ host: address, port, noDelay: true }),
  )
  readonly #targets = new WeakMap<Server, Target>()

  constructor(options: DnsClientOptions = {}) {
    this.#port = options.port ?? DNS_PORT
    this.#permits = options.permits ?? ((address) => specialRange(address) === undefined)
    this.#mixCase = options.mixCase ?? true
    this.#timeout = options.timeout ?? DEFAULT_TIMEOUT_MS
    this.#udp = new UdpSockets(options.onUnwanted)
  }

  /** What was counted over UDP since the start. */
  get counts(): Readonly<UdpCounts> {
    return { ...this.#udp.counts }
  }

  /** Sockets and connections open now. */
  get open(): number {
    return this.#udp.open + this.#tcp.open
  }

  // One promise for a question, and few objects: a crawler asks 10^5 a second.
  ask(to: Server, question: Question, options: AskOptions = {}): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const { signal } = options
      const target = this.#targetOf(to)
      const { refusal, server } = target
      if (refusal !== undefined) {
        reject(new ResolverError('forbidden-address', refusal, { server }))
        return
      }
      if (signal?.aborted === true) {
        reject(abortError(signal, server))
        return
      }
      const { timeout = this.#timeout } = options
      const asking = new Asking(this.#overTcp, target, question, this.#mixCase, timeout, options)
      if (options.transport === 'tcp') {
        this.#tcp.ask(asking, target.key).then(resolve, reject)
        return
      }
      asking.resolve = resolve
      asking.reject = reject
      const pending = this.#udp.ask(asking)
      if (signal === undefined) return
      asking.settled = onAbort(signal, () => {
        pending?.cancel()
        reject(abortError(signal, server))
      })
    })
  }

  readonly #overTcp = (asking: Asking): Promise<Reply> => this.#tcp.ask(asking, asking.key)

  /** Looked at once for each server that is named, not for each question. */
  #targetOf(to: Server): Target {
    const known = this.#targets.get(to)
    if (known !== undefined) return known
    const port = to.port ?? this.#port
    const server = { ...to, port }
    const key = `${to.address} ${port}`
    const isPermitted = this.#permits(to.address)
    const why = specialRange(to.address) ?? 'not permitted'
    const refusal = isPermitted ? undefined : `${to.address} is not asked: ${why}`
    const target = { server, key, refusal }
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
  readonly server: TcpQuestion['server']
  /** What shares a socket, made once for many questions. */
  readonly key: string
  readonly refusal: string | undefined
}

const NOTHING = (): void => {}

/** One question, and the promise of its reply. */
class Asking implements Waiting, TcpQuestion {
  readonly server: TcpQuestion['server']
  readonly key: string
  readonly question: Question
  readonly mixCase: boolean
  readonly recursive: boolean | undefined
  readonly checkingDisabled: boolean | undefined
  readonly timeout: number
  readonly signal: AbortSignal | undefined
  readonly #overTcp: (asking: Asking) => Promise<Reply>
  resolve: (reply: Reply | Promise<Reply>) => void = NOTHING
  reject: (error: ResolverError) => void = NOTHING
  /** To be called first: nobody gives up any more. */
  settled: (() => void) | undefined

  constructor(
    overTcp: (asking: Asking) => Promise<Reply>,
    { key, server }: Target,
    question: Question,
    mixCase: boolean,
    timeout: number,
    { checkingDisabled, recursive, signal }: AskOptions,
  ) {
    this.#overTcp = overTcp
    this.server = server
    this.key = key
    this.question = question
    this.mixCase = mixCase
    this.recursive = recursive
    this.checkingDisabled = checkingDisabled
    this.timeout = timeout
    this.signal = signal
  }

  reply(reply: Reply): void {
    this.settled?.()
    this.resolve(reply)
  }

  goOver(): void {
    this.settled?.()
    this.resolve(this.#overTcp(this))
  }

  fail(error: ResolverError): void {
    this.settled?.()
    this.reject(error)
  }
}
