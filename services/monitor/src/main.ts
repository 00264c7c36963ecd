/**
 * Puts a monitor together out of its configuration: database, follower, HTTP. `dslog monitor` runs it
 * alone, `dslog up` beside others.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { LogClient } from '@dslog/tlog/client'
import { type HttpAnswer, HttpClient, type HttpRequest } from '@dslog/tlog/http'
import { parsePolicy, type Policy } from '@dslog/tlog/policy'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import type { MonitorTables } from '@dslog/schema/db'
import { MONITOR_MIGRATIONS } from '@dslog/schema/migrate'
import { readAnchors } from '@dslog/service/anchors'
import { type Clock, systemClock } from '@dslog/service/clock'
import { openDatabase } from '@dslog/service/db'
import { Health } from '@dslog/service/health'
import { buildHttp, type Http, httpComponent } from '@dslog/service/http'
import type { Logger } from '@dslog/service/log'
import { Metrics } from '@dslog/service/metrics'
import { migrate } from '@dslog/service/migrate'
import type { Component } from '@dslog/service/run'
import { Judge } from './cases.ts'
import type { EgressEdges } from './channel/egress.ts'
import { Comparer } from './compare.ts'
import { openDns } from './dns.ts'
import type { MonitorConfig } from './config.ts'
import { MonitorError } from './error.ts'
import { Follower } from './follow.ts'
import { observe } from './observe.ts'
import { observeOwners } from './observe-owners.ts'
import { openOwners, type Owners } from './owners.ts'
import { proofsOf } from './proofs.ts'
import { alertRoutes } from './route/alerts.ts'
import { offerTo } from './offer.ts'
import { Probe } from './probe.ts'
import { changeRoutes } from './route/changes.ts'
import type { MonitorContext } from './route/context.ts'
import { evidenceRoutes } from './route/evidence.ts'
import { feedRoutes } from './route/feeds.ts'
import { pageRoutes } from './route/pages.ts'
import { statementRoutes } from './route/statements.ts'
import { statusRoutes } from './route/status.ts'
import { subscriptionRoutes } from './route/subscriptions.ts'
import { witnessRoutes } from './route/witness.ts'
import { MonitorStore } from './store.ts'
import { Unlogged } from './unlogged.ts'
import { ViewReader } from './views.ts'
import { cosignersOf, Witness } from './witness.ts'
import { WitnessedFile, WitnessedTable } from './witnessed.ts'

/** How the monitor names itself to the log. */
export const USER_AGENT = 'dslog-monitor/0.1.0'

/** Files of a monitor in its data folder. */
export const MONITOR_FILES = {
  database: 'monitor',
  policy: 'policy',
  witnessed: 'witnessed.jsonl',
} as const

/** Schema of its tables on a PostgreSQL server: a log on the same server has others of the same names. */
const SCHEMA = 'monitor'

/** The parts that a monitor is made of. */
export interface OpenedMonitor {
  readonly store: MonitorStore
  readonly follower: Follower
  readonly judge: Judge
  /** Unless the monitor is told not to ask. */
  readonly probe: Probe | undefined
  readonly views: ViewReader
  readonly context: MonitorContext
  /** If the monitor has a key to cosign with. */
  readonly witness: Witness | undefined
  readonly comparer: Comparer
  readonly owners: Owners
  close(): Promise<void>
}

export interface OpenOptions {
  readonly config: MonitorConfig
  readonly logger: Logger
  readonly clock?: Clock
  readonly onLost?: (error: Error) => void
  /** Where requests to subscribers' webhooks go by; for tests. */
  readonly edges?: EgressEdges
}

/**
 * Opens a monitor, its tables up to date, where it was left.
 *
 * @throws MonitorError why it must not go on
 */
export async function openMonitor(options: OpenOptions): Promise<OpenedMonitor> {
  const { clock = systemClock, config, logger, onLost = () => {} } = options
  const policy = await readPolicy(config.policy ?? join(config.data, MONITOR_FILES.policy))
  const { origin, url } = logOf(policy, config.logUrl)
  const cosigners = cosignersOf({ witness: config.witnessKey, auditor: config.auditorKey }, clock)
  const anchors = await readAnchors(config.anchors)
  const db = await openDatabase<MonitorTables>({
    url: config.databaseUrl?.reveal(),
    folder: join(config.data, MONITOR_FILES.database),
    schema: SCHEMA,
    applicationName: 'dslog-monitor',
    poolSize: config.poolSize,
    logger,
    onFailure: onLost,
  })
  try {
    const lock = await db.lockExclusive('monitor', onLost)
    await migrate(db, MONITOR_MIGRATIONS)
    const stopping = new AbortController()
    const backend = nodeBackend()
    const store = new MonitorStore(db, origin)
    const http = new EndingHttp(clock, stopping.signal)
    const verifier = { anchors, backend }
    const follower = await Follower.open({
      client: new LogClient(url, policy, http),
      policy,
      store,
      verifier,
      clock,
      logger,
      interval: config.interval,
    })
    const witnessed = join(config.data, MONITOR_FILES.witnessed)
    const witness = new Witness({
      logKeys: policy.logs.map(({ key }) => key),
      cosigners,
      memory: db.kind === 'embedded' ? new WitnessedFile(witnessed) : new WitnessedTable(db),
      follower,
      signal: stopping.signal,
    })
    const own = new Set(cosigners.map(({ signer: { key } }) => `${key.name}+${key.id}`))
    const comparer = new Comparer({ policy, origin, http, follower, clock, logger, own })
    const judge = new Judge({
      db,
      origin,
      clock,
      digests: backend,
      published: () => {
        const { freshAt, published } = follower.status
        return freshAt === undefined ? undefined : published
      },
    })
    const owners = await openOwners({
      config,
      db,
      clock,
      logger,
      http,
      status: () => follower.status,
      proofs: proofsOf({ origin, url, http, policy, verifier, logger }),
      software: USER_AGENT,
      url: config.publicUrl ?? `http://${config.host}:${config.port}`,
      ...(options.edges !== undefined && { edges: options.edges }),
    })
    const dns = config.probe ? openDns(config, { anchors, backend, clock }) : undefined
    const submit = offerTo(http, url)
    const unlogged = new Unlogged({ db, store, digests: backend, clock, logger, submit })
    const probe =
      dns && new Probe({ db, ...dns, backend, unlogged, clock, logger, random: Math.random })
    const views = new ViewReader({
      db,
      http,
      crawlers: config.crawlers,
      digests: backend,
      clock,
      logger,
    })
    const close = async (): Promise<void> => {
      stopping.abort()
      await dns?.close()
      await probe?.stop()
      await views.stop()
      await comparer.stop()
      await follower.stop()
      await judge.stop()
      await lock.release()
      await db.close()
    }
    const context = { store, follower, url, clock }
    return {
      store,
      follower,
      judge,
      probe,
      views,
      context,
      witness: cosigners.length > 0 ? witness : undefined,
      comparer,
      owners,
      close,
    }
  } catch (error) {
    await db.close()
    throw error
  }
}

