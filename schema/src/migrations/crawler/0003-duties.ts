/** What one process does for all that share the queue, and which. */
import { type Kysely, type Migration, sql } from 'kysely'

export const dutyTable: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql`
      create table duty (
        what text primary key,
        worker int not null
      )`.execute(db)
  },
}
