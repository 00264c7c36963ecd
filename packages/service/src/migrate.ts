/**
 * Brings the tables of a service up to date. Migrations are code (schema/migrations), their names are kept in the table
 * kysely_migration, and each database goes through them once, in the order of their names. All run in one transaction under
 * Kysely's advisory lock: processes that start together wait for one another, and a failure changes nothing.
 */
import { Migrator, sql } from 'kysely'
import type { Migration } from 'kysely'
import { DatabaseError } from './database-error.ts'
import type { Database } from './db.ts'

/** Migrations by name; names sort in the order in which they were written: `0001_leaves`. */
export type Migrations = Readonly<Record<string, Migration>>

/** Applies what is missing and returns the names; throws DatabaseError `migration`. */
export async function migrate<T>(db: Database<T>, migrations: Migrations): Promise<string[]> {
  // A database that knows more migrations than we do belongs to newer software: Kysely refuses it.
  const { error, results = [] } = await db.kysely.connection().execute(async (connection) => {
    await sql`set statement_timeout = 0`.execute(connection)
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
    }
  })
  if (error !== undefined) {
    const failed = results.find(({ status }) => status === 'Error')?.migrationName
    const reason = error instanceof Error ? error.message : 'failed'
    throw new DatabaseError('migration', `${failed ?? 'migrations'}: ${reason}`, { cause: error })
  }
  return results.map(({ migrationName }) => migrationName)
}
