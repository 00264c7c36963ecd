/** What the routes of the monitor share. */
import { parseDecimal } from '@dslog/tlog/checkpoint'
import { DnssecError } from '@dslog/dnssec/error'
import { type Name, nameFromText, nameToText, ROOT } from '@dslog/dnssec/name'
import { dsToText } from '@dslog/dnssec/records'
import type { MonitorChange } from '@dslog/schema/api'
import type { ChangeTable } from '@dslog/schema/db'
import type { Clock } from '@dslog/service/clock'
import { decodeDsSet } from '@dslog/service/foldtables'
import { Problem } from '@dslog/service/problem'
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

/** What the next look at the log may change. */
export const VOLATILE = 'no-store'

/** A domain name of a path; `@` is the root, since a dot would be normalised away. */
export function nameOf(text: string): Name {
  if (text === '@') return ROOT
  try {
    return nameFromText(text)
  } catch (cause) {
    if (!(cause instanceof DnssecError)) throw cause
    throw new Problem('validation', cause.message, { cause })
  }
}

/** A cursor of ours: a decimal number. */
export function cursorOf(text: string | undefined): number {
  const cursor = text === undefined ? 0 : parseDecimal(text)
  if (cursor === undefined) throw new Problem('validation', 'The cursor is not one of this monitor')
  return cursor
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
