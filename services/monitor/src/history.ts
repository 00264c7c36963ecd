/** What the log has of a name, told when somebody begins to watch it. */
import type { Transaction } from 'kysely'
import { type Name, nameToText } from '@dslog/dnssec/name'
import type { MonitorTables } from '@dslog/schema/db'
import { decodeDsSet } from '@dslog/service/dsset'
import { dateOf } from '@dslog/verify/describe'
import { counted } from '@dslog/verify/counted'
import { type AlertDraft, raiseAlerts } from './alert.ts'
import { type ChangeRow, changesOf } from './changes.ts'

/** Raises the alert that holds a name's history. */
export async function announceHistory(
  trx: Transaction<MonitorTables>,
  { id, name }: { readonly id: string; readonly name: Uint8Array },
  now: number,
): Promise<void> {
  const { changes, origin } = await fullest(trx, name as Name)
  const last = changes.findLast((change) => !change.out_of_order)
  const text = nameToText(name as Name)
  const why =
    last === undefined
      ? `No log that is followed has anything about ${text} yet. From now on you are told what happens to it.`
      : `Of ${text} the log has ${counted(changes.length, 'entry', 'entries')}. ` +
        `Since ${dateOf(last.time).toISOString().slice(0, 10)} it ${last.present ? 'is signed, with the DS shown' : 'is provably without DS'}. ` +
        `All of them: /v1/names/${text}`
  const draft: AlertDraft = {
    subscription: id,
    rule: 'history',
    level: 'NOTICE',
    name: name as Name,
    cause: `history ${now}`,
    why,
    at: last?.time ?? now,
    ...(last !== undefined && {
      after: decodeDsSet(last.ds),
      before: decodeDsSet(last.ds),
      entry: { origin, index: last.idx, others: changes.map(({ idx }) => idx) },
    }),
  }
  await raiseAlerts(trx, [draft], now)
}

/** The changes of a name in the log that has most of them; of equals, in the one followed for longest. */
async function fullest(
  trx: Transaction<MonitorTables>,
  name: Name,
): Promise<{ origin: string; changes: ChangeRow[] }> {
  const rows = await changesOf(trx, name)
  let found: ChangeRow[] = []
  for (const { log } of rows) {
    const changes = rows.filter((row) => row.log === log)
    if (changes.length > found.length) found = changes
  }
  return { origin: found[0]?.origin ?? '', changes: found }
}
