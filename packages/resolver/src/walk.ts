/**
 * Which zone holds the DS of a name, and who serves it: found by referrals from the root
 * (RFC 1034 §5.3.3, RFC 9471), never by a list of public suffixes.
 *
 * A walk asks for the NS of the name above the one of interest, so that servers on the way never hear of
 * that one (as RFC 9156 has it), and names of one zone share what is found. Each answer leads to a zone
 * strictly below the last; servers whose addresses did not come along are looked up by walks of the same
 * kind. The zones' owners are strangers: depth, questions, names and addresses are bounded
 * (NXNSAttack, CVE-2020-12662), and so is what is kept.
 */
import { UnderWay } from '@dslog/tlog/underway'
import {
  isAtOrBelow,
  isBelow,
  labelCount,
  type Name,
  nameKey,
  nameToText,
  parentOf,
  ROOT,
  sameName,
} from '@dslog/dnssec/name'
import { CLASS_IN, TYPE } from '@dslog/dnssec/records'
import { type Clock, systemClock } from '@dslog/service/clock'
import { isSpecialAddress, parseAddress } from '@dslog/service/specialaddress'
import { abortError, onAbort } from './abort.ts'
import { ExpiringCache } from './cache.ts'
import { ResolverError } from './error.ts'
import type { Exchange, Question, Reply, Server } from './exchange.ts'
import { ROOT_SERVERS } from './hints.ts'
import { ServerOrder } from './order.ts'
import { addressOf, MAX_ADDRESSES, type NameServers, whereaboutsOf } from './referral.ts'
import { askAny } from './retry.ts'

/** Questions for one walk, more or less: those for addresses of servers and those again included. */
export const MAX_QUESTIONS = 100
/** Walks within walks, for the address of a server of a server. */
export const MAX_DEPTH = 6
/** Servers of one zone: thirteen names with two addresses, and some. */
export const MAX_SERVERS = 32
/** Names of servers looked up for one zone. */
const MAX_LOOKUPS = 8

/** Zones, names that are in a zone, and addresses kept; each some hundred bytes. */
const MAX_KEPT = 20_000
/** TTLs are held to these bounds, in ms: some are 0, some are weeks. */
const MIN_KEPT_MS = 60_000
const MAX_KEPT_MS = 24 * 3600 * 1000
/** For how long it is believed that a name is no zone of its own, in ms at most. */
const MAX_NEGATIVE_MS = 3600 * 1000

/** A zone and its servers. */
export interface ZoneServers {
  readonly zone: Name
  /** The zone above, whose server led here; not the nearest where that server has both. None for the root. */
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

/** What a walker stands on. */
export interface WalkerOptions {
  readonly exchange: Exchange
  /** Servers of the root. Default: the real ones. */
  readonly hints?: readonly Server[]
  /** May this address be asked? Default: no special-purpose address. */
  readonly permits?: (address: string) => boolean
  /** Address families this machine can use. Default: both. */
  readonly families?: readonly (4 | 6)[]
  readonly now?: Clock
  /** From 0 to 1, for the order in which servers are asked. */
  readonly random?: () => number
}

/** One call, with everything it leads to. */
interface Walk {
  /** Zones at or below this name are not taken from the cache. */
  readonly fresh: Name | undefined
  /** Names of servers that are being looked up: one that needs itself has no address. */
  readonly resolving: readonly Name[]
  readonly questions: { left: number }
}

/** Walks by referrals. */
export class ReferralWalker implements Walker {
  readonly #exchange: Exchange
  readonly #hints: readonly Server[]
  readonly #permits: (address: string) => boolean
  readonly #families: readonly (4 | 6)[]
  readonly #now: Clock
  readonly #order: ServerOrder

  /** By key of a zone. */
  readonly #zones = new ExpiringCache<ZoneServers>(MAX_KEPT)
  /** By key of a name that is no apex: the zone it is in. */
  readonly #inside = new ExpiringCache<Name>(MAX_KEPT)
  /** By key of a server's name. */
  readonly #addresses = new ExpiringCache<readonly string[]>(MAX_KEPT)
  readonly #underWay = new UnderWay<string, ZoneServers>()

  constructor(options: WalkerOptions) {
    this.#exchange = options.exchange
    this.#hints = options.hints ?? ROOT_SERVERS
    this.#permits = options.permits ?? ((address) => !isSpecialAddress(address))
    this.#families = options.families ?? [4, 6]
    this.#now = options.now ?? systemClock
    this.#order = new ServerOrder(this.#now, options.random ?? Math.random)
  }

  parentOf(owner: Name, options: WalkOptions = {}): Promise<ZoneServers> {
    return this.zoneOf(parentOf(owner), options)
  }

