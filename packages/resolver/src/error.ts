/**
 * The one error this package throws for what a server, the network or a stranger's data did. Bugs throw
 * plain `Error` or `RangeError`. None of these is ever evidence of anything: least of all of absence.
 */
import type { Server } from './exchange.ts'

/** What went wrong. */
export type ResolverErrorCode =
  /** Nothing that answers the question came in time. */
  | 'timeout'
  /** The address cannot be reached, or the connection broke. */
  | 'network'
  /** What came instead of an answer was for another question or of another id, until time was up. */
  | 'mismatch'
  /** What came is no DNS message, or holds records that have not the form of their type. */
  | 'malformed'
  /** A reply over TCP, or over HTTPS, that says it is truncated. */
  | 'truncated'
  /** A message, a transfer or an HTTP answer is larger than we take. */
  | 'too-large'
  /** RCODE 2. */
  | 'servfail'
  /** RCODE 5. */
  | 'refused'
  /** Any other RCODE than NOERROR and NXDOMAIN. */
  | 'rcode'
  /** The server is not authoritative for the zone it was asked about, or refers upwards. */
  | 'lame'
  /** The server answered from the zone below, about itself: it does not know what a DS is. */
  | 'child-side'
  /** The name is delegated further: another zone than the one asked holds its DS. */
  | 'other-zone'
  /** The zone that holds the DS is not signed, or hangs from one that is not: nothing can be proven. */
  | 'unsigned'
  /** The records do not prove what they say. `cause` is the DnssecError that names the rule. */
  | 'unverifiable'
  /** No server of a zone can be found: no addresses, or a walk too long or in a circle. */
  | 'unreachable'
  /** The address is in a special-purpose range, and not allowed by configuration. */
  | 'forbidden-address'
  /** TSIG: missing, wrong, or refused by the server (RFC 8945 §5.2). */
  | 'tsig'
  /** A zone transfer is not one: no SOA first, records out of order, no end. */
  | 'bad-transfer'
  /** As many questions are under way as may be: ask fewer at once. */
  | 'busy'
  /** The caller gave up, or the exchange was closed. */
  | 'aborted'

/** Where it happened and why. */
export interface ResolverErrorOptions {
  readonly server?: Server
  readonly cause?: unknown
}

/** A question without an answer that counts. */
export class ResolverError extends Error {
  override readonly name = 'ResolverError'
  readonly code: ResolverErrorCode
  /** Who was asked, where it was one server. */
  readonly server: Server | undefined

  constructor(code: ResolverErrorCode, message: string, options: ResolverErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.server = options.server
  }
}
