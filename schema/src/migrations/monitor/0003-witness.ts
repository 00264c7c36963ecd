/** The largest tree that the monitor's witness has cosigned, and one that its auditor verifies before it is published. */
import { type Kysely, type Migration, sql } from 'kysely'

export const witnessTables: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql`
      create table witnessed (
        origin text primary key,
        size int8 not null,
        root bytea not null,
        note text not null
      )`.execute(db)
    await sql`alter table followed add column pending text`.execute(db)
  },
}
