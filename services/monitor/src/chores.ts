/** What is looked at now and then: summaries that are due, alarms, and what is to be forgotten. */
import type { MonitorTables } from '@dslog/schema/db'
import type { Clock } from '@dslog/service/clock'
import type { Database } from '@dslog/service/db'
import { Periodic } from '@dslog/service/periodic'
import type { Alarms } from './alarm.ts'
import type { Digests } from './digest.ts'
import { forget } from './ending.ts'

/** ms. */
const INTERVAL_MS = 30_000

export interface ChoresOptions {
  readonly db: Database<MonitorTables>
  readonly clock: Clock
  readonly digests: Pick<Digests, 'round'>
  readonly alarms: Pick<Alarms, 'round'>
  /** Something may be in the outbox. */
  readonly poke: () => void
}

export class Chores extends Periodic {
  readonly name = 'chores'
  readonly #options: ChoresOptions

  constructor(options: ChoresOptions) {
    super({ interval: INTERVAL_MS, clock: options.clock })
    this.#options = options
  }

  async round(): Promise<void> {
    const { alarms, clock, db, digests, poke } = this.#options
    await digests.round()
    await alarms.round()
    await forget(db, clock())
    poke()
  }
}
