/**
 * The log's own tables. Tiles and bundles only ever grow at their end: a trigger refuses anything
 * else, so that not even the service's own role can rewrite what was logged.
 */
import { type Kysely, type Migration, sql } from 'kysely'
import { createIndexes, LEAF_INDEXES } from '../../indexes.ts'
import { createNameTables } from '../names.ts'

export const logTables: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await createNameTables(db)
    await sql`
      create table tree (
        id smallint primary key check (id = 1),
        origin text not null,
        size int8 not null,
        root bytea not null,
        map_root bytea not null,
        key_count int8 not null,
        map_head int8 not null,
        map_time int8 not null,
        map_depth smallint not null,
        fence int8 not null,
        loading boolean not null
      )`.execute(db)
    await sql`
      create table signer (
        id smallint primary key check (id = 1),
        origin text not null,
        size int8 not null,
        root bytea not null
      )`.execute(db)
    await sql`
      create table published (
        id smallint primary key check (id = 1),
        size int8 not null,
        root bytea not null,
        note text not null,
        published_at int8 not null
      )`.execute(db)
    await sql`
      create table tile (
        level smallint not null,
        idx int8 not null,
        data bytea not null,
        primary key (level, idx)
      )`.execute(db)
    await sql`create table bundle (idx int8 primary key, data bytea not null)`.execute(db)
    // Hashes and signatures do not compress; trying costs as much as storing them.
    await sql`alter table tile alter data set storage external`.execute(db)
    await sql`alter table bundle alter data set storage external`.execute(db)
    await sql`
      create table leaf (
        idx int8 primary key,
        prefix int8 not null,
        zone int
      )`.execute(db)
    await createIndexes(db, LEAF_INDEXES)

    await sql`
      create function only_grows() returns trigger language plpgsql as $$
      begin
        if tg_op = 'UPDATE' and substr(new.data, 1, length(old.data)) = old.data then
          return new;
        end if;
        raise exception 'append-only: % of % refused', tg_op, tg_table_name;
      end $$`.execute(db)
    await sql`create trigger tile_only_grows before update or delete on tile
      for each row execute function only_grows()`.execute(db)
    await sql`create trigger bundle_only_grows before update or delete on bundle
      for each row execute function only_grows()`.execute(db)
  },
}
