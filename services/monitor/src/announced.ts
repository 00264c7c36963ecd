/**
 * What owners have told in advance, as far as it is in force: the keys they allow, and the changes they
 * have announced. Whether a statement is the owner's was checked before it was stored.
 */
import { sql, type Transaction } from 'kysely'
import type { MonitorTables } from '@dslog/schema/db'
import type { WindowTable } from '@dslog/schema/alertdb'

/** Which keys an owner allows. */
export interface PinsInForce {
  readonly keys: Uint8Array
  readonly notAfter: number
  /** Whether an owner key has signed it; else it was acknowledged afterwards. */
  readonly isSigned: boolean
  readonly effectiveAt: number
}

export type ChangeWindow = Pick<WindowTable, 'begins_at' | 'ends_at' | 'unsigned' | 'created_at'>

export interface Announced {
  readonly pins: PinsInForce | undefined
  readonly windows: readonly ChangeWindow[]
}

/**
 * What is in force for subscriptions at a time. The newest effective statement counts alone: one that has
 * ended leaves its name without pins, it does not bring back the one before.
 *
 * @param at ms
 */
export async function announcedBy(
  trx: Transaction<MonitorTables>,
  subscriptions: readonly string[],
  at: number,
): Promise<Map<string, Announced>> {
  const ids = [...subscriptions]
  const pins = await sql<{
    subscription: string
    keys: Uint8Array
    not_after: number
    is_signed: boolean
    effective_at: number
  }>`
    select distinct on (subscription) subscription, keys, not_after,
      owner_key is not null as is_signed, effective_at
    from pin_set where subscription = any(${ids}::text[]) and effective_at <= ${at}::int8
    order by subscription, id desc`.execute(trx)
  const windows = await trx
    .selectFrom('change_window')
    .select(['subscription', 'begins_at', 'ends_at', 'unsigned', 'created_at'])
    .where('subscription', '=', sql<string>`any(${ids}::text[])`)
    .where('ends_at', '>=', at)
    .orderBy('id')
    .execute()
  const found = new Map<string, { pins: PinsInForce | undefined; windows: ChangeWindow[] }>()
  const of = (id: string): { pins: PinsInForce | undefined; windows: ChangeWindow[] } => {
    const announced = found.get(id) ?? { pins: undefined, windows: [] }
    found.set(id, announced)
    return announced
  }
  for (const row of pins.rows) {
    if (row.not_after < at) continue
    const { effective_at: effectiveAt, is_signed: isSigned, keys, not_after: notAfter } = row
    of(row.subscription).pins = { keys, notAfter, isSigned, effectiveAt }
  }
  for (const { subscription, ...window } of windows) of(subscription).windows.push(window)
  return found
}
