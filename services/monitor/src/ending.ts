/** How subscriptions end, and when what is left of them is forgotten. */
import { sql, type Transaction } from 'kysely'
import { type Name, nameToText } from '@dslog/dnssec/name'
import type { MonitorTables } from '@dslog/schema/db'
import { DAY } from '@dslog/schema/time'
import type { Database } from '@dslog/service/db'
import { say } from './notice.ts'
import { channelsOf, type Subscription } from './records.ts'

/** How long it is known what was sent, ms: for whoever asks what a duplicate is one of. */
const KEEP_SENT_MS = 30 * DAY

/** How long a farewell is tried, ms. */
const FAREWELL_SPAN_MS = 7 * DAY

/** Ends a subscription: nothing more is found for it, and its channels hear so. */
export async function end(
  trx: Transaction<MonitorTables>,
  subscription: Subscription,
  now: number,
): Promise<void> {
  await trx
    .updateTable('subscription')
    .set({ active: false, token_hash: null })
    .where('id', '=', subscription.id)
    .execute()
  for (const channel of await channelsOf(trx, subscription.id)) {
    await trx
      .deleteFrom('outbox')
      .where('channel', '=', channel.id)
      .where('state', '<>', 'sent')
      .execute()
    if (channel.state !== 'active') {
      await trx.deleteFrom('channel').where('id', '=', channel.id).execute()
      continue
    }
    await trx
      .updateTable('channel')
      .set({ state: 'ended', digest_at: now, retry_at: null, failures: 0 })
      .where('id', '=', channel.id)
      .execute()
    await say(trx, channel.id, 'ended', { name: nameToText(subscription.name as Name) }, now)
  }
}

/** Forgets what nobody confirmed in time, what has ended, and what was sent long ago. */
export async function forget({ kysely }: Database<MonitorTables>, now: number): Promise<void> {
  await sql`
      delete from subscription s where source = 'api' and not active and not exists (
        select from channel c where c.subscription = s.id and (
          c.state = 'pending' and c.confirm_until > ${now}::int8
          or c.state = 'ended' and c.digest_at > ${now - FAREWELL_SPAN_MS}::int8
            and exists (select from outbox o where o.channel = c.id and o.state = 'waiting')))`.execute(
    kysely,
  )
  await sql`delete from channel where state = 'pending' and confirm_until <= ${now}::int8`.execute(
    kysely,
  )
  await sql`delete from opt_in where at <= ${now - DAY}::int8`.execute(kysely)
  await sql`delete from outbox where state = 'sent' and sent_at <= ${now - KEEP_SENT_MS}::int8`.execute(
    kysely,
  )
}
