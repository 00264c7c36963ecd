/**
 * What makes single proofs cheap in a large log: where in its bundle an entry begins, and the nodes half way up a full
 * tile. Both can be computed from the bundles and tiles; of those that were stored before, they are.
 */
import { type Kysely, type Migration, sql } from 'kysely'

export const entryPlaces: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql`alter table leaf add column pos int`.execute(db)
    await sql`alter table tile add column middle bytea`.execute(db)
    await sql`alter table tile alter middle set storage plain`.execute(db)
  },
}
