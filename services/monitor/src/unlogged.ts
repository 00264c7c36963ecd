/**
 * States that a parent has signed and a log does not show: seen in DNS (probe.ts), or in another log
 * (forward.ts). Each is handed to the log when it is first seen; an hour later, if it is still in no
 * verified tree, its owner is told from what was seen, with the level that the change would have as an
 * entry, and what proves it is kept as evidence, beside a checkpoint of the log. It may be the log that
 * withholds it, or somebody who keeps it from the log; to the owner it is one. An owner who has it from
 * another log is not told again: that one of the logs lacks it is the operator's business.
 *
 * A state that the log had before, and that is only shown again by a server that is behind, is none of
 * these: admission has the same rule (docs/spec/entry.md, 4, rule 3).
 */
import type { Transaction } from 'kysely'
import { fromBase64, toBase64, toHex } from '@dslog/tlog/bytes'
import type { SignatureBackend } from '@dslog/dnssec/backend/backend'
import { type Name, nameToText } from '@dslog/dnssec/name'
import type { Observation } from '@dslog/resolver/collect'
import { levelRank } from '@dslog/schema/alert'
import type { Observation as Submitted, SubmitResult } from '@dslog/schema/api'
import type { MonitorTables } from '@dslog/schema/db'
import { stateId } from '@dslog/schema/identity'
import type { UnloggedTable } from '@dslog/schema/judgedb'
import { HOUR } from '@dslog/schema/time'
import type { Clock } from '@dslog/service/clock'
import type { Database } from '@dslog/service/db'
import { decodeDsSet, encodeDsSet } from '@dslog/service/dsset'
import type { Logger } from '@dslog/service/log'
import { type AlertDraft, alertId, raiseAlerts, resolveAlert } from './alert.ts'
import { Intents, type Listener, watchersOf } from './audience.ts'
import { judge } from './judge/rules.ts'
import { absenceOf, type Absence, inForce, sameState, type State } from './judge/state.ts'
import { lookOf, looksAt } from './looks.ts'
import { statesOf } from './matter.ts'
import type { MonitorStore } from './store.ts'
import { wildcardSince } from './wildcards.ts'

/** A log that waits for witnesses and is busy shows a state within minutes; ms. */
export const WITHHELD_AFTER_MS = HOUR

/** A state, and what proves it: replies, or records out of another log. */
export interface Proven {
  readonly owner: Name
  readonly state: State
  readonly messages: readonly Uint8Array[]
  readonly records?: readonly Uint8Array[]
}

export interface UnloggedOptions {
  readonly db: Database<MonitorTables>
  /** Of the log. */
  readonly store: MonitorStore
  /** Numbers of the other logs that are followed. */
  readonly others: readonly number[]
  readonly digests: SignatureBackend
  readonly clock: Clock
  readonly logger: Logger
  /** Hands an observation to the log; throws what a network throws. */
  readonly submit: (observation: Submitted) => Promise<SubmitResult>
}

/** Follows up what one log does not show. */
export class Unlogged {
  readonly #options: UnloggedOptions

  constructor(options: UnloggedOptions) {
    this.#options = options
  }

  /** Takes note of a state that was seen and verified. */
  async saw(observation: Observation): Promise<void> {
    const { messages, owner } = observation
    await this.take({ owner, state: stateSeen(observation), messages })
  }

  /** Takes note of a state that is proven. */
  async take({ messages, owner, records, state }: Proven): Promise<void> {
    const { db, store } = this.#options
    const past = await this.#past(owner)
    await this.#followUp(owner, past)
    if (isLogged(past, state)) return
    const row = await db.kysely
      .insertInto('unlogged')
      .values({
        log: store.log,
        name: owner,
        state: stateId(owner, state.zone, state.ds),
        zone: state.zone,
        ds: encodeDsSet(state.ds),
        absence: state.absence ?? null,
        inception: state.inception!,
        first_at: state.time,
        last_at: state.time,
        messages: JSON.stringify(messages.map(toBase64)),
        records: records === undefined ? null : JSON.stringify(records.map(toBase64)),
      })
      .onConflict((conflict) =>
        conflict.columns(['log', 'name', 'state']).doUpdateSet({ last_at: state.time }),
      )
      .returningAll()
      .executeTakeFirstOrThrow()
    // Told or not, the log gets it again with each look: it may have been away.
    await this.#submit(row)
    if (this.#isLate(row)) await this.#tell(row, past)
  }

  /** Follows up what was seen of a name before, though nothing was seen now. */
  async again(name: Name): Promise<void> {
    await this.#followUp(name, await this.#past(name))
  }

  /** Hands in again, and follows up, what another log has and nobody has looked at for a while. */
  async chase(before: number, limit: number): Promise<number> {
    const { clock, db, store } = this.#options
    const rows = await db.kysely
      .selectFrom('unlogged')
      .selectAll()
      .where('log', '=', store.log)
      .where('records', 'is not', null)
      .where('last_at', '<', before)
      .limit(limit)
      .execute()
    for (const row of rows) {
      await update(db.kysely, row, { last_at: clock() })
      await this.#followUp(row.name as Name, await this.#past(row.name as Name))
      const [still] = await this.#rowsOf(row.name as Name, row.state)
      if (still !== undefined) await this.#submit(still)
    }
    return rows.length
  }

  #past(name: Name): Promise<State[]> {
    const { db, store } = this.#options
    return statesOf(db.kysely, name, store.log)
  }

