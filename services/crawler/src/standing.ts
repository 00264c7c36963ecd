/**
 * How it stands with parent zones and their servers: who failed, why, and until when he is left alone.
 * Kept in the database, so that a restart does not come back to whom it had left alone.
 *
 * A server that is not authoritative, refuses or fails is left alone for five minutes, then for twice as
 * long each time, up to a day; one that does not answer, after some tries. None of it is evidence.
 */
import { sql } from 'kysely'
import { type Name, nameKey } from '@dslog/dnssec/name'
import type { CrawlerTables } from '@dslog/schema/crawlerdb'
import type { Clock } from '@dslog/service/clock'
import type { Database } from '@dslog/service/db'
import { despiteDeadlock } from './deadlock.ts'
import { BACKOFF, backoff } from './schedule.ts'

/** Questions in a row that a server may leave unanswered. */
const MISSES = 5
/** For how long it is remembered of a server that it failed, after it may be asked again, ms. */
const KEPT_MS = 2 * BACKOFF.longest
/** How often it is read what others have learnt, and forgotten what is old, ms. */
const READ_MS = 60_000

/** How it stands with one server of one zone. */
interface ServerStanding {
  readonly zone: Name
  readonly address: string
  /** Questions in a row without an answer. */
  misses: number
  /** Times in a row that it was left alone. */
  failures: number
  reason: string
  blockedUntil: number
  /** When it failed last, or did not answer. */
  touchedAt: number
  changed: boolean
}

interface ZoneNews {
  readonly zone: Name
  seenAt: number | undefined
  failedAt: number | undefined
  failures: number
  reason: string | undefined
}

/** What is known of zones and servers in this process. */
export class Standing {
  readonly #db: Database<CrawlerTables>
  readonly #clock: Clock
  readonly #random: () => number
  readonly #servers = new Map<string, ServerStanding>()
  readonly #zones = new Map<string, ZoneNews>()
  #readAt = -Infinity

  constructor(db: Database<CrawlerTables>, clock: Clock, random: () => number = Math.random) {
    this.#db = db
    this.#clock = clock
    this.#random = random
  }

  /** Whether a server of a zone may be asked now. */
  mayAsk(zone: Name, address: string): boolean {
    const server = this.#servers.get(keyOf(zone, address))
    return server === undefined || server.blockedUntil <= this.#clock()
  }

  /** When the first of some servers may be asked again; ms since the epoch. */
  freeAt(zone: Name, addresses: readonly string[]): number {
    const times = addresses.map((address) => {
      return this.#servers.get(keyOf(zone, address))?.blockedUntil ?? 0
    })
    return Math.min(...times)
  }

