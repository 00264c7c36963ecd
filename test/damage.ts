/** Changes what a log has stored as a disk or a person does: its triggers would refuse it. */
import { sql } from 'kysely'
import { expect } from 'vitest'
import type { LogTables } from '@dslog/schema/db'
import type { Database } from '@dslog/service/db'

/** Those whose rows no statement may change. */
const GUARDED = ['tile', 'bundle', 'leaf', 'signer']

/** SQL that changes the last bit of one byte of a column; `at` may be an expression. */
export function flip(column: string, at: string): string {
  return `${column} = set_byte(${column}, ${at}, get_byte(${column}, ${at}) # 1)`
}

/** All statements or none; each has to find something. @returns how many rows each has changed */
export async function damage(
  db: Database<LogTables>,
  ...statements: readonly string[]
): Promise<bigint[]> {
  return db.transaction(async (trx) => {
    const guards = async (state: 'enable' | 'disable'): Promise<void> => {
      for (const table of GUARDED) {
        await sql`alter table ${sql.table(table)} ${sql.raw(state)} trigger user`.execute(trx)
      }
    }
    await guards('disable')
    const changed: bigint[] = []
    for (const statement of statements) {
      const { numAffectedRows = 0n } = await sql.raw(statement).execute(trx)
      expect(numAffectedRows, statement).toBeGreaterThan(0n)
      changed.push(numAffectedRows)
    }
    await guards('enable')
    return changed
  })
}
