/**
 * A log and a crawler over the name servers of a small internet, in this process, on its clock: what
 * the crawler finds out by asking is in the log when {@link CrawlWorld.settle} resolves.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { nameFromText, nameToText, type Name } from '@dslog/dnssec/name'
import { dsToText } from '@dslog/dnssec/records'
import { MapKind } from '@dslog/schema/identity'
import { decodeEntry, type Entry } from '@dslog/schema/entry'
import { HOUR } from '@dslog/schema/time'
import { readConfig } from '@dslog/service/config'
import { Metrics } from '@dslog/service/metrics'
import { rideOut } from '@dslog/service/outage'
import { Lifecycle } from '@dslog/service/run'
import type { Internet } from '@dslog/testbed/internet'
import { NameServers } from '@dslog/testbed/nameserver'
import { CRAWLER_CONFIG } from '@dslog/crawler/config'
import { crawlerService, type OpenedCrawler } from '@dslog/crawler/main'
import type { PaceLimits } from '@dslog/crawler/pace'
import { Source, TaskKind, Tier } from '@dslog/crawler/schedule'
import type { OpenedLog } from '@dslog/log/main'
import { dnsEnv, UNLIMITED } from './dnsenv.ts'
import { startLogService } from './logservice.ts'
import type { Place } from './place.ts'
import { silent } from './silent.ts'

/** What the log and its crawlers have in common. */
export const TOKEN = { DSLOG_OPERATOR_TOKEN: 'token of the tests' }

export interface CrawlOptions {
  readonly net: Internet
  readonly place: Place
  /** More of the crawler's environment. */
  readonly env?: Readonly<Record<string, string>>
  /** More of the log's. */
  readonly logEnv?: Readonly<Record<string, string>>
  readonly limits?: PaceLimits
  /** Instead of chance: whom the crawler asks, and how. */
  readonly random?: () => number
  /** Where the DNS is, if it is not that of `net`. */
  readonly dns?: { readonly port: number }
}

/** A crawler at work. */
interface Running {
  readonly url: string
  readonly crawler: OpenedCrawler
  readonly metrics: Metrics
  readonly life: Lifecycle
}

/** See the head of this file. */
export class CrawlWorld {
  readonly net: Internet
  readonly place: Place
  /** Of the log. */
  readonly url: string
  readonly servers: NameServers | undefined
  readonly log: OpenedLog
  readonly #logLife: Lifecycle
  readonly #start: () => Promise<Running>
  #running: Running

  private constructor(parts: {
    readonly net: Internet
    readonly place: Place
    readonly url: string
    readonly servers: NameServers | undefined
    readonly log: OpenedLog
    readonly logLife: Lifecycle
    readonly start: () => Promise<Running>
    readonly running: Running
  }) {
    this.net = parts.net
    this.place = parts.place
    this.url = parts.url
    this.servers = parts.servers
    this.log = parts.log
    this.#logLife = parts.logLife
    this.#start = parts.start
    this.#running = parts.running
  }

  get crawler(): OpenedCrawler {
    return this.#running.crawler
  }

  get crawlerUrl(): string {
    return this.#running.url
  }

  get metrics(): Metrics {
    return this.#running.metrics
  }

  static async open(options: CrawlOptions): Promise<CrawlWorld> {
    const { limits = UNLIMITED, net, place, random = Math.random } = options
    const clock = net.clock.now
    const log = await startLogService({ ...place.env, ...TOKEN, ...options.logEnv }, clock)
    const servers = options.dns === undefined ? await NameServers.start(net) : undefined
    const roots = net.root.servers.flatMap(({ addresses }) => addresses)
    const { crawler: config } = readConfig(
      { crawler: CRAWLER_CONFIG },
      {
        ...place.env,
        ...TOKEN,
        DSLOG_CRAWLER_PORT: '0',
        DSLOG_CRAWLER_LOG_URL: log.url,
        ...dnsEnv(roots, options.dns?.port ?? servers!.port),
        DSLOG_CRAWLER_TRANSFERS: 'none',
        ...options.env,
      },
    )
    const start = async (): Promise<Running> => {
      const metrics = new Metrics('crawler')
      const crawler = crawlerService({ config, logger: silent, clock, metrics, limits, random })
      const life = new Lifecycle(crawler.components, silent)
      await life.start()
      return {
        url: `http://127.0.0.1:${crawler.port()}`,
        crawler: crawler.opened(),
        metrics,
        life,
      }
    }
    const running = await start()
    return new CrawlWorld({
      net,
      place,
      url: log.url,
      servers,
      log: log.opened,
      logLife: log.life,
      start,
      running,
    })
  }

