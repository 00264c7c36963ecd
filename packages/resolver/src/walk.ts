/**
 * Which zone holds the DS of a name, and who serves it: found by referrals from the root
 * (RFC 1034 §5.3.3, RFC 9471), never by a list of public suffixes.
 */
import type { Name } from '@dslog/dnssec/name'
import type { Server } from './exchange.ts'

/** A zone and its servers. */
export interface ZoneServers {
  readonly zone: Name
  /** The zone above, from which this one is delegated; none for the root. */
  readonly parent: Name | undefined
  /** Every address found, v4 and v6, those allowed only; at least one. Each has its server's name. */
  readonly servers: readonly Server[]
  /** Until when this is taken from the cache, in ms since the epoch. */
  readonly expires: number
}

/** For one walk. */
export interface WalkOptions {
  readonly signal?: AbortSignal
  /** Asks again though it is in the cache: servers may have moved. */
  readonly fresh?: boolean
}

/**
 * Finds zones. What is found is cached for its TTL, within bounds; walks of the same name at the same time
 * share their questions.
 *
 * @public
 */
export interface Walker {
  /**
   * The zone that holds, or would hold, the DS of `owner`: the nearest one strictly above. Where the name
   * directly above is a zone that is known, no question is asked.
   *
   * @throws ResolverError `unreachable` if a zone on the way has no server that answers
   */
  parentOf(owner: Name, options?: WalkOptions): Promise<ZoneServers>
  /** The zone that `name` is in: the nearest at or above it. */
  zoneOf(name: Name, options?: WalkOptions): Promise<ZoneServers>
}
