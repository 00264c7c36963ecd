/**
 * The audit that goes on where the last one stopped: one look of the monitor at the log
 * (@dslog/monitor/follow), with a database in the state folder. The new checkpoint must continue the
 * saved one, and only what came since is read. A crash loses nothing that was verified.
 *
 *   DIR/anchors                 trust anchors that all of it was verified with
 *   DIR/db                      the database
 *   DIR/evidence-<n>-<kind>.json
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { MisbehaviourError } from '@dslog/tlog/misbehaviour'
import { formatAnchors } from '@dslog/dnssec/anchors'
import type { MonitorTables } from '@dslog/schema/db'
import { MONITOR_MIGRATIONS } from '@dslog/schema/migrate'
import { decodeFinding } from '@dslog/monitor/evidence'
import { evidenceAfter } from '@dslog/monitor/findings'
import { Follower } from '@dslog/monitor/follow'
import type { FollowStatus } from '@dslog/monitor/standing'
import { MonitorStore } from '@dslog/monitor/store'
import { systemClock } from '@dslog/service/clock'
import { type Database, openDatabase } from '@dslog/service/db'
import { ensureFolder, writeFileAtomic } from '@dslog/service/files'
import { createLogger } from '@dslog/service/log'
import { migrate } from '@dslog/service/migrate'
import { EXIT, Failure } from '../failure.ts'
import { type AuditContext, type AuditReport, type Caught, checkTiles } from './audit.ts'

const ANCHORS_FILE = 'anchors'
const DATABASE_FOLDER = 'db'
/** How often progress is looked at, ms. */
const PROGRESS_INTERVAL = 200
/** Most pieces of evidence that are listed. */
const MAX_LISTED = 1_000

/** Audits what is new since the last audit with this folder. */
export async function auditResumed(context: AuditContext, folder: string): Promise<AuditReport> {
  const { client, policy, verifier } = context
  await ensureFolder(folder, 0o700)
  await demandSameAnchors(folder, context)
  const logger = createLogger({ service: 'audit', level: 'silent' })
  const db = await openDatabase<MonitorTables>({ folder: join(folder, DATABASE_FOLDER), logger })
  try {
    await migrate(db, MONITOR_MIGRATIONS)
    const { origin } = client.pinned.checkpoint
    await demandSameLog(db, origin, folder)
    const store = await MonitorStore.enter(db, origin)
    const follower = await Follower.open({
      client,
      policy,
      store,
      verifier,
      clock: systemClock,
      logger,
      // One look takes as long as it takes.
      interval: Infinity,
      // Nobody looks again in a minute: what is shown now is what the auditor is told of.
      patience: 0,
    })
    const from = follower.status.size
    const hasBadTiles = await keepBadTiles(context, store, from)
    await look(follower, context)
    const { mapKeys: names, size, state } = follower.status
    if (hasBadTiles || state === 'misbehaving') {
      return { from, size, names, caught: await evidenceOf(db, origin), unchecked: [] }
    }
    // What an earlier audit found, and is well again now, stays in the folder.
    demandDone(follower.status)
    return { from, size, names, caught: [], unchecked: [] }
  } finally {
    await db.close()
  }
}

/** What was verified with other anchors was not verified. */
async function demandSameAnchors(folder: string, { verifier }: AuditContext): Promise<void> {
  const path = join(folder, ANCHORS_FILE)
  const anchors = formatAnchors(verifier.anchors)
  let before
  try {
    before = await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    return writeFileAtomic(path, anchors)
  }
  if (before === anchors) return
  throw new Failure(
    EXIT.usage,
    `${folder} is of an audit with other trust anchors: take another folder`,
  )
}

/** An audit is of one log: what was found of another would stand beside it. */
async function demandSameLog(
  { kysely }: Database<MonitorTables>,
  origin: string,
  folder: string,
): Promise<void> {
  const row = await kysely.selectFrom('followed').select('origin').executeTakeFirst()
  if (row === undefined || row.origin === origin) return
  throw new Failure(
    EXIT.usage,
    `${folder} follows ${row.origin}, not ${origin}: take another folder`,
  )
}

async function keepBadTiles(
  { client }: AuditContext,
  store: MonitorStore,
  from: number,
): Promise<boolean> {
  try {
    await checkTiles(client, from)
    return false
  } catch (error) {
    if (!(error instanceof MisbehaviourError)) throw error
    await store.keep(error.misbehaviour, error.message, from, Date.now())
    return true
  }
}

async function look(follower: Follower, { progress }: AuditContext): Promise<void> {
  const timer = setInterval(() => progress.step(follower.status.size), PROGRESS_INTERVAL)
  try {
    await follower.round(new AbortController().signal)
  } finally {
    clearInterval(timer)
  }
}

async function evidenceOf(db: Database<MonitorTables>, origin: string): Promise<Caught[]> {
  const rows = await evidenceAfter(db, 0, MAX_LISTED, origin)
  return rows.map(({ detail, evidence, found_at: foundAt, kind }) => {
    return { finding: decodeFinding(kind, evidence), detail, foundAt }
  })
}

/** A log that did not show all of its tree was not audited. */
function demandDone({ backlog, detail, state }: FollowStatus): void {
  if (backlog === 0 && (state === 'following' || state === 'stale')) return
  const code = state === 'unreachable' ? EXIT.service : EXIT.unverified
  throw new Failure(code, `the log is ${state}: ${detail ?? 'no reason is known'}`)
}
