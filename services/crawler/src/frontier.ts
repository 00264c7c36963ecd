/**
 * The queue of what to ask, in the database, shared by any number of processes.
 *
 * A lease is an update: it moves `due` to the end of the lease and writes down who holds it. Rows that
 * another process is leasing are skipped, not waited for. Whoever dies brings nothing back, and its
 * tasks are due again when the lease ends; whoever stops gives back what it has not asked, due as it
 * was. An answer of a lease that has ended counts for nothing: somebody else has the task.
 *
 * Tasks leave in the order in which they are due, and those due together in the order of a keyed hash.
 * Memory holds what is leased, and nothing else.
 */
import { createHmac } from 'node:crypto'
import { type Kysely, sql } from 'kysely'
import type { Name } from '@dslog/dnssec/name'
import type { CrawlerTables } from '@dslog/schema/crawlerdb'
import { MINUTE } from '@dslog/schema/time'
import type { Database } from '@dslog/service/db'
import { despiteDeadlock } from './deadlock.ts'
import { Source, TaskKind, Tier } from './schedule.ts'

/** How long a task is held unless its lease is renewed, ms: how late a task can be whose holder died. */
export const LEASE_MS: number = 3 * MINUTE

/** A process that has not been seen for so long is gone, ms. */
export const WORKER_GONE_MS = 60_000

/** Rows in one statement: some 100 kB of parameters. */
export const BATCH_ROWS = 1_000

/** A leased task. */
export interface Task {
  readonly name: Name
  /** TaskKind. */
  readonly kind: number
  readonly tier: Tier
  /** When it was due before the lease, ms since the epoch. */
  readonly due: number
  readonly failures: number
  readonly answered: Uint8Array | undefined
}

/** What becomes of a task. */
export interface Finished {
  readonly task: Task
  /** Due again; `undefined` for a task that is over. */
  readonly due: number | undefined
  readonly tier: Tier
  /** Set when it was answered provably. */
  readonly seenAt: number | undefined
  readonly failures: number
  readonly reason: string | undefined
  readonly answered: Uint8Array | undefined
}

/** A task to be added. */
export interface NewTask {
  readonly name: Name
  readonly kind: number
  readonly tier: Tier
  readonly due: number
  readonly source: Source
}

/** The queue, as one process sees it. */
export class Frontier {
  /** Number of this process. */
  readonly worker: number
  readonly #db: Database<CrawlerTables>
  readonly #hashKey: Uint8Array

  private constructor(db: Database<CrawlerTables>, hashKey: Uint8Array, worker: number) {
    this.#db = db
    this.#hashKey = hashKey
    this.worker = worker
  }

  /**
   * Joins the processes of a queue.
   *
   * @param hashKey decides the order of what is due together; nobody else shall know it
   */
  static async join(
    db: Database<CrawlerTables>,
    hashKey: Uint8Array,
    now: number,
  ): Promise<Frontier> {
    const { id } = await db.kysely
      .insertInto('worker')
      .values({ seen_at: now })
      .returning('id')
      .executeTakeFirstOrThrow()
    return new Frontier(db, hashKey, id)
  }

  /** Says that this process lives, and counts those that do, itself included. */
  async beat(now: number): Promise<number> {
    // Who slept takes the others for dead, as they do him: each removes what another is about to write.
    const { rows } = await despiteDeadlock(() =>
      sql<{ alive: number }>`
        with me as (
          insert into worker (id, seen_at) overriding system value values (${this.worker}, ${now})
          on conflict (id) do update set seen_at = excluded.seen_at),
        gone as (
          delete from worker where id <> ${this.worker} and seen_at < ${now - WORKER_GONE_MS}::int8)
        select 1 + count(*)::int as alive from worker
        where id <> ${this.worker} and seen_at >= ${now - WORKER_GONE_MS}::int8`.execute(
        this.#db.kysely,
      ),
    )
    return rows[0]!.alive
  }

  /** Leaves, after what is held was given back. */
  async leave(): Promise<void> {
    await this.#db.kysely.deleteFrom('worker').where('id', '=', this.worker).execute()
  }

