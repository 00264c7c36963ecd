/**
 * The outbox: what is to be delivered is a row, written in the transaction of its cause, and stays one
 * until a channel has taken it. So everything arrives at least once; a crash between sending and noting
 * that it was sent makes it arrive twice, under the same id.
 *
 * Each channel is served in order: the next message waits for the one before. A channel that does not
 * take its message is left alone for a while, at first some seconds, later hours, spread so that what
 * failed together does not come back together. After five days a message that is still refused is put
 * aside as a dead letter, and the next gets its turn; dead letters are shown, and sent again on demand.
 */
import { sql } from 'kysely'
import { firstOf } from '@dslog/resolver/abort'
import type { ChannelRow, OutboxRow } from '@dslog/schema/alertdb'
import type { MonitorTables } from '@dslog/schema/db'
import { DAY, HOUR } from '@dslog/schema/time'
import type { Clock } from '@dslog/service/clock'
import type { Database } from '@dslog/service/db'
import type { Logger } from '@dslog/service/log'
import { allOf, rideOut } from '@dslog/service/outage'
import { Periodic } from '@dslog/service/periodic'
import { testPoint } from '@dslog/service/testpoint'
import type { Channels, Outcome } from './channel/channel.ts'
import type { ContentReader } from './content.ts'
import type { MailLimit } from './maillimit.ts'

/** First wait after a failure, ms; doubled with each further one. */
const FIRST_RETRY_MS = 5_000

/** Longest wait, ms. */
const LONGEST_RETRY_MS = 6 * HOUR

/** How long a message is tried, ms: a server that broke on a Friday is repaired by Wednesday. */
export const RETRY_SPAN_MS: number = 5 * DAY

/** Channels that are served at the same time. */
const PARALLEL = 32

/** How often it is looked whether a channel's wait is over, ms. */
const INTERVAL_MS = 1_000

/** What a delivery may take in all, ms, whatever its channel allows itself. */
const DELIVERY_TIMEOUT_MS = 60_000

/** Told of what becomes of channels; both in the transaction in which it is noted. */
export interface OutboxEvents {
  /** A receiver has confirmed its channel. */
  confirmed(channel: ChannelRow): Promise<void>
  /** A channel has failed for a day, or for good. */
  failing(channel: ChannelRow, reason: string): Promise<void>
}

export interface OutboxOptions {
  readonly db: Database<MonitorTables>
  readonly channels: Channels
  readonly contents: ContentReader
  readonly limit: MailLimit
  readonly events: OutboxEvents
  readonly clock: Clock
  readonly random?: () => number
  readonly logger: Logger
}

/** After this long, ms, others are told that a channel fails. */
const FAILING_AFTER_MS = DAY

/** Numbers for metrics. */
export interface OutboxCounts {
  sent: number
  failed: number
  dead: number
}

/** Delivers what waits. */
export class Outbox extends Periodic {
  readonly name = 'outbox'
  readonly counts: OutboxCounts = { sent: 0, failed: 0, dead: 0 }
  readonly #options: OutboxOptions

  constructor(options: OutboxOptions) {
    super({ interval: INTERVAL_MS, immediately: true, clock: options.clock })
    this.#options = options
  }

