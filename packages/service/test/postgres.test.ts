import { sql } from 'kysely'
import pg from 'pg'
import { describe, expect, it, onTestFinished } from 'vitest'
import { openDatabase } from '@dslog/service/db'
import { createLogger } from '@dslog/service/log'
import { migrate } from '@dslog/service/migrate'
import type { Migrations } from '@dslog/service/migrate'
import { Wire } from '@dslog/testbed/wire'
import { databases } from './database.ts'

const { newPlace, postgres } = await databases()

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
    for (const db of [a, b]) onTestFinished(() => db.close())
    await sql`create table t as select 1::int8 as n`.execute(a.kysely)
    expect(await a.kysely.selectFrom('t').selectAll().execute()).toEqual([{ n: 1 }])
    await a.bulkInsert(a.kysely, 't', ['n'], [[2]])
    await expect(sql`select from t`.execute(b.kysely)).rejects.toMatchObject({ code: '42P01' })
    // An existing schema is used as it is.
    const again = await one.open<{ t: { n: number } }>()
    onTestFinished(() => again.close())
    expect(await again.kysely.selectFrom('t').selectAll().execute()).toHaveLength(2)
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
    onTestFinished(() => db.close())
    await sql`select 1`.execute(db.kysely)
    const ended = sql`select pg_terminate_backend(pg_backend_pid())`.execute(db.kysely)
    await expect(ended).rejects.toMatchObject({
      code: 'away',
      message: expect.stringContaining('terminating connection due to administrator command'),
    })
    await expect(sql`select 1`.execute(db.kysely)).resolves.toMatchObject({ rows: [{}] })
  })

  it('says so in the middle of a COPY too, and of one that stands still', async () => {
    const place = newPlace('postgres')
    const db = await place.open<{ t: { n: number; pad: Uint8Array } }>()
    onTestFinished(() => db.close())
    await sql`create table t (n int8, pad bytea)`.execute(db.kysely)
    const pad = new Uint8Array(1_000)
    for (const holdsUp of [false, true]) {
      // While another has the table the server takes no rows, and no more are made than fit on the way.
      const holder = new pg.Client(postgres!.url)
      if (holdsUp) {
        await holder.connect()
        await holder.query(`begin; lock table ${place.options.schema!}.t in share mode`)
      }
      let made = 0
      const copying = db.transaction(async (trx) => {
        const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(trx)
        const end = async (): Promise<unknown> =>
          administer('select pg_terminate_backend($1)', [rows[0]!.pid])
        function* endless(): Generator<[number, Uint8Array]> {
          for (;;) {
            if (made === 5_000) void end()
            yield [made++, pad]
          }
        }
        if (holdsUp) setTimeout(() => void end(), 300)
        await db.bulkInsert(trx, 't', ['n', 'pad'], endless())
      })
      await expect(copying).rejects.toMatchObject({ code: 'away' })
      if (holdsUp) {
        expect(made).toBeLessThan(5_000)
        await holder.end()
      }
      expect(await db.kysely.selectFrom('t').selectAll().execute()).toEqual([])
    }
  })

  it('ends statements that take too long', async () => {
    const db = await newPlace('postgres').open({ statementTimeout: 100 })
    onTestFinished(() => db.close())
    await expect(sql`select pg_sleep(10)`.execute(db.kysely)).rejects.toMatchObject({
      code: 'busy',
      cause: expect.objectContaining({ code: '57014' }),
    })
  })

  it('says since when the server is away, and logs that once, with its return', async () => {
    const place = newPlace('postgres')
    const { port } = new URL(place.options.url!)
    const wire = await Wire.to(Number(port))
    const url = Object.assign(new URL(place.options.url!), { port: wire.port }).href
    const lines: string[] = []
    const destination = { write: (line: string) => void lines.push(line) }
    const logger = createLogger({ service: 'test', level: 'info', destination })
    const db = await place.open({ url, logger, acquireTimeout: 200 })
    const ask = () => sql`select 1`.execute(db.kysely)
    const said = () => lines.map((line) => (JSON.parse(line) as { msg: string }).msg)
    expect(db.awaySince).toBeUndefined()

    await wire.cut()
    for (let i = 0; i < 3; i++) await expect(ask()).rejects.toMatchObject({ code: 'away' })
    expect(db.awaySince).toBeLessThan(performance.now())
    await wire.mend()
    await ask()
    expect(db.awaySince).toBeUndefined()

    // One that accepts and says nothing.
    await sql`select pg_terminate_backend(pg_backend_pid())`.execute(db.kysely).catch(() => {})
    wire.still()
    await expect(ask()).rejects.toMatchObject({ code: /away|busy/ })
    await wire.mend()
    await ask()
    await db.close()
    await wire.cut()
    const both = ['the database does not answer', 'the database answers again']
    expect(said().filter((line) => both.includes(line))).toEqual([...both, ...both])
  })

  it('migrates once when several processes start together, however long it takes', async () => {
    const place = newPlace('postgres')
    const open = await Promise.all([1, 2, 3].map(() => place.open({ statementTimeout: 100 })))
    for (const db of open) onTestFinished(() => db.close())
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
  })

  it('says who holds a lock', async () => {
    const place = newPlace('postgres')
    const [holder, other] = [await place.open({ applicationName: 'dslog-log' }), await place.open()]
    for (const db of [holder, other]) onTestFinished(() => db.close())
    const lock = await holder.lockExclusive('sequencer', () => {})
    await expect(other.lockExclusive('sequencer', () => {})).rejects.toThrow(
      /is held by server process \d+ \(dslog-log lock sequencer, 127\.0\.0\.1\)/,
    )
    await lock.release()
    // The same name in another schema is another lock.
    const elsewhere = await newPlace('postgres').open()
    onTestFinished(() => elsewhere.close())
    const locks = [
      await other.lockExclusive('sequencer', () => {}),
      await elsewhere.lockExclusive('sequencer', () => {}),
    ]
    for (const each of locks) await each.release()
  })

  it('reports a lock that is lost with its connection, once', async () => {
    const place = newPlace('postgres')
    const db = await place.open({ applicationName: place.options.schema! })
    onTestFinished(() => db.close())
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
  })

  it('does not report locks that are held', async () => {
    const db = await newPlace('postgres').open()
    onTestFinished(() => db.close())
    const losses: Error[] = []
    // Many, since half of their keys are negative, which pg_locks shows in its own way.
    const names = Array.from({ length: 16 }, (_, i) => `lock ${i}`)
    const locks = await Promise.all(
      names.map((name) => db.lockExclusive(name, (error) => losses.push(error))),
    )
    await new Promise((resolve) => setTimeout(resolve, 2_500))
    expect(losses).toEqual([])
    await Promise.all(locks.map((lock) => lock.release()))
  })

  /** A database whose lock is kept, what it has logged, and how its session with the lock is ended. */
  async function keeping() {
    const place = newPlace('postgres')
    const name = place.options.schema!
    const said: string[] = []
    const destination = {
      write: (line: string) => void said.push((JSON.parse(line) as { msg: string }).msg),
    }
    const logger = createLogger({ service: 'test', level: 'info', destination })
    const db = await place.open({ applicationName: name, logger })
    onTestFinished(() => db.close())
    const lock = await db.keepExclusive('monitor')
    onTestFinished(() => lock.release())
    const end = () =>
      administer(
        'select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1',
        [`${name} lock monitor`],
      )
    return { place, name, db, lock, said, end }
  }

  it('takes a lock again that it was told to keep', async () => {
    const { db, end, lock, place, said } = await keeping()
    const other = await place.open()
    onTestFinished(() => other.close())
    await expect(other.keepExclusive('monitor')).rejects.toMatchObject({ code: 'held' })
    await end()
    const story = ['the lock monitor is lost: taking it again', 'the lock monitor is held again']
    await expect.poll(() => said, { timeout: 20_000 }).toEqual(story)
    await sql`select 1`.execute(db.kysely)
    await expect(other.lockExclusive('monitor', () => {})).rejects.toMatchObject({ code: 'held' })
    await lock.release()
    await (await other.lockExclusive('monitor', () => {})).release()
  })

  it('gives no connection as long as another has a lock that it was told to keep', async () => {
    const { db, end, name, said } = await keeping()
    // Waits in line, so that it has the lock the moment it is free.
    const other = new pg.Client(postgres!.url)
    onTestFinished(() => other.end())
    await other.connect()
    const next = other.query('select pg_advisory_lock(hashtextextended($1, 0))', [
      `${name}/monitor`,
    ])
    await expect
      .poll(() => administer("select 1 from pg_locks where locktype = 'advisory' and not granted"))
      .not.toEqual([])
    const ask = () => sql`select 1`.execute(db.kysely)
    let begin = (): void => {}
    const begun = new Promise<void>((resolve) => (begin = resolve))
    const waiting = sql`select pg_sleep(60)`.execute(db.kysely)
    waiting.catch(() => {})
    const idle = db.transaction(async (trx) => {
      await sql`select 1`.execute(trx)
      begin()
      await expect.poll(() => said, { timeout: 20_000 }).not.toEqual([])
      await expect(sql`select 1`.execute(trx)).rejects.toMatchObject({ code: 'away' })
    })
    idle.catch(() => {})
    await begun
    await end()
    await next
    // What was under way has lost its connection.
    await expect(waiting).rejects.toMatchObject({ code: 'away' })
    await expect(idle).rejects.toMatchObject({ code: 'away' })
    await expect(ask()).rejects.toMatchObject({ code: 'away', message: /monitor is being taken/ })
    await expect(db.transaction(async () => {})).rejects.toMatchObject({ code: 'away' })
    await other.end()
    await expect.poll(() => said, { timeout: 20_000 }).toHaveLength(3)
    await ask()
    expect(said).toEqual([
      'the lock monitor is lost: taking it again',
      'the database does not answer',
      'the lock monitor is held again',
      'the database answers again',
    ])
  })

  it('lets go of a lock that is being taken again', async () => {
    const { end, lock, place, said } = await keeping()
    await end()
    await expect.poll(() => said, { timeout: 20_000 }).toHaveLength(1)
    await lock.release()
    const other = await place.open()
    onTestFinished(() => other.close())
    await (await other.lockExclusive('monitor', () => {})).release()
  })

  it.runIf(postgres?.owned)('survives the crash of the server, and loses its locks', async () => {
    const db = await newPlace('postgres').open<{ t: { n: number } }>()
    onTestFinished(() => db.close())
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
  })
})
