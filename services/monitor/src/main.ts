/**
 * Puts a monitor together out of its configuration: database, follower, HTTP. `dslog monitor` runs it
 * alone, `dslog up` beside others.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type HttpAnswer, HttpClient, type HttpRequest } from '@dslog/tlog/http'
import { parsePolicy, type Policy } from '@dslog/tlog/policy'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import type { MonitorTables } from '@dslog/schema/db'
import { MONITOR_MIGRATIONS } from '@dslog/schema/migrate'
import { readAnchors } from '@dslog/service/anchors'
import { type Clock, systemClock } from '@dslog/service/clock'
import { buildHttp, type Http } from '@dslog/service/http'
import type { PressureLimits } from '@dslog/service/http/pressure'
import type { Logger } from '@dslog/service/log'
import { migrate } from '@dslog/service/migrate'
import { openServiceDatabase, type Service, serviceOf, type Serving } from '@dslog/service/service'
import { VERSION } from '@dslog/service/version'
import { Judge } from './cases.ts'
import { Changes } from './changes.ts'
import type { EgressEdges } from './channel/egress.ts'
import { openDns } from './dns.ts'
import type { MonitorConfig } from './config.ts'
import { MonitorError } from './error.ts'
import { type FollowedLog, judged, logsOf, openLogs } from './followed.ts'
import { Forwarder } from './forward.ts'
import { observe } from './observe.ts'
import { observeOwners } from './observe-owners.ts'
import { openOwners, type Owners } from './owners.ts'
import { proofsOf } from './proofs.ts'
import { alertRoutes } from './route/alerts.ts'
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
import { ViewReader } from './views.ts'
import { cosignersOf, Witness } from './witness.ts'
import { WitnessedFile, WitnessedTable } from './witnessed.ts'

/** How the monitor names itself to the log. */
export const USER_AGENT: string = `dslog-monitor/${VERSION}`

/** Files of a monitor in its data folder. */
const MONITOR_FILES = { policy: 'policy', witnessed: 'witnessed.jsonl' } as const

/** The parts that a monitor is made of. */
export interface OpenedMonitor {
  /** In the order of the policy. */
  readonly logs: readonly FollowedLog[]
  readonly judge: Judge
  readonly forwarder: Forwarder
  /** Unless the monitor is told not to ask. */
  readonly probe: Probe | undefined
  readonly views: ViewReader
  readonly context: MonitorContext
  /** If the monitor has a key to cosign with. */
  readonly witness: Witness | undefined
  readonly owners: Owners
  close(): Promise<void>
}

export interface OpenOptions {
  readonly config: MonitorConfig
  readonly logger: Logger
  readonly clock?: Clock
  readonly onLost?: (error: Error) => void
  /** When its HTTP server counts as overloaded; `false` for never. */
  readonly pressure?: PressureLimits | false
  /** Where requests to subscribers' webhooks go by; for tests. */
  readonly edges?: EgressEdges
}

/**
 * Opens a monitor, its tables up to date, where it was left.
 *
 * @throws MonitorError why it must not go on
 */
export async function openMonitor(options: OpenOptions): Promise<OpenedMonitor> {
  const { clock = systemClock, config, logger } = options
  const policy = await readPolicy(config.policy ?? join(config.data, MONITOR_FILES.policy))
  const places = logsOf(policy, config.logUrl)
  const cosigners = cosignersOf({ witness: config.witnessKey, auditor: config.auditorKey }, clock)
  const anchors = await readAnchors(config.anchors)
  const db = await openServiceDatabase<MonitorTables>('monitor', options)
  try {
    const lock = await db.keepExclusive('monitor')
    await migrate(db, MONITOR_MIGRATIONS)
    const stopping = new AbortController()
    const backend = nodeBackend()
    const http = new EndingHttp(clock, stopping.signal)
    const verifier = { anchors, backend }
    const own = new Set(cosigners.map(({ signer: { key } }) => `${key.name}+${key.id}`))
    const { interval } = config
    const logs = await openLogs(places, { db, http, verifier, clock, logger, interval, own })
    const witnessed = join(config.data, MONITOR_FILES.witnessed)
    const witness = new Witness({
      logKeys: policy.logs.map(({ key }) => key),
      cosigners,
      memory: db.kind === 'embedded' ? new WitnessedFile(witnessed) : new WitnessedTable(db),
      followerOf: (origin) => logs.find((log) => log.origin === origin)!.follower,
      signal: stopping.signal,
    })
    const judge = new Judge({ db, logs: logs.map(judged), clock, digests: backend })
    const forwarder = new Forwarder({ db, logs, verifier, clock, logger })
    const owners = await openOwners({
      config,
      db,
      clock,
      logger,
      http,
      logs: logs.map(({ comparer, follower, origin }) => ({
        origin,
        status: () => follower.status,
        witnesses: () => comparer.witnesses,
      })),
      proofs: proofsOf({ logs, http, policy, verifier, logger }),
      software: USER_AGENT,
      url: config.publicUrl ?? `http://${config.host}:${config.port}`,
      ...(options.edges !== undefined && { edges: options.edges }),
    })
    const dns = config.probe ? openDns(config, { anchors, backend, clock }) : undefined
    const unlogged = logs.map((log) => log.unlogged)
    const probe =
      dns && new Probe({ db, ...dns, backend, unlogged, clock, logger, random: Math.random })
    const { crawlers } = config
    const views = new ViewReader({ db, http, crawlers, digests: backend, clock, logger })
    const close = async (): Promise<void> => {
      // Each is told before its requests are ended, so that it knows why they end.
      const looking = logs.flatMap(({ comparer, follower }) => [comparer, follower])
      const parts = [...looking, forwarder, views, judge, ...(probe === undefined ? [] : [probe])]
      const stopped = Promise.all(parts.map((part) => part.stop()))
      stopping.abort()
      await dns?.close()
      await stopped
      await lock.release()
      await db.close()
    }
    return {
      logs,
      judge,
      forwarder,
      probe,
      views,
      context: { db, logs, changes: new Changes(db), clock },
      witness: cosigners.length > 0 ? witness : undefined,
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
      metrics.observeDatabase(opened.context.db)
      const { context, outbox } = opened.owners
      observeOwners({ db: context.db, outbox }, metrics, clock)
      // A log that fails is no reason to turn away who asks for the evidence.
      health.ready('database', async () => {
        await opened.context.db.kysely.selectFrom('followed').select('log').execute()
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
        async start({ logs }, fail) {
          for (const { comparer, follower } of logs) {
            await follower.start(fail)
            await comparer.start(fail)
          }
        },
      },
      {
        name: 'judge',
        async start({ forwarder, judge, probe, views }, fail) {
          await judge.start(fail)
          await forwarder.start(fail)
          await probe?.start(fail)
          await views.start(fail)
        },
      },
    ],
    http: (opened, serving) => buildMonitorHttp(opened, config, serving),
  })
}

async function buildMonitorHttp(
  { context, owners, witness }: OpenedMonitor,
  { trustProxy }: MonitorConfig,
  serving: Serving,
): Promise<Http> {
  const app = await buildHttp({
    info: {
      title: 'dslog monitor',
      version: '1',
      description: 'Verifies transparency logs for DNSSEC delegations',
    },
    ...serving,
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
