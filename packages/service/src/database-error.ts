/** What can go wrong with a database beyond what the server itself reports (that is pg's DatabaseError, with its SQLSTATE). */

/** What was wrong. */
export type DatabaseErrorCode =
  /** Another process has the embedded database's folder. */
  | 'locked'
  /** The server is older than PostgreSQL 15. */
  | 'version'
  /** Another session holds the exclusive lock. */
  | 'held'
  /** No connection became free in time, or a statement or what it waited for took too long. */
  | 'busy'
  /**
   * The server cannot be reached, is starting or stopping, or a standby gave the query up for what it has to replay; or
   * the lock without which nothing may be done here is being taken again.
   */
  | 'away'
  /** A COMMIT turned into a rollback, because a statement of the transaction had failed. */
  | 'aborted'
  /** An int8 is beyond 2^53-1. */
  | 'unsafe-integer'
  /** A migration failed, or the database is newer than the software. */
  | 'migration'
  /** No synchronous standby has what was committed, or the server does not wait for one. */
  | 'standby'
  /** There is no such role. */
  | 'role'
  /** The embedded database has ended. */
  | 'ended'

/** A failure of the database layer; `cause` holds the lower error where there is one. */
export class DatabaseError extends Error {
  readonly code: DatabaseErrorCode

  constructor(code: DatabaseErrorCode, message: string, options?: { cause: unknown }) {
    super(message, options)
    this.name = 'DatabaseError'
    this.code = code
  }
}

/** The folder of an embedded database is in use by process `pid`. */
export class EmbeddedLocked extends DatabaseError {
  readonly folder: string
  readonly pid: number

  constructor(folder: string, pid: number, since: string) {
    super('locked', `${folder} is in use by process ${pid} (${since})`)
    this.name = 'EmbeddedLocked'
    this.folder = folder
    this.pid = pid
  }
}