  /**
   * Delivers everything that can be delivered now.
   *
   * @returns how many deliveries were tried
   */
  async round(signal: AbortSignal): Promise<number> {
    let tried = 0
    while (!signal.aborted) {
      const next = await this.#next()
      if (next.length === 0) break
      await allOf(next.map((row) => this.#deliver(row, signal)))
      tried += next.length
    }
    return tried
  }

  /** The first waiting message of each channel that is not to be left alone. */
  async #next(): Promise<OutboxRow[]> {
    const { clock, db } = this.#options
    const { rows } = await sql<OutboxRow>`
      select o.* from outbox o join channel c on c.id = o.channel
      where o.state = 'waiting' and (c.retry_at is null or c.retry_at <= ${clock()}::int8)
        and (c.state in ('active', 'ended') or c.state = 'pending' and o.event = 'confirm')
        and not exists (select from outbox before
          where before.channel = o.channel and before.state = 'waiting' and before.id < o.id)
      order by o.id limit ${PARALLEL}`.execute(db.kysely)
    return rows
  }

  async #deliver(row: OutboxRow, signal: AbortSignal): Promise<void> {
    const { channels, clock, contents, db, limit } = this.#options
    const channel = await db.kysely
      .selectFrom('channel')
      .selectAll()
      .where('id', '=', row.channel)
      .executeTakeFirst()
    // Unsubscribed in the meantime.
    if (channel === undefined) return
    if (await limit.folds(row, channel, clock())) return
    const way = channels[channel.kind]
    const content = await contents.read(row)
    let outcome: Outcome
    testPoint('outbox.next')
    // From here to `outbox.noted` a crash makes the message arrive twice.
    if (way === undefined) {
      outcome = { status: 'retry', reason: `this monitor sends nothing by ${channel.kind}` }
    } else {
      const end = firstOf(signal, AbortSignal.timeout(DELIVERY_TIMEOUT_MS))
      const message = { id: row.message, at: row.created_at, channel, content }
      outcome = await way.send(message, end.signal).finally(end.release)
    }
    testPoint('outbox.sent')
    // Stopped on the way is no failure; it is sent again at the next start, if it was sent at all.
    if (signal.aborted && outcome.status === 'retry') return
    // A database that is away just now is no reason to send it twice.
    await rideOut(() => this.#note(row, channel, outcome), signal)
    testPoint('outbox.noted')
  }

  async #note(row: OutboxRow, channel: ChannelRow, outcome: Outcome): Promise<void> {
    switch (outcome.status) {
      case 'sent':
      case 'confirmed':
        await this.#succeeded(row, channel, outcome.status === 'confirmed')
        return
      case 'retry':
        await this.#failed(row, channel, outcome.reason)
        return
      case 'refused':
        await this.#bury(row, outcome.reason)
        await this.#options.events.failing(channel, outcome.reason)
        return
      case 'gone':
        await this.#gone(channel, outcome.reason)
    }
  }

  async #succeeded(row: OutboxRow, channel: ChannelRow, confirmed: boolean): Promise<void> {
    const { clock, db, events, limit } = this.#options
    const now = clock()
    await db.transaction(async (trx) => {
      await trx
        .updateTable('outbox')
        // Tokens in what was said to the channel are not kept.
        .set({
          state: 'sent',
          sent_at: now,
          last_error: null,
          data: null,
          attempts: row.attempts + 1,
        })
        .where('id', '=', row.id)
        .execute()
      await trx
        .updateTable('channel')
        .set({
          failing_since: null,
          last_error: null,
          failures: 0,
          retry_at: null,
          ...limit.counted(row, channel, now),
        })
        .where('id', '=', row.channel)
        .execute()
    })
    this.counts.sent++
    if (confirmed) await events.confirmed(channel)
  }

  async #failed(row: OutboxRow, channel: ChannelRow, reason: string): Promise<void> {
    const { clock, db, events, logger, random = Math.random } = this.#options
    const now = clock()
    const wait = Math.min(FIRST_RETRY_MS * 2 ** channel.failures, LONGEST_RETRY_MS)
    const since = channel.failing_since ?? now
    await db.transaction(async (trx) => {
      await trx
        .updateTable('outbox')
        .set({ attempts: row.attempts + 1, last_error: reason })
        .where('id', '=', row.id)
        .execute()
      await trx
        .updateTable('channel')
        .set({
          failing_since: since,
          last_error: reason,
          failures: channel.failures + 1,
          retry_at: Math.round(now + wait * (0.5 + random())),
        })
        .where('id', '=', row.channel)
        .execute()
    })
    this.counts.failed++
    logger.debug({ channel: channel.id, reason }, 'a delivery failed')
    if (now - row.created_at >= RETRY_SPAN_MS) await this.#bury(row, reason)
    if (now - since >= FAILING_AFTER_MS) await events.failing(channel, reason)
  }

  /** Puts a message aside. */
  async #bury(row: OutboxRow, reason: string): Promise<void> {
    const { db, logger } = this.#options
    await db.kysely
      .updateTable('outbox')
      .set({ state: 'dead', last_error: reason })
      .where('id', '=', row.id)
      .execute()
    this.counts.dead++
    logger.warn({ channel: row.channel, message: row.message, reason }, 'a message was given up')
  }

  async #gone(channel: ChannelRow, reason: string): Promise<void> {
    const { db, events } = this.#options
    await db.transaction(async (trx) => {
      const set = { state: 'failed', last_error: reason, retry_at: null } as const
      await trx.updateTable('channel').set(set).where('id', '=', channel.id).execute()
      const buried = await trx
        .updateTable('outbox')
        .set({ state: 'dead', last_error: reason })
        .where('channel', '=', channel.id)
        .where('state', 'in', ['waiting', 'digest', 'folded'])
        .executeTakeFirst()
      this.counts.dead += Number(buried.numUpdatedRows)
    })
    await events.failing({ ...channel, state: 'failed' }, reason)
  }
}
