/**
 * From where the DNS is looked at. A vantage asks and validates; nothing it is told counts before its
 * signatures do, so that a resolver or a proxy that lies can at worst hide something.
 *
 *   direct    this machine, the servers of the parent zone, UDP and TCP
 *   socks     the same servers by TCP through a proxy, such as Tor
 *   resolver  a resolver's view by DNS over HTTPS, with CD=1: it hands on what it has
 */
import type { Collector, KeysObservation, Observation } from '@dslog/resolver/collect'
import { ResolverError } from '@dslog/resolver/error'
import type { Server } from '@dslog/resolver/exchange'
import type { Walker, ZoneServers } from '@dslog/resolver/walk'
import type { Name } from '@dslog/dnssec/name'
import { stateId } from '@dslog/schema/identity'
import { placeOf } from './paced.ts'
import type { Sighting } from './views.ts'

/** One look at a delegation. */
export interface Look {
  readonly owner: Name
  readonly parent: ZoneServers
  readonly server: Server
  readonly transport: 'udp' | 'tcp'
  readonly ask: 'ds' | 'referral'
  readonly signal: AbortSignal
}

/** What was seen, with what proves it. */
export interface Evidence extends Sighting {
  /** Raw replies up to the root. */
  readonly messages: readonly Uint8Array[]
}

/** A place to look from. */
export interface Vantage {
  readonly name: string
  /** @throws ResolverError */
  delegation(look: Look): Promise<Evidence>
}

/** Servers of a zone, asked by a collector. */
export class ServerVantage implements Vantage {
  readonly name: string
  readonly #collector: Collector

  constructor(name: string, collector: Collector) {
    this.name = name
    this.#collector = collector
  }

  async delegation({ owner, parent, ...options }: Look): Promise<Evidence> {
    const seen = await this.#delegation(owner, parent, options)
    return evidenceOf(this.name, placeOf(seen.reply.server), seen)
  }

  /** The keys of a zone, from one server of it. */
  zoneKeys(zone: ZoneServers, server: Server, signal: AbortSignal): Promise<KeysObservation> {
    return this.#collector.zoneKeys(zone, { server, signal })
  }

  /** A server that also serves the zone below answers for that, unless it is asked for the DS itself. */
  async #delegation(
    owner: Name,
    parent: ZoneServers,
    options: Omit<Look, 'owner' | 'parent'>,
  ): Promise<Observation> {
    try {
      return await this.#collector.delegation(owner, parent, options)
    } catch (error) {
      const again = options.ask === 'referral' && error instanceof ResolverError
      if (!again || !BY_REFERRAL.has(error.code)) throw error
      return this.#collector.delegation(owner, parent, { ...options, ask: 'ds' })
    }
  }
}

/** What a question for a referral may come to where one for the DS does not. */
const BY_REFERRAL: ReadonlySet<string> = new Set([
  'child-side',
  'other-zone',
  'lame',
  'unverifiable',
])

/** A resolver: it finds the parent itself, and has one answer for all servers. */
export class ResolverVantage implements Vantage {
  readonly name: string
  readonly #url: string
  readonly #server: Server
  readonly #walker: Walker
  readonly #collector: Collector

  /** @param collector and walker: by asking this resolver alone */
  constructor(name: string, url: string, server: Server, walker: Walker, collector: Collector) {
    this.name = name
    this.#url = url
    this.#server = server
    this.#walker = walker
    this.#collector = collector
  }

  async delegation({ owner, signal }: Look): Promise<Evidence> {
    const parent = await this.#walker.parentOf(owner, { signal })
    const options = { server: this.#server, ask: 'ds', signal } as const
    const seen = await this.#collector.delegation(owner, parent, options)
    return evidenceOf(this.name, this.#url, seen)
  }
}

/** What an observation says, from a vantage and place. */
function evidenceOf(
  vantage: string,
  server: string,
  { messages, observedAt, owner, reply, verdict, zone }: Observation,
): Evidence {
  const ds = verdict.verdict === 'present' ? verdict.ds : []
  return {
    owner,
    zone,
    stateId: stateId(owner, zone, ds),
    signed: ds.length > 0,
    inception: verdict.inception,
    vantage,
    server,
    transport: reply.transport,
    at: observedAt,
    messages,
  }
}
