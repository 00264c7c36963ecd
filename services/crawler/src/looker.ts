/**
 * Whom to ask, and in which way: picks servers of the parent and
 * vantages, tries others where one fails, and tells of each how it went.
 */
import { ResolverError } from '@dslog/resolver/error'
import type { KeysObservation } from '@dslog/resolver/collect'
import type { Server } from '@dslog/resolver/exchange'
import { TRY_TCP } from '@dslog/resolver/retry'
import type { ZoneServers } from '@dslog/resolver/walk'
import { type Name, nameKey } from '@dslog/dnssec/name'
import type { Clock } from '@dslog/service/clock'
import type { Pause } from '@dslog/service/outage'
import { toBase64 } from '@dslog/tlog/bytes'
import { keysId } from '@dslog/schema/identity'
import { MINUTE } from '@dslog/schema/time'
import type { Task } from './frontier.ts'
import type { Pace } from './pace.ts'
import { LONGEST_WAIT_MS, placeOf } from './paced.ts'
import { ALL_SERVERS_MS, INTERVAL, serversOfLook, TaskKind, Tier } from './schedule.ts'
import type { Standing } from './standing.ts'
import type { Evidence, ServerVantage, Vantage } from './vantage.ts'
import type { Views } from './views.ts'

/** Addresses that are tried for one answer, before TCP is. */
const TRIES = 3
/** Share of questions that go over TCP though nothing is wrong: what is shown there may differ. */
const TCP_SHARE = 0.03
/** Share of questions that ask for an address below the name, as resolvers do. */
const REFERRAL_SHARE = 0.5
/** Share of questions that go through other vantages, where there are any. */
const ELSEWHERE_SHARE: Readonly<Record<Tier, number>> = {
  // Polling must not tell a registry who is watched.
  [Tier.watched]: 0.8,
  [Tier.signed]: 0.05,
  [Tier.other]: 0,
  [Tier.keys]: 0,
}
/** Most sightings of one look that asks all servers. */
const MAX_SERVERS = 32
/** For how long a family of addresses is not used after it could not be reached at all, ms. */
const FAMILY_DOWN_MS = 10 * MINUTE

/** Nothing can be asked now; it can after a while. */
export class LaterError extends Error {
  override readonly name = 'LaterError'
  readonly ms: number
  readonly reason: string

  constructor(ms: number, reason: string) {
    super(reason)
    this.ms = ms
    this.reason = reason
  }
}

/** What a server did that others do not do: it is left alone. */
const AT_FAULT: ReadonlySet<string> = new Set([
  'lame',
  'refused',
  'servfail',
  'rcode',
  'child-side',
])
/** What a server did not do, this time. */
const MISSED: ReadonlySet<string> = new Set([
  'timeout',
  'network',
  'mismatch',
  'malformed',
  'truncated',
  'too-large',
])

/** See the head of this file. */
export class Looker {
  readonly #direct: ServerVantage
  readonly #others: readonly Vantage[]
  readonly #pace: Pace
  readonly #standing: Standing
  readonly #views: Views
  readonly #clock: Clock
  readonly #random: () => number
  readonly #sleep: Pause
  /** When the last of the tasks that were put off, of each zone, comes back. */
  readonly #putOff = new Map<string, number>()
  #noIpv6Until = 0
  /** When somebody was last reached over IPv6. */
  #ipv6At = -Infinity

  constructor(parts: {
    readonly direct: ServerVantage
    readonly others: readonly Vantage[]
    readonly pace: Pace
    readonly standing: Standing
    readonly views: Views
    readonly clock: Clock
    readonly random: () => number
    readonly sleep: Pause
  }) {
    this.#direct = parts.direct
    this.#others = parts.others
    this.#pace = parts.pace
    this.#standing = parts.standing
    this.#views = parts.views
    this.#clock = parts.clock
    this.#random = parts.random
    this.#sleep = parts.sleep
  }