  #rowsOf(name: Name, state?: Uint8Array): Promise<UnloggedTable[]> {
    const { db, store } = this.#options
    return db.kysely
      .selectFrom('unlogged')
      .selectAll()
      .where('log', '=', store.log)
      .where('name', '=', name)
      .$if(state !== undefined, (query) => query.where('state', '=', state!))
      .execute()
  }

  /** What is logged by now is forgotten, and what was told of it is over; what is not, is told. */
  async #followUp(name: Name, past: readonly State[]): Promise<void> {
    for (const row of await this.#rowsOf(name)) {
      const isIn = past.some(
        (state) => sameState(state, stateOf(row)) && state.time >= row.first_at - WITHHELD_AFTER_MS,
      )
      if (isIn) await this.#found(row)
      else if (this.#isLate(row)) await this.#tell(row, past)
    }
  }

  #isLate(row: UnloggedTable): boolean {
    return row.told_at === null && this.#options.clock() - row.first_at >= WITHHELD_AFTER_MS
  }

  async #found(row: UnloggedTable): Promise<void> {
    const { clock, db } = this.#options
    const name = row.name as Name
    await db.transaction(async (trx) => {
      const now = clock()
      for (const subscription of await watchersOf(trx, name)) {
        for (const rule of ['withheld', 'refused'] as const) {
          const id = alertId(subscription, rule, causeOf(row))
          await resolveAlert(trx, id, 'it is in the log now', now)
        }
      }
      await forget(trx, row)
    })
  }

  async #submit(row: UnloggedTable): Promise<void> {
    const { db, logger, submit } = this.#options
    const name = row.name as Name
    const proof =
      row.records === null
        ? { messages: JSON.parse(row.messages) as string[] }
        : { records: JSON.parse(row.records) as string[] }
    try {
      const { reason, status } = await submit({ owner: nameToText(name), ...proof })
      const answer = reason === undefined ? status : `${status}: ${reason}`
      await update(db.kysely, row, { answer })
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      logger.warn({ name: nameToText(name), reason }, 'the log did not take what was seen')
    }
  }

  /** Tells who is to know, and keeps the evidence. */
  async #tell(row: UnloggedTable, past: readonly State[]): Promise<void> {
    const { clock, db, store } = this.#options
    const now = clock()
    await db.transaction(async (trx) => {
      const isElsewhere = await this.#isElsewhere(trx, row)
      if (isElsewhere && MOOT.has(row.answer ?? '')) return forget(trx, row)
      // A log that is away has not withheld anything; that it is away, others tell.
      if (isElsewhere && !(await isAnswering(trx, row))) return
      const what = this.#whatOf(row, isElsewhere)
      if (!isElsewhere) await this.#tellOwners(trx, row, past, what)
      await update(trx, row, { told_at: now })
      const messages = bytesOf(row.messages)
      const records = row.records === null ? {} : { records: bytesOf(row.records) }
      const owner = nameToText(row.name as Name)
      const evidence = { owner, observed_at: row.first_at, messages, ...records }
      await store.keepWithheld(trx, evidence, what, now)
    })
  }

  /** Whether owners have the state from another log that is followed. */
  async #isElsewhere(trx: Transaction<MonitorTables>, row: UnloggedTable): Promise<boolean> {
    for (const log of this.#options.others) {
      const past = await statesOf(trx, row.name as Name, log)
      const isThere = past.some((state) => sameState(state, stateOf(row)))
      if (isThere && isLogged(past, stateOf(row))) return true
    }
    return false
  }

  #whatOf({ answer }: UnloggedTable, isElsewhere: boolean): string {
    if (answer?.startsWith('refused') === true) {
      return `the log refuses what the zone above has signed (${answer})`
    }
    const since = 'and the log does not show it an hour later'
    return isElsewhere
      ? `another log has this, signed by the zone above, ${since}`
      : `the zone above has signed this, ${since}`
  }

  async #tellOwners(
    trx: Transaction<MonitorTables>,
    row: UnloggedTable,
    past: readonly State[],
    what: string,
  ): Promise<void> {
    const { clock, digests, store } = this.#options
    const now = clock()
    const name = row.name as Name
    const state = stateOf(row)
    const rule = row.answer?.startsWith('refused') === true ? 'refused' : 'withheld'
    const child = lookOf(await looksAt(trx, [name]), name)
    const since = await wildcardSince(trx, store.log, state)
    const subscriptions = await watchersOf(trx, name)
    const intents = await Intents.of(trx, subscriptions, now, row.first_at, digests)
    const drafts: AlertDraft[] = []
    for (const subscription of subscriptions) {
      const listener: Listener = { subscription, watched: name, relation: 'same' }
      const intent = await intents.of(listener, row.first_at)
      const [verdict] = judge({ history: past, state, child, wildcardSince: since, now }, intent)
      const level =
        levelRank(verdict?.level ?? 'INFO') > levelRank('NOTICE') ? verdict!.level : 'NOTICE'
      const before = inForce(past).at(-1)
      drafts.push({
        subscription,
        rule,
        level,
        name,
        cause: causeOf(row),
        after: state.ds,
        ...(before !== undefined && { before: before.ds }),
        why: verdict === undefined ? what : `${what}: ${verdict.why}`,
        at: row.first_at,
      })
    }
    await raiseAlerts(trx, drafts, now)
  }
}

