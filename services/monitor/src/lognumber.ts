/** Numbers of logs in the database of a monitor; see @dslog/schema/lognumber. */
import type { Transaction } from 'kysely'
import type { MonitorTables } from '@dslog/schema/db'

/** The number of a log that is or was followed. */
export async function numberOf(trx: Transaction<MonitorTables>, origin: string): Promise<number> {
  const { log } = await trx
    .selectFrom('followed')
    .select('log')
    .where('origin', '=', origin)
    .executeTakeFirstOrThrow()
  return log
}
