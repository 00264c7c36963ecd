/**
 * What an owner states about a watched name: which keys are allowed, when a change is due, "that was me".
 *
 * Pins come under the signature of an owner key, with a number that grows. The first key to sign stays
 * the owner key of the subscription: a token alone changes no pins. And still it may be a thief: so each
 * change of pins is told over all channels, and counts after a day, unless another channel than that of
 * the token confirms it before.
 */
import type { Transaction } from 'kysely'
import { equal } from '@dslog/tlog/bytes'
import { type Name, nameToText } from '@dslog/dnssec/name'
import type { AlertTable } from '@dslog/schema/alertdb'
import type { MonitorTables } from '@dslog/schema/db'
import type { Clock } from '@dslog/service/clock'
import type { Database } from '@dslog/service/db'
import { decodeDsSet } from '@dslog/service/foldtables'
import { VerifyError } from '@dslog/verify/error'
import {
  decodePinList,
  encodePinList,
  MAX_PINS,
  type Pin,
  type PinStatement,
  pinToText,
  verifyPins,
} from '@dslog/verify/pins'
import { raiseAlerts } from './alert.ts'
import { judgeAgainFor } from './cases.ts'
import { OwnerError } from './owner-error.ts'
import { say, tell } from './notice.ts'
import type { Subscription } from './records.ts'
import { hashToken, isToken, newToken } from './token.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

/** From a change of pins to when it counts, ms: time for the owner to read mail and object. */
export const PIN_DELAY_MS = DAY_MS

/** Longest announced change, ms: who announces more, announces nothing. */
export const MAX_WINDOW_MS: number = 30 * DAY_MS

/** How far ahead a change is announced at most, ms. */
const MAX_AHEAD_MS = 366 * DAY_MS

/** Announced changes of a subscription that have not ended. */
const MAX_WINDOWS = 16

const MAX_NOTE_LENGTH = 200

/** How long an acknowledgement allows its keys, ms; a statement says itself how long. */
const ACKNOWLEDGED_SPAN_MS = 400 * DAY_MS

/** From one test to the next, ms. */
const TEST_INTERVAL_MS = 60_000

/** An owner's statement as it was sent. */
export interface SignedPins {
  readonly ownerKey: Uint8Array
  readonly signature: Uint8Array
  readonly seq: number
  readonly notAfter: number
  readonly pins: readonly Pin[]
}

/** Pins as they are shown. */
export interface ShownPins {
  readonly seq: number
  readonly pins: readonly string[]
  readonly not_after: number
  readonly effective_at: number
  readonly owner_key: Uint8Array | null
}

export interface WindowRequest {
  readonly begins_at: number
  readonly ends_at: number
  readonly unsigned: boolean
  readonly note: string
}

export class Statements {
  readonly #db: Database<MonitorTables>
  readonly #clock: Clock
  /** Name of this monitor, in every statement. */
  readonly origin: string

  constructor(db: Database<MonitorTables>, clock: Clock, origin: string) {
    this.#db = db
    this.#clock = clock
    this.origin = origin
  }