/** Answers of a log after which what another log has is no business of it any more. */
const MOOT: ReadonlySet<string> = new Set([
  'stale',
  'refused: zone-not-admitted',
  'refused: expired',
])

/** Whether the log has shown itself since the hour was over, and was not merely too busy. */
async function isAnswering(trx: Transaction<MonitorTables>, row: UnloggedTable): Promise<boolean> {
  if (row.answer === null || row.answer === 'refused: rate-limited') return false
  const { fresh_at: freshAt } = await trx
    .selectFrom('followed')
    .select('fresh_at')
    .where('log', '=', row.log)
    .executeTakeFirstOrThrow()
  return (freshAt ?? 0) >= row.first_at + WITHHELD_AFTER_MS
}

async function update(
  db: Pick<Transaction<MonitorTables>, 'updateTable'>,
  { log, name, state }: UnloggedTable,
  set: Partial<Pick<UnloggedTable, 'answer' | 'last_at' | 'told_at'>>,
): Promise<void> {
  await db
    .updateTable('unlogged')
    .set(set)
    .where('log', '=', log)
    .where('name', '=', name)
    .where('state', '=', state)
    .execute()
}

async function forget(
  trx: Transaction<MonitorTables>,
  { log, name, state }: UnloggedTable,
): Promise<void> {
  await trx
    .deleteFrom('unlogged')
    .where('log', '=', log)
    .where('name', '=', name)
    .where('state', '=', state)
    .execute()
}

function bytesOf(json: string): Uint8Array[] {
  return (JSON.parse(json) as string[]).map(fromBase64)
}

function causeOf({ name, state, first_at: first }: UnloggedTable): string {
  return `unlogged#${nameToText(name as Name)}#${toHex(state)}#${first}`
}

function stateSeen({ observedAt, owner, verdict, zone }: Observation): State {
  const head = { index: undefined, time: observedAt, zone, outOfOrder: false }
  return verdict.verdict === 'present'
    ? { ...head, inception: verdict.inception, ds: verdict.ds, absence: undefined }
    : {
        ...head,
        inception: verdict.inception,
        ds: [],
        absence: absenceOf({ owner, zone, proof: verdict.kind, records: verdict.records }),
      }
}

function stateOf(row: UnloggedTable): State {
  return {
    index: undefined,
    time: row.first_at,
    inception: row.inception,
    zone: row.zone as Name,
    ds: decodeDsSet(row.ds),
    absence: (row.absence ?? undefined) as Absence | undefined,
    outOfOrder: false,
  }
}

/**
 * Whether there is nothing about a state that the log should show: it is in force, or it was and is only
 * shown again under an old signature, or it is an absence of what was never there.
 */
function isLogged(past: readonly State[], seen: State): boolean {
  const latest = inForce(past).at(-1)
  if (latest === undefined) return seen.ds.length === 0
  if (sameState(latest, seen)) return true
  const isOld = seen.inception! <= (latest.inception ?? 0)
  return isOld && past.some((state) => sameState(state, seen))
}
