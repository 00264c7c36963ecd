/**
 * Several logs: hands to each what only another has. The evidence of an entry is in the log that has it: the entry
 * is fetched again, checked to be in the verified tree, and taken apart into the records that it was made of, its
 * zone's keys up to the root among them (handon.ts). Whether the other log takes it, and what comes of it if not, is
 * the business of unlogged.ts. Keys that sign nothing which is logged are that of forwardkeys.ts.
 *
 * What a log had when this monitor first saw it is not handed on: that would be all of a log, to each that
 * is younger. Nor is what is historical, which only an operator may bring in, or what is no longer valid.
 */
import { TlogError } from '@dslog/tlog/error'
import { type Name, nameToText } from '@dslog/dnssec/name'
import type { RR } from '@dslog/dnssec/records'
import { encodeRecord } from '@dslog/dnssec/wire'
import type { ChangeTable, MonitorTables } from '@dslog/schema/db'
import { decodeEntry } from '@dslog/schema/entry'
import type { Clock } from '@dslog/service/clock'
import type { Database } from '@dslog/service/db'
import type { Logger } from '@dslog/service/log'
import { Periodic } from '@dslog/service/periodic'
import type { Verifier } from '@dslog/verify/evidence'
import type { Follower } from './follow.ts'
import { KeysForwarder, type KeysLog } from './forwardkeys.ts'
import { delegationEvidence, HAND_ON_AGAIN_MS } from './handon.ts'
import { stateOfRow, statesOf } from './matter.ts'
import { isIn } from './twins.ts'
import type { Unlogged } from './unlogged.ts'

/** From one look to the next, ms: a log's own crawler sees most of it in that time. */
const INTERVAL_MS = 30_000

/** Entries looked through at a time. */
const BATCH = 500

/** A log, to be handed on from and to. */
export interface ForwardedLog extends KeysLog {
  readonly follower: Pick<Follower, 'entry'>
  readonly unlogged: Pick<Unlogged, 'take' | 'chase'>
}

export interface ForwarderOptions {
  readonly db: Database<MonitorTables>
  readonly logs: readonly ForwardedLog[]
  readonly verifier: Verifier
  readonly clock: Clock
  readonly logger: Logger
}

/** See the head of this file. Rounds must not overlap. */
export class Forwarder extends Periodic {
  readonly name = 'forwarder'
  readonly #options: ForwarderOptions
  readonly #keys: KeysForwarder

  constructor(options: ForwarderOptions) {
    super({ interval: INTERVAL_MS, clock: options.clock })
    this.#options = options
    this.#keys = new KeysForwarder(options)
  }

  override async start(fail: (error: unknown) => void): Promise<void> {
    if (this.#options.logs.length > 1) await super.start(fail)
  }

  /** Looks through what is new of each log, and after what was handed on before. */
  async round(signal: AbortSignal): Promise<void> {
    const { clock, logger, logs } = this.#options
    for (const log of logs) {
      try {
        while (!signal.aborted && (await this.#forward(log, signal)));
      } catch (error) {
        if (signal.aborted) return
        if (!(error instanceof TlogError)) throw error
        const { origin } = log.store
        logger.warn({ origin, reason: error.message }, 'an entry to hand on was not to be had')
      }
      while (
        !signal.aborted &&
        (await log.unlogged.chase(clock() - HAND_ON_AGAIN_MS, BATCH)) === BATCH
      );
    }
    await this.#keys.round(signal)
  }

  /** Looks through the next entries of a log. Says whether there may be more. */
  async #forward(from: ForwardedLog, signal: AbortSignal): Promise<boolean> {
    const { db, logs } = this.#options
    const { log } = from.store
    const judged = await db.kysely
      .selectFrom('judged')
      .select(['next', 'forward'])
      .where('log', '=', log)
      .executeTakeFirst()
    if (judged === undefined || judged.forward >= judged.next) return false
    const rows = await db.kysely
      .selectFrom('change')
      .selectAll()
      .where('log', '=', log)
      .where('idx', '>=', judged.forward)
      .where('idx', '<', judged.next)
      .orderBy('idx')
      .limit(BATCH)
      .execute()
    for (const row of rows) {
      if (row.historical) continue
      for (const to of logs) if (to !== from) await this.#handOn(row, from, to, signal)
    }
    const forward = rows.length < BATCH ? judged.next : rows.at(-1)!.idx + 1
    await this.#keys.note(from, judged.forward, forward)
    // A crash before this hands on again what the other log then knows.
    await db.kysely.updateTable('judged').set({ forward }).where('log', '=', log).execute()
    return rows.length === BATCH
  }

  async #handOn(
    row: ChangeTable,
    from: ForwardedLog,
    to: ForwardedLog,
    signal: AbortSignal,
  ): Promise<void> {
    const { clock, db, logger } = this.#options
    const owner = row.name as Name
    const theirs = await statesOf(db.kysely, owner, to.store.log)
    const state = stateOfRow(row)
    if (isIn(theirs, state)) return
    const at = clock()
    const records = await this.#evidence(row, from, at, signal)
    const about = {
      name: nameToText(owner),
      source: from.store.origin,
      target: to.store.origin,
      index: row.idx,
    }
    if (records === undefined) {
      logger.info(about, 'what a log lacks is no longer valid')
      return
    }
    logger.info(about, 'a log lacks an entry')
    const seen = { ...state, index: undefined, time: at, outOfOrder: false }
    await to.unlogged.take({ owner, state: seen, messages: [], records: records.map(encodeRecord) })
  }

  /** The records of an entry and of the keys above it; undefined where they prove nothing any more. */
  async #evidence(
    { idx }: ChangeTable,
    { follower, store }: ForwardedLog,
    at: number,
    signal: AbortSignal,
  ): Promise<RR[] | undefined> {
    const bytes = await follower.entry(idx, signal)
    const entry = bytes === undefined ? undefined : decodeEntry(bytes)
    if (entry?.type !== 'ds' && entry?.type !== 'no-ds') return undefined
    return delegationEvidence(entry, store.names, this.#options.verifier, at)
  }
}
