/** Subscriptions as they lie in the database, for tests of what finds and tells them. */
import { type Name, nameFromText } from '@dslog/dnssec/name'
import { type AlertLevel, levelRank } from '@dslog/schema/alert'
import type { ChannelKind, ChannelState } from '@dslog/schema/alertdb'
import type { MonitorTables } from '@dslog/schema/db'
import type { Database } from '@dslog/service/db'
import { pathOf } from '../src/watch.ts'

/** A subscription and its channel, which has its name. */
export interface Owner {
  readonly id: string
  readonly name: string
  readonly subtree?: boolean
  readonly active?: boolean
  readonly kind?: ChannelKind
  readonly target?: string
  readonly level?: AlertLevel
  readonly state?: ChannelState
}

/** Adds subscriptions. */
export async function addOwners(
  db: Database<MonitorTables>,
  owners: readonly Owner[],
  now = 0,
): Promise<void> {
  await db.transaction(async (trx) => {
    for (const { active = true, id, name, subtree = false, ...channel } of owners) {
      const wire: Name = nameFromText(name)
      await trx
        .insertInto('subscription')
        .values({
          id,
          source: 'api',
          name: wire,
          path: pathOf(wire),
          subtree,
          active,
          created_at: now,
        })
        .execute()
      await trx
        .insertInto('channel')
        .values({
          id: `channel-${id}`,
          subscription: id,
          kind: channel.kind ?? 'webhook',
          target: channel.target ?? 'https://hooks.example/',
          level: levelRank(channel.level ?? 'NOTICE'),
          state: channel.state ?? 'active',
          created_at: now,
          digest_at: now,
        })
        .execute()
    }
  })
}
