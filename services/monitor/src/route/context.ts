/** What the routes of the monitor share. */
import { type Name, nameToText } from '@dslog/dnssec/name'
import { dsToText } from '@dslog/dnssec/records'
import type { MonitorChange } from '@dslog/schema/api'
import type { ChangeTable } from '@dslog/schema/db'
import type { Clock } from '@dslog/service/clock'
import { decodeDsSet } from '@dslog/service/foldtables'
import type { Follower } from '../follow.ts'
import type { MonitorStore } from '../store.ts'

/** What a route may use. */
export interface MonitorContext {
  readonly store: MonitorStore
  readonly follower: Follower
  /** Of the followed log. */
  readonly url: string
  readonly clock: Clock
}

/** A change as it is shown. */
export function changeOf(row: ChangeTable): MonitorChange {
  return {
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
