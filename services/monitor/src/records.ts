/** Subscriptions and channels as they are stored. */
import type { Transaction } from 'kysely'
import type { ChannelRow, SubscriptionTable } from '@dslog/schema/alertdb'
import type { MonitorTables } from '@dslog/schema/db'

export type Subscription = SubscriptionTable

/** The database, in a transaction or not. */
export type Reader = Pick<Transaction<MonitorTables>, 'selectFrom'>

export async function channelOf(db: Reader, id: string): Promise<ChannelRow | undefined> {
  return db.selectFrom('channel').selectAll().where('id', '=', id).executeTakeFirst()
}

export async function channelsOf(db: Reader, subscription: string): Promise<ChannelRow[]> {
  return db
    .selectFrom('channel')
    .selectAll()
    .where('subscription', '=', subscription)
    .orderBy('created_at')
    .orderBy('id')
    .execute()
}

export async function subscriptionOf(db: Reader, id: string): Promise<Subscription> {
  return db.selectFrom('subscription').selectAll().where('id', '=', id).executeTakeFirstOrThrow()
}