  /** Stops the crawler as a signal would, and starts another on the same queue. */
  async restart(): Promise<void> {
    await this.#running.life.stop()
    this.#running = await this.#start()
  }

  /** Has names asked for, as a file of names would. */
  async ask(...names: readonly (Name | string)[]): Promise<void> {
    const due = this.net.clock.now()
    const task = { kind: TaskKind.poll, tier: Tier.other, due, source: Source.file }
    await this.crawler.frontier.add(
      names.map((name) => {
        return { name: typeof name === 'string' ? nameFromText(name) : name, ...task }
      }),
    )
    await this.settle()
  }

  /** Has everything that was ever asked for asked again, after an hour. */
  async again(ms = HOUR): Promise<void> {
    const now = this.net.clock.advance(ms)
    await this.crawler.db.kysely
      .updateTable('task')
      .set({ due: now })
      .where('kind', '=', TaskKind.poll)
      .execute()
    await this.settle()
  }

  /** Waits until nothing is due and nothing is under way. */
  async settle(timeout = 240_000): Promise<void> {
    const { crawler, frontier, logged } = this.crawler
    const isBusy = async (): Promise<boolean> => {
      const counts = await frontier.counts(this.net.clock.now())
      return counts.some(({ due }) => due > 0) || !crawler.isIdle
    }
    const ended = AbortSignal.timeout(timeout)
    // On a busy machine the crawler waits for its database, and so does who watches it.
    while (await rideOut(isBusy, ended)) {
      if (ended.aborted) throw new Error(`still busy after ${timeout} ms`)
      await sleep(20)
    }
    // What the log has now is what the next answer is compared with.
    const { signal } = new AbortController()
    await rideOut(() => logged.follow(signal), signal)
  }

  /** Every entry of a name, oldest first. */
  async entries(name: Name | string): Promise<Entry[]> {
    const owner = typeof name === 'string' ? nameFromText(name) : name
    const { history } = await this.log.reader.name(MapKind.delegation, owner)
    return history.map(({ bytes }) => decodeEntry(bytes))
  }

  /** The same in short: DS records as text, `-` for none; `late` where it is out of order. */
  async story(name: Name | string): Promise<string[]> {
    return (await this.entries(name)).map((entry) => {
      if (entry.type !== 'ds' && entry.type !== 'no-ds') return entry.type
      const late = entry.outOfOrder ? ' late' : ''
      return `${entry.type === 'ds' ? entry.ds.map(dsToText).join() : '-'}${late}`
    })
  }

  /** How it stands with the asking for a name. */
  async task(
    name: Name | string,
  ): Promise<{ due: number; failures: number; reason: string | null }> {
    const owner = typeof name === 'string' ? nameFromText(name) : name
    return this.crawler.db.kysely
      .selectFrom('task')
      .select(['due', 'failures', 'reason'])
      .where('name', '=', owner)
      .where('kind', '=', TaskKind.poll)
      .executeTakeFirstOrThrow()
  }

  /** Why a name has not been seen. */
  async reason(name: Name | string): Promise<string | null> {
    return (await this.task(name)).reason
  }

  /** Names that could not be asked, or not yet, when they were due. */
  async failing(): Promise<number> {
    const { count } = await this.crawler.db.kysely
      .selectFrom('task')
      .select((eb) => eb.fn.countAll<number>().as('count'))
      .where('kind', '=', TaskKind.poll)
      .where('reason', 'is not', null)
      .executeTakeFirstOrThrow()
    return count
  }

  /** Value of a counter with these labels; 0 if it has none. */
  async count(metric: string, labels: Readonly<Record<string, string>> = {}): Promise<number> {
    const found = await this.metrics.registry.getSingleMetric(metric)?.get()
    return (found?.values ?? [])
      .filter(({ labels: own }) =>
        Object.entries(labels).every(
          ([key, value]) => (own as Record<string, unknown>)[key] === value,
        ),
      )
      .reduce((sum, { value }) => sum + value, 0)
  }

  /** A counter by the values of one of its labels. */
  async counts(metric: string, label: string): Promise<Map<string, number>> {
    const found = await this.metrics.registry.getSingleMetric(metric)?.get()
    return new Map(
      (found?.values ?? []).map(({ labels, value }) => {
        return [String((labels as Record<string, unknown>)[label]), value]
      }),
    )
  }

  /** Names that are in the queue. */
  async names(): Promise<string[]> {
    const rows = await this.crawler.db.kysely.selectFrom('task').select('name').execute()
    return rows.map(({ name }) => nameToText(name as Name))
  }

  async close(): Promise<void> {
    await this.#running.life.stop()
    await this.#logLife.stop()
    await this.servers?.stop()
  }
}
