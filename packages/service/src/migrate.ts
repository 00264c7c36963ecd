/**
 * Brings the tables of a service up to date. Migrations are code (schema/migrations), their names are kept in the table
 * kysely_migration, and each database goes through them once, in the order of their names. All run in one transaction under
 * Kysely's advisory lock: processes that start together wait for one another, and a failure changes nothing.
 *
 * A service that is up to date only reads, so its role needs no right to change tables. And a migration that has to wait
 * for a lock does not wait long at a time: behind one that waits, all others would.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { Migrator, sql } from 'kysely'
import type { Migration, MigrationResultSet } from 'kysely'
import { DatabaseError } from './database-error.ts'
import type { Database } from './db.ts'

/** Migrations by name; names sort in the order in which they were written: `0001_leaves`. */
export type Migrations = Readonly<Record<string, Migration>>

/** Longest wait for a lock on a table that is in use, at a time; and pause between two tries, ms. */
const LOCK_WAIT = 2_000
const LOCK_PAUSE = 500

/** Tries before it is said that the tables are too busy. */
const LOCK_TRIES = 60

/** SQLSTATE of a lock that was not to be had. */
const LOCK_NOT_AVAILABLE = '55P03'

/** SQLSTATEs of a right that is missing; without one on the schema there is none to be seen. */
const NO_RIGHT: ReadonlySet<unknown> = new Set(['42501', '3F000'])

/** Applies what is missing and returns the names; throws DatabaseError `migration`. */
export async function migrate<T>(db: Database<T>, migrations: Migrations): Promise<string[]> {
  if (await isUpToDate(db, migrations)) return []
  for (let tries = 1; ; tries++) {
    const { error, results = [] } = await attempt(db, migrations)
    if (sqlState(error) === LOCK_NOT_AVAILABLE && tries < LOCK_TRIES) {
      await sleep(LOCK_PAUSE)
      continue
    }
    if (error === undefined) return results.map(({ migrationName }) => migrationName)
    const failed = results.find(({ status }) => status === 'Error')?.migrationName
    const reason = error instanceof Error ? error.message : 'failed'
    const hint = NO_RIGHT.has(sqlState(error))
      ? ' (tables are changed by their owner: run `dslog migrate` as that role)'
      : ''
    throw new DatabaseError('migration', `${failed ?? 'migrations'}: ${reason}${hint}`, {
      cause: error,
    })
  }
}

/** For who may not migrate. @throws DatabaseError `migration` if the database is of another version */
export async function demandMigrated<T>(db: Database<T>, migrations: Migrations): Promise<void> {
  if (await isUpToDate(db, migrations)) return
  throw new DatabaseError(
    'migration',
    'the tables are not those of this version: `dslog migrate`, or the service that owns them, sees to that',
  )
}

/** Whether the database knows these migrations and no others. */
async function isUpToDate<T>(db: Database<T>, migrations: Migrations): Promise<boolean> {
  const { rows } = await sql<{ there: boolean }>`
    select to_regclass('kysely_migration') is not null as there`.execute(db.kysely)
  if (rows[0]?.there !== true) return false
  const { rows: applied } = await sql<{ name: string }>`
    select name from kysely_migration`.execute(db.kysely)
  const names = new Set(applied.map(({ name }) => name))
  const known = Object.keys(migrations)
  return names.size === known.length && known.every((name) => names.has(name))
}

async function attempt<T>(db: Database<T>, migrations: Migrations): Promise<MigrationResultSet> {
  // A database that knows more migrations than we do belongs to newer software: Kysely refuses it.
  return db.kysely.connection().execute(async (connection) => {
    await sql`set statement_timeout = 0`.execute(connection)
    await sql`select set_config('lock_timeout', ${`${LOCK_WAIT}ms`}, false)`.execute(connection)
    try {
      // Told no schema, Kysely would take the table of another service on this server for ours.
      const { rows } = await sql<{ schema: string }>`select current_schema() as schema`.execute(
        connection,
      )
      const migrator = new Migrator({
        db: connection,
        provider: { getMigrations: async () => ({ ...migrations }) },
        migrationTableSchema: rows[0]!.schema,
      })
      return await migrator.migrateToLatest()
    } finally {
      await sql`reset statement_timeout`.execute(connection)
      await sql`reset lock_timeout`.execute(connection)
    }
  })
}

/** Also of what was told as a database that is busy. */
function sqlState(error: unknown): unknown {
  const told = error instanceof DatabaseError ? error.cause : error
  return told instanceof Error && 'code' in told ? told.code : undefined
}