  /**
   * Leases what is due: watched names and keys first, then the others, at most `limit` in all.
   * Failures to come back within {@link LEASE_MS} are nobody's loss.
   */
  async lease(now: number, limit: number): Promise<Task[]> {
    const soon = await this.#lease(sql`tier in (0, 3)`, now, limit)
    if (soon.length >= limit) return soon
    return [...soon, ...(await this.#lease(sql`tier in (1, 2)`, now, limit - soon.length))]
  }

  async #lease(which: ReturnType<typeof sql>, now: number, limit: number): Promise<Task[]> {
    const { rows } = await sql<{
      name: Name
      kind: number
      tier: Tier
      was: number
      failures: number
      answered: Uint8Array | null
    }>`
      with next as (
        select name, kind, due as was from task where ${which} and due <= ${now}::int8
        order by due, rank limit ${limit} for update skip locked)
      update task set due = ${now + LEASE_MS}::int8, holder = ${this.worker}
      from next where task.name = next.name and task.kind = next.kind
      returning task.name, task.kind, tier, next.was, failures, answered`.execute(this.#db.kysely)
    return rows.map(({ answered, was, ...task }) => {
      return { ...task, due: was, answered: answered ?? undefined }
    })
  }

  /** When the next task is due, ms since the epoch; `undefined` for an empty queue. */
  async nextDue(): Promise<number | undefined> {
    const { rows } = await sql<{ due: number | null }>`
      select least(
        (select min(due) from task where tier in (0, 3)),
        (select min(due) from task where tier in (1, 2))) as due`.execute(this.#db.kysely)
    return rows[0]?.due ?? undefined
  }

  /** Records what became of leased tasks, as far as they are still held. */
  async finish(finished: readonly Finished[]): Promise<void> {
    const over = finished.filter(({ due }) => due === undefined)
    const again = finished.filter(({ due }) => due !== undefined)
    await despiteDeadlock(() =>
      this.#db.transaction(async (trx) => {
        for (const batch of batches(again)) await this.#finish(trx, batch)
        for (const batch of batches(over)) {
          await sql`
            delete from task using ${tasksOf(batch.map(({ task }) => task))}
            where task.name = t.name and task.kind = t.kind and holder = ${this.worker}`.execute(
            trx,
          )
        }
      }),
    )
  }

  async #finish(trx: Kysely<CrawlerTables>, batch: readonly Finished[]): Promise<void> {
    // A name that became watched meanwhile stays so; and a look that was asked for meanwhile is due when it was.
    await sql`
      update task set due = t.due, holder = null, failures = t.failures, reason = t.reason,
        tier = case when task.tier in (0, 3) then task.tier else t.tier end,
        seen_at = coalesce(t.seen_at, task.seen_at), answered = coalesce(t.answered, task.answered)
      from unnest(
        ${batch.map(({ task }) => task.name)}::bytea[],
        ${batch.map(({ task }) => task.kind)}::int2[],
        ${batch.map(({ due }) => due)}::int8[],
        ${batch.map(({ tier }) => tier)}::int2[],
        ${batch.map(({ seenAt }) => seenAt ?? null)}::int8[],
        ${batch.map(({ failures }) => failures)}::int4[],
        ${batch.map(({ reason }) => reason ?? null)}::text[],
        ${batch.map(({ answered }) => answered ?? null)}::bytea[]
      ) as t (name, kind, due, tier, seen_at, failures, reason, answered)
      where task.name = t.name and task.kind = t.kind and holder = ${this.worker}`.execute(trx)
  }

