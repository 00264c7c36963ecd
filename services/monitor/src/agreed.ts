/**
 * What follows when a channel has agreed to be told: the first makes the subscription active and gets its
 * token, a further one is told to the others, and a mailbox that watches the name already only gets a new token.
 */
import type { Transaction } from 'kysely'
import type { ChannelRow } from '@dslog/schema/alertdb'
import type { MonitorTables } from '@dslog/schema/db'
import { newToken } from '@dslog/service/http/bearer'
import { announceHistory } from './history.ts'
import { describeChannel, tell } from './notice.ts'
import { type Subscription, subscriptionOf } from './records.ts'
import { hashToken } from './token.ts'

/** What confirming has led to. */
export interface Confirmed {
  readonly subscription: string
  readonly channel: string
  /** A new token, which ends the one before. */
  readonly token: string | undefined
}

/** Takes note that a channel has agreed. */
export async function agreed(
  trx: Transaction<MonitorTables>,
  channel: ChannelRow,
  now: number,
): Promise<Confirmed> {
  const subscription = await subscriptionOf(trx, channel.subscription)
  const known = subscription.active ? undefined : await knownBefore(trx, subscription, channel)
  if (known !== undefined) {
    // The same mailbox watches the name already: what was asked for is a new token.
    await trx.deleteFrom('subscription').where('id', '=', subscription.id).execute()
    const token = await newTokenOf(trx, known.subscription, known.id)
    await tell(
      trx,
      known.subscription,
      'access',
      'A new token was handed out over this channel.',
      now,
    )
    return { subscription: known.subscription, channel: known.id, token }
  }
  await trx
    .updateTable('channel')
    .set({ state: 'active', confirmed_at: now, confirm_hash: null, confirm_until: null })
    .where('id', '=', channel.id)
    .execute()
  if (subscription.active) {
    const why = `A channel was added: ${describeChannel(channel)}.`
    await tell(trx, subscription.id, 'channel', why, now, channel.id)
    return { subscription: subscription.id, channel: channel.id, token: undefined }
  }
  const isNew = subscription.token_hash === null
  const token = isNew ? await newTokenOf(trx, subscription.id, channel.id) : undefined
  await trx
    .updateTable('subscription')
    .set({ active: true, confirmed_at: now, token_channel: channel.id })
    .where('id', '=', subscription.id)
    .execute()
  await announceHistory(trx, subscription, now)
  return { subscription: subscription.id, channel: channel.id, token }
}

/** A token, in the place of the one before; it is sent over this channel. */
async function newTokenOf(
  trx: Transaction<MonitorTables>,
  id: string,
  channel: string,
): Promise<string> {
  const token = newToken()
  await trx
    .updateTable('subscription')
    .set({ token_hash: hashToken(token)!, token_channel: channel })
    .where('id', '=', id)
    .execute()
  return token
}

/** A confirmed channel of another subscription of the same name to the same mailbox. */
async function knownBefore(
  trx: Transaction<MonitorTables>,
  subscription: Subscription,
  channel: ChannelRow,
): Promise<ChannelRow | undefined> {
  if (channel.kind !== 'email') return undefined
  return trx
    .selectFrom('channel')
    .innerJoin('subscription', 'subscription.id', 'channel.subscription')
    .selectAll('channel')
    .where('subscription.path', '=', subscription.path)
    .where('subscription.source', '=', 'api')
    .where('subscription.active', '=', true)
    .where('channel.kind', '=', channel.kind)
    .where('channel.target', '=', channel.target)
    .where('channel.state', '=', 'active')
    .executeTakeFirst()
}
