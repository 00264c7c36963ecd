/** Roles on a real server: the log works under one that may only add, and a reader may only read. */
import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { ALGORITHM } from '@dslog/dnssec/backend/backend'
import { nameFromText } from '@dslog/dnssec/name'
import type { LogTables } from '@dslog/schema/db'
import { LOG_GRANTS, readGrants } from '@dslog/schema/grants'
import { LOG_MIGRATIONS } from '@dslog/schema/migrate'
import { HOUR } from '@dslog/schema/time'
import { type Database, openDatabase } from '@dslog/service/db'
import { grantTo } from '@dslog/service/grants'
import { migrate } from '@dslog/service/migrate'
import { Internet } from '@dslog/testbed/internet'
import { ownerDs } from '@dslog/testbed/stories'
import { flip } from '../../../test/damage.ts'
import { type Place, Places } from '../../../test/place.ts'
import { makeRoles } from '../../../test/role.ts'
import { complaints, observe, openPlace, TestLog } from '../../../test/testlog.ts'
import { Loader } from '../src/load.ts'
import { LOG_SCHEMA } from '../src/files.ts'

const places = await Places.open(['postgres'])
afterAll(() => places.close())

describe.skipIf(places.postgres?.owned !== true)('a log under a role of its own', () => {
  const net = new Internet()
  const fi = net.addZone('fi.', { algorithm: ALGORITHM.ED25519 })
  let place: Place
  let generation = 0

  /** The place as a role sees it. */
  function as(role: string): Place {
    const url = new URL(place.env['DATABASE_URL']!)
    url.username = role
    return { ...place, env: { ...place.env, DATABASE_URL: url.href } }
  }

  async function connect(role: string): Promise<Database<LogTables>> {
    const url = as(role).env['DATABASE_URL']!
    const options = { url, folder: place.data, schema: LOG_SCHEMA, poolSize: 2 }
    const db = await openDatabase<LogTables>(options)
    onTestFinished(() => db.close())
    return db
  }

  async function grow(log: TestLog): Promise<void> {
    net.clock.advance(HOUR)
    generation++
    const owners = ['a.fi.', 'b.fi.'].map((name) => nameFromText(name))
    for (const owner of owners) fi.delegate(owner, [ownerDs(owner, generation)])
    await log.submit(...owners.map((owner) => observe(net, owner)))
  }

  beforeAll(async () => {
    place = await places.make('postgres', net.anchors)
    await makeRoles(place.env['DATABASE_URL']!, place.data)
  })

  test('cannot make its tables, and says who can', async () => {
    await expect(openPlace(as('dslog_log'), net.clock.now)).rejects.toMatchObject({
      code: 'migration',
      message: expect.stringContaining('run `dslog migrate` as that role'),
    })
  })

  test('is granted what it needs by the owner', async () => {
    const owner = await connect('dslog_owner')
    expect(await migrate(owner, LOG_MIGRATIONS)).toEqual(Object.keys(LOG_MIGRATIONS))
    await expect(grantTo(owner, 'nobody_here', LOG_GRANTS)).rejects.toMatchObject({ code: 'role' })
    await expect(grantTo(owner, 'x; drop table leaf', LOG_GRANTS)).rejects.toThrow(RangeError)
    await grantTo(owner, 'dslog_log', LOG_GRANTS)
    await grantTo(owner, 'dslog_log_reader', readGrants(LOG_GRANTS))
  })

  test('loads, grows, is opened again, and is sound', async () => {
    const options = await openPlace(as('dslog_log'), net.clock.now)
    onTestFinished(() => options.db.close())
    const loader = await Loader.open(options)
    onTestFinished(() => loader.log.close())
    await loader.finish()
    await loader.log.close()
    await options.db.close()
    for (let i = 0; i < 3; i++) {
      const log = await TestLog.open({ place: as('dslog_log'), clock: net.clock.now })
      onTestFinished(() => log.close())
      await grow(log)
      await grow(log)
      expect(await complaints(log)).toEqual([])
      await log.close()
    }
  })

  const FORBIDDEN = [
    'update leaf set prefix = 0',
    'delete from leaf',
    'truncate leaf',
    'delete from bundle',
    'truncate bundle',
    'update bundle set idx = idx + 1',
    'delete from tile',
    'truncate tile',
    'update tile set level = 9',
    'delete from tree',
    'delete from signer',
    'delete from published',
    'update zone_keys set entry = keys_id',
    'delete from name',
    'update name set key = name',
    'drop table leaf',
    'alter table tile disable trigger user',
    'drop trigger tile_only_grows on tile',
    'set session_replication_role = replica',
    'create table mine (x int)',
  ]
  test.each(FORBIDDEN)('may not: %s', async (statement) => {
    const db = await connect('dslog_log')
    await expect(sql.raw(statement).execute(db.kysely)).rejects.toMatchObject({ code: '42501' })
  })

  const GUARDED = [
    ["update tile set data = '\\x00'", /append-only/],
    ['update tile set data = substr(data, 1, length(data) - 32)', /append-only/],
    [`update bundle set ${flip('data', '9')}`, /append-only/],
    ['update signer set size = size - 1', /not taken back/],
    ["update signer set origin = 'another.example/log'", /not taken back/],
  ] as const
  test.each(GUARDED)('is guarded where it must have the right: %s', async (statement, why) => {
    const db = await connect('dslog_log')
    await expect(sql.raw(statement).execute(db.kysely)).rejects.toThrow(why)
  })

  test('the owner itself does not change entries by mistake', async () => {
    const db = await connect('dslog_owner')
    for (const statement of ['update leaf set prefix = 0', 'delete from leaf']) {
      await expect(sql.raw(statement).execute(db.kysely)).rejects.toThrow(/append-only/)
    }
  })

  test('a reader reads, and nothing else', async () => {
    const db = await connect('dslog_log_reader')
    const { rows } = await sql`select * from leaf`.execute(db.kysely)
    expect(rows.length).toBeGreaterThan(10)
    for (const statement of [
      'insert into leaf values (999, 1, null)',
      'update tree set size = 1',
      'delete from map_bucket',
    ]) {
      await expect(sql.raw(statement).execute(db.kysely)).rejects.toMatchObject({
        code: expect.stringMatching(/42501|25006/),
      })
    }
  })

  test('a migration waits for whoever uses the table, and lets others pass meanwhile', async () => {
    const owner = await connect('dslog_owner')
    const busy = await connect('dslog_log')
    let done = false
    const later = {
      ...LOG_MIGRATIONS,
      '9999_later': {
        up: async (db: Database<unknown>['kysely']) => {
          await sql`alter table leaf add later int`.execute(db)
        },
      },
    }
    let migrated: Promise<string[]> | undefined
    await busy.kysely.transaction().execute(async (trx) => {
      await sql`select count(*) from leaf`.execute(trx)
      const both = [owner, await connect('dslog_owner')].map((db) => migrate(db, later))
      migrated = Promise.all(both).then((applied) => {
        done = true
        return applied.flat()
      })
      // Longer than one wait for the lock: reads of others go on all the time.
      const reader = await connect('dslog_log_reader')
      for (const until = Date.now() + 3_000; Date.now() < until;) {
        await sql`select count(*) from leaf`.execute(reader.kysely)
      }
      expect(done).toBe(false)
    })
    expect(await migrated).toEqual(['9999_later'])
    // Older software does not go on with a newer database.
    await expect(openPlace(as('dslog_owner'), net.clock.now)).rejects.toMatchObject({
      code: 'migration',
    })
  })
})
