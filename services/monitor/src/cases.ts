/**
 * Judges what was verified: finds the changes of watched names, keeps a case open for each as long as more
 * can come of it, and tells. {@link Judge.round} is the story of one look.
 *
 * Both halves go on from what is stored. Opening moves a cursor over the entries in the transaction that
 * stores their cases; telling writes alerts and outbox in the transaction that says when the case is next
 * due. A crash between any two of these repeats one of them, and an alert has an id that its cause makes:
 * nothing is lost, nothing told twice.
 *
 * A case is judged again when its hold is over, when the child is seen to have changed, when the owner has
 * said something, and from time to time, until it is closed. The rules are judge/rules.ts.
 */
import { sql, type Transaction } from 'kysely'
import type { SignatureBackend } from '@dslog/dnssec/backend/backend'
import { type Name, nameKey } from '@dslog/dnssec/name'
import type { CaseTable } from '@dslog/schema/judgedb'
import type { MonitorTables } from '@dslog/schema/db'
import { suffixOf } from '@dslog/schema/lognumber'
import { decodeZoneKeys } from '@dslog/schema/entry'
import { DAY } from '@dslog/schema/time'
import type { Clock } from '@dslog/service/clock'
import type { Database } from '@dslog/service/db'
import { Periodic } from '@dslog/service/periodic'
import { testPoint } from '@dslog/service/testpoint'
import { listenersOf, type Subject, subjectKey } from './audience.ts'
import { MonitorError } from './error.ts'
import { settle } from './settle.ts'
import { withoutTwins } from './twins.ts'
import { withWatchesBelow } from './watch.ts'

/** How long a case is open, ms: past the week after which a DS without a key is judged again. */
export const CASE_OPEN_MS: number = 8 * DAY

/** Entries looked through in one transaction. */
const OPEN_BATCH = 2_000

/** Cases judged in one transaction. */
const SETTLE_BATCH = 500

/** From one look to the next, ms: short beside the shortest hold. */
const INTERVAL_MS = 5_000

/** A log whose changes are judged. */
export interface JudgedLog {
  readonly origin: string
  readonly log: number
  /** Its size when it was first seen; undefined as long as it has not been seen. */
  readonly published: () => number | undefined
}

export interface JudgeOptions {
  readonly db: Database<MonitorTables>
  readonly logs: readonly JudgedLog[]
  readonly clock: Clock
  /** Computes digests of pinned keys. */
  readonly digests: SignatureBackend
}

/**
 * Judges the changes of the followed logs, one after the other: what two of them show is judged in the one
 * that showed it first (twins.ts). Rounds must not overlap.
 */
export class Judge extends Periodic {
  readonly name = 'judge'
  readonly #options: JudgeOptions

  constructor(options: JudgeOptions) {
    super({ interval: INTERVAL_MS, immediately: true, clock: options.clock })
    this.#options = options
  }

