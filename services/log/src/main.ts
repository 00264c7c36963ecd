/**
 * Puts a log service together out of its configuration: database, log, sequencer, HTTP. `dslog log`
 * runs it alone, `dslog up` beside others, and `dslog import` on a folder uses it without HTTP, so that is loaded only
 * when a service starts.
 */
import { join } from 'node:path'
import { formatVkey } from '@dslog/tlog/key'
import { formatAnchors } from '@dslog/dnssec/anchors'
import type { SignatureBackend } from '@dslog/dnssec/backend/backend'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { nameFromText } from '@dslog/dnssec/name'
import type { LogTables } from '@dslog/schema/db'
import { LOG_MIGRATIONS } from '@dslog/schema/migrate'
import { readAnchors } from '@dslog/service/anchors'
import { type Clock, systemClock } from '@dslog/service/clock'
import { ConfigError } from '@dslog/service/config'
import type { Database } from '@dslog/service/db'
import type { PressureLimits } from '@dslog/service/http/pressure'
import type { Logger } from '@dslog/service/log'
import type { Metrics } from '@dslog/service/metrics'
import { migrate } from '@dslog/service/migrate'
import { SynchronousStandby } from '@dslog/service/replication'
import { openServiceDatabase, type Service, serviceOf } from '@dslog/service/service'
import { VERSION } from '@dslog/service/version'
import { Admitter } from './admit.ts'
import type { LogConfig } from './config.ts'
import { DiskGuard } from './disk.ts'
import { LOG_FILES, LOG_SCHEMA } from './files.ts'
import { noteSignerOf, readKeyFile, readKeys } from './key.ts'
import { JudgePool } from './judge/pool.ts'
import { Loader } from './load.ts'
import { createLog } from './create.ts'
import { Log, type LogOptions } from './log.ts'
import { policyText } from './policy.ts'
import { observePublishers, publishersOf } from './publish/setup.ts'
import type { Publisher } from './publish/publisher.ts'
import { LogReader } from './reader.ts'
import type { PublishedTree } from './shown.ts'
import type { LogContext } from './route/context.ts'
import { Sequencer } from './sequencer.ts'
import { SignerFile, SignerInTable } from './signer.ts'
import type { Witnesses } from './witness.ts'
import { observeWitnesses, shortestInterval, witnessesOf } from './witness-setup.ts'
import { ZoneList } from './zones.ts'

/** Shown in `/v1/log`. */
export const SOFTWARE: string = `dslog/${VERSION}`

/** The parts that a log service is made of, and those that other programs use it by. */
export interface OpenedLog {
  readonly log: Log
  readonly db: Database<LogTables>
  readonly sequencer: Sequencer
  readonly admitter: Admitter
  /** Threads that judge what comes over HTTP. */
  readonly pool: JudgePool | undefined
  readonly reader: LogReader
  readonly context: LogContext
  readonly witnesses: Witnesses | undefined
  close(): Promise<void>
}

export interface OpenOptions {
  readonly config: LogConfig
  readonly logger: Logger
  readonly clock?: Clock
  /** Creates the log if there is none: an explicit act. */
  readonly create?: boolean
  readonly onLost?: (error: Error) => void
  /** When its HTTP server counts as overloaded; `false` for never. */
  readonly pressure?: PressureLimits | false
  /** Verifies what is judged on this thread; by `node:crypto` unless told. */
  readonly backend?: SignatureBackend
}

/** Opens the database of a log, its tables up to date, and gathers what a Log needs. */
export async function openLogDatabase(options: OpenOptions): Promise<LogOptions> {
  const { clock = systemClock, config, logger, onLost } = options
  const db = await openServiceDatabase<LogTables>(LOG_SCHEMA, options)
  try {
    await migrate(db, LOG_MIGRATIONS)
    const keys =
      config.key === undefined
        ? await readKeyFile(join(config.data, LOG_FILES.key))
        : readKeys(config.key.reveal())
    const standby = await standbyOf(config, db)
    const file =
      config.signerFile ??
      (db.kind === 'embedded' ? join(config.data, LOG_FILES.signer) : undefined)
    return {
      db,
      signerRow: file === undefined ? new SignerInTable(db) : new SignerFile(file),
      signers: keys.map((key) => noteSignerOf(key, clock)),
      anchors: await readAnchors(config.anchors),
      clock,
      witnesses: await witnessesOf(config, { clock, isEmbedded: db.kind === 'embedded', logger }),
      ...(standby === undefined ? {} : { replicated: () => standby.caughtUp() }),
      ...(onLost === undefined ? {} : { onLost }),
    }
  } catch (error) {
    await db.close()
    throw error
  }
}

