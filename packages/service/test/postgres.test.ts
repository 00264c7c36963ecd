import { sql } from 'kysely'
import pg from 'pg'
import { describe, expect, it } from 'vitest'
import { openDatabase } from '@dslog/service/db'
import { migrate } from '@dslog/service/migrate'
import type { Migrations } from '@dslog/service/migrate'
import { newPlace, postgres } from './database.ts'

describe.skipIf(postgres === undefined)('PostgreSQL', () => {
  /** Runs a statement as somebody else. */
  async function administer(text: string, values: unknown[] = []) {
    const client = new pg.Client(postgres!.url)
    await client.connect()
    try {
      return (await client.query(text, values)).rows as Record<string, unknown>[]
    } finally {
      await client.end()
    }
  }

  it('keeps services apart by schema', async () => {
    const [one, two] = [newPlace('postgres'), newPlace('postgres')]
    const [a, b] = [await one.open<{ t: { n: number } }>(), await two.open()]
    await sql`create table t as select 1::int8 as n`.execute(a.kysely)
    expect(await a.kysely.selectFrom('t').selectAll().execute()).toEqual([{ n: 1 }])
    await a.bulkInsert(a.kysely, 't', ['n'], [[2]])
    await expect(sql`select from t`.execute(b.kysely)).rejects.toMatchObject({ code: '42P01' })
    // An existing schema is used as it is.
    const again = await one.open<{ t: { n: number } }>()
    expect(await again.kysely.selectFrom('t').selectAll().execute()).toHaveLength(2)
    for (const db of [a, b, again]) await db.close()
  })

  it('takes no schema name that could be more than a name', async () => {
    for (const schema of ['a b', 'A', 'a,public', '', '1a', 'a'.repeat(64)]) {
      await expect(openDatabase({ url: postgres!.url, folder: '', schema })).rejects.toBeInstanceOf(
        RangeError,
      )
    }
  })

  it('fails at the opening when there is no server', async () => {
    const url = 'postgres://dslog@127.0.0.1:1/none'
    await expect(openDatabase({ url, folder: '', schema: 'log' })).rejects.toMatchObject({
      code: 'ECONNREFUSED',
    })
  })

  it('says that the server is away, whatever has become of the connection', async () => {
    const place = newPlace('postgres')
    const db = await place.open({ applicationName: place.options.schema! })
    await sql`select 1`.execute(db.kysely)
    const ended = sql`select pg_terminate_backend(pg_backend_pid())`.execute(db.kysely)
    await expect(ended).rejects.toMatchObject({
      code: 'away',
      message: expect.stringContaining('terminating connection due to administrator command'),
    })
    await expect(sql`select 1`.execute(db.kysely)).resolves.toMatchObject({ rows: [{}] })
    await db.close()
  })

  it('ends statements that take too long', async () => {
    const db = await newPlace('postgres').open({ statementTimeout: 100 })
    await expect(sql`select pg_sleep(10)`.execute(db.kysely)).rejects.toMatchObject({
      code: '57014',
    })
    await db.close()
  })

  it('migrates once when several processes start together, however long it takes', async () => {
    const place = newPlace('postgres')
    const open = await Promise.all([1, 2, 3].map(() => place.open({ statementTimeout: 100 })))
    const migrations: Migrations = {
      '0001_slow': {
        up: async (db) => {
          await sql`select pg_sleep(0.3)`.execute(db)
          await sql`create table t ()`.execute(db)
        },
      },
    }
    const applied = await Promise.all(open.map((db) => migrate(db, migrations)))
    expect(applied.flat()).toEqual(['0001_slow'])
    await expect(sql`select pg_sleep(0.3)`.execute(open[0]!.kysely)).rejects.toThrow('timeout')
    for (const db of open) await db.close()
  })

  it('says who holds a lock', async () => {
    const place = newPlace('postgres')
    const [holder, other] = [await place.open({ applicationName: 'dslog-log' }), await place.open()]
    const lock = await holder.lockExclusive('sequencer', () => {})
    await expect(other.lockExclusive('sequencer', () => {})).rejects.toThrow(
      /is held by server process \d+ \(dslog-log lock sequencer, 127\.0\.0\.1\)/,
    )
    await lock.release()
    // The same name in another schema is another lock.
    const elsewhere = await newPlace('postgres').open()
    const locks = [
      await other.lockExclusive('sequencer', () => {}),
      await elsewhere.lockExclusive('sequencer', () => {}),
    ]
    for (const each of locks) await each.release()
    for (const db of [holder, other, elsewhere]) await db.close()
  })

  it('reports a lock that is lost with its connection, once', async () => {
    const place = newPlace('postgres')
    const db = await place.open({ applicationName: place.options.schema! })
    const losses: Error[] = []
    const lock = await db.lockExclusive('sequencer', (error) => losses.push(error))
    await administer(
      'select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1',
      [`${place.options.schema} lock sequencer`],
    )
    await expect.poll(() => losses.length).toBe(1)
    const again = await db.lockExclusive('sequencer', () => {})
    await again.release()
    await lock.release()
    expect(losses).toHaveLength(1)
    await db.close()
  })

  it('does not report locks that are held', async () => {
    const db = await newPlace('postgres').open()
    const losses: Error[] = []
    // Many, since half of their keys are negative, which pg_locks shows in its own way.
    const names = Array.from({ length: 16 }, (_, i) => `lock ${i}`)
    const locks = await Promise.all(
      names.map((name) => db.lockExclusive(name, (error) => losses.push(error))),
    )
    await new Promise((resolve) => setTimeout(resolve, 2_500))
    expect(losses).toEqual([])
    await Promise.all(locks.map((lock) => lock.release()))
    await db.close()
  })

  it.runIf(postgres?.owned)('survives the crash of the server, and loses its locks', async () => {
    const db = await newPlace('postgres').open<{ t: { n: number } }>()
    await sql`create table t as select 1::int8 as n`.execute(db.kysely)
    const losses: Error[] = []
    await db.lockExclusive('sequencer', (error) => losses.push(error))
    let crashed: Promise<void> | undefined
    const transaction = db.transaction(async (trx) => {
      await trx.insertInto('t').values({ n: 2 }).execute()
      // Nobody uses the connection while it breaks.
      crashed = postgres!.crash()
      await crashed
      await trx.insertInto('t').values({ n: 3 }).execute()
    })
    await expect(transaction).rejects.toMatchObject({ code: 'away' })
    await expect.poll(() => losses.length).toBe(1)
    expect(await db.kysely.selectFrom('t').selectAll().execute()).toEqual([{ n: 1 }])
    await db.close()
  })
})
