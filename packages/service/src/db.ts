/**
 * The database of a service: a PostgreSQL server, or PGlite in a folder of its own. Both are PostgreSQL, and both are
 * reached through node-postgres and Kysely, so services do not know which one they have. What differs between the two lies
 * in postgres.ts and embedded.ts. SQL floor: PostgreSQL 15.
 *
 * int8 comes back as number (an unsafe one is an error), bytea as Buffer, numeric as text. A Uint8Array is a bytea
 * parameter.
 */
import { CompiledQuery, Kysely, PostgresDialect, sql } from 'kysely'
import type { Transaction } from 'kysely'
import { CopyRows, encodeCopy } from './copy.ts'
import type { CopyColumn } from './copy.ts'
import { openEmbedded } from './embedded.ts'
import { openPostgres } from './postgres.ts'
import type { ClientPool } from './pool.ts'
import type { Logger } from './log.ts'
import { transactionScope } from './transactionscope.ts'

/** A held lock. */
export interface ExclusiveLock {
  release(): Promise<void>
}

/** The handle that a service uses. */
export interface Database<T> {
  readonly kysely: Kysely<T>
  readonly kind: 'postgres' | 'embedded'

  /**
   * Runs `fn` in a transaction, which commits when it resolves and rolls back when it throws. Inside, only `trx` may be
   * used: asking for a second connection throws. On the embedded database transactions wait for one another.
   */
  transaction<R>(fn: (trx: Transaction<T>) => Promise<R>): Promise<R>

  /**
   * Inserts rows by binary COPY, on the connection of `trx`. Values: number or bigint for integers, Uint8Array for bytea,
   * string for text, anything for json and jsonb; null and undefined are null.
   */
  bulkInsert(
    trx: Kysely<T>,
    table: keyof T & string,
    columns: readonly string[],
    rows: Iterable<readonly unknown[]>,
  ): Promise<void>

  /**
   * Takes a lock that at most one process holds, under this name in this schema, or throws DatabaseError `held`.
   * `onLost` is called once if it is lost: stop at once whatever the lock protects.
   */
  lockExclusive(name: string, onLost: (error: Error) => void): Promise<ExclusiveLock>

  /**
   * The same for who can wait: a lock that is lost is taken again. Until then nobody gets a connection here, but
   * DatabaseError `away`; what was in memory may be old when it is there again.
   */
  keepExclusive(name: string): Promise<ExclusiveLock>

  /** Since when the database does not answer, by `performance.now()`; undefined as long as it does. */
  readonly awaySince: number | undefined

  /** Waits for open transactions, flushes, and lets go of everything. */
  close(): Promise<void>
}

/** Where the database is and how it is used. */
export interface DatabaseOptions {
  /** A PostgreSQL server (postgres:// URL); without it the embedded database. */
  url?: string | undefined
  /** Folder of the embedded database, of this service alone; created when missing. */
  folder: string
  /** File of an empty embedded database to start from (template.ts); default: that of the build. */
  template?: string
  /** Schema of the service on the server; created when missing. Default: the role's own search path. */
  schema?: string
  /** Shown in pg_stat_activity. */
  applicationName?: string
  /** Connections to the server. */
  poolSize?: number
  /** Longest statement on the server, ms. */
  statementTimeout?: number
  /** Longest wait for a connection, ms; then DatabaseError `busy`. */
  acquireTimeout?: number
  logger?: Logger
  /** The embedded database has ended by itself: the process should too. */
  onFailure?: (error: Error) => void
}

/** What postgres.ts and embedded.ts provide. */
export interface Driver {
  readonly kind: 'postgres' | 'embedded'
  readonly pool: ClientPool
  lockExclusive(name: string, onLost: (error: Error) => void): Promise<ExclusiveLock>
  keepExclusive(name: string): Promise<ExclusiveLock>
  /** After the pool has ended. */
  close(): Promise<void>
}

/** Opens a database. The tables are the business of migrate.ts. */
export async function openDatabase<T>(options: DatabaseOptions): Promise<Database<T>> {
  const driver =
    options.url === undefined
      ? await openEmbedded(options)
      : await openPostgres({ ...options, url: options.url })
  const kysely = new Kysely<T>({ dialect: new PostgresDialect({ pool: driver.pool }) })
  // Types of columns do not change while a service runs; migrations come before the first insert.
  const columnTypes = new Map<string, Promise<ReadonlyMap<string, number>>>()

  return {
    kysely,
    kind: driver.kind,

    transaction(fn) {
      return kysely.transaction().execute((trx) => transactionScope.run(() => fn(trx)))
    },

    async bulkInsert(trx, table, columns, rows) {
      // A statement that does nothing is still a way to the server and back.
      const some = unlessEmpty(rows)
      if (some === undefined) return
      let types = columnTypes.get(table)
      if (types === undefined) {
        types = readColumnTypes(trx, table)
        columnTypes.set(table, types)
        types.catch(() => columnTypes.delete(table))
      }
      const known = await types
      const target = columns.map((name): CopyColumn => {
        const type = known.get(name)
        if (type === undefined) throw new TypeError(`table ${table} has no column ${name}`)
        return { name, type }
      })
      const names = sql.join(columns.map((name) => sql.ref(name)))
      const { sql: text } =
        sql`copy ${sql.table(table)} (${names}) from stdin with (format binary)`.compile(trx)
      const copied = new CopyRows(encodeCopy(target, some))
      await trx.executeQuery(CompiledQuery.raw(text, [copied]))
    },

    lockExclusive: (name, onLost) => driver.lockExclusive(name, onLost),

    keepExclusive: (name) => driver.keepExclusive(name),

    get awaySince() {
      return driver.pool.awaySince
    },

    async close() {
      // destroy() leaves the pool alone if Kysely has never used it.
      await kysely.destroy()
      await driver.close()
    },
  }
}

/** The same, to be gone through once; `undefined` if there are none. */
function unlessEmpty<T>(items: Iterable<T>): Iterable<T> | undefined {
  const iterator = items[Symbol.iterator]()
  const first = iterator.next()
  if (first.done === true) return undefined
  return (function* () {
    yield first.value
    yield* { [Symbol.iterator]: () => iterator }
  })()
}

async function readColumnTypes<T>(
  trx: Kysely<T>,
  table: string,
): Promise<ReadonlyMap<string, number>> {
  const { rows } = await sql<{ name: string; type: number }>`
    select attname as name, atttypid::int8 as type from pg_attribute
    where attrelid = to_regclass(quote_ident(${table}::text)) and attnum > 0 and not attisdropped
  `.execute(trx)
  return new Map(rows.map(({ name, type }) => [name, type]))
}
