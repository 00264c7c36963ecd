/**
 * A process that serves what another one writes (`dslog log --read-only`): every route that reads, from
 * the tables of the log, on its server or on a standby. It has no key, takes no evidence and needs no
 * more than the right to select; as many as one likes may run. See follower.ts for what it believes.
 *
 * An auditor that cosigns before publication reads trees that are signed and not published yet: those
 * only the process that writes has.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { verifierOf } from '@dslog/tlog/cosignature'
import { formatVkey } from '@dslog/tlog/key'
import { parsePolicy, type Policy } from '@dslog/tlog/policy'
import { formatAnchors } from '@dslog/dnssec/anchors'
import type { LogTables } from '@dslog/schema/db'
import { LOG_MIGRATIONS } from '@dslog/schema/migrate'
import { readAnchors } from '@dslog/service/anchors'
import { systemClock, Ticker } from '@dslog/service/clock'
import { ConfigError } from '@dslog/service/config'
import type { Database } from '@dslog/service/db'
import { demandMigrated } from '@dslog/service/migrate'
import { isOutage } from '@dslog/service/outage'
import { openServiceDatabase, type Service, serviceOf } from '@dslog/service/service'
import type { LogConfig } from './config.ts'
import { LogError } from './error.ts'
import { LOG_FILES, LOG_SCHEMA } from './files.ts'
import { Follower } from './follower.ts'
import { buildLogHttp } from './http.ts'
import { type OpenOptions, observeTree, SOFTWARE, zoneListOf } from './main.ts'
import { policyText } from './policy.ts'
import { LogReader } from './reader.ts'
import type { LogContext } from './route/context.ts'
import { shortestInterval } from './witness-setup.ts'

/** How often it is looked for a new tree, ms: as much later than the log readers see one. */
const LOOK_MS = 250

/** A follower that has not seen the tables for so long, ms, is sent no readers. */
const BLIND_MS = 10_000

/** A log that is read, and the routes of it. */
export interface OpenedReader {
  readonly follower: Follower
  readonly db: Database<LogTables>
  readonly context: LogContext
  close(): Promise<void>
}

/**
 * Opens the tables of a log to read them.
 *
 * @throws ConfigError on an embedded database; LogError `key` without a policy of this log; as Follower.open
 */
export async function openReader(
  options: Pick<OpenOptions, 'config' | 'logger'>,
): Promise<OpenedReader> {
  const { config } = options
  if (config.databaseUrl === undefined) {
    throw new ConfigError([
      'an embedded database is of one process alone: reading beside it needs DATABASE_URL',
    ])
  }
  const policy = await readPolicy(config)
  const anchors = await readAnchors(config.anchors)
  const db = await openServiceDatabase<LogTables>(LOG_SCHEMA, options)
  try {
    await demandMigrated(db, LOG_MIGRATIONS)
    const verifiers = policy.logs.map(({ key }) => verifierOf(key))
    const follower = await Follower.open({ db, verifiers, anchors })
    const vkeys = policy.logs.map(({ key }) => formatVkey(key))
    const context: LogContext = {
      reader: new LogReader(follower, db),
      admitter: undefined,
      onPublished: (listener) => follower.onPublished(listener),
      isFrozen: () => follower.isFrozen,
      zones: zoneListOf(config),
      vkeys,
      anchors: config.anchors === undefined ? undefined : formatAnchors(anchors),
      monitor: config.monitor,
      policy: policyText(vkeys, config.url, policy),
      publishInterval: Math.max(config.publishInterval, shortestInterval(policy)),
      announcement: config.announcement,
      operatorToken: undefined,
      software: SOFTWARE,
    }
    return { follower, db, context, close: () => db.close() }
  } catch (error) {
    await db.close()
    throw error
  }
}

async function readPolicy(config: LogConfig): Promise<Policy> {
  const path = config.policy ?? join(config.data, LOG_FILES.policy)
  try {
    return parsePolicy(await readFile(path))
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new LogError('key', `no policy with the keys of the log: ${reason}`, { cause })
  }
}

/** A log that is read, as components of a process. */
export function readService(options: OpenOptions): Service<OpenedReader> {
  const { clock = systemClock, config, logger } = options
  let ticker: Ticker | undefined
  let seen = performance.now()
  let trouble: string | undefined
  return serviceOf<OpenedReader>({
    ...options,
    name: 'log',
    async open({ health, metrics }) {
      const opened = await openReader(options)
      observeTree(() => opened.follower.tree, metrics, clock)
      health.ready('following', () => {
        return performance.now() - seen > BLIND_MS ? 'the log cannot be followed' : undefined
      })
      return opened
    },
    parts: [
      {
        name: 'follower',
        start({ follower }) {
          ticker = new Ticker({
            interval: LOOK_MS,
            async run() {
              await follower.look()
              if (trouble !== undefined) logger.info('the log is followed again')
              seen = performance.now()
              trouble = undefined
            },
            onError(error) {
              // What is shown stays shown; a server that restarts is no reason to end.
              const { message } = error as Error
              if (message === trouble) return
              trouble = message
              if (isOutage(error)) logger.warn({ reason: message }, 'the log cannot be followed')
              else logger.error({ err: error }, 'the log cannot be followed')
            },
          })
        },
        stop: () => ticker?.stop(),
      },
    ],
    http: ({ context }, serving) => buildLogHttp(context, config, serving),
  })
}
