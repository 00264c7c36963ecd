/**
 * What the log holds of each name, by what the log says: its entries are read from a cursor in the
 * database on, by one process for all (duties.ts). What is seen in the DNS is compared with this, never with what
 * was seen before: a log that was set up anew, or restored to an older state, gets all it lacks.
 *
 * Names that the log knows to be signed are asked every day (tier 1), whoever brought them.
 */
import { sql, type Transaction } from 'kysely'
import { type Name, nameKey } from '@dslog/dnssec/name'
import type { CrawlerTables } from '@dslog/schema/crawlerdb'
import type { DelegationEntry } from '@dslog/schema/entry'
import { stateOf } from '@dslog/schema/identity'
import { inceptionOf } from '@dslog/schema/inception'
import type { Clock } from '@dslog/service/clock'
import type { Database } from '@dslog/service/db'
import type { Logger } from '@dslog/service/log'
import type { LogApi, LoggedEntry } from '@dslog/service/logapi'
import { despiteDeadlock } from './deadlock.ts'
import type { Duties } from './duties.ts'
import { batches, type Frontier } from './frontier.ts'
import { INTERVAL, Source, TaskKind, Tier } from './schedule.ts'

/** The state of a name in force in the log. */
export interface LoggedState {
  readonly zone: Uint8Array
  readonly state: Uint8Array
  /** Seconds since the epoch. */
  readonly inception: number
  readonly signed: boolean
}

/** Entries of one transaction, at least: a log of 25 million is read in hours, not days. */
const GROUP = 4_096
/** The duty of following the log. */
const DUTY = 'log'

/** Follows a log. */
export class Logged {
  readonly #db: Database<CrawlerTables>
  readonly #api: LogApi
  readonly #duties: Pick<Duties, 'has' | 'giveUp'>
  readonly #frontier: Frontier
  readonly #clock: Clock
  readonly #logger: Logger
  /** When the log was last followed to its end; ms since the epoch. */
  #followedAt: number | undefined
  /** Entries that the log had when it was first looked at. */
  #sizeBefore: number | undefined
  #isCaughtUp = false

  constructor(parts: {
    readonly db: Database<CrawlerTables>
    readonly api: LogApi
    readonly duties: Pick<Duties, 'has' | 'giveUp'>
    readonly frontier: Frontier
    readonly clock: Clock
    readonly logger: Logger
  }) {
    this.#db = parts.db
    this.#api = parts.api
    this.#duties = parts.duties
    this.#frontier = parts.frontier
    this.#clock = parts.clock
    this.#logger = parts.logger
  }

  /** When the log last answered and held nothing new for us, ms since the epoch. */
  get followedAt(): number | undefined {
    return this.#followedAt
  }

