/**
 * Wildcards of zones above: since when a log shows that a zone has one for all names that do not exist
 * directly below it. A name that is deleted there is proven absent by it, and so shows it; what only an
 * operator brought in says its time itself, and does not count. A name directly below the zone that is proven
 * not to exist at all shows that there is no such wildcard any more: then it begins anew.
 */
import { sql, type Transaction } from 'kysely'
import type { MonitorTables } from '@dslog/schema/db'
import type { State } from './judge/state.ts'

/** When the wildcard by which a state is absent was first shown, ms; undefined for other states. */
export async function wildcardSince(
  trx: Transaction<MonitorTables>,
  log: number,
  { absence, zone }: Pick<State, 'absence' | 'zone'>,
): Promise<number | undefined> {
  if (absence !== 'wildcard') return undefined
  // A name in wire form is directly below the zone if it is one label longer.
  const { rows } = await sql<{ time: number }>`
    with past as not materialized (
      select name, absence, time from change
      where log = ${log}::smallint and zone = ${zone}::bytea and not historical
    )
    select time from past
    where absence = 'wildcard' and time > coalesce((
      select time from past
      where absence = 'gone' and length(name) = length(${zone}::bytea) + 1 + get_byte(name, 0)
      order by time desc limit 1), 0)
    order by time limit 1`.execute(trx)
  return rows[0]?.time
}
