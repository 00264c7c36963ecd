/** A PostgreSQL server as the database: a pool, and COPY streams. Its locks are in advisory.ts. */
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import pg from 'pg'
import { from as copyFrom } from 'pg-copy-streams'
import { keepExclusive, lockExclusive } from './advisory.ts'
import { DatabaseError } from './database-error.ts'
import type { DatabaseOptions, Driver, ExclusiveLock } from './db.ts'
import { ClientPool, type CopyIn, valueTypes } from './pool.ts'

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
  // The error holds the connection, and with it the secret by which a server lets queries be cancelled.
  pool.on('error', ({ message }) => {
    logger?.warn({ reason: message }, 'idle database connection lost')
  })
  try {
    await requireVersion(pool)
    if (schema !== undefined) await createSchema(pool, schema)
  } catch (error) {
    await pool.end()
    throw error
  }
  const copyIn: CopyIn = async (client, sql, rows) => {
    await pipeline(Readable.from(rows.chunks), client.query(copyFrom(sql)))
  }
  const clients = new ClientPool(pool, copyIn, logger)
  const lock = (name: string, onLost: (error: Error) => void): Promise<ExclusiveLock> =>
    lockExclusive(
      { ...connection, application_name: `${applicationName} lock ${name}` },
      `${schema ?? ''}/${name}`,
      onLost,
    )
  return {
    kind: 'postgres',
    pool: clients,
    lockExclusive: lock,
    keepExclusive: (name) =>
      keepExclusive((onLost) => lock(name, onLost), {
        onLost(error) {
          logger?.warn({ reason: error.message }, `the lock ${name} is lost: taking it again`)
          clients.close(`the lock ${name} is being taken again`)
        },
        onTaken() {
          logger?.info(`the lock ${name} is held again`)
          clients.open()
        },
      }),
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