  /** Whether what the log held when this process first looked is taken over by now, by whichever process. */
  async isCaughtUp(): Promise<boolean> {
    if (this.#isCaughtUp || this.#sizeBefore === undefined) return this.#isCaughtUp
    const row = await this.#db.kysely.selectFrom('followed_log').select('after').executeTakeFirst()
    this.#isCaughtUp = row !== undefined && row.after >= this.#sizeBefore
    return this.#isCaughtUp
  }

  /**
   * Takes over what is new in the log, where that is our duty.
   *
   * @throws what reading the log throws; then another process may try
   */
  async follow(signal: AbortSignal): Promise<void> {
    try {
      await this.#follow(signal)
    } catch (error) {
      if (!signal.aborted) await this.#duties.giveUp(DUTY)
      throw error
    }
  }

  async #follow(signal: AbortSignal): Promise<void> {
    for (let behind = Infinity; behind > GROUP;) {
      const { origin, size } = await this.#api.checkpoint(signal)
      // One that was set back has less to take over.
      this.#sizeBefore = Math.min(this.#sizeBefore ?? size, size)
      if (!(await this.#duties.has(DUTY))) break
      const after = await this.#cursor(origin, size)
      behind = size - after
      if (!(await this.#read(after, size, signal))) break
    }
    this.#followedAt = this.#clock()
  }

  /** Entries from a cursor on, in groups; false where another process is at it nevertheless. */
  async #read(from: number, to: number, signal: AbortSignal): Promise<boolean> {
    let after = from
    let group: LoggedEntry[] = []
    for await (const entries of this.#api.entries(from, to, signal)) {
      group.push(...entries)
      const next = entries.at(-1)!.index + 1
      if (group.length < GROUP && next < to) continue
      if (!(await this.#take(after, next, group))) return false
      after = next
      group = []
    }
    return true
  }

  async #cursor(origin: string, size: number): Promise<number> {
    const row = await this.#db.kysely.selectFrom('followed_log').selectAll().executeTakeFirst()
    if (row?.origin === origin && row.after <= size) return row.after
    if (row?.origin === origin) {
      this.#logger.warn(
        { after: row.after, size },
        'the log is smaller than it was: reading it anew',
      )
    } else if (row !== undefined) {
      this.#logger.warn({ before: row.origin, now: origin }, 'another log than before')
    }
    await this.#db.transaction((trx) => this.#forget(trx, origin))
    return 0
  }

  /** What was said by another log, or by this one before it was set back, is no longer so. */
  async #forget(trx: Transaction<CrawlerTables>, origin: string): Promise<void> {
    await trx.deleteFrom('logged').execute()
    await sql`
      insert into followed_log (id, origin, after) values (1, ${origin}, 0)
      on conflict (id) do update set origin = excluded.origin, after = 0`.execute(trx)
    await trx
      .updateTable('task')
      .set({ answered: null })
      .where('answered', 'is not', null)
      .execute()
  }

  /** @returns whether it was for us to take it: false where another process did so meanwhile */
  async #take(after: number, next: number, entries: readonly LoggedEntry[]): Promise<boolean> {
    // The newest in force counts; what is out of order never was.
    const inForce = new Map<string, DelegationEntry>()
    for (const { entry } of entries) {
      if ((entry.type !== 'ds' && entry.type !== 'no-ds') || entry.outOfOrder) continue
      inForce.set(nameKey(entry.owner), entry)
    }
    const rows = [...inForce.values()].map((entry) => ({
      name: entry.owner,
      zone: entry.zone,
      state: stateOf(entry),
      inception: inceptionOf(entry),
      signed: entry.type === 'ds',
    }))
    const now = this.#clock()
    return despiteDeadlock(() =>
      this.#db.transaction(async (trx) => {
        // Whoever else is at it is not waited for: it is busy for long where much is new.
        const { rows: moved } = await sql`
          update followed_log set after = ${next} where id = (
            select id from followed_log where after = ${after} for update skip locked)
          returning id`.execute(trx)
        if (moved.length !== 1) return false
        for (const batch of batches(rows)) await this.#put(trx, batch, now)
        return true
      }),
    )
  }

  async #put(
    trx: Transaction<CrawlerTables>,
    rows: readonly (LoggedState & { readonly name: Name })[],
    now: number,
  ): Promise<void> {
    await sql`
      insert into logged (name, zone, state, inception, signed)
      select * from unnest(
        ${rows.map(({ name }) => name)}::bytea[],
        ${rows.map(({ zone }) => zone)}::bytea[],
        ${rows.map(({ state }) => state)}::bytea[],
        ${rows.map(({ inception }) => inception)}::int8[],
        ${rows.map(({ signed }) => signed)}::bool[])
      on conflict (name) do update set zone = excluded.zone, state = excluded.state,
        inception = excluded.inception, signed = excluded.signed`.execute(trx)
    // What was asked for in the log's first hours shall not all be due at once, ever after.
    const tasks = rows.map(({ name, signed }) => ({
      name,
      kind: TaskKind.poll,
      tier: signed ? Tier.signed : Tier.other,
      due: now + Math.random() * INTERVAL[Tier.signed],
      source: Source.log,
    }))
    await this.#frontier.addIn(trx, tasks)
  }
}

/** The states in force of some names, by {@link nameKey}. */
export async function loggedStates(
  db: Database<CrawlerTables>,
  names: readonly Name[],
): Promise<Map<string, LoggedState>> {
  const { rows } = await sql<LoggedState & { name: Name }>`
    select name, zone, state, inception, signed from logged
    where name = any(${names}::bytea[])`.execute(db.kysely)
  return new Map(rows.map(({ name, ...state }) => [nameKey(name), state]))
}
