/** When an owner says that a change is due. */
import type { MonitorTables } from '@dslog/schema/db'
import { DAY } from '@dslog/schema/time'
import type { Clock } from '@dslog/service/clock'
import type { Database } from '@dslog/service/db'
import { OwnerError } from './owner-error.ts'
import { tell } from './notice.ts'
import type { Subscription } from './records.ts'

/** Longest announced change, ms: who announces more, announces nothing. */
const MAX_WINDOW_MS: number = 30 * DAY

/** How far ahead a change is announced at most, ms. */
const MAX_AHEAD_MS = 366 * DAY

/** Announced changes of a subscription that have not ended. */
const MAX_WINDOWS = 16

const MAX_NOTE_LENGTH = 200

export interface WindowRequest {
  readonly begins_at: number
  readonly ends_at: number
  readonly unsigned: boolean
  readonly note: string
}

export class Windows {
  readonly #db: Database<MonitorTables>
  readonly #clock: Clock

  constructor(db: Database<MonitorTables>, clock: Clock) {
    this.#db = db
    this.#clock = clock
  }

  /** Announces a change. @throws OwnerError `invalid` or `conflict` */
  async announce(subscription: Subscription, window: WindowRequest): Promise<number> {
    const { begins_at: begins, ends_at: ends, note } = window
    const now = this.#clock()
    if (!(begins < ends)) throw new OwnerError('invalid', 'a change ends after it begins')
    if (ends <= now) {
      throw new OwnerError('invalid', 'what is over cannot be announced: acknowledge the alert')
    }
    if (ends - begins > MAX_WINDOW_MS) {
      throw new OwnerError('invalid', 'a change takes 30 days at most')
    }
    if (begins > now + MAX_AHEAD_MS) {
      throw new OwnerError('invalid', 'a change is at most a year ahead')
    }
    if (note.length > MAX_NOTE_LENGTH) throw new OwnerError('invalid', 'the note is too long')
    return this.#db.transaction(async (trx) => {
      const open = await trx
        .selectFrom('change_window')
        .select('id')
        .where('subscription', '=', subscription.id)
        .where('ends_at', '>', now)
        .execute()
      if (open.length >= MAX_WINDOWS) {
        throw new OwnerError('conflict', `${MAX_WINDOWS} announced changes at most`)
      }
      const row = { ...window, subscription: subscription.id, created_at: now }
      const { id } = await trx
        .insertInto('change_window')
        .values(row)
        .returning('id')
        .executeTakeFirstOrThrow()
      const [from, to] = [begins, ends].map((at) => new Date(at).toISOString())
      const unsigned = window.unsigned ? ', in which the name may go unsigned' : ''
      await tell(
        trx,
        subscription.id,
        'window',
        `A change was announced from ${from} to ${to}${unsigned}.`,
        now,
      )
      return id
    })
  }

  async of(subscription: string) {
    return this.#db.kysely
      .selectFrom('change_window')
      .select(['id', 'begins_at', 'ends_at', 'unsigned', 'note', 'created_at'])
      .where('subscription', '=', subscription)
      .where('ends_at', '>', this.#clock())
      .orderBy('id')
      .execute()
  }
}
