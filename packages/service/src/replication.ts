/**
 * Synchronous replication, demanded: nothing is signed that a standby has not on its disk. PostgreSQL itself
 * makes a commit wait for the standby, but not for ever: a statement that is cancelled while it waits, by
 * a time limit too, reports success with a mere warning. So after each commit it is looked whether
 * the standby really has it.
 *
 * The role needs pg_read_all_stats (deploy/postgres/roles.sql), or the standby's progress is hidden from it.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { DatabaseError } from './database-error.ts'
import type { Database } from './db.ts'

/** Longest wait for a standby, ms: one that restarts is back by then. */
const STANDBY_LIMIT = 30_000

/** Pause between two looks, ms: as a rule the first finds the standby up to date. */
const LOOK_PAUSE = 20

/** Settings under which a commit waits until a standby has flushed it. */
const WAITING: ReadonlySet<string> = new Set(['on', 'remote_apply'])

/** See the head of this file. */
export class SynchronousStandby<T> {
  readonly #db: Database<T>
  readonly #limit: number

  /** @param limit longest wait, ms */
  constructor(db: Database<T>, limit: number = STANDBY_LIMIT) {
    this.#db = db
    this.#limit = limit
  }

  /** @throws DatabaseError `standby` if the server is not set up so that commits wait */
  async demandSettings(): Promise<void> {
    const { rows } = await sql<{ commit: string; names: string; sees: boolean }>`
      select current_setting('synchronous_commit') as commit,
        current_setting('synchronous_standby_names') as names,
        pg_has_role(current_user, 'pg_read_all_stats', 'usage') as sees`.execute(this.#db.kysely)
    const { commit, names, sees } = rows[0]!
    if (!WAITING.has(commit)) throw refused(`synchronous_commit is ${commit}`)
    if (names.trim() === '') throw refused('synchronous_standby_names names no standby')
    if (!sees) {
      throw refused('the role may not see how far standbys are: grant it pg_read_all_stats')
    }
  }

  /**
   * Waits until a synchronous standby has flushed everything that was committed before the call.
   *
   * @throws DatabaseError `standby` if none has in time
   */
  async caughtUp(): Promise<void> {
    const { rows } = await sql<{ lsn: string }>`
      select pg_current_wal_flush_lsn()::text as lsn`.execute(this.#db.kysely)
    const { lsn } = rows[0]!
    for (const deadline = Date.now() + this.#limit; ;) {
      const { rows: standbys } = await sql<{ has: boolean }>`
        select flush_lsn >= ${lsn}::pg_lsn as has from pg_stat_replication
        where sync_state in ('sync', 'quorum')`.execute(this.#db.kysely)
      if (standbys.some(({ has }) => has)) return
      if (Date.now() > deadline) {
        throw refused(
          standbys.length === 0 ? 'none is connected' : `none has what was committed at ${lsn}`,
        )
      }
      await sleep(LOOK_PAUSE)
    }
  }
}

function refused(why: string): DatabaseError {
  return new DatabaseError('standby', `a synchronous standby is demanded: ${why}`)
}
