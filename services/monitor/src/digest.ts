/**
 * Summaries of what was not worth a mail of its own: what was found at INFO or below a channel's level,
 * once a week, and what was over the number of mails of a day, the day after.
 */
import { sql, type Transaction } from 'kysely'
import { type Name, nameToText } from '@dslog/dnssec/name'
import type { MonitorTables } from '@dslog/schema/db'
import { DAY } from '@dslog/schema/time'
import type { Clock } from '@dslog/service/clock'
import type { Database } from '@dslog/service/db'
import { alertOf, type AlertRow } from './content.ts'
import { dayOf } from './maillimit.ts'
import { say } from './notice.ts'

const WEEK_MS = 7 * DAY

/** Alerts that a summary lists; the rest is counted. */
const LISTED = 50

/** Channels that get a summary in one go. */
const BATCH = 100

export class Digests {
  readonly #db: Database<MonitorTables>
  readonly #clock: Clock

  constructor(db: Database<MonitorTables>, clock: Clock) {
    this.#db = db
    this.#clock = clock
  }

  /** Writes every summary that is due. */
  async round(): Promise<void> {
    for (;;) {
      const now = this.#clock()
      const { rows } = await sql<{ id: string; name: Uint8Array }>`
        select c.id, s.name from channel c join subscription s on s.id = c.subscription
        where c.state = 'active' and (
          c.digest_at <= ${now - WEEK_MS}::int8
            and exists (select from outbox o where o.channel = c.id and o.state = 'digest')
          or c.day < ${dayOf(now)}::int
            and exists (select from outbox o where o.channel = c.id and o.state = 'folded'))
        order by c.id limit ${BATCH}`.execute(this.#db.kysely)
      for (const { id, name } of rows) {
        await this.#db.transaction((trx) => summarise(trx, id, name as Name, now))
      }
      if (rows.length < BATCH) return
    }
  }
}

async function summarise(
  trx: Transaction<MonitorTables>,
  channel: string,
  name: Name,
  now: number,
): Promise<void> {
  // What comes in meanwhile stays for the next summary.
  const { rows: taken } = await sql<{ alert: string; was: string }>`
    update outbox o set state = 'sent', sent_at = ${now}::int8
    from (select id, state as was from outbox
      where channel = ${channel} and state in ('digest', 'folded') for update) old
    where o.id = old.id returning o.alert, old.was`.execute(trx)
  const { rows: alerts } = await sql<AlertRow>`
    select a.*, s.name as watched from alert a join subscription s on s.id = a.subscription
    where a.id = any(${taken.map(({ alert }) => alert)}::text[])
    order by a.level desc, a.seq limit ${LISTED}`.execute(trx)
  const folded = taken.filter(({ was }) => was === 'folded').length
  await trx.updateTable('channel').set({ digest_at: now }).where('id', '=', channel).execute()
  const distinct = new Set(taken.map(({ alert }) => alert)).size
  const more = distinct - alerts.length
  const data = { name: nameToText(name), alerts: alerts.map(alertOf), more, folded }
  await say(trx, channel, 'digest', data, now)
}
