/**
 * The database of a service as it is in earnest, on a server of our own: one role owns the tables, another one uses them
 * with what was granted to it. So whatever a test does through the service, its role may.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { sql } from 'kysely'
import type { Grants } from '@dslog/schema/grants'
import { type Database, openDatabase } from '@dslog/service/db'
import { grantTo } from '@dslog/service/grants'
import { migrate, type Migrations } from '@dslog/service/migrate'
import type { TestPostgres } from '@dslog/testbed/postgres'
import { REPOSITORY } from './repository.ts'

const ROLES = join(REPOSITORY, 'deploy/postgres/roles.sql')

/** Makes the roles of deploy/ in a database, or leaves them as they are. */
export async function makeRoles(url: string, folder: string): Promise<void> {
  const admin = await openDatabase({ url, folder })
  try {
    await sql.raw(readFileSync(ROLES, 'utf8')).execute(admin.kysely)
  } finally {
    await admin.close()
  }
}

/** The same tables, seen by both. */
export interface Owned<T> {
  /** As the service sees them. */
  readonly db: Database<T>
  /** As their owner does: for a test to empty them, or to do what an attacker would. */
  readonly owner: Database<T>
}

/** What a service keeps, and what its role may do with it. */
export interface Tables {
  readonly schema: string
  readonly folder: string
  readonly migrations: Migrations
  readonly grants: Grants
}

/** Opens the tables, on a server or, where there is none, embedded: there everybody is the owner. */
export async function openOwned<T>(
  server: TestPostgres | undefined,
  { folder, grants, migrations, schema }: Tables,
): Promise<Owned<T>> {
  const owner = await openDatabase<T>({ folder, url: server?.url, schema })
  await migrate(owner, migrations)
  if (server?.owned !== true) return { db: owner, owner }
  const role = `${schema}_service`
  const name = sql.id(role)
  const { rows } = await sql`select from pg_roles where rolname = ${role}`.execute(owner.kysely)
  if (rows.length === 0) await sql`create role ${name} login`.execute(owner.kysely)
  await grantTo(owner, role, grants)
  const url = asRole(server.url, role)
  return { db: await openDatabase<T>({ folder, url, schema }), owner }
}

/** The URL by which a role reaches a database. */
export function asRole(url: string, role: string): string {
  return Object.assign(new URL(url), { username: role }).href
}

/** Closes both. */
export async function closeOwned<T>({ db, owner }: Owned<T>): Promise<void> {
  await db.close()
  if (owner !== db) await owner.close()
}
