/**
 * `dslog migrate`: the tables of a log on PostgreSQL, brought up to date by the role that owns them, so that
 * the service can run under one that may only add (deploy/postgres/roles.sql, @dslog/schema/grants).
 */
import type { LogTables } from '@dslog/schema/db'
import { LOG_GRANTS, readGrants } from '@dslog/schema/grants'
import { LOG_MIGRATIONS } from '@dslog/schema/migrate'
import { LOG_SCHEMA } from '@dslog/log/files'
import { openDatabase } from '@dslog/service/db'
import { grantTo } from '@dslog/service/grants'
import { migrate } from '@dslog/service/migrate'
import { EXIT, Failure } from '../failure.ts'
import type { Session } from '../session.ts'

export interface MigrateOptions {
  readonly role?: string
  readonly reader?: string
}

export async function migrateTables(
  session: Session,
  { reader, role }: MigrateOptions,
): Promise<void> {
  const { config, data: folder, output } = session
  const url = config.databaseUrl?.reveal()
  if (url === undefined) {
    throw new Failure(EXIT.usage, 'set DATABASE_URL: an embedded database is migrated by itself')
  }
  const place = { url, folder, schema: LOG_SCHEMA, applicationName: 'dslog-migrate', poolSize: 2 }
  const db = await openDatabase<LogTables>(place)
  try {
    const applied = await migrate(db, LOG_MIGRATIONS)
    if (role !== undefined) await grantTo(db, role, LOG_GRANTS)
    if (reader !== undefined) await grantTo(db, reader, readGrants(LOG_GRANTS))
    output.event({ event: 'migrated', applied, roles: [role, reader].filter(Boolean) })
    output.line(applied.length === 0 ? 'up to date' : `applied ${applied.join(', ')}`)
    if (role !== undefined) output.line(`${role} may add entries, and change none`)
    if (reader !== undefined) output.line(`${reader} may read`)
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    throw new Failure(EXIT.usage, error.message, { cause: error })
  } finally {
    await db.close()
  }
}