  /** Looks once: at every entry verified since, and every case that is due. */
  async round(signal: AbortSignal): Promise<void> {
    for (const log of this.#options.logs) {
      if (!(await this.#begin(log))) continue
      while (!signal.aborted && (await this.#open(log)));
    }
    // Every change of a watched name up to here has a case.
    while (!signal.aborted && (await this.#settle()));
    // Every case that was due has been told of, and knows when it is due again.
  }

  /**
   * Entries that the log had when this monitor first saw it are history, of which owners are told on
   * subscribing. They are not judged: the first start would tell of years.
   */
  async #begin({ log, published }: JudgedLog): Promise<boolean> {
    const { db } = this.#options
    const row = await db.kysely
      .selectFrom('judged')
      .select('log')
      .where('log', '=', log)
      .executeTakeFirst()
    if (row !== undefined) return true
    const baseline = published()
    if (baseline === undefined) return false
    await db.kysely
      .insertInto('judged')
      .values({ log, baseline, next: baseline, forward: baseline })
      .execute()
    return true
  }

  /** Opens cases for the next entries. Says whether there may be more. */
  async #open({ log, origin }: JudgedLog): Promise<boolean> {
    const { clock, db, logs } = this.#options
    return db.transaction(async (trx) => {
      const { next } = await trx
        .selectFrom('judged')
        .select('next')
        .where('log', '=', log)
        .executeTakeFirstOrThrow()
      const { size } = await trx
        .selectFrom('followed')
        .select('size')
        .where('log', '=', log)
        .executeTakeFirstOrThrow()
      if (size <= next) return false
      const changes = await trx
        .selectFrom('change')
        .select(['idx', 'name', 'zone'])
        .where('log', '=', log)
        .where('idx', '>=', next)
        .where('idx', '<', size)
        .orderBy('idx')
        .limit(OPEN_BATCH)
        .execute()
      const end = changes.length < OPEN_BATCH ? size : changes.at(-1)!.idx + 1
      const found = [
        ...changes.map(({ idx, name, zone }) => {
          return { idx, kind: 'change', name: name as Name, zone: zone as Name } as const
        }),
        ...(await newKeySets(trx, log, next, end)),
      ]
      const now = clock()
      const others = logs.flatMap((other) => (other.log === log ? [] : [other.log]))
      const wanted = await withoutTwins(trx, { log, others }, await watched(trx, found))
      const cases = wanted.map(({ idx, kind, name }) => {
        const times = { opened_at: now, due_at: now, closes_at: now + CASE_OPEN_MS }
        return { origin, idx, name, kind, ...times }
      })
      if (cases.length > 0) {
        await trx
          .insertInto('open_case')
          .values(cases)
          .onConflict((conflict) => conflict.columns(['origin', 'idx']).doNothing())
          .execute()
        // A hold is there to look again: what the child serves after the change may make it worse.
        const names = wanted.map(({ name }) => name)
        await sql`update probe set due_at = 0 where name = any(${names}::bytea[])`.execute(trx)
      }
      testPoint('judge.opened')
      const moved = await trx
        .updateTable('judged')
        .set({ next: end })
        .where('log', '=', log)
        .where('next', '=', next)
        .executeTakeFirst()
      if (moved.numUpdatedRows !== 1n) {
        throw new MonitorError('fenced', `another process has judged the entries from ${next}`)
      }
      return end < size
    })
  }

  /** Judges cases that are due. Says whether there may be more. */
  async #settle(): Promise<boolean> {
    const { clock, db, digests } = this.#options
    return db.transaction(async (trx) => {
      const now = clock()
      const due = await trx
        .selectFrom('open_case')
        .selectAll()
        .where('due_at', '<=', now)
        .orderBy('due_at')
        .orderBy('id')
        .limit(SETTLE_BATCH)
        .execute()
      if (due.length === 0) return false
      await settle(trx, due, now, digests)
      testPoint('judge.settled')
      return due.length === SETTLE_BATCH
    })
  }
}

/** An entry that may be worth a case. */
export interface Found extends Subject {
  readonly idx: number
  readonly kind: CaseTable['kind']
}

/** Entries with keys of a zone that it never had in the log. */
async function newKeySets(
  trx: Transaction<MonitorTables>,
  log: number,
  from: number,
  to: number,
): Promise<Found[]> {
  const table = sql.table(`zone_keys${suffixOf(log)}`)
  const { rows } = await sql<{ idx: number; entry: Uint8Array }>`
    select idx, entry from ${table} z
    where idx >= ${from}::int8 and idx < ${to}::int8 and not exists (
      select from ${table} older where older.keys_id = z.keys_id and older.idx < z.idx)
    order by idx`.execute(trx)
  return rows.map(({ entry, idx }) => {
    const { zone } = decodeZoneKeys(entry)
    return { idx, kind: 'keys', name: zone, zone }
  })
}

/** Of what was found, what somebody is to be told of. */
async function watched(
  trx: Transaction<MonitorTables>,
  found: readonly Found[],
): Promise<readonly Found[]> {
  if (found.length === 0) return []
  const listeners = await listenersOf(trx, found)
  const names = found.map(({ name }) => name)
  const above = new Set((await withWatchesBelow(trx, names)).map(nameKey))
  return found.filter(
    (subject) => listeners.has(subjectKey(subject)) || above.has(nameKey(subject.name)),
  )
}

/** Has all open cases of names judged again: their owner has said something, or more was seen. */
export async function judgeAgain(
  trx: Transaction<MonitorTables>,
  names: readonly Name[],
): Promise<void> {
  if (names.length === 0) return
  await sql`update open_case set due_at = 0 where name = any(${[...names]}::bytea[])`.execute(trx)
}

/** The same for the name of a subscription. */
export async function judgeAgainFor(
  trx: Transaction<MonitorTables>,
  subscription: string,
): Promise<void> {
  await sql`
    update open_case set due_at = 0
    where name = (select name from subscription where id = ${subscription}::text)`.execute(trx)
}
