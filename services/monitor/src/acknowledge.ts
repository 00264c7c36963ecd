/**
 * "That was me", said afterwards, of an alert. It comes by a link in a mail, so it can be forged by whoever
 * reads the mail: it explains the keys of that alert, and pins them only where there were never any pins.
 */
import type { Transaction } from 'kysely'
import { equal } from '@dslog/tlog/bytes'
import type { AlertTable } from '@dslog/schema/alertdb'
import type { MonitorTables } from '@dslog/schema/db'
import { DAY } from '@dslog/schema/time'
import type { Database } from '@dslog/service/db'
import { decodeDsSet } from '@dslog/service/dsset'
import { VerifyError } from '@dslog/verify/error'
import { encodePinList, MAX_PINS, type Pin, pinToText } from '@dslog/verify/pins'
import { isClaimable } from './alert.ts'
import { judgeAgainFor } from './cases.ts'
import { tell } from './notice.ts'
import { PIN_DELAY_MS } from './pins.ts'

/** How long an acknowledgement allows its keys, ms; a statement says itself how long. */
const ACKNOWLEDGED_SPAN_MS = 400 * DAY

/**
 * "That was me": the DS of the alert become pins, as if the owner had stated them, if there were never
 * any: an acknowledgement comes by a link in a mail, and that must not undo what an owner key has signed.
 *
 * @returns whether they become pins
 */
export async function acknowledge(
  db: Database<MonitorTables>,
  alertId: string,
  now: number,
): Promise<boolean> {
  return db.transaction(async (trx) => {
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
  if (!isClaimable({ after, rule }) || pins.length === 0 || pins.length > MAX_PINS) return false
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
