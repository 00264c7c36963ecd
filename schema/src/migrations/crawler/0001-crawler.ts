/** The crawler's own tables: what to ask and when, what the log holds, and who was seen to say what. */
import { type Kysely, type Migration, sql } from 'kysely'

export const crawlerTables: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    // One secret of all processes: it decides the order of names, and which of them are decoys.
    await sql`
      create table queue (
        id smallint primary key check (id = 1),
        hash_key bytea not null
      )`.execute(db)
    await sql`
      insert into queue values (1,
        decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex'))
      `.execute(db)
    await sql`
      create table worker (
        id int generated always as identity primary key,
        seen_at int8 not null
      )`.execute(db)
    // Each lease and each answer moves a row in the queue: room on the page spares most of the copies.
    await sql`
      create table task (
        name bytea not null,
        kind smallint not null,
        tier smallint not null,
        rank int8 not null,
        due int8 not null,
        holder int,
        sources smallint not null,
        listed int not null default 0,
        seen_at int8,
        failures int not null default 0,
        reason text,
        answered bytea,
        primary key (name, kind)
      ) with (fillfactor = 80)`.execute(db)
    // Two queues: a million names that are due must not keep those waiting that are due in minutes.
    await sql`create index task_soon on task (due, rank) where tier in (0, 3)`.execute(db)
    await sql`create index task_later on task (due, rank) where tier in (1, 2)`.execute(db)
    await sql`create index task_watched on task (name) where tier = 0`.execute(db)
    await sql`
      create table logged (
        name bytea primary key,
        zone bytea not null,
        state bytea not null,
        inception int8 not null,
        signed boolean not null
      )`.execute(db)
    await sql`create index logged_of_zone on logged (zone, state) where signed`.execute(db)
    await sql`
      create table followed_log (
        id smallint primary key check (id = 1),
        origin text not null,
        after int8 not null
      )`.execute(db)
    await sql`
      create table zone_status (
        name bytea primary key,
        seen_at int8,
        failed_at int8,
        failures int not null default 0,
        reason text,
        serial int8,
        transferred_at int8
      )`.execute(db)
    await sql`
      create table server (
        zone bytea not null,
        address text not null,
        failures int not null,
        reason text not null,
        blocked_until int8 not null,
        primary key (zone, address)
      )`.execute(db)
    await sql`
      create table source (
        id text primary key,
        signed int8 not null,
        read_at int8 not null,
        version text,
        reason text,
        held text,
        accepted text
      )`.execute(db)
    await sql`create sequence view_seq`.execute(db)
    await sql`
      create table view (
        name bytea not null,
        vantage text not null,
        server text not null,
        transport text not null,
        zone bytea not null,
        state bytea not null,
        inception int8 not null,
        at int8 not null,
        differs boolean not null,
        seq int8 not null,
        primary key (name, vantage, server)
      )`.execute(db)
    await sql`create unique index view_by_seq on view (seq)`.execute(db)
  },
}
