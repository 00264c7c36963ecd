/**
 * Which keys an owner allows. Pins come under the signature of an owner key, with a number that grows. The
 * first key to sign stays the owner key of the subscription: a token alone changes no pins. And still it may
 * be a thief: so each change of pins is told over all channels, and counts after a day, unless another
 * channel than that of the token confirms it before.
 */
import type { Transaction } from 'kysely'
import { equal } from '@dslog/tlog/bytes'
import { type Name, nameToText } from '@dslog/dnssec/name'
import type { MonitorTables } from '@dslog/schema/db'
import { DAY } from '@dslog/schema/time'
import type { Clock } from '@dslog/service/clock'
import type { Database } from '@dslog/service/db'
import { newToken } from '@dslog/service/http/bearer'
import { VerifyError } from '@dslog/verify/error'
import {
  decodePinList,
  encodePinList,
  type Pin,
  type PinStatement,
  pinToText,
  verifyPins,
} from '@dslog/verify/pins'
import { judgeAgainFor } from './cases.ts'
import { OwnerError } from './owner-error.ts'
import { say, tell } from './notice.ts'
import type { Subscription } from './records.ts'
import { hashToken, isToken } from './token.ts'

/** From a change of pins to when it counts, ms: time for the owner to read mail and object. */
export const PIN_DELAY_MS: number = DAY

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

export class Pins {
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
  async set(subscription: Subscription, signed: SignedPins): Promise<number> {
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
  async confirm(subscription: string, token: string): Promise<void> {
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
  async of(subscription: string): Promise<{ current?: ShownPins; coming?: ShownPins }> {
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
