/**
 * How fast may be asked: token buckets of each server, each parent zone and of everything, and additive
 * increase and multiplicative decrease for a server. Pure but for the clock: it tells how long to wait,
 * whoever asks does the waiting.
 *
 * Several processes share the limits: each takes its part of them, by how many there are.
 */
import { MINUTE } from '@dslog/schema/time'
import type { Clock } from '@dslog/service/clock'

/** Questions a second. */
export interface PaceLimits {
  /** To one server address. */
  readonly server: number
  /** At once, to a server that was not asked for a while. */
  readonly burst: number
  /** To all servers of one parent zone, whatever their number. */
  readonly zone: number
  /** In all. */
  readonly all: number
}

/** What suits other people's servers. */
export const DEFAULT_LIMITS: PaceLimits = { server: 10, burst: 20, zone: 100, all: 500 }

/** What no configuration exceeds. */
export const CEILINGS: PaceLimits = { server: 20, burst: 40, zone: 100, all: 2_000 }

/** Questions of one minute of which so many may be lost or truncated; beyond, the rate is halved. */
const TOLERATED_SHARE = 0.02

/** Fewer questions than this say nothing about a share. */
const ENOUGH = 10

/** Slowest rate of a server, questions a second: it must be able to show that it has recovered. */
const SLOWEST = 0.2

/** What a clean minute adds to the rate of a server, questions a second. */
const INCREASE = 1

/** Buckets kept. A zone has some ten servers; those idle for long are full again, and forgotten. */
const MAX_BUCKETS = 20_000

/** A token bucket whose tokens can be taken before they are there: who comes later waits longer. */
class Bucket {
  /** When the bucket would have been empty, had it been filled without end: ms. */
  #emptyAt: number

  constructor(now: number) {
    this.#emptyAt = now - MINUTE * MINUTE
  }

  /** How long one more question has to wait, ms. */
  wait(now: number, rate: number, burst: number): number {
    return Math.max(0, this.#next(now, rate, burst) - now)
  }

  /** Takes a token; the same. */
  take(now: number, rate: number, burst: number): number {
    const at = this.#next(now, rate, burst)
    this.#emptyAt = at
    return Math.max(0, at - now)
  }

  #next(now: number, rate: number, burst: number): number {
    const full = now - (burst * 1000) / rate
    return Math.max(this.#emptyAt, full) + 1000 / rate
  }
}

/** One server's bucket, its present rate, and how the last minute went. */
interface ServerPace {
  readonly bucket: Bucket
  rate: number
  halvedAt: number
  since: number
  asked: number
  lost: number
}

/** The pace of one process. */
export class Pace {
  readonly #limits: PaceLimits
  readonly #clock: Clock
  readonly #all: Bucket
  readonly #servers = new Map<string, ServerPace>()
  readonly #zones = new Map<string, Bucket>()
  /** Processes that share the limits. */
  #parts = 1

  constructor(limits: PaceLimits, clock: Clock) {
    this.#limits = limits
    this.#clock = clock
    this.#all = new Bucket(clock())
  }

  /** So many processes share the limits from now on. */
  share(processes: number): void {
    this.#parts = Math.max(1, processes)
  }

  /** By the clock of this pace, ms since the epoch. */
  get now(): number {
    return this.#clock()
  }

  /** How long a question to a server would wait, ms. */
  serverWait(server: string): number {
    const pace = this.#servers.get(server)
    if (pace === undefined) return 0
    return pace.bucket.wait(this.#clock(), this.#part(pace.rate), this.#burst)
  }

  /** Takes the right to ask a server one question; gives how long to wait before, ms. */
  takeServer(server: string): number {
    const now = this.#clock()
    const pace = this.#serverPace(server, now)
    const all = this.#part(this.#limits.all)
    return Math.max(
      pace.bucket.take(now, this.#part(pace.rate), this.#burst),
      // A tenth of a second's questions at once: an even flow.
      this.#all.take(now, all, Math.max(1, all / 10)),
    )
  }

  /** Takes the right to ask these servers about one name of their zone; gives how long to wait, ms. */
  takeZone(zone: string, servers: readonly string[]): number {
    const { rate, burst } = this.#zoneRate(servers)
    return this.#zone(zone).take(this.#clock(), rate, burst)
  }

  /** How long {@link takeZone} would let wait, ms. */
  zoneWait(zone: string, servers: readonly string[]): number {
    const { rate, burst } = this.#zoneRate(servers)
    return this.#zone(zone).wait(this.#clock(), rate, burst)
  }

  /** Questions a second to a zone with these servers: what they bear at present, all together. */
  zoneRate(servers: readonly string[]): number {
    return this.#zoneRate(servers).rate
  }

  /**
   * Tells how a question to a server went: `lost` is a timeout, or a reply that was truncated.
   *
   * @param askedAt ms since the epoch; default now. What was under way when the rate was halved says
   *   nothing of the new one: an outage halves it once, however many questions were lost in it
   */
  report(server: string, lost: boolean, askedAt?: number): void {
    const now = this.#clock()
    const pace = this.#serverPace(server, now)
    if (askedAt !== undefined && askedAt < pace.halvedAt) return
    pace.asked++
    if (lost) pace.lost++
    const over = pace.lost > Math.max(1, pace.asked * TOLERATED_SHARE) && pace.asked >= ENOUGH
    if (over) {
      pace.rate = Math.max(SLOWEST, pace.rate / 2)
      pace.halvedAt = now
      this.#newMinute(pace, now)
    } else if (now - pace.since >= MINUTE) {
      if (pace.lost === 0) pace.rate = Math.min(this.#limits.server, pace.rate + INCREASE)
      this.#newMinute(pace, now)
    }
  }

  /** The present rate of a server, questions a second, of all processes. */
  serverRate(server: string): number {
    return this.#servers.get(server)?.rate ?? this.#limits.server
  }

  /** Servers that are asked more slowly than might be. */
  get slowed(): number {
    let slowed = 0
    for (const { rate } of this.#servers.values()) if (rate < this.#limits.server) slowed++
    return slowed
  }

  #newMinute(pace: ServerPace, now: number): void {
    pace.since = now
    pace.asked = 0
    pace.lost = 0
  }

  get #burst(): number {
    return Math.max(1, this.#part(this.#limits.burst))
  }

  #part(rate: number): number {
    return rate / this.#parts
  }

  #zoneRate(servers: readonly string[]): { rate: number; burst: number } {
    const borne = servers.reduce((sum, server) => sum + this.serverRate(server), 0)
    const rate = this.#part(Math.min(this.#limits.zone, borne))
    return { rate, burst: Math.max(1, rate) }
  }

  #serverPace(server: string, now: number): ServerPace {
    let pace = this.#servers.get(server)
    if (pace === undefined) {
      const bucket = new Bucket(now)
      const rate = this.#limits.server
      pace = { bucket, rate, halvedAt: -Infinity, since: now, asked: 0, lost: 0 }
      remember(this.#servers, server, pace)
    }
    return pace
  }

  #zone(zone: string): Bucket {
    let bucket = this.#zones.get(zone)
    if (bucket === undefined) {
      bucket = new Bucket(this.#clock())
      remember(this.#zones, zone, bucket)
    }
    return bucket
  }
}

/** Keeps a value; the oldest gives way. */
function remember<T>(map: Map<string, T>, key: string, value: T): void {
  if (map.size >= MAX_BUCKETS) map.delete(map.keys().next().value!)
  map.set(key, value)
}
