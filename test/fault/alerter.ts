/**
 * A monitor's alerts and their outbox in a process of their own, to be killed: finds the same entries in
 * each life, as a monitor does that judges again what it had not committed, and delivers over a webhook.
 * `DSLOG_TEST_CRASH` says where it dies.
 */
import { nameFromText } from '@dslog/dnssec/name'
import type { MonitorTables } from '@dslog/schema/db'
import { MONITOR_MIGRATIONS } from '@dslog/schema/migrate'
import { systemClock } from '@dslog/service/clock'
import { openDatabase } from '@dslog/service/db'
import { migrate } from '@dslog/service/migrate'
import { raiseAlerts } from '@dslog/monitor/alert'
import { Egress } from '@dslog/monitor/channel/egress'
import { WebhookChannel } from '@dslog/monitor/channel/webhook'
import { ContentReader } from '@dslog/monitor/content'
import { MailLimit } from '@dslog/monitor/maillimit'
import { Outbox } from '@dslog/monitor/outbox'
import { reconcile } from '@dslog/monitor/operatorwatches'
import { silent } from '../silent.ts'

/** What the process does. */
export interface AlerterTask {
  readonly folder: string
  /** A PostgreSQL server, if there is one. */
  readonly url?: string
  /** Where alerts go. */
  readonly webhook: string
  /** Entries that are found, the first of number 0. */
  readonly entries: number
}

async function main({ entries, folder, url, webhook }: AlerterTask): Promise<void> {
  const db = await openDatabase<MonitorTables>({ folder, url, schema: 'alerter' })
  await migrate(db, MONITOR_MIGRATIONS)
  const name = nameFromText('example.fi.')
  const target = { kind: 'webhook', target: webhook } as const
  const watched = { name, target, level: 'INFO', subtree: true, secret: undefined } as const
  await reconcile(db, 'operator', [watched], 0)
  const { id } = await db.kysely.selectFrom('subscription').select('id').executeTakeFirstOrThrow()
  const egress = new Egress()
  const outbox = new Outbox({
    db,
    channels: { webhook: new WebhookChannel(egress, systemClock, async () => true) },
    contents: new ContentReader(db),
    limit: new MailLimit(db, 20),
    events: { confirmed: async () => {}, failing: async () => {} },
    clock: systemClock,
    logger: silent,
  })
  const running = new AbortController().signal
  for (let index = 0; index < entries; index++) {
    const entry = { origin: 'log.example', index }
    const draft = {
      subscription: id,
      rule: 'R6',
      level: 'HIGH',
      name,
      entry,
      why: 'x',
      at: index,
    } as const
    await db.transaction((trx) => raiseAlerts(trx, [draft], index))
    await outbox.round(running)
  }
  await egress.close()
  await db.close()
}

await main(JSON.parse(process.argv[2]!) as AlerterTask)
