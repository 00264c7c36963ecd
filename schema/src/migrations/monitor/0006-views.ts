/** What crawlers saw of watched names; see JudgeTables in judgedb.ts. */
import { type Kysely, type Migration, sql } from 'kysely'

export const viewTables: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql`create table crawler (url text primary key, next text not null)`.execute(db)
    await sql`
      create table view (
        id int8 generated always as identity primary key,
        name bytea not null,
        vantage text not null,
        server text not null,
        state text not null,
        inception int8 not null,
        first_at int8 not null,
        last_at int8 not null
      )`.execute(db)
    await sql`create index view_by_name on view (name, vantage, server, id)`.execute(db)
  },
}
