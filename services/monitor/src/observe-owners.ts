/** The numbers of what is told to owners, for an operator to watch. Counted when they are asked for. */
import { sql } from 'kysely'
import type { MonitorTables } from '@dslog/schema/db'
import type { Clock } from '@dslog/service/clock'
import type { Database } from '@dslog/service/db'
import type { Metrics } from '@dslog/service/metrics'
import { OPERATOR } from './operator.ts'
import type { Outbox } from './outbox.ts'

const MS_PER_SECOND = 1000

/** Registers the metrics of an outbox and its database. */
export function observeOwners(
  { db, outbox }: { readonly db: Database<MonitorTables>; readonly outbox: Outbox },
  metrics: Metrics,
  clock: Clock,
): void {
  metrics.gauge({
    name: 'dslog_monitor_subscriptions',
    help: 'Confirmed subscriptions, those of the watch list included',
    collect: async (gauge) => gauge.set(await count(db, sql`subscription where active`)),
  })
  metrics.gauge({
    name: 'dslog_monitor_outbox_waiting',
    help: 'Messages to owners that wait to be delivered',
    collect: async (gauge) => gauge.set(await count(db, sql`outbox where state = 'waiting'`)),
  })
  metrics.gauge({
    name: 'dslog_monitor_outbox_dead',
    help: 'Messages that were given up, and can be sent again',
    collect: async (gauge) => gauge.set(await count(db, sql`outbox where state = 'dead'`)),
  })
  metrics.gauge({
    name: 'dslog_monitor_outbox_age_seconds',
    help: 'Age of the oldest message that waits; 0 if none does',
    collect: async (gauge) => {
      const { rows } = await sql<{ oldest: number | null }>`
        select min(created_at) as oldest from outbox where state = 'waiting'`.execute(db.kysely)
      const oldest = rows[0]?.oldest ?? null
      gauge.set(oldest === null ? 0 : Math.max(0, clock() - oldest) / MS_PER_SECOND)
    },
  })
  metrics.gauge({
    name: 'dslog_monitor_channels_failing',
    help: 'Confirmed channels whose last delivery failed',
    collect: async (gauge) => {
      gauge.set(await count(db, sql`channel where state = 'active' and failing_since is not null`))
    },
  })
  metrics.gauge({
    name: 'dslog_monitor_deliveries',
    help: 'Deliveries since the start, by what became of them',
    labels: ['outcome'],
    collect: (gauge) => {
      const { dead, failed, sent } = outbox.counts
      gauge.set({ outcome: 'sent' }, sent)
      gauge.set({ outcome: 'failed' }, failed)
      gauge.set({ outcome: 'dead' }, dead)
    },
  })
  metrics.gauge({
    name: 'dslog_monitor_alarms',
    help: 'Alarms of the operator that stand, by what they are about; 0 without a rule if there are none',
    labels: ['rule'],
    collect: async (gauge) => {
      const { rows } = await sql<{ rule: string; alarms: number }>`
        select rule, count(*)::int8 as alarms from alert
        where subscription = ${OPERATOR} and resolved_at is null group by rule`.execute(db.kysely)
      gauge.reset()
      if (rows.length === 0) gauge.set(0)
      for (const { alarms, rule } of rows) gauge.set({ rule }, alarms)
    },
  })
}

async function count(
  { kysely }: Database<MonitorTables>,
  what: ReturnType<typeof sql>,
): Promise<number> {
  const { rows } = await sql<{ rows: number }>`select count(*)::int8 as rows from ${what}`.execute(
    kysely,
  )
  return rows[0]!.rows
}
