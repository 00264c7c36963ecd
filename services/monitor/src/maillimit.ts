/**
 * No more than a set number of mails a day over one channel. The rest is folded: counted, and listed in
 * the next summary. The last of the day are kept for what is CRITICAL, so that an attacker cannot use up
 * the day with lesser things first. Only alerts are folded: what asks a question is sent, within limits
 * of its own.
 */
import { levelRank } from '@dslog/schema/alert'
import type { ChannelRow, OutboxEvent } from '@dslog/schema/alertdb'
import type { MonitorTables } from '@dslog/schema/db'
import { DAY } from '@dslog/schema/time'
import type { Database } from '@dslog/service/db'

/** Mails of a day that only what is CRITICAL may use. */
const RESERVED_SHARE = 0.25

/** As much of a row of the outbox as the limit looks at. */
interface Row {
  readonly id: number
  readonly event: OutboxEvent
  readonly alert: string | null
}

export class MailLimit {
  readonly #db: Database<MonitorTables>
  readonly #perDay: number

  constructor(db: Database<MonitorTables>, perDay: number) {
    this.#db = db
    this.#perDay = perDay
  }

  /** Whether the row must not be sent today; then it has been folded. */
  async folds(row: Row, channel: ChannelRow, now: number): Promise<boolean> {
    if (channel.kind !== 'email' || row.alert === null) return false
    const sent = channel.day === dayOf(now) ? channel.sent : 0
    const reserved = Math.ceil(this.#perDay * RESERVED_SHARE)
    if (sent < this.#perDay - reserved) return false
    const { level } = await this.#db.kysely
      .selectFrom('alert')
      .select('level')
      .where('id', '=', row.alert)
      .executeTakeFirstOrThrow()
    if (level >= levelRank('CRITICAL') && sent < this.#perDay) return false
    await this.#db.kysely
      .updateTable('outbox')
      .set({ state: 'folded' })
      .where('id', '=', row.id)
      .execute()
    return true
  }

  /** What to note of a mail that was sent. */
  counted(row: Row, channel: ChannelRow, now: number): { day: number; sent: number } | object {
    if (channel.kind !== 'email' || row.alert === null) return {}
    const day = dayOf(now)
    return { day, sent: (channel.day === day ? channel.sent : 0) + 1 }
  }
}

/** UTC day, in days since the Unix epoch. */
export function dayOf(now: number): number {
  return Math.floor(now / DAY)
}