  /** Servers that are left alone. */
  get blocked(): number {
    const now = this.#clock()
    let blocked = 0
    for (const { blockedUntil } of this.#servers.values()) if (blockedUntil > now) blocked++
    return blocked
  }

  /** A server has answered what could be verified. */
  answered(zone: Name, address: string): void {
    const now = this.#clock()
    const news = this.#news(zone)
    news.seenAt = now
    news.failures = 0
    news.reason = undefined
    const server = this.#servers.get(keyOf(zone, address))
    if (server === undefined) return
    if (server.failures === 0) this.#servers.delete(keyOf(zone, address))
    else Object.assign(server, { misses: 0, failures: 0, blockedUntil: 0, changed: true })
  }

  /** A server does not do its duty: it is left alone at once. */
  failed(zone: Name, address: string, reason: string): void {
    const server = this.#server(zone, address)
    // Questions under way when the first failed are no further failures.
    if (server.blockedUntil > this.#clock()) return
    server.failures++
    server.misses = 0
    server.reason = reason
    server.blockedUntil = this.#clock() + backoff(server.failures, this.#random())
    server.changed = true
  }

  /** A server has not answered. */
  missed(zone: Name, address: string, reason: string): void {
    const server = this.#server(zone, address)
    server.misses++
    if (server.misses >= MISSES) this.failed(zone, address, reason)
  }

  /** No server of a zone has answered what could be verified. */
  zoneFailed(zone: Name, reason: string): void {
    const news = this.#news(zone)
    news.failedAt = this.#clock()
    news.failures++
    news.reason = reason
  }

  /** Reads what other processes have learnt: at first also of those who may be asked again, and fail again. */
  async read(): Promise<void> {
    const now = this.#clock()
    const isFirst = this.#readAt === -Infinity
    const rows = await this.#db.kysely
      .selectFrom('server')
      .selectAll()
      .where('blocked_until', '>', isFirst ? now - KEPT_MS : now)
      .execute()
    for (const { address, blocked_until, failures, reason, zone } of rows) {
      const server = this.#server(zone as Name, address)
      if (server.changed || server.blockedUntil >= blocked_until) continue
      Object.assign(server, { failures, reason, blockedUntil: blocked_until })
    }
    this.#readAt = now
  }

  /** Forgets servers that failed long ago: there may be a few for each name that is asked for. */
  async #forget(): Promise<void> {
    const old = this.#clock() - KEPT_MS
    for (const [key, { blockedUntil, touchedAt }] of this.#servers) {
      if (Math.max(blockedUntil, touchedAt) <= old) this.#servers.delete(key)
    }
    const clear = this.#db.kysely.deleteFrom('server').where('blocked_until', '<=', old)
    await despiteDeadlock(() => clear.execute())
  }

  /** Servers that are remembered in this process. */
  get size(): number {
    return this.#servers.size
  }

  /** Writes what was learnt, what could not be written the next time; once a minute reads, and forgets. */
  async exchange(): Promise<void> {
    await this.#writeServers()
    await this.#writeZones()
    if (this.#clock() - this.#readAt < READ_MS) return
    await this.read()
    await this.#forget()
  }

  async #writeServers(): Promise<void> {
    const changed = [...this.#servers.values()].filter((server) => server.changed)
    if (changed.length === 0) return
    for (const server of changed) server.changed = false
    try {
      await despiteDeadlock(() => this.#insertServers(changed))
    } catch (error) {
      for (const server of changed) server.changed = true
      throw error
    }
    const clear = this.#db.kysely.deleteFrom('server').where('failures', '=', 0)
    await despiteDeadlock(() => clear.execute())
  }

  async #insertServers(changed: readonly ServerStanding[]): Promise<void> {
    await sql`
      insert into server (zone, address, failures, reason, blocked_until)
      select * from unnest(
        ${changed.map(({ zone }) => zone)}::bytea[],
        ${changed.map(({ address }) => address)}::text[],
        ${changed.map(({ failures }) => failures)}::int4[],
        ${changed.map(({ reason }) => reason)}::text[],
        ${changed.map(({ blockedUntil }) => Math.round(blockedUntil))}::int8[])
      on conflict (zone, address) do update set failures = excluded.failures,
        reason = excluded.reason, blocked_until = excluded.blocked_until`.execute(this.#db.kysely)
  }

  async #writeZones(): Promise<void> {
    const news = [...this.#zones.values()]
    this.#zones.clear()
    if (news.length === 0) return
    try {
      await despiteDeadlock(() => this.#insertZones(news))
    } catch (error) {
      for (const old of news) {
        const young = this.#news(old.zone)
        young.failedAt ??= old.failedAt
        // What has answered since has no failures from before.
        if (young.seenAt !== undefined) continue
        young.seenAt = old.seenAt
        young.failures += old.failures
        young.reason ??= old.reason
      }
      throw error
    }
  }

  async #insertZones(news: readonly ZoneNews[]): Promise<void> {
    await sql`
      insert into zone_status (name, seen_at, failed_at, failures, reason)
      select * from unnest(
        ${news.map(({ zone }) => zone)}::bytea[],
        ${news.map(({ seenAt }) => seenAt ?? null)}::int8[],
        ${news.map(({ failedAt }) => failedAt ?? null)}::int8[],
        ${news.map(({ failures }) => failures)}::int4[],
        ${news.map(({ reason }) => reason ?? null)}::text[])
      on conflict (name) do update set
        seen_at = coalesce(excluded.seen_at, zone_status.seen_at),
        failed_at = coalesce(excluded.failed_at, zone_status.failed_at),
        failures = excluded.failures
          + case when excluded.seen_at is null then zone_status.failures else 0 end,
        reason = excluded.reason`.execute(this.#db.kysely)
  }

  #server(zone: Name, address: string): ServerStanding {
    const key = keyOf(zone, address)
    let server = this.#servers.get(key)
    if (server === undefined) {
      const fresh = { misses: 0, failures: 0, reason: '', blockedUntil: 0, changed: false }
      server = { zone, address, ...fresh, touchedAt: 0 }
      this.#servers.set(key, server)
    }
    server.touchedAt = this.#clock()
    return server
  }

  #news(zone: Name): ZoneNews {
    const key = nameKey(zone)
    let news = this.#zones.get(key)
    if (news === undefined) {
      news = { zone, seenAt: undefined, failedAt: undefined, failures: 0, reason: undefined }
      this.#zones.set(key, news)
    }
    return news
  }
}

function keyOf(zone: Name, address: string): string {
  return `${nameKey(zone)} ${address}`
}
