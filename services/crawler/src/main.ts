/**
 * Puts a crawler together out of its configuration: database, queue, DNS, sources, HTTP. `dslog crawler`
 * runs it alone, as many processes on one queue as one likes; `dslog up` runs it beside others.
 */
import { join } from 'node:path'
import { HttpClient } from '@dslog/tlog/http'
import type { CrawlerTables } from '@dslog/schema/crawlerdb'
import { CRAWLER_MIGRATIONS } from '@dslog/schema/migrate'
import { MINUTE } from '@dslog/schema/time'
import { readAnchors } from '@dslog/service/anchors'
import { type Clock, systemClock } from '@dslog/service/clock'
import type { Database } from '@dslog/service/db'
import { buildHttp, type Http } from '@dslog/service/http'
import type { Logger } from '@dslog/service/log'
import { LogApi } from '@dslog/service/logapi'
import { Metrics } from '@dslog/service/metrics'
import { migrate } from '@dslog/service/migrate'
import { pause } from '@dslog/service/outage'
import { openServiceDatabase, type Service, serviceOf, type Serving } from '@dslog/service/service'
import { VERSION } from '@dslog/service/version'
import type { CrawlerConfig } from './config.ts'
import { Crawler } from './crawl.ts'
import { type Dns, openDns } from './dns.ts'
import { Duties } from './duties.ts'
import { CrawlerError } from './error.ts'
import { Frontier } from './frontier.ts'
import { Inquirer } from './inquire.ts'
import { Logged } from './logged.ts'
import { Looker } from './looker.ts'
import { countersIn, observe } from './metrics.ts'
import { configuredName } from './name.ts'
import { CEILINGS, DEFAULT_LIMITS, Pace, type PaceLimits } from './pace.ts'
import type { CrawlerContext } from './route/context.ts'
import { sourceRoutes } from './route/sources.ts'
import { viewRoutes } from './route/views.ts'
import { watchRoutes } from './route/watch.ts'
import { zoneRoutes } from './route/zones.ts'
import { SourcesPart, type ZoneSource } from './sources.ts'
import { NamesFile } from './source/names.ts'
import { SourceTable } from './source/source.ts'
import { configuredTransfers, ZoneTransfer } from './source/transfer.ts'
import { ZoneTaker } from './source/zone.ts'
import { ZoneFile } from './source/zonefile.ts'
import { Standing } from './standing.ts'
import { Submitter } from './submit.ts'
import { Views } from './views.ts'
import { refreshDecoys } from './watch.ts'

/** How the crawler names itself to the log, and to servers of zone files. */
export const USER_AGENT: string = `dslog-crawler/${VERSION}`

/** Folder for zone files that were fetched, in the data folder. */
const DOWNLOADS = 'crawler-files'

/** A log that has not been followed for so long makes a crawler unready, ms. */
const LOG_LOST_MS = 5 * MINUTE

/** The parts that a crawler is made of. */
export interface OpenedCrawler {
  readonly db: Database<CrawlerTables>
  readonly frontier: Frontier
  readonly crawler: Crawler
  readonly sources: SourcesPart
  readonly logged: Logged
  readonly context: CrawlerContext
  close(): Promise<void>
}

export interface OpenOptions {
  readonly config: CrawlerConfig
  readonly logger: Logger
  readonly clock?: Clock
  /** Where numbers go; one of its own if left out. */
  readonly metrics?: Metrics
  /** From 0 up to but not including 1: whom to ask next, how, and when. */
  readonly random?: () => number
  /** Instead of those configured: for servers of one's own. */
  readonly limits?: PaceLimits
  /** For one question over UDP or TCP, in ms: where the machine is busy, not the servers. */
  readonly timeout?: number
  readonly onLost?: (error: Error) => void
  /** A source gave nothing, or, without a reason, gives again. */
  readonly onSource?: (id: string, reason: string | undefined) => void
}

/**
 * Opens a crawler, its tables up to date.
 *
 * @throws CrawlerError why it must not go on
 */
