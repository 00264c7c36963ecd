/** Reads what a row of the outbox says: an alert as it is now, or what was written when it was put in. */
import { type Name, nameToText } from '@dslog/dnssec/name'
import { dsToText } from '@dslog/dnssec/records'
import { type Alert, ALERT_LEVELS, type AlertEvent } from '@dslog/schema/alert'
import type { AlertRecord, OutboxEvent } from '@dslog/schema/alertdb'
import type { MonitorTables } from '@dslog/schema/db'
import type { Database } from '@dslog/service/db'
import { decodeDsSet } from '@dslog/service/dsset'
import { adviceFor, titleOf } from './advice.ts'
import type { Content } from './channel/channel.ts'

/** A row of the table `alert`, with the name that its subscription watches. */
export type AlertRow = AlertRecord & { readonly watched: Uint8Array }

export class ContentReader {
  readonly #db: Database<MonitorTables>

  constructor(db: Database<MonitorTables>) {
    this.#db = db
  }

  async read(row: {
    event: OutboxEvent
    alert: string | null
    data: string | null
  }): Promise<Content> {
    if (row.alert === null) {
      return { type: row.event, ...(JSON.parse(row.data ?? '{}') as object) } as Content
    }
    const [alert] = await alertRows(this.#db).where('alert.id', '=', row.alert).execute()
    return { type: row.event as AlertEvent, alert: alertOf(alert!) }
  }
}

/** Alerts with the names that are watched. */
export function alertRows(db: Pick<Database<MonitorTables>, 'kysely'>) {
  return db.kysely
    .selectFrom('alert')
    .innerJoin('subscription', 'subscription.id', 'alert.subscription')
    .selectAll('alert')
    .select('subscription.name as watched')
}

/** An alert as it is delivered. */
export function alertOf(row: AlertRow): Alert {
  const setOf = (ds: Uint8Array | null): string[] | null =>
    ds === null ? null : decodeDsSet(ds).map(dsToText)
  const level = ALERT_LEVELS[row.level]!
  return {
    id: row.id,
    subscription: row.subscription,
    name: nameToText(row.name as Name),
    watched: nameToText(row.watched as Name),
    rule: row.rule,
    level,
    title: titleOf(row.rule, nameToText(row.name as Name)),
    log: row.origin,
    index: row.idx,
    indices: JSON.parse(row.indices) as number[],
    before: setOf(row.before),
    after: setOf(row.after),
    why: row.why,
    todo: [...adviceFor(row.rule, level)],
    first_at: row.first_at,
    last_at: row.last_at,
    raised_at: row.raised_at,
    resolved_at: row.resolved_at,
    resolution: row.resolution,
    acknowledged_at: row.acknowledged_at,
  }
}
