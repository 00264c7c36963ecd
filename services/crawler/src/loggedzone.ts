/**
 * The states that the log holds of all signed names of one zone, to hold a list of the zone's DS records against: six bytes of
 * each state are enough to know it again, and name, zone and records are all in it (stateId). So nothing is asked of the
 * database name by name, and the states of millions of names fit into memory.
 *
 * Two of a million million states that begin alike are taken for one: then a name is asked once too often, or not before
 * its next round.
 */
import { sql } from 'kysely'
import type { Name } from '@dslog/dnssec/name'
import type { CrawlerTables } from '@dslog/schema/crawlerdb'
import { stateId } from '@dslog/schema/identity'
import type { Database } from '@dslog/service/db'
import { BATCH_ROWS } from './frontier.ts'

/** DS records of a name, in any order. */
export interface DsSet {
  readonly name: Name
  readonly ds: Uint8Array[]
}

/** Bytes of a state that are held. */
const HELD_BYTES = 6
/** What follows them in the last state that begins so. */
const LAST_REST = new Uint8Array(32 - HELD_BYTES).fill(0xff)
/** States of one answer of the database: 120 kB of text. */
const PART = 10_000

/** See the head of this file. */
export class LoggedZone {
  readonly #db: Database<CrawlerTables>
  readonly #zone: Name
  /** The beginnings of states, in order. */
  readonly #states: Buffer
  /** Which of them a list has. */
  readonly #met: Uint8Array

  private constructor(db: Database<CrawlerTables>, zone: Name, states: Buffer) {
    this.#db = db
    this.#zone = zone
    this.#states = states
    this.#met = new Uint8Array(states.length / HELD_BYTES)
  }

  /** What the log holds now. */
  static async read(db: Database<CrawlerTables>, zone: Name): Promise<LoggedZone> {
    const parts: Buffer[] = []
    let after: Uint8Array = new Uint8Array(0)
    for (;;) {
      const { rows } = await sql<{ states: Buffer | null }>`
        select string_agg(substr(state, 1, ${HELD_BYTES}::int), ''::bytea order by state) as states
        from (
          select state from logged where zone = ${zone} and signed and state > ${after}
          order by state limit ${PART}) as part`.execute(db.kysely)
      const part = rows[0]?.states ?? undefined
      if (part === undefined) return new LoggedZone(db, zone, Buffer.concat(parts))
      parts.push(part)
      after = Buffer.concat([part.subarray(-HELD_BYTES), LAST_REST])
    }
  }

  /** Names that the log does not know with these records. The others are in the list now: see {@link missing}. */
  differing(sets: readonly DsSet[]): Name[] {
    return sets.filter(({ ds, name }) => !this.#meet(name, ds)).map(({ name }) => name)
  }

  /** Names that the log knows with records that no set had, some hundreds at a time. */
  async *missing(): AsyncGenerator<Name[], void, undefined> {
    let batch: Uint8Array[] = []
    for (const [i, met] of this.#met.entries()) {
      if (met === 0) batch.push(this.#states.subarray(i * HELD_BYTES, (i + 1) * HELD_BYTES))
      if (batch.length < BATCH_ROWS) continue
      yield await this.#namesOf(batch)
      batch = []
    }
    if (batch.length > 0) yield await this.#namesOf(batch)
  }

  async #namesOf(states: readonly Uint8Array[]): Promise<Name[]> {
    const { rows } = await sql<{ name: Name }>`
      select name from unnest(${states}::bytea[]) as missing (state)
      join logged on zone = ${this.#zone} and signed
        and logged.state between missing.state and missing.state || ${LAST_REST}::bytea`.execute(
      this.#db.kysely,
    )
    return rows.map(({ name }) => name)
  }

  #meet(name: Name, ds: readonly Uint8Array[]): boolean {
    const { buffer, byteOffset } = stateId(name, this.#zone, ds)
    const wanted = Buffer.from(buffer, byteOffset, HELD_BYTES).readUIntBE(0, HELD_BYTES)
    let low = 0
    let high = this.#met.length
    while (low < high) {
      const middle = Math.floor((low + high) / 2)
      if (this.#states.readUIntBE(middle * HELD_BYTES, HELD_BYTES) < wanted) low = middle + 1
      else high = middle
    }
    if (low === this.#met.length) return false
    if (this.#states.readUIntBE(low * HELD_BYTES, HELD_BYTES) !== wanted) return false
    this.#met[low] = 1
    return true
  }
}
