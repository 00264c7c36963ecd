/** What the routes of the monitor share. */
import { type Name, nameToText } from '@dslog/dnssec/name'
import { dsToText } from '@dslog/dnssec/records'
import type { MonitorChange } from '@dslog/schema/api'
import type { MonitorTables } from '@dslog/schema/db'
import type { MonitorInfo } from '@dslog/schema/monitorapi'
import type { Clock } from '@dslog/service/clock'
import type { Database } from '@dslog/service/db'
import { decodeDsSet } from '@dslog/service/dsset'
import type { ChangeRow, Changes } from '../changes.ts'
import type { FollowedLog } from '../followed.ts'
import type { Links } from '../links.ts'
import type { Pins } from '../pins.ts'
import type { Subscriptions } from '../subscriptions.ts'
import type { Target } from '../target.ts'
import type { LinkTokens } from '../token.ts'
import type { Windows } from '../windows.ts'

/** What a route may use. */
export interface MonitorContext {
  readonly db: Database<MonitorTables>
  /** In the order of the policy. */
  readonly logs: readonly FollowedLog[]
  readonly changes: Changes
  readonly clock: Clock
}

/** What the routes for owners may use. */
export interface OwnerContext {
  readonly db: Database<MonitorTables>
  readonly subscriptions: Subscriptions
  readonly pins: Pins
  readonly windows: Windows
  readonly tokens: LinkTokens
  readonly links: Links
  readonly info: MonitorInfo
  /** Reads a channel that a stranger gives. Throws OwnerError `invalid`. */
  readonly targetOf: (text: string) => Target
  /** Something was put into the outbox. */
  readonly poke: () => void
  readonly clock: Clock
}

/** A change as it is shown. */
export function changeOf(row: ChangeRow): MonitorChange {
  return {
    log: row.origin,
    index: row.idx,
    name: nameToText(row.name as Name),
    zone: nameToText(row.zone as Name),
    time: row.time,
    signed: row.present,
    historical: row.historical,
    out_of_order: row.out_of_order,
    ds: decodeDsSet(row.ds).map(dsToText),
  }
}
