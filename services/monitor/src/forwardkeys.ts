/**
 * Several logs: hands to each the key sets of zones that only another has. Most come by themselves, with the next state that
 * they sign, so they get some time for that. What does not are keys which sign nothing that is logged: those of whoever
 * shows what they sign to nobody but a victim. Whoever follows that one log alone is to be told of them, too (R14).
 *
 * What is still to be handed on stands in memory, so there is a most of it. A restart forgets it; then it comes with the
 * next state, or not.
 */
import { sql } from 'kysely'
import { toBase64, toHex } from '@dslog/tlog/bytes'
import { TlogError } from '@dslog/tlog/error'
import { asHash, type Hash } from '@dslog/tlog/hash'
import { type Name, nameToText } from '@dslog/dnssec/name'
import { encodeRecord } from '@dslog/dnssec/wire'
import type { Observation, SubmitResult } from '@dslog/schema/api'
import type { MonitorTables } from '@dslog/schema/db'
import { decodeZoneKeys } from '@dslog/schema/entry'
import { suffixOf } from '@dslog/schema/lognumber'
import type { Clock } from '@dslog/service/clock'
import type { Database } from '@dslog/service/db'
import type { Logger } from '@dslog/service/log'
import type { Verifier } from '@dslog/verify/evidence'
import { HAND_ON_AGAIN_MS, keysEvidence } from './handon.ts'
import type { MonitorStore } from './store.ts'

/** Key sets that are waited for at most, of all logs: 1,500 top-level domains have a few new ones a year. */
const MOST_OWED = 5_000

/** A log, to be handed on from and to. */
export interface KeysLog {
  readonly store: MonitorStore
  /** Hands an observation to it. @throws TlogError what a network throws */
  readonly offer: (observation: Observation) => Promise<SubmitResult>
}

export interface KeysForwarderOptions {
  readonly db: Database<MonitorTables>
  readonly logs: readonly KeysLog[]
  readonly verifier: Verifier
  readonly clock: Clock
  readonly logger: Logger
}

/** A key set that a log lacked when another showed it. */
interface Owed {
  readonly keysId: Hash
  readonly zone: Name
  readonly from: KeysLog
  readonly to: KeysLog
  readonly dueAt: number
}

/** See the head of this file. Calls must not overlap. */
export class KeysForwarder {
  readonly #options: KeysForwarderOptions
  readonly #owed = new Map<string, Owed>()

  constructor(options: KeysForwarderOptions) {
    this.#options = options
  }

  /** Takes note of the key sets among entries [start, end) of a log that others lack. */
  async note(from: KeysLog, start: number, end: number): Promise<void> {
    const { clock, db, logs } = this.#options
    const { rows } = await sql<{ keys_id: Uint8Array; entry: Uint8Array }>`
      select keys_id, entry from ${sql.table(`zone_keys${suffixOf(from.store.log)}`)}
      where idx >= ${start}::int8 and idx < ${end}::int8 order by idx`.execute(db.kysely)
    for (const row of rows) {
      const { historical, zone } = decodeZoneKeys(row.entry)
      if (historical) continue
      const owed = { keysId: asHash(row.keys_id), zone, from, dueAt: clock() + HAND_ON_AGAIN_MS }
      for (const to of logs) {
        const id = `${to.store.log} ${toHex(owed.keysId)}`
        if (to === from || this.#owed.has(id) || this.#owed.size >= MOST_OWED) continue
        if (!(await has(to, owed.keysId))) this.#owed.set(id, { ...owed, to })
      }
    }
  }

  /** Hands in what is due, and forgets what the other log has by now, or has said it does not take. */
  async round(signal: AbortSignal): Promise<void> {
    for (const [id, owed] of this.#owed) {
      if (signal.aborted) return
      if (owed.dueAt > this.#options.clock()) continue
      const next = await this.#handIn(owed)
      if (next === undefined) this.#owed.delete(id)
      else this.#owed.set(id, next)
    }
  }

  /** @returns what is left to be done */
  async #handIn(owed: Owed): Promise<Owed | undefined> {
    const { clock, logger, verifier } = this.#options
    const { from, keysId, to, zone } = owed
    if (await has(to, keysId)) return undefined
    const at = clock()
    const records = await keysEvidence(keysId, from.store.names, verifier, at)
    if (records === undefined) return undefined
    const about = { zone: nameToText(zone), source: from.store.origin, target: to.store.origin }
    logger.info(about, 'a log lacks keys of a zone')
    const again = { ...owed, dueAt: at + HAND_ON_AGAIN_MS }
    try {
      const owner = nameToText(zone)
      const encoded = records.map((record) => toBase64(encodeRecord(record)))
      const { reason, status } = await to.offer({ owner, kind: 'keys', records: encoded })
      return status === 'refused' && reason !== 'rate-limited' ? undefined : again
    } catch (error) {
      if (!(error instanceof TlogError)) throw error
      logger.warn({ ...about, reason: error.message }, 'the log did not take keys of a zone')
      return again
    }
  }
}

async function has({ store }: KeysLog, keysId: Hash): Promise<boolean> {
  return (await store.names.zoneKeys(keysId)).length > 0
}
