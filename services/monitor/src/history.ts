/** What the log has of a name, told when somebody begins to watch it. */
import type { Transaction } from 'kysely'
import { type Name, nameToText } from '@dslog/dnssec/name'
import type { MonitorTables } from '@dslog/schema/db'
import { decodeDsSet } from '@dslog/service/foldtables'
import { type AlertDraft, raiseAlerts } from './alert.ts'

/** Raises the alert that holds a name's history. */
export async function announceHistory(
  trx: Transaction<MonitorTables>,
  { id, name }: { readonly id: string; readonly name: Uint8Array },
  now: number,
): Promise<void> {
  const changes = await trx
    .selectFrom('change')
    .selectAll()
    .where('name', '=', name)
    .orderBy('idx')
    .execute()
  const followed = await trx.selectFrom('followed').select('origin').executeTakeFirst()
  const last = changes.findLast((change) => !change.out_of_order)
  const text = nameToText(name as Name)
  const why =
    last === undefined
      ? `The log has nothing about ${text} yet. From now on you are told what happens to it.`
      : `The log has ${changes.length === 1 ? 'one entry' : `${changes.length} entries`} about ${text}. ` +
        `Since ${new Date(last.time).toISOString().slice(0, 10)} it ${last.present ? 'is signed, with the DS shown' : 'is provably without DS'}. ` +
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
      ...(followed !== undefined && {
        entry: { origin: followed.origin, index: last.idx, others: changes.map(({ idx }) => idx) },
      }),
    }),
  }
  await raiseAlerts(trx, [draft], now)
}
