/** What the roles of crawler and monitor may not do on a real server. That they may do all they need, all other tests say. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CRAWLER_GRANTS, MONITOR_GRANTS } from '@dslog/schema/grants'
import { CRAWLER_MIGRATIONS, MONITOR_MIGRATIONS } from '@dslog/schema/migrate'
import { type Database, openDatabase } from '@dslog/service/db'
import { grantTo } from '@dslog/service/grants'
import { migrate } from '@dslog/service/migrate'
import { startPostgres } from '@dslog/testbed/postgres'
import { asRole, makeRoles } from '../../../test/role.ts'

const postgres = await startPostgres()
const folder = await mkdtemp(join(tmpdir(), 'dslog-roles-'))
afterAll(async () => {
  await postgres?.stop()
  await rm(folder, { recursive: true })
})

/** Runs one statement under a role, in the schema of a service. */
async function under<T>(
  role: string,
  schema: string,
  run: (db: Database<unknown>) => Promise<T>,
): Promise<T> {
  const url = asRole(postgres!.url, role)
  const db = await openDatabase<unknown>({ url, folder, schema, poolSize: 2 })
  try {
    return await run(db)
  } finally {
    await db.close()
  }
}

const execute = (statement: string, role: string, schema: string): Promise<unknown> =>
  under(role, schema, (db) => sql.raw(statement).execute(db.kysely))

describe.skipIf(postgres?.owned !== true)('roles', () => {
  beforeAll(async () => {
    await makeRoles(postgres!.url, folder)
    // Run again, it changes nothing.
    await makeRoles(postgres!.url, folder)
    await under('dslog_owner', 'monitor', async (db) => {
      await migrate(db, MONITOR_MIGRATIONS)
      await grantTo(db, 'dslog_monitor', MONITOR_GRANTS)
      await sql`
        insert into misbehaviour (origin, kind, identity, found_at, detail, evidence)
        values ('log.example', 'fork', '\\x01', 1, 'd', '{}')`.execute(db.kysely)
    })
    await under('dslog_owner', 'crawler', async (db) => {
      await migrate(db, CRAWLER_MIGRATIONS)
      await grantTo(db, 'dslog_crawler', CRAWLER_GRANTS)
    })
  })

  const FORBIDDEN = [
    ['monitor', 'update misbehaviour set detail = null'],
    ['monitor', 'delete from misbehaviour'],
    ['monitor', 'truncate misbehaviour'],
    ['monitor', 'delete from witnessed'],
    ['monitor', "update witnessed set origin = 'another.example'"],
    ['monitor', 'delete from change'],
    ['monitor', 'update change set present = false'],
    ['monitor', 'delete from alert'],
    ['monitor', 'delete from pin_set'],
    ['monitor', 'delete from name'],
    ['monitor', 'drop table misbehaviour'],
    ['monitor', 'drop trigger misbehaviour_never_changes on misbehaviour'],
    ['monitor', 'alter table witnessed disable trigger user'],
    ['monitor', 'set session_replication_role = replica'],
    ['monitor', 'create table mine (x int)'],
    ['crawler', 'update queue set id = id'],
    ['crawler', 'delete from queue'],
    ['crawler', 'truncate task'],
    ['crawler', 'drop table task'],
    ['crawler', 'create table mine (x int)'],
    ['crawler', 'create table public.mine (x int)'],
    ['crawler', 'select * from monitor.subscription'],
    ['monitor', 'select * from crawler.task'],
    ['monitor', "select setval('crawler.view_seq', 1)"],
  ] as const
  test.each(FORBIDDEN)('the %s may not: %s', async (service, statement) => {
    await expect(execute(statement, `dslog_${service}`, service)).rejects.toMatchObject({
      code: '42501',
    })
  })

  test('evidence stays, and what was cosigned does not go back, whoever asks', async () => {
    await expect(execute('delete from misbehaviour', 'dslog_owner', 'monitor')).rejects.toThrow(
      /append-only/,
    )
    const insert = "insert into witnessed values ('log.example', 5, '\\x05', 'note')"
    await execute(insert, 'dslog_monitor', 'monitor')
    await execute("update witnessed set note = 'again'", 'dslog_monitor', 'monitor')
    await execute("update witnessed set size = 6, root = '\\x06'", 'dslog_monitor', 'monitor')
    for (const change of ['size = 5', "root = '\\x07'"]) {
      await expect(
        execute(`update witnessed set ${change}`, 'dslog_monitor', 'monitor'),
      ).rejects.toThrow(/not taken back/)
    }
    await expect(execute('delete from witnessed', 'dslog_owner', 'monitor')).rejects.toThrow(
      /not taken back/,
    )
  })
})
