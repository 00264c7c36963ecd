/**
 * node-postgres between Kysely and a server, the same for both kinds of database: values come back alike, COPY goes over the
 * connection of its transaction, and three silent mistakes are loud: a COMMIT that rolled back, a connection given back in
 * the middle of a transaction, and a wait for a second connection inside a transaction.
 */
import pg from 'pg'
import type { PostgresPool, PostgresPoolClient, PostgresQueryResult } from 'kysely'
import { CopyRows } from './copy.ts'
import { DatabaseError } from './database-error.ts'
import type { Logger } from './log.ts'
import { isOutage } from './outage.ts'
import { transactionScope } from './transactionscope.ts'

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

/** Whether the database answers, as far as its connections have shown. */
class Presence {
  readonly #logger: Logger | undefined
  #awaySince: number | undefined

  constructor(logger: Logger | undefined) {
    this.#logger = logger
  }

  get awaySince(): number | undefined {
    return this.#awaySince
  }

  /** Passes on what an attempt comes to; that the database is away is logged once, and that it is back. */
  async of<R>(attempt: () => Promise<R>): Promise<R> {
    try {
      const result = await attempt()
      this.#answered()
      return result
    } catch (cause) {
      const error = outageOr(cause)
      if (isOutage(error)) this.#failed(error)
      throw error
    }
  }

  #answered(): void {
    if (this.#awaySince === undefined) return
    const seconds = Math.round((performance.now() - this.#awaySince) / 1000)
    this.#awaySince = undefined
    this.#logger?.info({ seconds }, 'the database answers again')
  }

  #failed({ code, message }: DatabaseError): void {
    if (this.#awaySince !== undefined) return
    this.#awaySince = performance.now()
    this.#logger?.warn({ code, reason: message }, 'the database does not answer')
  }
}

/** A pg.Pool as Kysely wants it. */
export class ClientPool implements PostgresPool {
  readonly #pool: pg.Pool
  readonly #copyIn: CopyIn
  readonly #presence: Presence
  // Kysely keeps its own state per client, so the same one must get the same wrapper.
  readonly #clients = new WeakMap<pg.PoolClient, Client>()
  /** Those that are in use. */
  readonly #used = new Set<Client>()
  #closed: string | undefined

  constructor(pool: pg.Pool, copyIn: CopyIn, logger?: Logger) {
    this.#pool = pool
    this.#copyIn = copyIn
    this.#presence = new Presence(logger)
  }

  /** Since when the database does not answer, by `performance.now()`; undefined as long as it does. */
  get awaySince(): number | undefined {
    return this.#presence.awaySince
  }

  /**
   * Gives no connection any more, for a reason, until it is opened again, and takes away those that are in use: also from who
   * waits for an answer.
   */
  close(reason: string): void {
    this.#closed = reason
    for (const client of this.#used) client.end()
  }

  open(): void {
    this.#closed = undefined
  }

  async connect(): Promise<PostgresPoolClient> {
    if (transactionScope.isInside) {
      // With one connection this would wait for itself; with more, for luck.
      throw new Error('inside a transaction only its own handle can be used')
    }
    const client = await this.#presence.of(() => this.#acquire())
    let wrapper = this.#clients.get(client)
    if (wrapper === undefined) {
      wrapper = new Client(client, {
        copyIn: this.#copyIn,
        presence: this.#presence,
        onRelease: (released) => this.#used.delete(released),
      })
      this.#clients.set(client, wrapper)
    }
    this.#used.add(wrapper)
    return wrapper
  }

  async end(): Promise<void> {
    await this.#pool.end()
  }

  async #acquire(): Promise<pg.PoolClient> {
    if (this.#closed !== undefined) throw new DatabaseError('away', this.#closed)
    return this.#pool.connect()
  }
}

/**
 * SQLSTATEs by which a server says that it is there no more or not yet: shutdown, crash, starting; all connections taken;
 * a conflict with recovery, on a standby.
 */
const AWAY: ReadonlySet<string | undefined> = new Set(['57P01', '57P02', '57P03', '53300', '40001'])

/** By which it says that something took too long: a statement; the wait for a lock. */
const BUSY: ReadonlySet<string | undefined> = new Set(['57014', '55P03'])

/** pg-pool and node-postgres give these errors no code. */
const NO_CONNECTION = 'timeout exceeded'
const BROKEN = /^Connection terminated|connection error and is not queryable|^Client was closed/

/** An error as it came, unless it says that the server is away or busy. */
function outageOr(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof DatabaseError) return error
  const { code } = error as { code?: string }
  if (error.message.startsWith(NO_CONNECTION)) {
    return new DatabaseError('busy', 'no database connection became free', { cause: error })
  }
  if (error instanceof pg.DatabaseError && BUSY.has(code)) {
    return new DatabaseError('busy', `the database is busy: ${error.message}`, { cause: error })
  }
  const isAway =
    error instanceof pg.DatabaseError
      ? AWAY.has(code)
      : /^E[A-Z]+$/.test(code ?? '') || BROKEN.test(error.message)
  if (!isAway) return error
  const reason = error.message === '' ? code : error.message
  return new DatabaseError('away', `the database is away: ${reason}`, { cause: error })
}

interface ClientOptions {
  readonly copyIn: CopyIn
  readonly presence: Presence
  readonly onRelease: (client: Client) => void
}

class Client implements PostgresPoolClient {
  readonly #client: pg.PoolClient
  readonly #options: ClientOptions
  /** Why nobody should get this connection any more. */
  #gone: Error | undefined

  constructor(client: pg.PoolClient, options: ClientOptions) {
    this.#client = client
    this.#options = options
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
      await this.#attempt(() => this.#options.copyIn(this.#client, sql, rows))
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
      return await this.#options.presence.of(act)
    } catch (error) {
      if (isOutage(error) && error.code === 'away') this.#gone = error
      throw error
    }
  }

  /** Ends the connection, whoever waits for an answer. */
  end(): void {
    // The pool's type hides that its clients can be ended.
    const client = this.#client as unknown as pg.Client
    client.end().catch(() => {})
  }

  release(): void {
    this.#options.onRelease(this)
    const status = this.#client.getTransactionStatus()
    // Neither the transaction nor its locks may pass to whoever gets the connection next.
    const clean = status === 'I' || status === null
    this.#client.release(
      this.#gone ?? (clean ? undefined : new Error('released inside a transaction')),
    )
  }
}
