import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, readFileSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Kysely, PostgresDialect, sql } from 'kysely'
import { afterEach, describe, expect, it, onTestFinished } from 'vitest'
import { DatabaseError, EmbeddedLocked } from '@dslog/service/database-error'
import { type Database, openDatabase } from '@dslog/service/db'
import { openEmbedded } from '@dslog/service/embedded'
import { lockFolder } from '@dslog/service/lock'
import { MINUTE } from '@dslog/schema/time'
import { FROM_SOURCE } from '../../../test/repository.ts'
import { databases } from './database.ts'

const { folder, newPlace } = await databases()

const at = (file: string) => new URL(`../src/${file}.ts`, import.meta.url).href

const children: ChildProcess[] = []
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
})

/** A process that runs `body` and whose output can be waited for. It is gone with its test. */
function program(body: string) {
  const child = spawn(process.execPath, [...FROM_SOURCE, '--input-type=module', '-e', body], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  children.push(child)
  let output = ''
  child.stdout.on('data', (chunk) => (output += chunk))
  return {
    child,
    lines: () => output.split('\n').slice(0, -1),
    async end(signal?: NodeJS.Signals): Promise<void> {
      if (signal !== undefined) child.kill(signal)
      await once(child, 'close')
    },
  }
}

let folders = 0
async function newFolder(): Promise<string> {
  const path = join(folder, `lock-${folders++}`)
  await mkdir(path)
  return path
}

const own = async (path: string) => {
  const lock = await lockFolder(path)
  const holder = JSON.parse(readFileSync(join(path, 'lock'), 'utf8')) as Record<string, unknown>
  await lock.release()
  return holder
}

describe('the lock of a folder', () => {
  it('is one process’s, which it names, and can be had again', async () => {
    const path = await newFolder()
    const lock = await lockFolder(path)
    const second = lockFolder(path)
    await expect(second).rejects.toBeInstanceOf(EmbeddedLocked)
    await expect(second).rejects.toMatchObject({ code: 'locked', pid: process.pid, folder: path })
    await expect(second).rejects.toThrow(`${path} is in use by process ${process.pid}`)
    await lock.release()
    expect(existsSync(join(path, 'lock'))).toBe(false)
    await (await lockFolder(path)).release()
  })

  it('holds against another process, until that is killed', async () => {
    const path = await newFolder()
    const other = program(`import { lockFolder } from '${at('lock')}'
      await lockFolder('${path}'); console.log('locked'); setInterval(() => {}, 1000)`)
    await expect.poll(other.lines).toEqual(['locked'])
    await expect(lockFolder(path)).rejects.toMatchObject({ pid: other.child.pid })
    await other.end('SIGKILL')
    expect(existsSync(join(path, 'lock'))).toBe(true)
    await (await lockFolder(path)).release()
  })

  it('is stale when its pid is another process by now', async () => {
    const path = await newFolder()
    const holder = await own(path)
    for (const stale of [{ start: '1' }, { pid: 2 ** 22 + 1 }]) {
      writeFileSync(join(path, 'lock'), JSON.stringify({ ...holder, ...stale }))
      expect(await own(path)).toEqual(holder)
    }
  })

  it('of another container is judged by whether somebody touches it', async () => {
    const path = await newFolder()
    const file = join(path, 'lock')
    const foreign = JSON.stringify({ ...(await own(path)), space: 'another' })
    writeFileSync(file, foreign)
    utimesSync(file, new Date(), new Date(Date.now() - MINUTE))
    await (await lockFolder(path)).release()
    // Nobody has touched it for nine seconds: the tenth will tell.
    writeFileSync(file, foreign)
    utimesSync(file, new Date(), new Date(Date.now() - 9_000))
    await (await lockFolder(path)).release()
    writeFileSync(file, foreign)
    const touching = setInterval(() => utimesSync(file, new Date(), new Date()), 500)
    await expect(lockFolder(path)).rejects.toBeInstanceOf(EmbeddedLocked)
    clearInterval(touching)
  })

  it('is not taken when its file is not understood', async () => {
    const path = await newFolder()
    for (const text of ['', 'garbage', '{}', 'null', '{"pid":"1"}']) {
      writeFileSync(join(path, 'lock'), text)
      await expect(lockFolder(path)).rejects.toBeInstanceOf(EmbeddedLocked)
    }
  })

  it('goes to one of many that find it stale', async () => {
    const path = await newFolder()
    const holder = await own(path)
    for (let round = 0; round < 50; round++) {
      const stale = JSON.stringify({ ...holder, start: String(round) })
      writeFileSync(join(path, 'lock'), stale)
      if (round % 2 === 1) {
        // One has died while it replaced the lock.
        const hash = createHash('sha256').update(stale).digest('hex').slice(0, 16)
        writeFileSync(join(path, `lock.${hash}`), JSON.stringify({ ...holder, start: 'dead' }))
      }
      const results = await Promise.allSettled(Array.from({ length: 8 }, () => lockFolder(path)))
      const won = results.filter((result) => result.status === 'fulfilled')
      expect(won).toHaveLength(1)
      await won[0]!.value.release()
    }
    expect(readdirSync(path)).toEqual([])
  })

  it('goes to one process of many', async () => {
    const path = await newFolder()
    writeFileSync(join(path, 'lock'), JSON.stringify({ ...(await own(path)), start: '1' }))
    const racers = Array.from({ length: 4 }, () =>
      program(`import { lockFolder } from '${at('lock')}'
        while (Date.now() % 1000 < 950) {}
        await lockFolder('${path}').then(() => console.log('won'), (e) => console.log(e.name))
        setInterval(() => {}, 1000)`),
    )
    // Nobody leaves before all have tried.
    await expect.poll(() => racers.every(({ lines }) => lines().length > 0)).toBe(true)
    await Promise.all(racers.map(({ end }) => end('SIGKILL')))
    expect(racers.map(({ lines }) => lines()[0]!).sort((a, b) => a.localeCompare(b))).toEqual([
      ...Array.from({ length: 3 }, () => 'EmbeddedLocked'),
      'won',
    ])
  })
})

describe('the embedded database', () => {
  it('is created once, the same with and without a template', async () => {
    const identity = async ({ kysely }: Database<unknown>) =>
      (await sql`select system_identifier::text as id from pg_control_system()`.execute(kysely))
        .rows
    const path = join(folder, 'fresh')
    const db = await openDatabase({ folder: path, template: join(folder, 'none') })
    onTestFinished(() => db.close())
    await sql`create table t ()`.execute(db.kysely)
    const prepared = await newPlace('embedded').open()
    onTestFinished(() => prepared.close())
    expect(await identity(prepared)).toEqual(await identity(db))
    await db.close()
    const again = await openDatabase({ folder: path })
    onTestFinished(() => again.close())
    await sql`select from t`.execute(again.kysely)
    expect(existsSync(join(path, 'pg.new'))).toBe(false)
  })

  it('begins anew where a creation was interrupted', async () => {
    const place = newPlace('embedded')
    const unfinished = join(place.options.folder, 'pg.new')
    await mkdir(unfinished, { recursive: true })
    writeFileSync(join(unfinished, 'PG_VERSION'), '18')
    const db = await place.open()
    onTestFinished(() => db.close())
    await sql`select 1`.execute(db.kysely)
    expect(existsSync(unfinished)).toBe(false)
  })

  it('is one process’s', async () => {
    const place = newPlace('embedded')
    const db = await place.open()
    onTestFinished(() => db.close())
    await expect(place.open()).rejects.toBeInstanceOf(EmbeddedLocked)
    await db.close()
    const again = await place.open()
    onTestFinished(() => again.close())
  })

  it('lets go of the folder when it cannot be opened', async () => {
    const place = newPlace('embedded')
    const data = join(place.options.folder, 'pg')
    await mkdir(data, { recursive: true })
    writeFileSync(join(data, 'PG_VERSION'), '3')
    await expect(place.open()).rejects.toBeInstanceOf(DatabaseError)
    expect(existsSync(join(place.options.folder, 'lock'))).toBe(false)
  })

  it('keeps every commit through kill -9', async () => {
    const place = newPlace('embedded')
    let seen = 0
    for (let round = 0; round < 3; round++) {
      const writer = program(`
        import { sql } from 'kysely'
        import { openDatabase } from '${at('db')}'
        const db = await openDatabase(${JSON.stringify(place.options)})
        await sql\`create table if not exists t (n int8 primary key, pad bytea)\`.execute(db.kysely)
        for (let n = ${seen + 1}; ; n++) {
          await db.transaction((trx) =>
            db.bulkInsert(trx, 't', ['n', 'pad'], [[n, new Uint8Array(5000)]]))
          console.log(n)
        }`)
      await expect.poll(() => writer.lines().length).toBeGreaterThan(20)
      await writer.end('SIGKILL')
      const printed = Number(writer.lines().at(-1))
      const db = await place.open<{ t: { n: number } }>()
      onTestFinished(() => db.close())
      const { max, count } = await db.kysely
        .selectFrom('t')
        .select(({ fn }) => [fn.max('n').as('max'), fn.countAll<number>().as('count')])
        .executeTakeFirstOrThrow()
      await db.close()
      // The one after the last that was printed may have been committed too.
      expect([printed, printed + 1]).toContain(max)
      expect(count).toBe(max)
      seen = max
    }
  })

  it('fails with a reason, and says so, when PostgreSQL panics', async () => {
    const place = newPlace('embedded')
    const failures: Error[] = []
    const db = await place.open({ onFailure: (error) => failures.push(error) })
    await sql`create table t (n int8)`.execute(db.kysely)
    // What a full disk does: the WAL needs another file and cannot have one.
    rmSync(join(place.options.folder, 'pg/pg_wal'), { recursive: true })
    const panic = (async () => {
      for (;;) {
        await sql`insert into t select generate_series(1, 100)`.execute(db.kysely)
        await sql`select pg_switch_wal()`.execute(db.kysely)
      }
    })()
    await expect(panic).rejects.toMatchObject({ code: 'ended' })
    await expect(panic).rejects.toThrow(/PANIC/)
    expect(failures).toMatchObject([{ code: 'ended' }])
    await expect(sql`select 1`.execute(db.kysely)).rejects.toThrow('has ended')
    await db.close()
    expect(existsSync(join(place.options.folder, 'lock'))).toBe(false)
  })

  it('vacuums, so that updates do not grow a table for ever', async () => {
    const path = join(folder, 'vacuum')
    const driver = await openEmbedded({ folder: path, vacuumInterval: 100 })
    onTestFinished(() => driver.close())
    const kysely = new Kysely<unknown>({ dialect: new PostgresDialect({ pool: driver.pool }) })
    await sql`create table t as select g as id, 0 as n from generate_series(1, 5000) g`.execute(
      kysely,
    )
    const vacuumed = async () =>
      (
        await sql<{ n: number }>`select vacuum_count + analyze_count as n from pg_stat_user_tables
          where relname = 't'`.execute(kysely)
      ).rows[0]!.n
    await sql`update t set n = n + 1`.execute(kysely)
    await expect.poll(vacuumed, { interval: 200 }).toBeGreaterThan(0)
    await kysely.destroy()
  })

  it('makes checkpoints, so that the WAL stays small', async () => {
    const place = newPlace('embedded')
    const db = await place.open<{ t: { pad: Uint8Array } }>()
    onTestFinished(() => db.close())
    await sql`create table t (pad bytea)`.execute(db.kysely)
    await sql`alter table t alter pad set storage external`.execute(db.kysely)
    const redo = async () =>
      (
        await sql<{
          lsn: string
        }>`select redo_lsn::text as lsn from pg_control_checkpoint()`.execute(db.kysely)
      ).rows[0]!.lsn
    const before = await redo()
    for (let megabytes = 0; megabytes < 80; megabytes += 8) {
      await db.bulkInsert(db.kysely, 't', ['pad'], [[new Uint8Array(8 << 20).fill(1)]])
    }
    await expect.poll(redo, { interval: 300 }).not.toBe(before)
  })
})
