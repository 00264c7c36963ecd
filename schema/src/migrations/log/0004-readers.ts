/**
 * What processes that only read need: they look for the buckets of the map that a new tree has changed,
 * and learn that the log was ended from what is published, since the signer row may lie elsewhere.
 */
import { type Kysely, type Migration, sql } from 'kysely'

export const readerTables: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql`create index map_bucket_by_size on map_bucket (tree_size)`.execute(db)
    await sql`alter table published add column frozen boolean not null default false`.execute(db)
  },
}