  /** Holds tasks for another lease from now on. */
  async renew(tasks: readonly Task[], now: number): Promise<void> {
    for (const batch of batches(tasks)) {
      const statement = sql`
        update task set due = ${now + LEASE_MS}::int8 from ${tasksOf(batch)}
        where task.name = t.name and task.kind = t.kind and holder = ${this.worker}`
      await despiteDeadlock(() => statement.execute(this.#db.kysely))
    }
  }

  /** Gives back tasks that were not asked: due as they were, for whoever comes next. */
  async giveBack(tasks: readonly Task[]): Promise<void> {
    for (const batch of batches(tasks)) {
      const statement = sql`
        update task set due = t.due, holder = null from ${tasksOf(batch)}
        where task.name = t.name and task.kind = t.kind and holder = ${this.worker}`
      await despiteDeadlock(() => statement.execute(this.#db.kysely))
    }
  }

  /**
   * Adds tasks, each once: a name that is there gets another source, the more urgent tier and the earlier
   * time, so nothing is asked anew because it was named again.
   */
  async add(tasks: readonly NewTask[]): Promise<void> {
    for (const batch of batches(tasks)) {
      await despiteDeadlock(() => this.addIn(this.#db.kysely, batch))
    }
  }

  /** {@link add} as a part of something larger, in an order that all keep to. No name twice in one call. */
  async addIn(trx: Kysely<CrawlerTables>, batch: readonly NewTask[]): Promise<void> {
    await sql`
      insert into task (name, kind, tier, rank, due, sources)
      select t.* from unnest(
        ${batch.map(({ name }) => name)}::bytea[],
        ${batch.map(({ kind }) => kind)}::int2[],
        ${batch.map(({ tier }) => tier)}::int2[],
        ${batch.map(({ name }) => this.#rank(name))}::int8[],
        ${batch.map(({ due }) => Math.round(due))}::int8[],
        ${batch.map(({ source }) => source)}::int2[]) as t (name, kind)
      order by name, kind
      on conflict (name, kind) do update set
        sources = task.sources | excluded.sources,
        tier = least(task.tier, excluded.tier),
        due = case when excluded.tier < task.tier or task.kind >= ${TaskKind.look}
          then least(task.due, excluded.due) else task.due end
      where task.sources <> task.sources | excluded.sources or task.tier > excluded.tier
        or task.kind >= ${TaskKind.look}`.execute(trx)
  }

  /** Makes names due now, of whatever tier: something has changed there. */
  async hurry(names: readonly Name[], now: number): Promise<void> {
    for (const batch of batches(names)) {
      const statement = sql`
        update task set due = ${now}::int8
        where kind = ${TaskKind.poll} and due > ${now}::int8 and holder is null
          and name = any(${batch}::bytea[])`
      await despiteDeadlock(() => statement.execute(this.#db.kysely))
    }
  }

  /**
   * Marks names as found in the file of names, and adds those that are missing, due now.
   *
   * @param readAt when its reading began, ms since the epoch
   */
  async list(names: readonly Name[], readAt: number): Promise<void> {
    const task = { kind: TaskKind.poll, tier: Tier.other, due: readAt, source: Source.file }
    for (const batch of batches(names)) {
      const tasks = batch.map((name) => ({ name, ...task }))
      await despiteDeadlock(() =>
        this.#db.transaction(async (trx) => {
          await this.addIn(trx, tasks)
          await sql`
            update task set listed = greatest(listed, ${readAt}::int8)
            where name = any(${batch}::bytea[]) and kind = ${TaskKind.poll}`.execute(trx)
        }),
      )
    }
  }

  /**
   * Ends a reading: what neither it nor a later one has found is wanted by the file no more. Several
   * processes may read the file at a time. Gives how many names that were.
   */
  async unlist(readAt: number): Promise<number> {
    for (let gone = 0; ;) {
      const { rows } = await sql<{ name: Name }>`
        select name from task where sources & ${Source.file}::int2 <> 0
          and listed < ${readAt}::int8 and kind = ${TaskKind.poll} limit ${BATCH_ROWS}`.execute(
        this.#db.kysely,
      )
      if (rows.length === 0) return gone
      gone += rows.length
      const names = rows.map(({ name }) => name)
      await despiteDeadlock(() => this.withdrawIn(this.#db.kysely, Source.file, names))
    }
  }

  /** Takes a source away from names, and forgets those that nobody else wants. */
  async withdrawIn(
    trx: Kysely<CrawlerTables>,
    source: Source,
    batch: readonly Name[],
  ): Promise<void> {
    await sql`
      delete from task where name = any(${batch}::bytea[]) and sources = ${source}`.execute(trx)
    // Nobody watches it any more: back to an ordinary tier.
    await sql`
      update task set sources = sources & ~${source}::int2,
        tier = case when tier = 0 and sources & ${~source & (Source.watch | Source.decoy)}::int2 = 0
          then ${Tier.signed} else tier end
      where name = any(${batch}::bytea[]) and kind <> ${TaskKind.keys}
        and sources & ${source}::int2 <> 0`.execute(trx)
  }

  /** How many tasks there are of each tier, and how many are due. */
  async counts(now: number): Promise<{ tier: Tier; tasks: number; due: number }[]> {
    const { rows } = await sql<{ tier: Tier; tasks: number; due: number }>`
      select tier, count(*) as tasks, count(*) filter (where due <= ${now}::int8) as due
      from task group by tier`.execute(this.#db.kysely)
    return rows
  }

  #rank(name: Name): number {
    // 48 bits: a safe integer.
    return createHmac('sha256', this.#hashKey).update(name).digest().readUIntBE(0, 6)
  }
}

/** Tasks as a table `t`. */
function tasksOf(tasks: readonly Task[]) {
  return sql`unnest(
    ${tasks.map(({ name }) => name)}::bytea[],
    ${tasks.map(({ kind }) => kind)}::int2[],
    ${tasks.map(({ due }) => due)}::int8[]) as t (name, kind, due)`
}

/** Parts of a list that fit into one statement. */
export function* batches<T>(items: readonly T[]): Generator<readonly T[]> {
  for (let at = 0; at < items.length; at += BATCH_ROWS) yield items.slice(at, at + BATCH_ROWS)
}
