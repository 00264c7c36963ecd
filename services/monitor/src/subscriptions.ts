/**
 * Who watches what: subscribing, confirming, changing, ending. Nothing is watched for a stranger before
 * the channel has agreed to it, and the token that changes a subscription goes to who holds the channel,
 * not to who asked: whoever subscribes somebody else's mailbox gets nothing by it.
 *
 * What is done to a subscription is told over all of its channels, since it may not have been its owner.
 */
import { sql, type Transaction } from 'kysely'
import { type Name, nameToText } from '@dslog/dnssec/name'
import { type AlertLevel, levelRank } from '@dslog/schema/alert'
import type { ChannelRow } from '@dslog/schema/alertdb'
import type { MonitorTables } from '@dslog/schema/db'
import type { Clock } from '@dslog/service/clock'
import type { Database } from '@dslog/service/db'
import { newToken } from '@dslog/service/http/bearer'
import { agreed, type Confirmed } from './agreed.ts'
import { end } from './ending.ts'
import { describeChannel, tell } from './notice.ts'
import { askToConfirm, takeOptIn } from './optin.ts'
import { OwnerError } from './owner-error.ts'
import { channelOf, channelsOf, type Subscription, subscriptionOf } from './records.ts'
import { maySubtree, type Target } from './target.ts'
import { hashToken, isToken, newId } from './token.ts'
import { pathOf } from './watch.ts'

/** Channels of a subscription. */
const MAX_CHANNELS = 8

/** What somebody asked to be watched. */
export interface SubscribeRequest {
  readonly name: Name
  readonly target: Target
  readonly level: AlertLevel
  /** By default wherever it is allowed. */
  readonly subtree?: boolean
  /** Who asked: an address, or what stands for one. */
  readonly source: string
}

/** A subscription that waits to be confirmed. Secrets are shown this once. */
export interface Subscribed {
  readonly id: string
  readonly channel: string
  readonly subtree: boolean
  /** For a webhook: who set it up is who asked. A mailbox gets it when it confirms. */
  readonly token: string | undefined
  readonly secret: Uint8Array | undefined
}

export class Subscriptions {
  readonly #db: Database<MonitorTables>
  readonly #clock: Clock

  constructor(db: Database<MonitorTables>, clock: Clock) {
    this.#db = db
    this.#clock = clock
  }

