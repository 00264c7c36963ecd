/**
 * One question to one server: what every way of asking has in common. The ways are `client.ts` (UDP and
 * TCP), `doh.ts` (HTTPS) and `socks.ts` (TCP through a proxy); whoever limits rates or counts wraps
 * one. Who to ask is `walk.ts`, what an answer proves is `collect.ts`.
 */
import type { Message } from '@dslog/dnssec/message'
import type { Name } from '@dslog/dnssec/name'

/** Port of DNS over UDP and TCP. */
export const DNS_PORT = 53

/** How long one try takes at most unless told, in ms in which this process listened (`awake.ts`). */
export const DEFAULT_TIMEOUT_MS = 2_000

/** A server by its address. */
export interface Server {
  /** IPv4 or IPv6 in text, without a zone index. */
  readonly address: string
  /** Default: that of the exchange, which is 53 unless configured. */
  readonly port?: number
  /** The name of the server, as NS records have it, if it is known. */
  readonly name?: Name
}

/** What to ask, in class IN. */
export interface Question {
  readonly name: Name
  readonly type: number
}

/** The way a reply came. */
export type Transport = 'udp' | 'tcp' | 'https' | 'socks5'

/** How to ask. */
export interface AskOptions {
  /** `udp`, the default, goes on over TCP where a reply is no datagram's. Other exchanges have one way only. */
  readonly transport?: 'udp' | 'tcp'
  /** For one try, in ms; over TCP the connection is included. */
  readonly timeout?: number
  /** RD: for resolvers. Authoritative servers are asked without, the default. */
  readonly recursive?: boolean
  /** CD: a resolver is to hand on what it could not validate. Default: as `recursive`. */
  readonly checkingDisabled?: boolean
  /** Gives up: the promise rejects with code `aborted`. */
  readonly signal?: AbortSignal
}

/**
 * A reply that answers the question asked: well-formed, from the address asked, with our id and exactly our
 * question, complete (TC clear), NOERROR or NXDOMAIN. What it claims is not verified.
 */
export interface Reply {
  /** As it came: evidence for `POST /v1/observations`. */
  readonly bytes: Uint8Array
  readonly message: Message
  readonly question: Question
  readonly server: Server
  readonly transport: Transport
  /** From sending to having it whole, in ms. */
  readonly rtt: number
}

/** A way to ask servers. */
export interface Exchange {
  /**
   * Asks one server once: one datagram and, if its reply is cut or too large, TCP. Trying again, elsewhere, is
   * `askAny` of `retry.ts`.
   *
   * @throws ResolverError; `busy` and `aborted` say nothing about the server
   */
  ask(server: Server, question: Question, options?: AskOptions): Promise<Reply>
  /** Ends what is under way with `aborted`, and closes sockets. */
  close(): Promise<void>
}