/** The HTTP server of a monitor. */
export async function buildMonitorHttp(
  { context, owners, witness }: OpenedMonitor,
  options: { config: MonitorConfig; logger: Logger; health: Health; metrics: Metrics },
): Promise<Http> {
  const { config, health, logger, metrics } = options
  const app = await buildHttp({
    info: {
      title: 'dslog monitor',
      version: '1',
      description: 'Verifies a transparency log for DNSSEC delegations',
    },
    logger,
    health,
    metrics,
    trustProxy: config.trustProxy,
  })
  statusRoutes(app, context)
  evidenceRoutes(app, context)
  changeRoutes(app, context)
  feedRoutes(app, context, owners.context.info.url)
  subscriptionRoutes(app, owners.context)
  statementRoutes(app, owners.context)
  alertRoutes(app, owners.context)
  pageRoutes(app, owners.context)
  if (witness !== undefined) await witnessRoutes(app, witness)
  return app
}

/** A monitor as components of a process, in the order in which they start. */
export function monitorComponents(options: OpenOptions): {
  components: Component[]
  /** After the start. */
  opened(): OpenedMonitor
  /** Port it listens on, after the start. */
  port(): number
} {
  const { clock = systemClock, config, logger } = options
  const health = new Health(logger)
  const metrics = new Metrics('monitor')
  let opened: OpenedMonitor | undefined
  let app: Http | undefined
  const current = (): OpenedMonitor => {
    if (opened === undefined) throw new Error('the monitor has not been opened')
    return opened
  }
  const monitor: Component = {
    name: 'monitor',
    async start(fail) {
      opened = await openMonitor({ ...options, onLost: fail })
      observe(opened, metrics, clock)
      const { context, outbox } = opened.owners
      observeOwners({ db: context.db, outbox }, metrics, clock)
      // A log that fails is no reason to turn away who asks for the evidence.
      health.ready('database', async () => {
        await current().store.ping()
        return undefined
      })
    },
    stop: () => current().close(),
  }
  const follower: Component = {
    name: 'follower',
    start(fail) {
      current().follower.start(fail)
      current().comparer.start(fail)
    },
  }
  const judge: Component = {
    name: 'judge',
    start(fail) {
      current().judge.start(fail)
      current().probe?.start(fail)
      current().views.start(fail)
    },
  }
  const owners: Component = {
    name: 'owners',
    start: (fail) => current().owners.component.start(fail),
    stop: () => current().owners.component.stop?.(),
  }
  const server: Component = {
    name: 'monitor http',
    async start(fail) {
      app = await buildMonitorHttp(current(), { config, logger, health, metrics })
      await httpComponent(app, { health, host: config.host, port: config.port }).start(fail)
    },
    async stop() {
      health.stopping()
      await app?.close()
    },
  }
  const port = (): number => {
    const address = app?.server.address()
    return typeof address === 'object' && address !== null ? address.port : config.port
  }
  const components = [monitor, owners, follower, judge, server]
  return { components, opened: current, port }
}

/** An HTTP client that ends with the monitor, also where a request has no end of its own. */
class EndingHttp extends HttpClient {
  readonly #end: AbortSignal

  constructor(clock: Clock, end: AbortSignal) {
    const edges = { fetch: globalThis.fetch, now: clock, random: Math.random }
    super(edges, { headers: { 'user-agent': USER_AGENT } })
    this.#end = end
  }

  override request(url: string, request: HttpRequest): Promise<HttpAnswer> {
    return super.request(url, { signal: this.#end, ...request })
  }
}

async function readPolicy(path: string): Promise<Policy> {
  try {
    return parsePolicy(await readFile(path))
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new MonitorError('policy', `${path}: ${reason}`, { cause })
  }
}

/** The log to follow: the policy may list several keys of it, but not several logs. */
function logOf(policy: Policy, configured: string | undefined): { origin: string; url: string } {
  const [origin, ...others] = new Set(policy.logs.map(({ key }) => key.name))
  if (origin === undefined || others.length > 0) {
    throw new MonitorError('policy', 'a monitor follows one log: the policy must list that alone')
  }
  const url = configured ?? policy.logs.find((log) => log.url !== undefined)?.url
  if (url === undefined) {
    throw new MonitorError('policy', 'no URL of the log: set DSLOG_MONITOR_LOG_URL')
  }
  return { origin, url }
}
