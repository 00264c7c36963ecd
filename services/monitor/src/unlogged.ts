/**
 * States that a parent has signed and the log does not show. Each is handed to the log when it is first
 * seen; an hour later, if it is still in no verified tree, its owner is told from what was seen, with the
 * level that the change would have as an entry, and the replies are kept as evidence, beside a checkpoint
 * of the log from after that hour. It may be the log that withholds it, or somebody who keeps it from the
 * log; to the owner it is one.
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
import type { Clock } from '@dslog/service/clock'
import type { Database } from '@dslog/service/db'
import { decodeDsSet, encodeDsSet } from '@dslog/service/foldtables'
import type { Logger } from '@dslog/service/log'
import { type AlertDraft, alertId, raiseAlerts, resolveAlert } from './alert.ts'
import { Intents, type Listener, watchersOf } from './audience.ts'
import { judge } from './judge/rules.ts'
import { absenceOf, type Absence, inForce, sameState, type State } from './judge/state.ts'
import { lookOf, looksAt } from './looks.ts'
import { statesOf } from './matter.ts'
import type { MonitorStore } from './store.ts'

/** A log that waits for witnesses and is busy shows a state within minutes; ms. */
export const WITHHELD_AFTER_MS = 3_600_000

export interface UnloggedOptions {
  readonly db: Database<MonitorTables>
  readonly store: MonitorStore
  readonly digests: SignatureBackend
  readonly clock: Clock
  readonly logger: Logger
  /** Hands an observation to the log; throws what a network throws. */
  readonly submit: (observation: Submitted) => Promise<SubmitResult>
}

/** Follows up what the log does not show. */
export class Unlogged {
  readonly #options: UnloggedOptions

  constructor(options: UnloggedOptions) {
    this.#options = options
  }

  /** Takes note of a state that was seen and verified. */
  async saw(observation: Observation): Promise<void> {
    const { db } = this.#options
    const { messages, observedAt, owner } = observation
    const state = stateSeen(observation)
    const past = await db.transaction((trx) => statesOf(trx, owner))
    await this.#followUp(owner, past)
    if (isLogged(past, state)) return
    const id = stateId(owner, state.zone, state.ds)
    const row = await db.kysely
      .insertInto('unlogged')
      .values({
        name: owner,
        state: id,
        zone: state.zone,
        ds: encodeDsSet(state.ds),
        absence: state.absence ?? null,
        inception: state.inception!,
        first_at: observedAt,
        last_at: observedAt,
        messages: JSON.stringify(messages.map(toBase64)),
      })
      .onConflict((conflict) =>
        conflict.columns(['name', 'state']).doUpdateSet({ last_at: observedAt }),
      )
      .returningAll()
      .executeTakeFirstOrThrow()
    // Told or not, the log gets it again with each look: it may have been away.
    await this.#submit(row)
    if (this.#isLate(row)) await this.#tell(row, past)
  }

  /** Follows up what was seen of a name before, though nothing was seen now. */
  async again(name: Name): Promise<void> {
    await this.#followUp(name, await this.#options.db.transaction((trx) => statesOf(trx, name)))
  }

  /** What is logged by now is forgotten, and what was told of it is over; what is not, is told. */
  async #followUp(name: Name, past: readonly State[]): Promise<void> {
    const { db } = this.#options
    const rows = await db.kysely
      .selectFrom('unlogged')
      .selectAll()
      .where('name', '=', name)
      .execute()
    for (const row of rows) {
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
      await trx
        .deleteFrom('unlogged')
        .where('name', '=', name)
        .where('state', '=', row.state)
        .execute()
    })
  }

  async #submit(row: UnloggedTable): Promise<void> {
    const { db, logger, submit } = this.#options
    const name = row.name as Name
    const messages = JSON.parse(row.messages) as string[]
    try {
      const { reason, status } = await submit({ owner: nameToText(name), messages })
      const answer = reason === undefined ? status : `${status}: ${reason}`
      await db.kysely
        .updateTable('unlogged')
        .set({ answer })
        .where('name', '=', name)
        .where('state', '=', row.state)
        .execute()
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      logger.warn({ name: nameToText(name), reason }, 'the log did not take what was seen')
    }
  }

  /** Tells the owners, and keeps the evidence. */
  async #tell(row: UnloggedTable, past: readonly State[]): Promise<void> {
    const { clock, db, digests, store } = this.#options
    const now = clock()
    const name = row.name as Name
    const state = stateOf(row)
    const isRefused = row.answer?.startsWith('refused') === true
    const what = isRefused
      ? `the log refuses what the zone above has signed (${row.answer})`
      : 'the zone above has signed this, and the log does not show it an hour later'
    await db.transaction(async (trx) => {
      const child = lookOf(await looksAt(trx, [name]), name)
      const subscriptions = await watchersOf(trx, name)
      const intents = await Intents.of(trx, subscriptions, now, row.first_at, digests)
      const drafts: AlertDraft[] = []
      for (const subscription of subscriptions) {
        const listener: Listener = { subscription, watched: name, relation: 'same' }
        const intent = await intents.of(listener, row.first_at)
        const [verdict] = judge({ history: past, state, child, now }, intent)
        const level =
          levelRank(verdict?.level ?? 'INFO') > levelRank('NOTICE') ? verdict!.level : 'NOTICE'
        const before = inForce(past).at(-1)
        drafts.push({
          subscription,
          rule: isRefused ? 'refused' : 'withheld',
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
      await markTold(trx, row, now)
      const messages = (JSON.parse(row.messages) as string[]).map(fromBase64)
      const evidence = { owner: nameToText(name), observed_at: row.first_at, messages }
      await store.keepWithheld(trx, evidence, what, now)
    })
  }
}

async function markTold(
  trx: Transaction<MonitorTables>,
  { name, state }: UnloggedTable,
  now: number,
): Promise<void> {
  await trx
    .updateTable('unlogged')
    .set({ told_at: now })
    .where('name', '=', name)
    .where('state', '=', state)
    .execute()
}

function causeOf({ name, state, first_at: first }: UnloggedTable): string {
  return `unlogged#${nameToText(name as Name)}#${toHex(state)}#${first}`
}

function stateSeen({ observedAt, verdict, zone }: Observation): State {
  const head = { index: undefined, time: observedAt, zone, outOfOrder: false }
  return verdict.verdict === 'present'
    ? { ...head, inception: verdict.inception, ds: verdict.ds, absence: undefined }
    : {
        ...head,
        inception: verdict.inception,
        ds: [],
        absence: absenceOf({ proof: verdict.kind, records: verdict.records }),
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
