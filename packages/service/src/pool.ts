/**
 * node-postgres between Kysely and a server, the same for both kinds of database: values come back alike, COPY goes over the
 * connection of its transaction, and three silent mistakes are loud: a COMMIT that rolled back, a connection given back in
 * the middle of a transaction, and a wait for a second connection inside a transaction.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import pg from 'pg'
import type { PostgresPool, PostgresPoolClient, PostgresQueryResult } from 'kysely'
import { CopyRows } from './copy.ts'
import { DatabaseError } from './database-error.ts'

/** How values come back: int8 as a number, never silently rounded; bytea as Buffer and the rest as pg does it. */
export const valueTypes: pg.CustomTypesConfig = {
  getTypeParser: (oid, format) =>
    oid === pg.types.builtins.INT8
      ? parseInt8
      : (pg.types.getTypeParser(oid, format) as (value: unknown) => unknown),
}

function parseInt8(text: unknown): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value)) {
    throw new DatabaseError('unsafe-integer', `int8 ${String(text)} is beyond 2^53-1`)
  }
  return value
}

/** Runs `sql`, a COPY FROM STDIN, with these rows on this connection. */
export type CopyIn = (client: pg.PoolClient, sql: string, rows: CopyRows) => Promise<void>

/** The transaction around the code that runs. */
export const transactionScope: AsyncLocalStorage<{ open: boolean }> = new AsyncLocalStorage()

/** A pg.Pool as Kysely wants it. */
export class ClientPool implements PostgresPool {
  readonly #pool: pg.Pool
  readonly #copyIn: CopyIn
  // Kysely keeps its own state per client, so the same one must get the same wrapper.
  readonly #clients = new WeakMap<pg.PoolClient, Client>()

  constructor(pool: pg.Pool, copyIn: CopyIn) {
    this.#pool = pool
    this.#copyIn = copyIn
  }

  async connect(): Promise<PostgresPoolClient> {
    if (transactionScope.getStore()?.open === true) {
      // With one connection this would wait for itself; with more, for luck.
      throw new Error('inside a transaction only its own handle can be used')
    }
    const client = await this.#acquire()
    let wrapper = this.#clients.get(client)
    if (wrapper === undefined) {
      wrapper = new Client(client, this.#copyIn)
      this.#clients.set(client, wrapper)
    }
    return wrapper
  }

  async end(): Promise<void> {
    await this.#pool.end()
  }

  async #acquire(): Promise<pg.PoolClient> {
    try {
      return await this.#pool.connect()
    } catch (error) {
      // pg-pool gives this error no code.
      if (error instanceof Error && error.message.startsWith('timeout exceeded')) {
        throw new DatabaseError('busy', 'no database connection became free', { cause: error })
      }
      throw awayOr(error)
    }
  }
}

/**
 * SQLSTATEs by which a server says that it is there no more or not yet: shutdown, crash, starting; all connections taken;
 * a conflict with recovery, on a standby.
 */
const AWAY: ReadonlySet<string | undefined> = new Set(['57P01', '57P02', '57P03', '53300', '40001'])

/** pg-pool and node-postgres give these errors no code. */
const BROKEN = /^Connection terminated|connection error and is not queryable|^Client was closed/

/** An error as it came, unless it says that the server is away. */
function awayOr(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof DatabaseError) return error
  const { code } = error as { code?: string }
  const isAway =
    error instanceof pg.DatabaseError
      ? AWAY.has(code)
      : /^E[A-Z]+$/.test(code ?? '') || BROKEN.test(error.message)
  if (!isAway) return error
  const reason = error.message === '' ? code : error.message
  return new DatabaseError('away', `the database is away: ${reason}`, { cause: error })
}

class Client implements PostgresPoolClient {
  readonly #client: pg.PoolClient
  readonly #copyIn: CopyIn
  /** Why nobody should get this connection any more. */
  #gone: Error | undefined

  constructor(client: pg.PoolClient, copyIn: CopyIn) {
    this.#client = client
    this.#copyIn = copyIn
    // A connection that breaks fails its query, or its next one; without a listener it would also end the process.
    client.on('error', () => {})
  }

  query<R>(sql: string, parameters: readonly unknown[]): Promise<PostgresQueryResult<R>>
  query(cursor: unknown): never
  async query<R>(
    sql: unknown,
    parameters: readonly unknown[] = [],
  ): Promise<PostgresQueryResult<R>> {
    if (typeof sql !== 'string') throw new TypeError('cursors are not supported')
    const [rows] = parameters
    if (rows instanceof CopyRows) {
      await this.#attempt(() => this.#copyIn(this.#client, sql, rows))
      return { command: 'INSERT', rowCount: 0, rows: [] }
    }
    const result = await this.#attempt(() => this.#client.query(sql, [...parameters]))
    if (sql === 'commit' && result.command === 'ROLLBACK') {
      throw new DatabaseError('aborted', 'a statement had failed: the transaction was rolled back')
    }
    return result as PostgresQueryResult<R>
  }

  async #attempt<R>(act: () => Promise<R>): Promise<R> {
    try {
      return await act()
    } catch (cause) {
      const error = awayOr(cause)
      if (error !== cause) this.#gone = cause as Error
      throw error
    }
  }

  release(): void {
    const status = this.#client.getTransactionStatus()
    // Neither the transaction nor its locks may pass to whoever gets the connection next.
    const clean = status === 'I' || status === null
    this.#client.release(
      this.#gone ?? (clean ? undefined : new Error('released inside a transaction')),
    )
  }
}
