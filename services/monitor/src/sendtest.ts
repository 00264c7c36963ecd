/** A test of all channels of a subscription, as its owner asks for it. */
import type { Name } from '@dslog/dnssec/name'
import type { MonitorTables } from '@dslog/schema/db'
import type { Database } from '@dslog/service/db'
import { raiseAlerts } from './alert.ts'
import { OwnerError } from './owner-error.ts'
import type { Subscription } from './records.ts'

/** From one test to the next, ms. */
const TEST_INTERVAL_MS = 60_000

/** Sends a test over all channels. @throws OwnerError `limit` */
export async function sendTest(
  db: Database<MonitorTables>,
  subscription: Subscription,
  now: number,
): Promise<string> {
  return db.transaction(async (trx) => {
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
