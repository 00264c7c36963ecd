/** What is being judged, and what was seen of children; see JudgeTables in judgedb.ts. */
import { type Kysely, type Migration, sql } from 'kysely'

export const judgeTables: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql`alter table change add column inception int8, add column absence text`.execute(db)
    await sql`
      create table judged (
        id smallint primary key check (id = 1),
        baseline int8 not null,
        next int8 not null
      )`.execute(db)
    await sql`
      create table open_case (
        id int8 generated always as identity primary key,
        origin text not null,
        idx int8 not null,
        name bytea not null,
        kind text not null,
        opened_at int8 not null,
        due_at int8 not null,
        closes_at int8 not null,
        told_below boolean not null default false,
        unique (origin, idx)
      )`.execute(db)
    await sql`create index open_case_by_due on open_case (due_at)`.execute(db)
    await sql`create index open_case_by_name on open_case (name)`.execute(db)
    await sql`
      create table look (
        id int8 generated always as identity primary key,
        name bytea not null,
        kind text not null,
        under bytea not null,
        content text not null,
        first_at int8 not null,
        last_at int8 not null
      )`.execute(db)
    await sql`create index look_by_name on look (name, kind, under, id)`.execute(db)
    // Key sets of zones in the order of the log: which came since an entry.
    await sql`create index zone_keys_by_idx on zone_keys (idx)`.execute(db)
    await sql`create index alert_by_cause on alert (cause)`.execute(db)
  },
}
