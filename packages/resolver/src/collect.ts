/**
 * From a name and one server of its parent to evidence: the reply about its DS, and the DNSKEY and DS
 * replies of every zone up to the root, as they came, with what they prove.
 */
import type { Verdict } from '@dslog/dnssec/chain'
import type { Name } from '@dslog/dnssec/name'
import type { Reply, Server } from './exchange.ts'
import type { ZoneServers } from './walk.ts'

/** How to ask for a delegation. */
export interface CollectOptions {
  /** Which server of the parent; default: some, then others until one gives a verdict. */
  readonly server?: Server
  /** `referral` asks for an address below the name, which is what resolvers ask. Default `ds`. */
  readonly ask?: 'ds' | 'referral'
  readonly transport?: 'udp' | 'tcp'
  readonly signal?: AbortSignal
}

/** What a server's reply proves about a delegation. There is none that proves nothing: that throws. */
export interface Observation {
  readonly owner: Name
  /** The zone that signed: the parent. */
  readonly zone: Name
  /** The DS answer, the denial or the referral. */
  readonly reply: Reply
  readonly verdict: Exclude<Verdict, { verdict: 'unverifiable' }>
  /** When the reply came, in ms since the epoch: the time of the verdict. */
  readonly observedAt: number
  /** Raw messages for `POST /v1/observations`: the reply first, then keys up to the root. */
  readonly messages: readonly Uint8Array[]
}

/** The keys of a zone, validated up to a trust anchor, and what proves them. */
export interface KeysObservation {
  readonly zone: Name
  /** DNSKEY RDATA, in canonical order. */
  readonly rdatas: readonly Uint8Array[]
  readonly observedAt: number
  /** Raw messages: the DNSKEY reply of the zone first, then DS and DNSKEY replies up to the root. */
  readonly messages: readonly Uint8Array[]
}

/**
 * Collects evidence; keys of zones are kept for their TTL.
 *
 * @public
 */
export interface Collector {
  /**
   * Asks about the DS of `owner` and validates.
   *
   * @param parent from `Walker.parentOf`
   * @throws ResolverError: `unverifiable` (its `cause` says why), `unsigned`, `lame`, `child-side`,
   *   `other-zone` (walk again, fresh), and those of asking
   */
  delegation(owner: Name, parent: ZoneServers, options?: CollectOptions): Promise<Observation>
  /** Asks one server (or some) for the keys of its zone and validates them. */
  zoneKeys(zone: ZoneServers, options?: CollectOptions): Promise<KeysObservation>
}
