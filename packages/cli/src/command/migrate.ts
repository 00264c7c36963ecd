/**
 * `dslog migrate`: the tables of a service on PostgreSQL, brought up to date by the role that owns them, so
 * that the service can run under one that may do less (deploy/postgres/roles.sql, @dslog/schema/grants).
 */
import {
  CRAWLER_GRANTS,
  type Grants,
  LOG_GRANTS,
  MONITOR_GRANTS,
  readGrants,
} from '@dslog/schema/grants'
import { CRAWLER_MIGRATIONS, LOG_MIGRATIONS, MONITOR_MIGRATIONS } from '@dslog/schema/migrate'
import { openDatabase } from '@dslog/service/db'
import { grantTo } from '@dslog/service/grants'
import { migrate, type Migrations } from '@dslog/service/migrate'
import { EXIT, Failure } from '../failure.ts'
import type { Session } from '../session.ts'

export interface MigrateOptions {
  readonly role?: string
  readonly reader?: string
}

interface Tables {
  readonly migrations: Migrations
  readonly grants: Grants
  /** What the role of the service is granted, in words. */
  readonly may: string
}

/** By name of the service, which is that of its schema. */
const SERVICES: Readonly<Record<string, Tables>> = {
  log: { migrations: LOG_MIGRATIONS, grants: LOG_GRANTS, may: 'add entries, and change none' },
  crawler: { migrations: CRAWLER_MIGRATIONS, grants: CRAWLER_GRANTS, may: 'use its tables' },
  monitor: {
    migrations: MONITOR_MIGRATIONS,
    grants: MONITOR_GRANTS,
    may: 'add evidence, and change none',
  },
}

export async function migrateTables(
  session: Session,
  service: string,
  { reader, role }: MigrateOptions,
): Promise<void> {
  const { config, data: folder, output } = session
  const tables = Object.hasOwn(SERVICES, service) ? SERVICES[service] : undefined
  if (tables === undefined) {
    throw new Failure(EXIT.usage, `${service} is no service: log, crawler or monitor`)
  }
  const url = config.databaseUrl?.reveal()
  if (url === undefined) {
    throw new Failure(EXIT.usage, 'set DATABASE_URL: an embedded database is migrated by itself')
  }
  const place = { url, folder, schema: service, applicationName: 'dslog-migrate', poolSize: 2 }
  const db = await openDatabase(place)
  try {
    const applied = await migrate(db, tables.migrations)
    if (role !== undefined) await grantTo(db, role, tables.grants)
    if (reader !== undefined) await grantTo(db, reader, readGrants(tables.grants))
    output.event({ event: 'migrated', service, applied, roles: [role, reader].filter(Boolean) })
    output.line(applied.length === 0 ? 'up to date' : `applied ${applied.join(', ')}`)
    if (role !== undefined) output.line(`${role} may ${tables.may}`)
    if (reader !== undefined) output.line(`${reader} may read`)
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    throw new Failure(EXIT.usage, error.message, { cause: error })
  } finally {
    await db.close()
  }
}