async function standbyOf(
  { synchronous }: LogConfig,
  db: Database<LogTables>,
): Promise<SynchronousStandby<LogTables> | undefined> {
  if (!synchronous) return undefined
  if (db.kind === 'embedded') {
    throw new ConfigError(['DSLOG_LOG_SYNCHRONOUS needs a PostgreSQL server: set DATABASE_URL'])
  }
  const standby = new SynchronousStandby(db)
  await standby.demandSettings()
  return standby
}

/** Opens a log, and whatever is needed to submit to it and to read it within this process. */
export async function openLog(options: OpenOptions): Promise<OpenedLog> {
  const stored = await openLogDatabase(options)
  return closing(stored, () => logIn(stored, options))
}

/** A load of a log that nobody has seen yet: see load.ts. */
export interface OpenedLoad {
  readonly loader: Loader
  readonly admitter: Admitter
  close(): Promise<void>
}

/** Opens a log, or a load of it if it is fresh, made now where there is none, or an earlier load was interrupted. */
export async function openLogOrLoad(options: OpenOptions): Promise<OpenedLog | OpenedLoad> {
  const stored = await openLogDatabase(options)
  return closing(stored, async () =>
    (await Loader.isDue(stored)) ? loadOf(stored, options) : logIn(stored, options),
  )
}

/** Lets go of the database if what is to stand on it fails. */
async function closing<T>({ db }: LogOptions, open: () => Promise<T>): Promise<T> {
  try {
    return await open()
  } catch (error) {
    await db.close()
    throw error
  }
}

async function logIn(stored: LogOptions, options: OpenOptions): Promise<OpenedLog> {
  const { backend = nodeBackend(), clock = systemClock, config } = options
  const { db, witnesses } = stored
  if (options.create === true && !(await logExists(db))) await createLog(stored)
  const log = await Log.open(stored)
  const zones = zoneListOf(config)
  const shortest = witnesses === undefined ? 0 : shortestInterval(witnesses.policy)
  const publishInterval = Math.max(config.publishInterval, shortest)
  const disk = diskOf(config)
  const sequencer = new Sequencer(log, { interval: publishInterval, clock, disk })
  const pool =
    config.judges === 0
      ? undefined
      : new JudgePool({ log, threads: config.judges, zones: zones.added })
  const admitter = new Admitter({
    log,
    sink: sequencer,
    zones,
    backend,
    clock,
    pool,
  })
  const reader = new LogReader(log, db)
  const vkeys = stored.signers.map(({ key }) => formatVkey(key))
  const context: LogContext = {
    reader,
    admitter,
    onPublished: (listener) => sequencer.onPublished(listener),
    isFrozen: () => sequencer.isFrozen,
    zones,
    vkeys,
    anchors: config.anchors === undefined ? undefined : formatAnchors(stored.anchors),
    monitor: config.monitor,
    policy: policyText(vkeys, config.url, witnesses?.policy),
    publishInterval,
    announcement: config.announcement,
    operatorToken: config.operatorToken,
    software: SOFTWARE,
  }
  const close = async (): Promise<void> => {
    await pool?.close()
    await log.close()
    await db.close()
  }
  return { log, db, sequencer, admitter, pool, reader, context, witnesses, close }
}

async function loadOf(stored: LogOptions, options: OpenOptions): Promise<OpenedLoad> {
  const { backend = nodeBackend(), clock = systemClock, config } = options
  const loader = await Loader.open(stored)
  const { log } = loader
  const zones = zoneListOf(config)
  const admitter = new Admitter({ log, sink: loader, zones, backend, clock })
  const close = async (): Promise<void> => {
    await log.close()
    await stored.db.close()
  }
  return { loader, admitter, close }
}