  /**
   * Takes pins; they count later.
   *
   * @returns when they count
   * @throws OwnerError `signature`, `conflict` or `invalid`
   */
  async setPins(subscription: Subscription, signed: SignedPins): Promise<number> {
    const { notAfter, ownerKey, pins, seq, signature } = signed
    const name = subscription.name as Name
    const statement = { origin: this.origin, name, seq, notAfter, pins }
    check(statement, ownerKey, signature)
    const now = this.#clock()
    if (notAfter <= now) throw new OwnerError('invalid', 'the statement has ended already')
    if (seq === 0) throw new OwnerError('invalid', 'numbers of statements begin with 1')
    return this.#db.transaction(async (trx) => {
      // Two statements at a time must not both find themselves the newest.
      await trx
        .selectFrom('subscription')
        .select('id')
        .where('id', '=', subscription.id)
        .forUpdate()
        .executeTakeFirstOrThrow()
      const before = await trx
        .selectFrom('pin_set')
        .select(['seq', 'owner_key'])
        .where('subscription', '=', subscription.id)
        .where('owner_key', 'is not', null)
        .orderBy('id', 'desc')
        .executeTakeFirst()
      if (before !== undefined && !equal(ownerKey, before.owner_key!)) {
        throw new OwnerError(
          'signature',
          'another owner key has signed the pins of this subscription',
        )
      }
      if (before !== undefined && seq <= before.seq) {
        throw new OwnerError(
          'conflict',
          `a statement numbered ${before.seq} is known: the next has a higher number`,
        )
      }
      const effectiveAt = now + PIN_DELAY_MS
      const token = newToken()
      const second = await secondChannel(trx, subscription)
      await trx
        .insertInto('pin_set')
        .values({
          subscription: subscription.id,
          seq,
          not_after: notAfter,
          keys: encodePinList(pins),
          owner_key: ownerKey,
          signature,
          created_at: now,
          effective_at: effectiveAt,
          confirm_hash: second === undefined ? null : hashToken(token)!,
          confirm_channel: second ?? null,
        })
        .execute()
      const shown = pins.map(pinToText)
      const when = new Date(effectiveAt).toISOString()
      const what = pins.length === 0 ? 'All pins are taken back' : `New pins: ${shown.join('; ')}`
      await tell(
        trx,
        subscription.id,
        'pins',
        `${what}. They count from ${when} on, or once another channel has confirmed them.`,
        now,
      )
      if (second !== undefined) {
        const data = { name: nameToText(name), token, pins: shown, effective_at: effectiveAt }
        await say(trx, second, 'confirm-pins', data, now)
      }
      return effectiveAt
    })
  }

  /** A second channel confirms the newest pins. @throws OwnerError `token` */
  async confirmPins(subscription: string, token: string): Promise<void> {
    const now = this.#clock()
    await this.#db.transaction(async (trx) => {
      const newest = await trx
        .selectFrom('pin_set')
        .select(['id', 'confirm_hash', 'effective_at'])
        .where('subscription', '=', subscription)
        .orderBy('id', 'desc')
        .executeTakeFirst()
      if (newest === undefined || !isToken(token, newest.confirm_hash)) {
        throw new OwnerError('token', 'this is not the token that was sent about the newest pins')
      }
      await trx
        .updateTable('pin_set')
        .set({ effective_at: Math.min(now, newest.effective_at), confirm_hash: null })
        .where('id', '=', newest.id)
        .execute()
      await judgeAgainFor(trx, subscription)
    })
  }

  /** The pins that count, and those that will. */
  async pinsOf(subscription: string): Promise<{ current?: ShownPins; coming?: ShownPins }> {
    const now = this.#clock()
    const rows = await this.#db.kysely
      .selectFrom('pin_set')
      .selectAll()
      .where('subscription', '=', subscription)
      .orderBy('id', 'desc')
      .execute()
    const current = rows.find(({ effective_at: at }) => at <= now)
    const coming = rows[0]
    const show = ({
      effective_at,
      keys,
      not_after,
      owner_key,
      seq,
    }: (typeof rows)[number]): ShownPins => {
      return { seq, pins: decodePinList(keys).map(pinToText), not_after, effective_at, owner_key }
    }
    return {
      ...(current !== undefined && current.not_after > now && { current: show(current) }),
      ...(coming !== undefined && coming !== current && { coming: show(coming) }),
    }
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

  async windowsOf(subscription: string) {
    return this.#db.kysely
      .selectFrom('change_window')
      .select(['id', 'begins_at', 'ends_at', 'unsigned', 'note', 'created_at'])
      .where('subscription', '=', subscription)
      .where('ends_at', '>', this.#clock())
      .orderBy('id')
      .execute()
  }

  /**
   * "That was me": the DS of the alert become pins, as if the owner had stated them, if there were never
   * any: an acknowledgement comes by a link in a mail, and that must not undo what an owner key has signed.
   *
   * @returns whether they become pins
   */
  async acknowledge(alertId: string): Promise<boolean> {
    const now = this.#clock()
    return this.#db.transaction(async (trx) => {
      const alert = await trx
        .updateTable('alert')
        .set({ acknowledged_at: now })
        .where('id', '=', alertId)
        .where('acknowledged_at', 'is', null)
        .returning(['subscription', 'name', 'after', 'rule'])
        .executeTakeFirst()
      if (alert === undefined) return false
      const isPinned = await pinAcknowledged(trx, alert, now)
      await judgeAgainFor(trx, alert.subscription)
      return isPinned
    })
  }

  /** Sends a test over all channels. @throws OwnerError `limit` */
  async test(subscription: Subscription): Promise<string> {
    const now = this.#clock()
    return this.#db.transaction(async (trx) => {
      const last = await trx
        .selectFrom('alert')
        .select('raised_at')
        .where('subscription', '=', subscription.id)
        .where('rule', '=', 'test')
        .orderBy('seq', 'desc')
        .executeTakeFirst()
      if (last !== undefined && now - last.raised_at < TEST_INTERVAL_MS) {
        throw new OwnerError('limit', 'one test a minute')
      }
      const draft = {
        subscription: subscription.id,
        rule: 'test',
        level: 'INFO',
        name: subscription.name as Name,
        cause: `test ${now}`,
        why: 'You asked for a test.',
        at: now,
      } as const
      const [raised] = await raiseAlerts(trx, [draft], now)
      return raised!.id
    })
  }
}

