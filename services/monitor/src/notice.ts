/** What is said to owners beside what was found: what was done to a subscription, and what is asked of a channel. */
import type { Transaction } from 'kysely'
import type { Name } from '@dslog/dnssec/name'
import type { AlertRule } from '@dslog/schema/alert'
import type { ChannelRow, OutboxEvent } from '@dslog/schema/alertdb'
import type { MonitorTables } from '@dslog/schema/db'
import { raiseAlerts } from './alert.ts'
import { subscriptionOf } from './records.ts'
import { newId } from './token.ts'

/** Tells all channels of a subscription, but one, what was done to it. */
export async function tell(
  trx: Transaction<MonitorTables>,
  id: string,
  rule: AlertRule,
  why: string,
  now: number,
  not?: string,
  cause = `${rule} ${now} ${newId('n')}`,
): Promise<void> {
  const { name } = await subscriptionOf(trx, id)
  const draft = {
    subscription: id,
    rule,
    level: 'WARNING',
    name: name as Name,
    cause,
    why,
    at: now,
  } as const
  const [raised] = await raiseAlerts(trx, [draft], now)
  if (not === undefined) return
  await trx
    .deleteFrom('outbox')
    .where('alert', '=', raised!.id)
    .where('channel', '=', not)
    .execute()
}

/** Puts something into the outbox that is about the channel itself. */
export async function say(
  trx: Transaction<MonitorTables>,
  channel: string,
  event: OutboxEvent,
  data: object,
  now: number,
): Promise<void> {
  await trx
    .insertInto('outbox')
    .values({
      channel,
      message: newId('msg'),
      event,
      alert: null,
      data: JSON.stringify(data),
      state: 'waiting',
      created_at: now,
    })
    .execute()
}

/** A channel for people, not whole: others read it. */
export function describeChannel({ kind, target }: Pick<ChannelRow, 'kind' | 'target'>): string {
  switch (kind) {
    case 'email':
      return `mail to ${target.slice(0, 2)}…${target.slice(target.lastIndexOf('@'))}`
    case 'webhook':
    case 'ntfy':
      return `${kind} at ${new URL(target).host}`
    case 'hook':
    case 'stdout':
      return kind
  }
}