/** What is written to on this machine. */
function diskOf({ data, diskPaths, diskReserve, publishFolder }: LogConfig): DiskGuard {
  const paths = [data, ...diskPaths, ...(publishFolder === undefined ? [] : [publishFolder])]
  return new DiskGuard({ paths, reserve: diskReserve })
}

export function zoneListOf(config: LogConfig): ZoneList {
  return new ZoneList(config.zones.map((text) => nameFromText(text)))
}

async function logExists(db: Database<LogTables>): Promise<boolean> {
  return (await db.kysely.selectFrom('tree').select('id').executeTakeFirst()) !== undefined
}

/** A log as components of a process. */
export function logService(options: OpenOptions): Service<OpenedLog> {
  const { clock = systemClock, config, logger } = options
  let publishing: Publisher[] = []
  return serviceOf<OpenedLog>({
    ...options,
    name: 'log',
    async open({ health, metrics }, fail) {
      const opened = await openLog({ ...options, onLost: fail })
      const { db, log, sequencer, witnesses } = opened
      observeTree(() => log.shown.tree, metrics, clock)
      observe(opened, metrics)
      if (opened.pool !== undefined) observeJudges(opened.pool, metrics, logger)
      if (witnesses !== undefined) observeWitnesses({ log, witnesses }, { clock, health, metrics })
      publishing = publishersOf(opened, config, logger)
      observePublishers(publishing, metrics)
      health.ready('disk', () => sequencer.heldBy())
      health.ready('database', async () => {
        await db.kysely.selectFrom('tree').select('id').execute()
        return undefined
      })
      return opened
    },
    parts: [
      {
        // Before the sequencer: what a place shows of us may forbid us to go on.
        name: 'publishers',
        async start(_opened, fail) {
          for (const publisher of publishing) await publisher.start(fail)
        },
        async stop() {
          await Promise.all(publishing.map((publisher) => publisher.stop()))
        },
      },
      {
        name: 'sequencer',
        start: ({ sequencer }, fail) => sequencer.start(fail),
        stop: ({ sequencer }) => sequencer.stop(),
      },
    ],
    async http({ context }, serving) {
      const { buildLogHttp } = await import('./http.ts')
      return buildLogHttp(context, config, serving)
    },
  })
}

/** What readers are shown, in numbers. */
export function observeTree(
  tree: () => PublishedTree | undefined,
  metrics: Metrics,
  clock: Clock,
): void {
  metrics.gauge({
    name: 'dslog_tree_size',
    help: 'Entries in the published tree',
    collect: (gauge) => gauge.set(tree()?.size ?? 0),
  })
  metrics.gauge({
    name: 'dslog_checkpoint_age_seconds',
    help: 'Time since the newest checkpoint was published',
    collect: (gauge) => {
      const published = tree()
      if (published !== undefined) gauge.set((clock() - published.publishedAt) / 1000)
    },
  })
}

function observeJudges(pool: JudgePool, metrics: Metrics, logger: Logger): void {
  const deaths = metrics.counter({
    name: 'dslog_judge_deaths_total',
    help: 'Threads that judge evidence and ended by themselves; each was replaced',
  })
  pool.onDeath = (error) => {
    deaths.inc()
    logger.error({ err: error }, 'a thread that judges evidence has ended; another takes its place')
  }
}

/** The other numbers an operator watches. */
function observe({ log, sequencer }: OpenedLog, metrics: Metrics): void {
  metrics.gauge({
    name: 'dslog_map_keys',
    help: 'Names and zones in the name map',
    collect: (gauge) => gauge.set(log.tree.key_count),
  })
  metrics.gauge({
    name: 'dslog_disk_low',
    help: '1 while nothing is sequenced because a disk is nearly full',
    collect: async (gauge) => gauge.set((await sequencer.heldBy()) === undefined ? 0 : 1),
  })
  metrics.gauge({
    name: 'dslog_pool_candidates',
    help: 'Verified evidence that waits to be sequenced',
    collect: (gauge) => gauge.set(sequencer.backlog),
  })
}