  /**
   * Looks at the delegation of a name, at as many places as the task asks for; at least one answer.
   *
   * @throws LaterError if nobody may be asked now; ResolverError of the last who was asked
   */
  async look(task: Task, parent: ZoneServers, signal: AbortSignal): Promise<Evidence[]> {
    await this.#turn(parent, signal)
    const elsewhere = await this.#elsewhere(task, parent, signal)
    const wanted = this.#wanted(task, parent)
    if (elsewhere.length >= wanted) return elsewhere
    const servers = await this.#servers(task, parent)
    const seen = await this.#ask(task.name, parent, servers, wanted - elsewhere.length, signal)
    return [...elsewhere, ...seen]
  }

  /** Every key set that the servers of a zone show: one, if they agree. */
  async keys(zone: ZoneServers, signal: AbortSignal): Promise<KeysObservation[]> {
    await this.#turn(zone, signal)
    const sets = new Map<string, KeysObservation>()
    let failure: ResolverError | undefined
    for (const server of this.#usable(zone).slice(0, MAX_SERVERS)) {
      try {
        const seen = await this.#direct.zoneKeys(zone, server, signal)
        this.#answered(zone.zone, server)
        sets.set(toBase64(keysId(zone.zone, seen.rdatas)), seen)
      } catch (error) {
        signal.throwIfAborted()
        failure = this.#wentWrong(zone.zone, server, error)
      }
    }
    if (sets.size > 0) return [...sets.values()]
    if (failure === undefined) throw this.#nobody(zone)
    this.#standing.zoneFailed(zone.zone, failure.code)
    throw failure
  }

  /** Waits for the zone's turn; what would wait long is put off, one after the other. */
  async #turn(of: ZoneServers, signal: AbortSignal): Promise<void> {
    const key = nameKey(of.zone)
    const places = this.#allowed(of).map(placeOf)
    if (places.length === 0) throw this.#nobody(of)
    if (this.#pace.zoneWait(key, places) > LONGEST_WAIT_MS) {
      const now = this.#clock()
      const last = Math.max(now + LONGEST_WAIT_MS, this.#putOff.get(key) ?? 0)
      const next = last + 1000 / this.#pace.zoneRate(places)
      this.#putOff.set(key, next)
      throw new LaterError(next - now, 'zone-pace')
    }
    if ((this.#putOff.get(key) ?? 0) <= this.#clock()) this.#putOff.delete(key)
    const wait = this.#pace.takeZone(key, places)
    if (wait > 0) await this.#sleep(wait, signal)
  }

  #wanted({ kind, tier }: Task, { servers }: ZoneServers): number {
    if (kind >= TaskKind.look) {
      const which = serversOfLook(kind)
      return which === 'all' ? MAX_SERVERS : which === 'others' ? 2 : 1
    }
    if (tier !== Tier.watched) return 1
    return Math.ceil((servers.length * INTERVAL[Tier.watched]) / ALL_SERVERS_MS)
  }

  /** Other vantages: some of the time, and each of them where all places are asked. */
  async #elsewhere(task: Task, parent: ZoneServers, signal: AbortSignal): Promise<Evidence[]> {
    const all = task.kind >= TaskKind.look && serversOfLook(task.kind) === 'all'
    const one = this.#others[Math.floor(this.#random() * this.#others.length)]
    const lucky = this.#random() < ELSEWHERE_SHARE[task.tier]
    const vantages = all ? this.#others : one !== undefined && lucky ? [one] : []
    const seen: Evidence[] = []
    for (const vantage of vantages) {
      const server = this.#usable(parent)[0]
      if (server === undefined) continue
      try {
        seen.push(await vantage.delegation(this.#question(task.name, parent, server, signal)))
      } catch (error) {
        // A vantage that fails shows nothing, and the parent's servers are still there.
        signal.throwIfAborted()
        if (!(error instanceof ResolverError)) throw error
      }
    }
    return seen
  }

  /** Asks servers in turn until so many have shown something that is proven. */
  async #ask(
    owner: Name,
    parent: ZoneServers,
    servers: readonly Server[],
    wanted: number,
    signal: AbortSignal,
  ): Promise<Evidence[]> {
    const seen: Evidence[] = []
    let failure: ResolverError | undefined
    let tries = 0
    for (const server of servers) {
      if (seen.length >= wanted || (seen.length === 0 && tries >= Math.max(TRIES, wanted))) break
      tries++
      const result = await this.#try(owner, parent, server, signal)
      if ('evidence' in result) seen.push(result.evidence)
      else failure = result.failure
    }
    const [first] = servers
    if (
      seen.length === 0 &&
      first !== undefined &&
      failure !== undefined &&
      TRY_TCP.has(failure.code)
    ) {
      // What lets no datagram through, or changes it, may let a connection.
      const result = await this.#try(owner, parent, first, signal, 'tcp')
      if ('evidence' in result) seen.push(result.evidence)
    }
    if (seen.length > 0) return seen
    if (failure === undefined) throw this.#nobody(parent)
    this.#standing.zoneFailed(parent.zone, failure.code)
    throw failure
  }

  async #try(
    owner: Name,
    parent: ZoneServers,
    server: Server,
    signal: AbortSignal,
    transport?: 'tcp',
  ): Promise<{ evidence: Evidence } | { failure: ResolverError }> {
    const question = this.#question(owner, parent, server, signal)
    try {
      const look = transport === undefined ? question : { ...question, transport }
      const evidence = await this.#direct.delegation(look)
      this.#answered(parent.zone, server)
      return { evidence }
    } catch (error) {
      signal.throwIfAborted()
      return { failure: this.#wentWrong(parent.zone, server, error) }
    }
  }

  #answered(zone: Name, server: Server): void {
    this.#standing.answered(zone, placeOf(server))
    if (isIpv6(server)) this.#ipv6At = this.#clock()
  }

