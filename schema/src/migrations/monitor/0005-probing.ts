/** What the monitor asks the DNS itself, and what it saw that the log has not; see JudgeTables in judgedb.ts. */
import { type Kysely, type Migration, sql } from 'kysely'

export const probeTables: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql`
      create table probe (
        name bytea primary key,
        due_at int8 not null,
        asked_at int8 not null,
        unverifiable_since int8,
        past_since int8
      )`.execute(db)
    await sql`create index probe_by_due on probe (due_at)`.execute(db)
    await sql`
      create table unlogged (
        name bytea not null,
        state bytea not null,
        zone bytea not null,
        ds bytea not null,
        absence text,
        inception int8 not null,
        first_at int8 not null,
        last_at int8 not null,
        messages text not null,
        answer text,
        told_at int8,
        primary key (name, state)
      )`.execute(db)
  },
}
