/** When a name was last found in the file of names: a time, of which the later one counts. */
import { type Kysely, type Migration, sql } from 'kysely'

export const listedTimes: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql`alter table task alter column listed type int8`.execute(db)
  },
}
