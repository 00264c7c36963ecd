/**
 * An entry of which nothing is believed, since it does not decode or is not proven, may still say whose
 * delegation it is about. Whoever watches that name hears of it: malformed input shall not make an entry
 * invisible to the one it is meant for.
 */
import type { Transaction } from 'kysely'
import { wellFormed } from '@dslog/dnssec/error'
import { type Name, nameToText, readName } from '@dslog/dnssec/name'
import type { MonitorTables } from '@dslog/schema/db'
import { raiseAlerts } from './alert.ts'
import { watchersOf } from './audience.ts'
import type { Finding } from './evidence.ts'

/** Where an entry of version 1 has its owner: behind version, type, time and flags (docs/spec/entry.md). */
const OWNER_AT = 11

/** The name that bytes would be about if they were an entry; undefined if there is none. */
export function claimedOwner(entry: Uint8Array): Name | undefined {
  return wellFormed(() => readName(entry, OWNER_AT, { compressed: false }).name)
}

/** Tells those who watch the name that an entry of a finding claims to be about. */
export async function tellUnreadable(
  trx: Transaction<MonitorTables>,
  origin: string,
  finding: Finding,
  now: number,
): Promise<void> {
  if (!('index' in finding.evidence) || !('entry' in finding.evidence)) return
  const { entry, index } = finding.evidence
  const name = claimedOwner(entry)
  if (name === undefined) return
  const why =
    finding.kind === 'bad-encoding'
      ? `entry ${index} of the log is about ${nameToText(name)}, as it seems, and cannot be read`
      : `entry ${index} of the log is about ${nameToText(name)}, and is not what its rules allow (${finding.kind})`
  const subscriptions = await watchersOf(trx, name)
  await raiseAlerts(
    trx,
    subscriptions.map((subscription) => ({
      subscription,
      rule: 'unreadable',
      level: 'HIGH',
      name,
      entry: { origin, index },
      why: `${why}; the monitor believes nothing behind it, and keeps it as evidence`,
      at: now,
    })),
    now,
  )
}
