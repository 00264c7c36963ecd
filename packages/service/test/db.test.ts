import { sql } from 'kysely'
import type { Generated } from 'kysely'
import fc from 'fast-check'
import { describe, expect, it, onTestFinished } from 'vitest'
import { DatabaseError } from '@dslog/service/database-error'
import type { Database } from '@dslog/service/db'
import { migrate } from '@dslog/service/migrate'
import type { Migrations } from '@dslog/service/migrate'
import { databases } from './database.ts'

const { kinds, newPlace } = await databases()

interface Tables {
  everything: {
    id: Generated<number>
    big: number | bigint | null
    small: number | null
    tiny: number | null
    float: number | null
    flag: boolean | null
    bytes: Uint8Array | null
    text: string | null
    name: string | null
    json: unknown
    jsonb: unknown
  }
  counter: { name: string; value: number }
}

const COLUMNS = [
  'big',
  'small',
  'tiny',
  'float',
  'flag',
  'bytes',
  'text',
  'name',
  'json',
  'jsonb',
] as const

const MIGRATIONS: Migrations = {
  '0001_everything': {
    up: async (db) => {
      await sql`create table everything (id int8 generated always as identity primary key,
        big int8, small int4, tiny int2, float float8, flag bool, bytes bytea, text text,
        name varchar(100), json json, jsonb jsonb)`.execute(db)
    },
  },
  '0002_counter': {
    up: async (db) => {
      await sql`create table counter (name text primary key, value int8 not null)`.execute(db)
    },
  },
}