  async zoneOf(name: Name, options: WalkOptions = {}): Promise<ZoneServers> {
    const { signal, fresh = false } = options
    const known = fresh ? undefined : this.#known(name)
    if (known !== undefined) return known
    const key = `${fresh ? 'fresh ' : ''}${nameKey(name)}`
    const walking = this.#underWay.once(key, () => this.#walk(name, fresh))
    return signal === undefined ? walking : unlessAborted(walking, signal)
  }

  #walk(name: Name, fresh: boolean): Promise<ZoneServers> {
    const questions = { left: MAX_QUESTIONS }
    return this.#find(name, { fresh: fresh ? name : undefined, resolving: [], questions })
  }

  /** From the cache alone. */
  #known(name: Name): ZoneServers | undefined {
    const now = this.#now()
    const zone = this.#zones.get(nameKey(name), now)
    if (zone !== undefined) return zone
    const inside = this.#inside.get(nameKey(name), now)
    return inside && this.#zones.get(nameKey(inside), now)
  }

  async #find(name: Name, walk: Walk): Promise<ZoneServers> {
    let at = await this.#start(name, walk)
    for (;;) {
      if (sameName(at.zone, name)) return at
      const next = await this.#step(at, name, walk)
      // Every step goes down, so there are no more of them than labels.
      if (next === at) return at
      at = next
    }
  }

  /** The nearest zone that is known. */
  async #start(name: Name, walk: Walk): Promise<ZoneServers> {
    for (let at = name; labelCount(at) > 0; at = parentOf(at)) {
      if (walk.fresh !== undefined && isAtOrBelow(at, walk.fresh)) continue
      const known = this.#known(at)
      // A name inside a zone says nothing of those below it.
      if (known !== undefined) return known
    }
    const known = this.#known(ROOT)
    const isFresh = walk.fresh !== undefined && labelCount(walk.fresh) === 0
    return known !== undefined && !isFresh ? known : this.#prime(walk)
  }

  /** Asks for the servers of the root (RFC 8109); the hints are good enough where nobody tells. */
  async #prime(walk: Walk): Promise<ZoneServers> {
    const hints = this.#usable(this.#hints)
    if (hints.length === 0) throw new ResolverError('unreachable', 'no server of the root to ask')
    const root = { zone: ROOT, parent: undefined }
    const guess = { ...root, servers: hints, expires: this.#now() + MIN_KEPT_MS }
    try {
      const told = await this.#step(guess, ROOT, walk)
      return told === guess ? this.#keep(guess) : told
    } catch (error) {
      if (!(error instanceof ResolverError) || error.code === 'aborted') throw error
      return this.#keep(guess)
    }
  }

  /** One question down: the next zone towards `name`, or the same if the name is in it. */
  async #step(at: ZoneServers, name: Name, walk: Walk): Promise<ZoneServers> {
    const reply = await this.#ask(at, { name, type: TYPE.NS }, walk, (candidate) => {
      whereaboutsOf(candidate, at.zone, name)
    })
    const found = whereaboutsOf(reply, at.zone, name)
    if (found.kind === 'delegated') return this.#enter(at, found, undefined, walk)
    if (found.kind === 'apex') return this.#enter(at, found, reply.server, walk)
    const ms = Math.min(found.ttl * 1000, MAX_NEGATIVE_MS)
    this.#inside.set(nameKey(name), found.zone, this.#now() + Math.max(ms, MIN_KEPT_MS))
    if (sameName(found.zone, at.zone)) return at
    // The server has a zone below, too, and answered from there.
    return this.#step({ ...at, servers: [reply.server] }, found.zone, walk)
  }

  /** @param server who has the zone and told us of it, where it was not the one above */
  async #enter(
    at: ZoneServers,
    found: NameServers,
    server: Server | undefined,
    walk: Walk,
  ): Promise<ZoneServers> {
    // Of the root the hints say what its servers may leave out.
    const hints = sameName(at.zone, found.zone) ? at.servers : []
    const servers = await this.#serversOf(withHints(found, hints), server, walk)
    if (servers.length === 0) {
      const text = `no server of ${nameToText(found.zone)} has an address that may be asked`
      throw new ResolverError('unreachable', text)
    }
    const ms = Math.min(Math.max(found.ttl * 1000, MIN_KEPT_MS), MAX_KEPT_MS)
    const parent = isBelow(found.zone, at.zone) ? at.zone : undefined
    return this.#keep({ zone: found.zone, parent, servers, expires: this.#now() + ms })
  }

  #keep(found: ZoneServers): ZoneServers {
    this.#zones.set(nameKey(found.zone), found, found.expires)
    return found
  }

  /** Addresses of the servers, looked up where they did not come along. */
  async #serversOf(
    { zone, names, glue }: NameServers,
    server: Server | undefined,
    walk: Walk,
  ): Promise<Server[]> {
    const servers: Server[] = []
    const missing: Name[] = []
    for (const name of names) {
      const addresses = glue.get(nameKey(name))
      if (addresses !== undefined) servers.push(...addresses.map((address) => ({ address, name })))
      // In the zone itself only its servers can tell, whom we look for.
      else if (server !== undefined || !isAtOrBelow(name, zone)) missing.push(name)
    }
    for (const name of missing.slice(0, MAX_LOOKUPS)) {
      const isOwn = server !== undefined && isAtOrBelow(name, zone)
      const at = isOwn ? { zone, servers: [server] } : undefined
      const addresses = await this.#addressesOf(name, at, walk)
      servers.push(...addresses.map((address) => ({ address, name })))
    }
    return this.#usable(servers).slice(0, MAX_SERVERS)
  }

  /** Those that may be asked, each address once: many names of one machine do not make it many servers. */
  #usable(servers: readonly Server[]): Server[] {
    const usable = new Map<string, Server>()
    for (const server of servers) {
      const { address } = server
      const family = parseAddress(address)?.length === 4 ? 4 : 6
      const at = `${address} ${server.port ?? ''}`
      if (usable.has(at) || !this.#families.includes(family) || !this.#permits(address)) continue
      usable.set(at, server)
    }
    return [...usable.values()]
  }

  /** Addresses of a server's name; none where they cannot be found. */
  async #addressesOf(
    name: Name,
    zone: Pick<ZoneServers, 'zone' | 'servers'> | undefined,
    walk: Walk,
  ): Promise<readonly string[]> {
    const key = nameKey(name)
    const kept = this.#addresses.get(key, this.#now())
    if (kept !== undefined) return kept
    const { resolving } = walk
    if (resolving.length >= MAX_DEPTH || resolving.some((other) => sameName(other, name))) return []
    const deeper = { ...walk, fresh: undefined, resolving: [...resolving, name] }
    try {
      const at = zone ?? this.#known(name) ?? (await this.#find(name, deeper))
      const addresses: string[] = []
      let ttl = Infinity
      for (const family of this.#families) {
        const type = family === 4 ? TYPE.A : TYPE.AAAA
        const { message } = await this.#ask(at, { name, type }, deeper, mustBeAuthoritative)
        for (const { owner, type: found, class: cls, rdata, ttl: own } of message.answer) {
          // An alias is no name for a server (RFC 2181 §10.3), so there is none to follow.
          if (found !== type || cls !== CLASS_IN || !sameName(owner, name)) continue
          const address = addressOf(type, rdata)
          if (address === undefined || addresses.length >= MAX_ADDRESSES) continue
          addresses.push(address)
          ttl = Math.min(ttl, own)
        }
      }
      const ms = addresses.length === 0 ? MIN_KEPT_MS : Math.max(ttl * 1000, MIN_KEPT_MS)
      this.#addresses.set(key, addresses, this.#now() + Math.min(ms, MAX_KEPT_MS))
      return addresses
    } catch (error) {
      // Another server of the zone may have an address that can be found.
      if (error instanceof ResolverError && error.code !== 'aborted') return []
      throw error
    }
  }

  /** Asks servers of a zone. */
  async #ask(
    { zone, servers }: Pick<ZoneServers, 'zone' | 'servers'>,
    question: Question,
    { questions }: Walk,
    accept: (reply: Reply) => void,
  ): Promise<Reply> {
    if (--questions.left < 0) {
      const text = `over ${MAX_QUESTIONS} questions to find ${nameToText(question.name)}`
      throw new ResolverError('unreachable', text)
    }
    try {
      return await askAny(this.#exchange, this.#order.of(zone, servers), question, {
        accept,
        onFailure: (server, { code }) => {
          questions.left--
          this.#order.failed(zone, server, code)
        },
      })
    } catch (cause) {
      if (!(cause instanceof ResolverError) || cause.code === 'aborted' || cause.code === 'busy') {
        throw cause
      }
      const text = `no server of ${nameToText(zone)} answers: ${cause.message}`
      throw new ResolverError('unreachable', text, { cause })
    }
  }
}

/** The same, with addresses of the servers that are known by name where none came along. */
function withHints(found: NameServers, known: readonly Server[]): NameServers {
  const glue = new Map<string, readonly string[]>(found.glue)
  for (const { name } of known) {
    if (name === undefined || glue.has(nameKey(name))) continue
    const own = known.filter((server) => server.name !== undefined && sameName(server.name, name))
    glue.set(
      nameKey(name),
      own.map(({ address }) => address),
    )
  }
  return { ...found, glue }
}

function mustBeAuthoritative({ message, server }: Reply): void {
  if (!message.aa) throw new ResolverError('lame', 'not authoritative', { server })
}

/** Gives up waiting; the walk goes on, for others may wait for it, and what it finds is kept. */
function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const giveUp = (): void => reject(abortError(signal))
    if (signal.aborted) giveUp()
    work.finally(onAbort(signal, giveUp)).then(resolve, reject)
  })
}
