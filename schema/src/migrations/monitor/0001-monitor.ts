/** The monitor's own tables: how far each log has been verified, and what was found. */
import { type Kysely, type Migration, sql } from 'kysely'
import { createNameTables } from '../names.ts'

export const monitorTables: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await createNameTables(db)
    await sql`
      create table followed (
        id smallint primary key check (id = 1),
        origin text not null,
        size int8 not null,
        peaks bytea not null,
        map_root bytea not null,
        key_count int8 not null,
        map_head int8,
        map_time int8 not null,
        live_time int8 not null,
        map_depth smallint not null,
        checkpoint text,
        fresh_at int8,
        verified_at int8
      )`.execute(db)
    await sql`
      create table misbehaviour (
        id int generated always as identity primary key,
        origin text not null,
        kind text not null,
        identity bytea not null unique,
        found_at int8 not null,
        detail text not null,
        evidence text not null
      )`.execute(db)
    await sql`
      create table change (
        idx int8 primary key,
        name bytea not null,
        zone bytea not null,
        time int8 not null,
        present boolean not null,
        out_of_order boolean not null,
        historical boolean not null,
        ds bytea not null
      )`.execute(db)
    await sql`create index change_by_name on change (name, idx)`.execute(db)
  },
}
