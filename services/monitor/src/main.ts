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
import { buildHttp, type Http } from '@dslog/service/http'
import type { Logger } from '@dslog/service/log'
import { migrate } from '@dslog/service/migrate'
import {
  openServiceDatabase,
  type Reporting,
  type Service,
  serviceOf,
} from '@dslog/service/service'
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
const MONITOR_FILES = { policy: 'policy', witnessed: 'witnessed.jsonl' } as const

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
  const db = await openServiceDatabase<MonitorTables>('monitor', options)
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

/** A monitor as components of a process. */
export function monitorService(options: OpenOptions): Service<OpenedMonitor> {
  const { clock = systemClock, config } = options
  return serviceOf<OpenedMonitor>({
    ...options,
    name: 'monitor',
    async open({ health, metrics }, fail) {
      const opened = await openMonitor({ ...options, onLost: fail })
      observe(opened, metrics, clock)
      const { context, outbox } = opened.owners
      observeOwners({ db: context.db, outbox }, metrics, clock)
      // A log that fails is no reason to turn away who asks for the evidence.
      health.ready('database', async () => {
        await opened.store.ping()
        return undefined
      })
      return opened
    },
    parts: [
      {
        name: 'owners',
        start: ({ owners }, fail) => owners.component.start(fail),
        stop: ({ owners }) => owners.component.stop?.(),
      },
      {
        name: 'follower',
        start({ comparer, follower }, fail) {
          follower.start(fail)
          comparer.start(fail)
        },
      },
      {
        name: 'judge',
        start({ judge, probe, views }, fail) {
          judge.start(fail)
          probe?.start(fail)
          views.start(fail)
        },
      },
    ],
    http: (opened, reporting) => buildMonitorHttp(opened, config, reporting),
  })
}

async function buildMonitorHttp(
  { context, owners, witness }: OpenedMonitor,
  { trustProxy }: MonitorConfig,
  reporting: Reporting,
): Promise<Http> {
  const app = await buildHttp({
    info: {
      title: 'dslog monitor',
      version: '1',
      description: 'Verifies a transparency log for DNSSEC delegations',
    },
    ...reporting,
    trustProxy,
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
