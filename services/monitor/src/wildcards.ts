/**
 * Wildcards of zones above: since when a log shows that a zone has one for all names that do not exist
 * directly below it. A name that is deleted there is proven absent by it, and so shows it; what only an
 * operator brought in says its time itself, and does not count.
 */
import { sql, type Transaction } from 'kysely'
import type { MonitorTables } from '@dslog/schema/db'
import type { State } from './judge/state.ts'

/** When the first name showed the wildcard by which a state is absent, ms; undefined for other states. */
export async function wildcardSince(
  trx: Transaction<MonitorTables>,
  log: number,
  { absence, zone }: Pick<State, 'absence' | 'zone'>,
): Promise<number | undefined> {
  if (absence !== 'wildcard') return undefined
  const { rows } = await sql<{ time: number }>`
    select time from change
    where log = ${log}::smallint and zone = ${zone}::bytea and absence = 'wildcard' and not historical
    order by time limit 1`.execute(trx)
  return rows[0]?.time
}