function check(statement: PinStatement, ownerKey: Uint8Array, signature: Uint8Array): void {
  try {
    verifyPins(statement, ownerKey, signature)
  } catch (cause) {
    if (!(cause instanceof VerifyError)) throw cause
    const code = cause.code === 'malformed' ? 'invalid' : 'signature'
    throw new OwnerError(code, cause.message, { cause })
  }
}

/** A confirmed channel other than the one that the token came through: the one that has been there longest. */
async function secondChannel(
  trx: Transaction<MonitorTables>,
  { id, token_channel: first }: Subscription,
): Promise<string | undefined> {
  const row = await trx
    .selectFrom('channel')
    .select('id')
    .where('subscription', '=', id)
    .where('state', '=', 'active')
    .where('id', '<>', first ?? '')
    .orderBy('confirmed_at')
    .executeTakeFirst()
  return row?.id
}

async function pinAcknowledged(
  trx: Transaction<MonitorTables>,
  alert: Pick<AlertTable, 'subscription' | 'name' | 'after' | 'rule'>,
  now: number,
): Promise<boolean> {
  const { after, name, rule, subscription } = alert
  const pins = (after === null ? [] : decodeDsSet(after)).map((rdata): Pin => ({
    kind: 'ds',
    rdata,
  }))
  if (pins.length === 0 || pins.length > MAX_PINS || rule === 'history') return false
  const watch = await trx
    .selectFrom('subscription')
    .select('name')
    .where('id', '=', subscription)
    .executeTakeFirstOrThrow()
  // What a zone above, or a name below, has for keys says nothing about the watched one.
  if (!equal(watch.name, name)) return false
  const before = await trx
    .selectFrom('pin_set')
    .select('id')
    .where('subscription', '=', subscription)
    .executeTakeFirst()
  if (before !== undefined) return false
  let keys
  try {
    keys = encodePinList(pins)
  } catch (error) {
    // A digest that no resolver knows cannot be pinned.
    if (error instanceof VerifyError) return false
    throw error
  }
  const effectiveAt = now + PIN_DELAY_MS
  await trx
    .insertInto('pin_set')
    .values({
      subscription,
      seq: 0,
      not_after: now + ACKNOWLEDGED_SPAN_MS,
      keys,
      owner_key: null,
      created_at: now,
      effective_at: effectiveAt,
    })
    .execute()
  const when = new Date(effectiveAt).toISOString()
  await tell(
    trx,
    subscription,
    'pins',
    `By an acknowledgement, the DS of that alert are pinned from ${when} on: ${pins.map(pinToText).join('; ')}.`,
    now,
  )
  return true
}
