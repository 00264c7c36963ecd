/** Gives a role what a running service needs of its tables, and takes away the rest. PostgreSQL only. */
import { sql } from 'kysely'
import type { Grants } from '@dslog/schema/grants'
import { DatabaseError } from './database-error.ts'
import type { Database } from './db.ts'

/** A role is named once and put into statements: nothing that would have to be quoted. */
const ROLE = /^[a-z_][a-z0-9_$]{0,62}$/

/**
 * Grants exactly these privileges in the schema that `db` works in.
 *
 * @throws RangeError for what is no role name; DatabaseError `role` if there is no such role
 */
export async function grantTo<T>(db: Database<T>, role: string, grants: Grants): Promise<void> {
  if (!ROLE.test(role)) throw new RangeError(`role name ${role}`)
  await db.transaction(async (trx) => {
    const { rows } = await sql<{ schema: string; known: boolean }>`
      select current_schema() as schema,
        exists (select from pg_roles where rolname = ${role}) as known`.execute(trx)
    const { known, schema } = rows[0]!
    if (!known) throw new DatabaseError('role', `there is no role ${role}: create it first`)
    const [to, within] = [sql.id(role), sql.id(schema)]
    await sql`revoke all on all tables in schema ${within} from ${to}`.execute(trx)
    await sql`grant usage on schema ${within} to ${to}`.execute(trx)
    for (const [table, privileges] of Object.entries(grants)) {
      const what = sql.raw(privileges.join(', '))
      await sql`grant ${what} on ${sql.id(schema, table)} to ${to}`.execute(trx)
    }
  })
}
