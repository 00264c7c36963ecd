/**
 * What one process does for all that share the queue: following the log, reading a zone. Whoever takes a duty on has it as
 * long as it lives, as by its beat (frontier.ts), or until it gives it up; then it is for whoever comes first. So no zone is
 * read, and no change of the log taken over, as many times as there are processes.
 *
 * A process that stood still may not know yet that another one has its duty now: what is done twice must do no harm.
 */
import { sql } from 'kysely'
import type { CrawlerTables } from '@dslog/schema/crawlerdb'
import type { Clock } from '@dslog/service/clock'
import type { Database } from '@dslog/service/db'
import { WORKER_GONE_MS } from './frontier.ts'

/** See the head of this file. */
export class Duties {
  readonly #db: Database<CrawlerTables>
  readonly #worker: number
  readonly #clock: Clock

  /** @param worker the number of this process */
  constructor(db: Database<CrawlerTables>, worker: number, clock: Clock) {
    this.#db = db
    this.#worker = worker
    this.#clock = clock
  }

  /** Whether a duty is ours. Nobody's becomes ours. */
  async has(what: string): Promise<boolean> {
    const { rows } = await sql<{ worker: number; seen_at: number | null }>`
      select worker, seen_at from duty left join worker on id = worker
      where what = ${what}`.execute(this.#db.kysely)
    const [held] = rows
    if (held?.worker === this.#worker) return true
    if (held !== undefined && (held.seen_at ?? 0) >= this.#clock() - WORKER_GONE_MS) return false
    // Of several that see it free one gets it.
    const { rows: taken } = await sql`
      insert into duty (what, worker) values (${what}, ${this.#worker})
      on conflict (what) do update set worker = excluded.worker
        where duty.worker = ${held?.worker ?? null}::int
      returning what`.execute(this.#db.kysely)
    return taken.length === 1
  }

  /** Leaves a duty to whoever can do it. */
  async giveUp(what: string): Promise<void> {
    await this.#db.kysely
      .deleteFrom('duty')
      .where('what', '=', what)
      .where('worker', '=', this.#worker)
      .execute()
  }
}
