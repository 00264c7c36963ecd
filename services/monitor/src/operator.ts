/**
 * The subscription of whoever runs a monitor: it watches no name, and is told of what keeps the monitor from seeing or
 * telling (alarm.ts), over the channels of the configuration.
 */
import { ROOT } from '@dslog/dnssec/name'
import { levelRank } from '@dslog/schema/alert'
import type { MonitorTables } from '@dslog/schema/db'
import type { Database } from '@dslog/service/db'
import type { Target } from './target.ts'
import { pathOf } from './watch.ts'

/** Its id. */
export const OPERATOR = 'operator'

/** Makes it what the configuration says. */
export async function openOperator(
  db: Database<MonitorTables>,
  targets: readonly Target[],
  now: number,
): Promise<void> {
  await db.transaction(async (trx) => {
    const values = {
      id: OPERATOR,
      source: 'operator' as const,
      name: ROOT,
      path: pathOf(ROOT),
      subtree: false,
      active: true,
      created_at: now,
      confirmed_at: now,
    }
    await trx
      .insertInto('subscription')
      .values(values)
      .onConflict((conflict) => conflict.doNothing())
      .execute()
    const ids = targets.map(({ kind, target }) => `ch_operator_${kind}_${target}`)
    await trx
      .deleteFrom('channel')
      .where('subscription', '=', OPERATOR)
      .$if(ids.length > 0, (query) => query.where('id', 'not in', ids))
      .execute()
    for (const [i, { kind, target }] of targets.entries()) {
      await trx
        .insertInto('channel')
        .values({
          id: ids[i]!,
          subscription: OPERATOR,
          kind,
          target,
          level: levelRank('NOTICE'),
          state: 'active',
          created_at: now,
          confirmed_at: now,
          digest_at: now,
        })
        .onConflict((conflict) => conflict.doNothing())
        .execute()
    }
  })
}