  /** Takes note of what a server did; what says nothing about it is thrown on. */
  #wentWrong(zone: Name, server: Server, error: unknown): ResolverError {
    if (!(error instanceof ResolverError) || error.code === 'busy') throw error
    const place = placeOf(server)
    const now = this.#clock()
    if (error.code === 'network' && isIpv6(server) && now - this.#ipv6At > FAMILY_DOWN_MS) {
      // Nobody has answered over IPv6: most likely it is us who have none, not this one that makes us believe so.
      this.#noIpv6Until = now + FAMILY_DOWN_MS
    } else if (AT_FAULT.has(error.code)) this.#standing.failed(zone, place, error.code)
    else if (MISSED.has(error.code)) this.#standing.missed(zone, place, error.code)
    return error
  }

  #question(owner: Name, parent: ZoneServers, server: Server, signal: AbortSignal) {
    const transport = this.#random() < TCP_SHARE ? ('tcp' as const) : ('udp' as const)
    const ask = this.#random() < REFERRAL_SHARE ? ('referral' as const) : ('ds' as const)
    return { owner, parent, server, transport, ask, signal }
  }

  /** The servers in the order in which they are to be asked: those that were asked longest ago, or any. */
  async #servers({ kind, name, tier }: Task, parent: ZoneServers): Promise<readonly Server[]> {
    const usable = this.#usable(parent)
    if (usable.length === 0) throw this.#nobody(parent)
    if (tier !== Tier.watched && kind < TaskKind.look) return usable
    const asked = await this.#views.serversOf(name)
    const last = (server: Server): number => asked.get(placeOf(server)) ?? 0
    return usable.toSorted((a, b) => last(a) - last(b))
  }

  /** Servers that may be asked. */
  #allowed({ servers, zone }: ZoneServers): Server[] {
    const ipv6 = this.#noIpv6Until <= this.#clock()
    return servers.filter((server) => {
      if (!ipv6 && isIpv6(server)) return false
      return this.#standing.mayAsk(zone, placeOf(server))
    })
  }

  /** The same at random, those first that can be asked at once. */
  #usable(zone: ZoneServers): Server[] {
    const ordered = this.#allowed(zone).map((server) => {
      const wait = this.#pace.serverWait(placeOf(server))
      return { server, order: wait + this.#random() }
    })
    return ordered.sort((a, b) => a.order - b.order).map(({ server }) => server)
  }

  #nobody({ servers, zone }: ZoneServers): LaterError {
    const now = this.#clock()
    const free = this.#standing.freeAt(zone, servers.map(placeOf))
    return new LaterError(Math.max(free - now, FAMILY_DOWN_MS / 2), 'servers-blocked')
  }
}

function isIpv6({ address }: Server): boolean {
  return address.includes(':')
}