describe.each(kinds)('database: %s', (kind) => {
  const place = newPlace(kind)
  let opened: Promise<Database<Tables>> | undefined

  /** The database that most tests share, with empty tables. */
  async function open(): Promise<Database<Tables>> {
    opened ??= place.open<Tables>().then(async (db) => {
      await migrate(db, MIGRATIONS)
      return db
    })
    const db = await opened
    await sql`truncate everything restart identity`.execute(db.kysely)
    await sql`truncate counter`.execute(db.kysely)
    return db
  }

  const all = (db: Database<Tables>) =>
    db.kysely.selectFrom('everything').select(COLUMNS).orderBy('id').execute()

  it('knows what it is', async () => {
    const db = await open()
    expect(db.kind).toBe(kind)
    const { rows } = await sql<{ version: number }>`
      select current_setting('server_version_num')::int4 as version`.execute(db.kysely)
    expect(rows[0]!.version).toBeGreaterThanOrEqual(150_000)
  })

  describe('values', () => {
    it('come back as they went in', async () => {
      const { kysely } = await open()
      const memory = Uint8Array.from({ length: 300 }, (_, i) => i)
      const row = {
        big: Number.MAX_SAFE_INTEGER,
        small: -(2 ** 31),
        tiny: 2 ** 15 - 1,
        float: 0.1,
        flag: true,
        bytes: memory.subarray(10, 290),
        text: 'ä \u0001 \u{1f512} "\\,{}\'',
        name: '',
        json: JSON.stringify({ a: [1, null] }),
        jsonb: JSON.stringify([]),
      }
      await kysely.insertInto('everything').values(row).execute()
      const [back] = await kysely.selectFrom('everything').select(COLUMNS).execute()
      expect(back).toEqual({
        ...row,
        bytes: Buffer.from(row.bytes),
        json: { a: [1, null] },
        jsonb: [],
      })
      expect(back!.bytes).toBeInstanceOf(Uint8Array)
    })

    it('int8 is a number, or an error if it would not be exact', async () => {
      const { kysely } = await open()
      const read = async (text: string) =>
        (await sql<{ n: number }>`select ${text}::text::int8 as n`.execute(kysely)).rows[0]!.n
      expect(await read('9007199254740991')).toBe(9007199254740991)
      expect(await read('-9007199254740991')).toBe(-9007199254740991)
      for (const text of ['9007199254740992', '-9223372036854775808']) {
        await expect(read(text)).rejects.toMatchObject({ code: 'unsafe-integer' })
      }
      const { n } = await kysely
        .selectFrom('everything')
        .select(({ fn }) => fn.countAll<number>().as('n'))
        .executeTakeFirstOrThrow()
      expect(n).toBe(0)
      // The connection is still good.
      expect(await read('1')).toBe(1)
    })

    it('bytea works in conditions and arrays', async () => {
      const { kysely } = await open()
      const values = [Uint8Array.of(1, 2), Uint8Array.of(), Uint8Array.of(0, 255)]
      for (const bytes of values) {
        await kysely.insertInto('everything').values({ bytes }).execute()
      }
      const found = await kysely
        .selectFrom('everything')
        .select('bytes')
        .where('bytes', 'in', [values[0]!, values[2]!])
        .orderBy('bytes')
        .execute()
      expect(found.map(({ bytes }) => [...bytes!])).toEqual([
        [0, 255],
        [1, 2],
      ])
      const { rows } = await sql<{ n: number }>`select count(*) as n from everything
        where bytes = any(${values}::bytea[])`.execute(kysely)
      expect(rows[0]!.n).toBe(3)
    })
  })

  describe('transactions', () => {
    const read = async (db: Database<Tables>) =>
      (await db.kysely.selectFrom('counter').select('value').execute()).map(({ value }) => value)

    it('commit what resolves and roll back what throws', async () => {
      const db = await open()
      const result = await db.transaction(async (trx) => {
        await trx.insertInto('counter').values({ name: 'a', value: 1 }).execute()
        return 'done'
      })
      expect([result, await read(db)]).toEqual(['done', [1]])
      const failing = db.transaction(async (trx) => {
        await trx.updateTable('counter').set({ value: 2 }).execute()
        throw new Error('after all not')
      })
      await expect(failing).rejects.toThrow('after all not')
      expect(await read(db)).toEqual([1])
    })

    it('see only themselves until they commit', async () => {
      const db = await open()
      await db.kysely.insertInto('counter').values({ name: 'a', value: 0 }).execute()
      await Promise.all(
        Array.from({ length: 20 }, () =>
          db.transaction(async (trx) => {
            const { value } = await trx
              .selectFrom('counter')
              .select('value')
              .forUpdate()
              .executeTakeFirstOrThrow()
            await new Promise((resolve) => setImmediate(resolve))
            await trx
              .updateTable('counter')
              .set({ value: value + 1 })
              .execute()
          }),
        ),
      )
      expect(await read(db)).toEqual([20])
    })

    it('do not pretend to have committed after a failed statement', async () => {
      const db = await open()
      const pretending = db.transaction(async (trx) => {
        await trx.insertInto('counter').values({ name: 'a', value: 1 }).execute()
        await sql`select 1/0`.execute(trx).catch(() => {})
      })
      await expect(pretending).rejects.toMatchObject({ name: 'DatabaseError', code: 'aborted' })
      expect(await read(db)).toEqual([])
    })

    it('refuse a second connection, which would wait for the first', async () => {
      const db = await open()
      const nested = db.transaction(async (trx) => {
        await trx.insertInto('counter').values({ name: 'a', value: 1 }).execute()
        await read(db)
      })
      await expect(nested).rejects.toThrow('only its own handle')
      expect(await read(db)).toEqual([])
    })

    it('refuse it also when others have ended, before them and beside them', async () => {
      const db = await open()
      const elsewhere = await newPlace(kind).open<Tables>()
      const nested = () => db.transaction(() => read(db))
      await expect(nested()).rejects.toThrow('only its own handle')
      const refused = db.transaction(async (trx) => {
        await elsewhere.transaction((other) => sql`select 1`.execute(other))
        await sql`select 1`.execute(trx)
        await read(db)
      })
      await expect(refused).rejects.toThrow('only its own handle')
      await expect(nested()).rejects.toThrow('only its own handle')
      expect(await read(db)).toEqual([])
      await elsewhere.close()
    })

    it('let what they have started go on by itself afterwards', async () => {
      const db = await open()
      let later: Promise<number[]> | undefined
      await db.transaction(async (trx) => {
        await trx.insertInto('counter').values({ name: 'a', value: 1 }).execute()
        later = new Promise((resolve) => setTimeout(resolve, 50)).then(() => read(db))
      })
      expect(await later).toEqual([1])
    })

    it('left open by whoever had the connection are rolled back', async () => {
      const db = await open()
      const crash = db.kysely.connection().execute(async (connection) => {
        await sql`begin`.execute(connection)
        await sql`set search_path to nowhere`.execute(connection)
        await sql`select pg_advisory_lock(42)`.execute(connection)
        throw new Error('a bug')
      })
      await expect(crash).rejects.toThrow('a bug')
      expect(await read(db)).toEqual([])
      const locks = async (): Promise<number> => {
        const { rows } = await sql<{ locks: number }>`
          select count(*) as locks from pg_locks where locktype = 'advisory' and objid = 42`.execute(
          db.kysely,
        )
        return rows[0]!.locks
      }
      // A server notices in its own time that a connection is gone.
      await expect.poll(locks).toBe(0)
    })

    it('wait for a connection only so long', async () => {
      const db = await newPlace(kind).open<Tables>({ acquireTimeout: 200, poolSize: 1 })
      onTestFinished(() => db.close())
      let release = (): void => {}
      const holding = db.transaction(() => new Promise<void>((resolve) => (release = resolve)))
      await expect(sql`select 1`.execute(db.kysely)).rejects.toMatchObject({ code: 'busy' })
      release()
      await holding
    })
  })

  describe('errors', () => {
    it('carry the SQLSTATE and what it is about', async () => {
      const { kysely } = await open()
      const insert = () => kysely.insertInto('counter').values({ name: 'a', value: 1 }).execute()
      await insert()
      await expect(insert()).rejects.toMatchObject({
        code: '23505',
        constraint: 'counter_pkey',
        table: 'counter',
        detail: 'Key (name)=(a) already exists.',
      })
      await expect(sql`selec 1`.execute(kysely)).rejects.toMatchObject({ code: '42601' })
    })
  })

  describe('bulkInsert', () => {
    it('puts in what an INSERT would, for all values', async () => {
      const db = await open()
      const nullable = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { freq: 5 })
      // PostgreSQL has no NUL in text, and no lone surrogates.
      const text = fc
        .string({ unit: 'binary', maxLength: 50 })
        .map((value) => value.replaceAll('\0', ''))
      const json = nullable(fc.oneof(fc.integer(), text, fc.boolean(), fc.array(text)))
      const row = fc.tuple(
        nullable(fc.oneof(fc.maxSafeInteger(), fc.maxSafeInteger().map(BigInt))),
        nullable(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })),
        nullable(fc.integer({ min: -(2 ** 15), max: 2 ** 15 - 1 })),
        nullable(fc.double({ noNaN: true })),
        nullable(fc.boolean()),
        nullable(fc.uint8Array({ maxLength: 100 })),
        nullable(text),
        nullable(text),
        json,
        json,
      )
      await fc.assert(
        fc.asyncProperty(fc.array(row, { maxLength: 20 }), async (rows) => {
          await sql`truncate everything`.execute(db.kysely)
          await db.transaction((trx) => db.bulkInsert(trx, 'everything', COLUMNS, rows))
          const copied = await all(db)
          await sql`truncate everything`.execute(db.kysely)
          for (const values of rows) {
            const [big, small, tiny, float, flag, bytes, text, name, json, jsonb] = values
            const asJson = (value: unknown) => (value === null ? null : JSON.stringify(value))
            await db.kysely
              .insertInto('everything')
              .values({
                big,
                small,
                tiny,
                float,
                flag,
                bytes,
                text,
                name,
                json: asJson(json),
                jsonb: asJson(jsonb),
              })
              .execute()
          }
          expect(copied).toEqual(await all(db))
        }),
        { numRuns: 25 },
      )
    })

    it('takes many rows and large ones, from any iterable', async () => {
      const db = await open()
      function* rows() {
        for (let i = 0; i < 20_000; i++) yield [i, Uint8Array.of(i & 255), undefined]
        yield [20_000, new Uint8Array(1 << 20).fill(7), 'x'.repeat(300_000)]
      }
      await db.bulkInsert(db.kysely, 'everything', ['big', 'bytes', 'text'], rows())
      const { rows: sums } = await sql<Record<string, unknown>>`
        select count(*) as n, sum(big)::int8 as sum, sum(length(bytes))::int8 as bytes,
          count(text) as texts from everything`.execute(db.kysely)
      expect(sums).toEqual([
        { n: 20_001, sum: (20_000 * 20_001) / 2, bytes: 20_000 + (1 << 20), texts: 1 },
      ])
    })

    it('takes none', async () => {
      const db = await open()
      await db.bulkInsert(db.kysely, 'everything', ['big'], [])
      expect(await all(db)).toEqual([])
    })

    it('belongs to its transaction', async () => {
      const db = await open()
      const failing = db.transaction(async (trx) => {
        await db.bulkInsert(trx, 'everything', ['big'], [[1], [2]])
        expect(await trx.selectFrom('everything').select('big').execute()).toHaveLength(2)
        throw new Error('no')
      })
      await expect(failing).rejects.toThrow('no')
      expect(await all(db)).toEqual([])
    })

    it('fails with the SQLSTATE, and the database goes on', async () => {
      const db = await open()
      const failing = db.transaction(async (trx) => {
        await trx.insertInto('counter').values({ name: 'kept', value: 1 }).execute()
        const rows = Array.from({ length: 10_000 }, (_, i) => [`n${i % 9_999}`, i])
        await db.bulkInsert(trx, 'counter', ['name', 'value'], rows)
      })
      await expect(failing).rejects.toMatchObject({ code: '23505', constraint: 'counter_pkey' })
      const orphan = db.bulkInsert(db.kysely, 'counter', ['name', 'value'], [['a', null]])
      await expect(orphan).rejects.toMatchObject({ code: '23502', column: 'value' })
      expect(await db.kysely.selectFrom('counter').selectAll().execute()).toEqual([])
    })

    it('takes nothing of rows the last of which cannot be held, and the database goes on', async () => {
      const db = await open()
      function* rows(): Generator<readonly unknown[]> {
        for (let i = 0; i < 20_000; i++) yield [i, new Uint8Array(20)]
        yield ['none', null]
      }
      const failing = db.transaction((trx) =>
        db.bulkInsert(trx, 'everything', ['big', 'bytes'], rows()),
      )
      await expect(failing).rejects.toThrow(/^column big: /)
      await db.bulkInsert(db.kysely, 'everything', ['big'], [[1]])
      expect(await all(db)).toHaveLength(1)
    })

    it('refuses values that a column cannot hold, and names it', async () => {
      const db = await open()
      const put = (column: string, value: unknown) =>
        db.bulkInsert(db.kysely, 'everything', [column], [[value]])
      const wrong: [string, unknown][] = [
        ['big', '1'],
        ['big', 1.5],
        ['big', 2 ** 53],
        ['big', 2n ** 63n],
        ['small', 2 ** 31],
        ['tiny', -(2 ** 15) - 1],
        ['float', '1'],
        ['flag', 1],
        ['bytes', 'abc'],
        ['bytes', [1, 2]],
        ['text', 5],
      ]
      for (const [column, value] of wrong) {
        await expect(put(column, value), `${column} ${String(value)}`).rejects.toThrow(
          new RegExp(`^column ${column}: `),
        )
      }
      await expect(put('nothing', 1)).rejects.toThrow('table everything has no column nothing')
      await expect(db.bulkInsert(db.kysely, 'everything', ['big', 'text'], [[1]])).rejects.toThrow(
        'row of 1 values for 2 columns',
      )
      await expect(
        db.bulkInsert(db.kysely, 'none' as 'counter', ['name'], [['a']]),
      ).rejects.toThrow('table none has no column name')
      expect(await all(db)).toEqual([])
    })
  })

  describe('migrations', () => {
    const step = (statement: string) => ({
      up: async (db: Parameters<Migrations[string]['up']>[0]) => {
        await sql.raw(statement).execute(db)
      },
    })

    it('run once, in order', async () => {
      const db = await newPlace(kind).open()
      onTestFinished(() => db.close())
      const first = {
        '0002_b': step('alter table t add b int8'),
        '0001_a': step('create table t ()'),
      }
      expect(await migrate(db, first)).toEqual(['0001_a', '0002_b'])
      expect(await migrate(db, first)).toEqual([])
      expect(await migrate(db, { ...first, '0003_c': step('alter table t add c int8') })).toEqual([
        '0003_c',
      ])
      await sql`select b, c from t`.execute(db.kysely)
    })

    it('leave nothing of a failed run', async () => {
      const db = await newPlace(kind).open()
      onTestFinished(() => db.close())
      const bad = { '0001_a': step('create table t ()'), '0002_b': step('create tabel u ()') }
      const failing = migrate(db, bad)
      await expect(failing).rejects.toBeInstanceOf(DatabaseError)
      await expect(failing).rejects.toMatchObject({
        code: 'migration',
        message: expect.stringMatching(/^0002_b: .*tabel/),
      })
      expect(await migrate(db, { '0001_a': step('create table t ()') })).toEqual(['0001_a'])
    })

    it('refuse a database of newer software', async () => {
      const db = await newPlace(kind).open()
      onTestFinished(() => db.close())
      await migrate(db, { '0001_a': step('create table t ()'), '0002_b': step('select 1') })
      await expect(migrate(db, { '0001_a': step('create table t ()') })).rejects.toMatchObject({
        code: 'migration',
        message: expect.stringContaining('0002_b'),
      })
    })
  })

  describe('exclusive locks', () => {
    it('are held once, by name', async () => {
      const db = await open()
      const never = (error: Error) => expect.unreachable(String(error))
      const lock = await db.lockExclusive('sequencer', never)
      await expect(db.lockExclusive('sequencer', never)).rejects.toMatchObject({ code: 'held' })
      const other = await db.lockExclusive('other', never)
      await lock.release()
      await (await db.lockExclusive('sequencer', never)).release()
      await other.release()
    })
  })

  it('waits for open transactions when it closes, and keeps what they did', async () => {
    const place = newPlace(kind)
    const db = await place.open<Tables>()
    await migrate(db, MIGRATIONS)
    let proceed = (): void => {}
    const begun = new Promise<void>((begin) => {
      void db.transaction(async (trx) => {
        begin()
        await new Promise<void>((resolve) => (proceed = resolve))
        await trx.insertInto('counter').values({ name: 'late', value: 1 }).execute()
      })
    })
    await begun
    await expect.poll(() => proceed.length).toBe(1)
    const closing = db.close()
    proceed()
    await closing
    await expect(sql`select 1`.execute(db.kysely)).rejects.toThrow('destroyed')
    const again = await place.open<Tables>()
    onTestFinished(() => again.close())
    expect(await again.kysely.selectFrom('counter').selectAll().execute()).toEqual([
      { name: 'late', value: 1 },
    ])
  })
})