export async function openCrawler(options: OpenOptions): Promise<OpenedCrawler> {
  const { clock = systemClock, config, logger, random = Math.random } = options
  const { metrics = new Metrics('crawler') } = options
  if (config.logUrl === undefined) {
    throw new CrawlerError('log', 'no log to submit to: set DSLOG_CRAWLER_LOG_URL')
  }
  const anchors = await readAnchors(config.anchors)
  const transfers = configuredTransfers(config)
  const optOut = config.optOut.map((zone) => {
    return configuredName(zone, 'opt-out', 'DSLOG_CRAWLER_OPT_OUT')
  })
  const db = await openServiceDatabase<CrawlerTables>('crawler', options)
  let dns: Dns | undefined
  try {
    await migrate(db, CRAWLER_MIGRATIONS)
    const counters = countersIn(metrics)
    const pace = new Pace(options.limits ?? limitsOf(config), clock)
    dns = openDns({
      config,
      anchors,
      pace,
      counters,
      clock,
      timeout: options.timeout,
      logger,
    })
    const hashKey = await hashKeyOf(db)
    const frontier = await Frontier.join(db, hashKey, clock())
    const http = new HttpClient({ fetch, now: clock, random }, HTTP)
    const api = new LogApi(config.logUrl, http, config.operatorToken?.reveal())
    const submitter = new Submitter({ api, clock, logger, sleep: pause })
    const standing = new Standing(db, clock, random)
    await standing.read()
    const views = new Views(db)
    const duties = new Duties(db, frontier.worker, clock)
    const logged = new Logged({ db, api, duties, frontier, clock, logger })
    let workers = 1
    const { direct, edges, others, walker } = dns
    const looker = new Looker({
      direct,
      others,
      pace,
      standing,
      views,
      clock,
      random,
      sleep: pause,
    })
    const inquirer = new Inquirer({
      frontier,
      walker,
      looker,
      submitter,
      counters,
      optOut,
      clock,
      random,
      logger,
    })
    const crawler = new Crawler({
      db,
      frontier,
      inquirer,
      standing,
      views,
      submitter,
      counters,
      clock,
      sleep: pause,
      onWorkers(count) {
        workers = count
        pace.share(count)
      },
    })
    const table = new SourceTable(db)
    const { delegations } = config
    const taker = new ZoneTaker({
      api,
      submitter,
      frontier,
      anchors,
      counters,
      delegations,
      clock,
      random,
      logger,
    })
    const tidy = async (): Promise<void> => {
      await views.prune(clock())
      await refreshDecoys(db, frontier, hashKey, clock())
    }
    const { onSource = () => {} } = options
    const sources = new SourcesPart({
      onSource,
      logged,
      duties,
      table,
      counters,
      clock,
      logger,
      tidy,
      names: config.names === undefined ? undefined : new NamesFile(config.names, frontier, clock),
      interval: config.transferInterval,
      zones: [
        ...transfers.map((places): ZoneSource => {
          return new ZoneTransfer(places, { db, table, taker, edges, clock })
        }),
        ...config.zoneFiles.map((id): ZoneSource => {
          const folder = join(config.data, DOWNLOADS)
          const web = { folder, fetch, userAgent: USER_AGENT }
          return new ZoneFile(id, { db, table, taker, frontier, clock, ...web })
        }),
      ],
    })
    observe(
      {
        counts: () => frontier.counts(clock()),
        inFlight: () => crawler.inFlight,
        waiting: () => submitter.waiting,
        blocked: () => standing.blocked,
        slowed: () => pace.slowed,
        workers: () => workers,
        followedAt: () => logged.followedAt,
      },
      metrics,
      clock,
    )
    const { close: closeDns } = dns
    const close = async (): Promise<void> => {
      await closeDns()
      await db.close()
    }
    const { token } = config
    const context = { db, frontier, views, sources: table, optOut, token, hashKey, clock }
    return { db, frontier, crawler, sources, logged, context, close }
  } catch (error) {
    await dns?.close()
    await db.close()
    throw error
  }
}

const HTTP = { headers: { 'user-agent': USER_AGENT } }

function limitsOf({ rate, serverRate, zoneRate }: CrawlerConfig): PaceLimits {
  const burst = Math.min(
    CEILINGS.burst,
    (serverRate * DEFAULT_LIMITS.burst) / DEFAULT_LIMITS.server,
  )
  return { server: serverRate, burst, zone: zoneRate, all: rate }
}

async function hashKeyOf(db: Database<CrawlerTables>): Promise<Uint8Array> {
  return (await db.kysely.selectFrom('queue').select('hash_key').executeTakeFirstOrThrow()).hash_key
}

/** A crawler as components of a process. */
export function crawlerService(options: OpenOptions): Service<OpenedCrawler> {
  const { clock = systemClock, config } = options
  return serviceOf<OpenedCrawler>({
    ...options,
    name: 'crawler',
    async open({ health, metrics }, fail) {
      const opened = await openCrawler({ ...options, metrics, onLost: fail })
      const { db, logged } = opened
      const startedAt = clock()
      metrics.observeDatabase(db)
      health.ready('database', async () => {
        await db.kysely.selectFrom('queue').select('id').execute()
        return undefined
      })
      health.ready('log', () => {
        const seen = logged.followedAt ?? startedAt
        return clock() - seen > LOG_LOST_MS ? 'the log does not answer' : undefined
      })
      return opened
    },
    parts: [
      {
        name: 'crawler loop',
        start: ({ crawler }, fail) => crawler.start(fail),
        stop: ({ crawler }) => crawler.stop(),
      },
      {
        name: 'crawler sources',
        start: ({ sources }, fail) => sources.start(fail),
        stop: ({ sources }) => sources.stop(),
      },
    ],
    http: (opened, serving) => buildCrawlerHttp(opened, config, serving),
  })
}

async function buildCrawlerHttp(
  { context }: OpenedCrawler,
  { trustProxy }: CrawlerConfig,
  serving: Serving,
): Promise<Http> {
  const app = await buildHttp({
    info: {
      title: 'dslog crawler',
      version: '1',
      description: 'Asks parent zones for DS records, politely, and brings evidence to a log',
    },
    ...serving,
    trustProxy,
  })
  viewRoutes(app, context)
  watchRoutes(app, context)
  zoneRoutes(app, context)
  sourceRoutes(app, context)
  return app
}