  /** @throws OwnerError `invalid` or `limit` */
  async subscribe(request: SubscribeRequest): Promise<Subscribed> {
    const { level, name, source, target } = request
    const subtree = request.subtree ?? maySubtree(name)
    if (subtree && !maySubtree(name)) {
      const text = nameToText(name)
      throw new OwnerError(
        'invalid',
        `${text} is not at or below a domain that can be registered: watch the name alone`,
      )
    }
    const now = this.#clock()
    const id = newId('sub')
    const token = target.kind === 'webhook' ? newToken() : undefined
    return this.#db.transaction(async (trx) => {
      await takeOptIn(trx, target, source, now)
      await trx
        .insertInto('subscription')
        .values({
          id,
          source: 'api',
          name,
          path: pathOf(name),
          subtree,
          active: false,
          token_hash: token === undefined ? null : hashToken(token)!,
          created_at: now,
        })
        .execute()
      const { channel, secret } = await addChannel(trx, id, target, level, now)
      await askToConfirm(trx, channel, name, now)
      return { id, channel, subtree, token, secret }
    })
  }

  /** A further channel, to be confirmed. @throws OwnerError `invalid`, `conflict` or `limit` */
  async addChannel(
    subscription: Subscription,
    target: Target,
    level: AlertLevel,
    source: string,
  ): Promise<{ channel: string; secret: Uint8Array | undefined }> {
    const now = this.#clock()
    return this.#db.transaction(async (trx) => {
      const all = await channelsOf(trx, subscription.id)
      if (all.length >= MAX_CHANNELS) {
        throw new OwnerError('conflict', `a subscription has ${MAX_CHANNELS} channels at most`)
      }
      if (all.some(({ kind, target: there }) => kind === target.kind && there === target.target)) {
        throw new OwnerError('conflict', 'the subscription has this channel')
      }
      await takeOptIn(trx, target, source, now)
      const added = await addChannel(trx, subscription.id, target, level, now)
      await askToConfirm(trx, added.channel, subscription.name as Name, now)
      return added
    })
  }

  /** A channel agrees, by the token that it was sent. @throws OwnerError `token` or `gone` */
  async confirm(channelId: string, token: string): Promise<Confirmed> {
    const now = this.#clock()
    return this.#db.transaction(async (trx) => {
      const channel = await channelOf(trx, channelId)
      if (channel === undefined || !isToken(token, channel.confirm_hash)) {
        throw new OwnerError('token', 'this is not the token that was sent')
      }
      if (channel.confirm_until === null || now > channel.confirm_until) {
        throw new OwnerError('gone', 'the time to confirm has passed: subscribe again')
      }
      return agreed(trx, channel, now)
    })
  }

  /**
   * A channel of a subscription agrees, whichever the token was sent over.
   *
   * @throws OwnerError `token` or `gone`
   */
  async confirmIn(id: string, token: string): Promise<Confirmed> {
    const channels = await this.channels(id)
    const asked = channels.find(({ confirm_hash: hash }) => isToken(token, hash))
    if (asked !== undefined) return this.confirm(asked.id, token)
    throw new OwnerError('token', 'this is not the token that was sent, or it was used')
  }

  /** A channel agrees, by what it answered. */
  async confirmed(channelId: string): Promise<void> {
    const now = this.#clock()
    await this.#db.transaction(async (trx) => {
      const channel = await channelOf(trx, channelId)
      if (channel?.state === 'pending') await agreed(trx, channel, now)
    })
  }

  /** The subscription that a token opens. @throws OwnerError `token`, the same for a wrong token and id */
  async authorize(id: string, token: string): Promise<Subscription> {
    const row = await this.#db.kysely
      .selectFrom('subscription')
      .selectAll()
      .where('id', '=', id)
      .executeTakeFirst()
    if (row === undefined || !isToken(token, row.token_hash)) {
      throw new OwnerError('token', 'this is not the token of the subscription')
    }
    return row
  }

  async channels(id: string): Promise<ChannelRow[]> {
    return channelsOf(this.#db.kysely, id)
  }

  /** Messages that were given up, by channel. */
  async deadLetters(id: string): Promise<Map<string, number>> {
    const { rows } = await sql<{ channel: string; dead: number }>`
      select o.channel, count(*)::int8 as dead from outbox o join channel c on c.id = o.channel
      where c.subscription = ${id} and o.state = 'dead' group by o.channel`.execute(this.#db.kysely)
    return new Map(rows.map(({ channel, dead }) => [channel, dead]))
  }

  /** Whether names below are watched too. @throws OwnerError `invalid` */
  async setSubtree(subscription: Subscription, subtree: boolean): Promise<void> {
    if (subtree && !maySubtree(subscription.name as Name)) {
      throw new OwnerError('invalid', 'not at or below a domain that can be registered')
    }
    if (subtree === subscription.subtree) return
    const now = this.#clock()
    await this.#db.transaction(async (trx) => {
      await trx
        .updateTable('subscription')
        .set({ subtree })
        .where('id', '=', subscription.id)
        .execute()
      const why = subtree ? 'Names below are watched too.' : 'Names below are not watched any more.'
      await tell(trx, subscription.id, 'channel', why, now)
    })
  }

  /** The level from which on a channel, or each, is told at once. @throws OwnerError `invalid` */
  async setLevel(subscription: Subscription, level: AlertLevel, channel?: string): Promise<void> {
    const now = this.#clock()
    await this.#db.transaction(async (trx) => {
      if (channel !== undefined) await channelIn(trx, subscription, channel)
      const changed = await trx
        .updateTable('channel')
        .set({ level: levelRank(level) })
        .where('subscription', '=', subscription.id)
        .where('level', '<>', levelRank(level))
        .$if(channel !== undefined, (query) => query.where('id', '=', channel!))
        .returning('id')
        .execute()
      if (changed.length === 0) return
      await tell(trx, subscription.id, 'channel', `Alerts are sent from ${level} on.`, now)
    })
  }

  /** Takes a channel away; with the last, the subscription ends. @throws OwnerError `invalid` */
  async removeChannel(subscription: Subscription, channelId: string): Promise<void> {
    const now = this.#clock()
    await this.#db.transaction(async (trx) => {
      const channel = await channelIn(trx, subscription, channelId)
      const all = await channelsOf(trx, subscription.id)
      const others = all.filter(({ id, state }) => id !== channelId && state === 'active')
      if (others.length === 0) return end(trx, subscription, now)
      const why = `A channel was removed: ${describeChannel(channel)}.`
      await tell(trx, subscription.id, 'channel', why, now, channelId)
      await trx.deleteFrom('channel').where('id', '=', channelId).execute()
    })
  }

  /** Ends a channel by the link in its own mails. */
  async unsubscribe(channelId: string): Promise<void> {
    const channel = await channelOf(this.#db.kysely, channelId)
    // Pressed twice.
    if (channel === undefined || channel.state === 'ended') return
    await this.removeChannel(await subscriptionOf(this.#db.kysely, channel.subscription), channelId)
  }

  /** Ends a subscription; its channels hear it. */
  async end(subscription: Subscription): Promise<void> {
    const now = this.#clock()
    await this.#db.transaction((trx) => end(trx, subscription, now))
  }

  /** Sends again what was given up over a channel, which is taken to work again. */
  async resend(subscription: Subscription, channelId: string): Promise<number> {
    return this.#db.transaction(async (trx) => {
      const channel = await channelIn(trx, subscription, channelId)
      await trx
        .updateTable('channel')
        .set({
          retry_at: null,
          failures: 0,
          ...(channel.state === 'failed' && { state: 'active' as const }),
        })
        .where('id', '=', channelId)
        .execute()
      const again = await trx
        .updateTable('outbox')
        // Five more days, from now on.
        .set({ state: 'waiting', attempts: 0, created_at: this.#clock() })
        .where('channel', '=', channelId)
        .where('state', '=', 'dead')
        .executeTakeFirst()
      return Number(again.numUpdatedRows)
    })
  }
}

async function addChannel(
  trx: Transaction<MonitorTables>,
  subscription: string,
  { kind, target }: Target,
  level: AlertLevel,
  now: number,
): Promise<{ channel: string; secret: Uint8Array | undefined }> {
  const channel = newId('ch')
  const secret =
    kind === 'webhook' ? Uint8Array.from(Buffer.from(newToken(), 'base64url')) : undefined
  await trx
    .insertInto('channel')
    .values({
      id: channel,
      subscription,
      kind,
      target,
      secret: secret ?? null,
      level: levelRank(level),
      state: 'pending',
      created_at: now,
      digest_at: now,
    })
    .execute()
  return { channel, secret }
}

/** A channel of a subscription. @throws OwnerError `invalid` if it is not one */
async function channelIn(
  trx: Transaction<MonitorTables>,
  subscription: Subscription,
  id: string,
): Promise<ChannelRow> {
  const channel = await channelOf(trx, id)
  if (channel?.subscription === subscription.id) return channel
  throw new OwnerError('invalid', 'the subscription has no such channel')
}
