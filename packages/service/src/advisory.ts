/**
 * Locks of a PostgreSQL server that at most one process holds: session-level advisory locks, each on a connection of its
 * own. The server frees it when that connection ends, also when this process dies; so the loss of the connection is the loss
 * of the lock.
 */
import pg from 'pg'
import { DatabaseError } from './database-error.ts'
import type { ExclusiveLock } from './db.ts'
import { pause, pauseAfter } from './outage.ts'

/** How often the holder of a lock asks whether it still has it, ms: how long two may believe in it. */
const LOCK_CHECK_INTERVAL = 2_000

/** An answer to that question that takes longer means that the connection is gone, ms. */
const LOCK_CHECK_TIMEOUT = 5_000

/** Takes a lock, or throws DatabaseError `held`. */
export async function lockExclusive(
  connection: pg.ClientConfig,
  name: string,
  onLost: (error: Error) => void,
): Promise<ExclusiveLock> {
  const client = new pg.Client({ ...connection, query_timeout: LOCK_CHECK_TIMEOUT })
  let held = false
  let check: NodeJS.Timeout | undefined = undefined
  const lost = (error: Error): void => {
    if (!held) return
    held = false
    clearInterval(check)
    client.end().catch(() => {})
    onLost(error)
  }
  client.on('error', lost)
  client.on('end', () => lost(new Error(`the connection of lock ${name} has ended`)))
  try {
    await client.connect()
    const { rows } = await client.query<{ taken: boolean }>(TAKE_LOCK, [name])
    if (rows[0]?.taken !== true) throw await whoHolds(client, name)
  } catch (error) {
    await client.end()
    throw error
  }
  held = true
  check = setInterval(() => {
    client.query<{ holds: boolean }>(HOLDS_LOCK, [name]).then(({ rows }) => {
      if (rows[0]?.holds !== true) lost(new Error(`lock ${name} is no longer held`))
    }, lost)
  }, LOCK_CHECK_INTERVAL)
  return {
    async release() {
      held = false
      clearInterval(check)
      await client.end()
    },
  }
}

/** Told of a lock that is kept. */
export interface KeptEvents {
  readonly onLost: (error: Error) => void
  readonly onTaken: () => void
}

/**
 * Takes a lock again and again when it is lost. Who has it meanwhile may be another process, or a session of our own whose
 * end the server has not noticed: either way it is waited for.
 *
 * @throws DatabaseError `held`, the first time
 */
export async function keepExclusive(
  take: (onLost: (error: Error) => void) => Promise<ExclusiveLock>,
  { onLost, onTaken }: KeptEvents,
): Promise<ExclusiveLock> {
  const ending = new AbortController()
  const { signal } = ending
  let lock: ExclusiveLock | undefined
  let taking: Promise<void> | undefined
  const lost = (error: Error): void => {
    lock = undefined
    onLost(error)
    taking = takeAgain()
  }
  const takeAgain = async (): Promise<void> => {
    for (let failures = 1; !signal.aborted; failures++) {
      await pause(pauseAfter(failures), signal).catch(() => {})
      if (signal.aborted) return
      lock = await take(lost).catch(() => undefined)
      if (lock !== undefined) return onTaken()
    }
  }
  lock = await take(lost)
  return {
    async release() {
      ending.abort()
      await taking
      await lock?.release()
    },
  }
}

async function whoHolds(client: pg.Client, name: string): Promise<DatabaseError> {
  const { rows } = await client.query<Record<'pid' | 'application' | 'address', string>>(
    LOCK_HOLDER,
    [name],
  )
  // It may be gone by now; trying again is up to the supervisor.
  const { pid = '?', application = '?', address = '?' } = rows[0] ?? {}
  return new DatabaseError(
    'held',
    `lock ${name} is held by server process ${pid} (${application}, ${address})`,
  )
}

const TAKE_LOCK = 'select pg_try_advisory_lock(hashtextextended($1, 0)) as taken'

/** pg_locks shows the two halves of the 64-bit key. */
const LOCK_ROW = `locktype = 'advisory' and granted and objsubid = 1
  and (classid::int8 << 32 | objid::int8) = hashtextextended($1, 0)`

const HOLDS_LOCK = `select exists (
  select from pg_locks where pid = pg_backend_pid() and ${LOCK_ROW}) as holds`

const LOCK_HOLDER = `select pid, application_name as application, coalesce(host(client_addr), 'local') as address
  from pg_locks join pg_stat_activity using (pid) where ${LOCK_ROW}`
