/** Which zones have a wildcard for names that do not exist, and since when, or none. */
import { type Kysely, type Migration, sql } from 'kysely'

export const wildcardsIndex: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql`
      create index change_by_wildcard on change (log, zone, absence, time)
        where absence in ('wildcard', 'gone') and not historical`.execute(db)
  },
}
