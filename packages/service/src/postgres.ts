/**
 * A PostgreSQL server as the database: a pool, COPY streams, and an exclusive lock that notices when it is lost.
 */
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import pg from 'pg'
import { from as copyFrom } from 'pg-copy-streams'
import { DatabaseError } from './database-error.ts'
import type { DatabaseOptions, Driver, ExclusiveLock } from './db.ts'
import { ClientPool, valueTypes } from './pool.ts'

/** Connections of one service: a sequencer, a few readers; PostgreSQL's own default allows 100 in all. */
const POOL_SIZE = 10

/** Longest statement, ms; migrations are exempt (migrate.ts). */
const STATEMENT_TIMEOUT = 60_000

/** Longest wait for a lock, ms: a writer has its tables for itself, so somebody else does what he should not. */
const LOCK_TIMEOUT = 10_000

/** Longest silence inside a transaction, ms: its locks, and what vacuum has to keep for it, cost others. */
const IDLE_TIMEOUT = 60_000

/** Longest wait for a connection, a new one included, ms. */
const ACQUIRE_TIMEOUT = 10_000

/** How often the holder of a lock asks whether it still has it, ms: how long two may believe in it. */
const LOCK_CHECK_INTERVAL = 2_000

/** An answer to that question that takes longer means that the connection is gone, ms. */
const LOCK_CHECK_TIMEOUT = 5_000

/** PostgreSQL 15, as the server counts. */
const LOWEST_VERSION = 150_000

/** SQLSTATE of a row, here of the catalogue, that is there already. */
const UNIQUE_VIOLATION = '23505'

/** Schema names are put into connection options as they are. */
const SCHEMA = /^[a-z_][a-z0-9_]{0,62}$/

/** Statements are short and alike: compiling one, which the planner may choose, takes longer than running it. */
const SETTINGS = '-c jit=off'

/** Opens a pool to a server, and creates the schema when it is missing. */
export async function openPostgres(options: DatabaseOptions & { url: string }): Promise<Driver> {
  const { schema, applicationName = 'dslog', logger } = options
  if (schema !== undefined && !SCHEMA.test(schema)) throw new RangeError(`schema name ${schema}`)
  const connection: pg.ClientConfig = {
    connectionString: options.url,
    application_name: applicationName,
    keepAlive: true,
    connectionTimeoutMillis: options.acquireTimeout ?? ACQUIRE_TIMEOUT,
    options: schema === undefined ? SETTINGS : `${SETTINGS} -c search_path=${schema}`,
  }
  const pool = new pg.Pool({
    ...connection,
    max: options.poolSize ?? POOL_SIZE,
    statement_timeout: options.statementTimeout ?? STATEMENT_TIMEOUT,
    lock_timeout: LOCK_TIMEOUT,
    idle_in_transaction_session_timeout: IDLE_TIMEOUT,
    types: valueTypes,
  })
  // An idle connection broke, as they do when the server restarts; the pool makes a new one.
  pool.on('error', (error) => logger?.warn({ err: error }, 'idle database connection lost'))
  try {
    await requireVersion(pool)
    if (schema !== undefined) await createSchema(pool, schema)
  } catch (error) {
    await pool.end()
    throw error
  }
  return {
    kind: 'postgres',
    pool: new ClientPool(pool, async (client, sql, rows) => {
      await pipeline(Readable.from(rows.chunks), client.query(copyFrom(sql)))
    }),
    lockExclusive: (name, onLost) =>
      lockExclusive(
        { ...connection, application_name: `${applicationName} lock ${name}` },
        `${schema ?? ''}/${name}`,
        onLost,
      ),
    async close() {
      if (!pool.ending) await pool.end()
    },
  }
}

async function requireVersion(pool: pg.Pool): Promise<void> {
  const { rows } = await pool.query<{ version: number }>(
    "select current_setting('server_version_num')::int4 as version",
  )
  const version = rows[0]?.version ?? 0
  if (version < LOWEST_VERSION) {
    throw new DatabaseError('version', `PostgreSQL ${version} is older than ${LOWEST_VERSION}`)
  }
}

/** IF NOT EXISTS alone would ask for the right to create, also where there is nothing to create. */
async function createSchema(pool: pg.Pool, schema: string): Promise<void> {
  const { rowCount } = await pool.query('select 1 from pg_namespace where nspname = $1', [schema])
  if (rowCount !== 0) return
  await pool.query(`create schema if not exists ${schema}`).catch((error: unknown) => {
    // Another process did it at the same moment.
    if (!(error instanceof pg.DatabaseError) || error.code !== UNIQUE_VIOLATION) throw error
  })
}

/**
 * A session-level advisory lock on a connection of its own. The server frees it when that connection ends, also when this
 * process dies; so the loss of the connection is the loss of the lock.
 */
async function lockExclusive(
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
