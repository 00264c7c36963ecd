/**
 * The tables of a name map, in the log and in the monitor alike; see NameTables in db.ts.
 *
 * That `name.zone` is a zone is seen to by the transaction that writes both: a foreign key would
 * look it up again for each row, which takes as long as storing the row. Pages of names keep room
 * for histories to grow in: then an update need not touch the indexes.
 */
import { type Kysely, sql } from 'kysely'
import { createIndexes, NAME_INDEXES } from '../indexes.ts'

/** @param suffix of the names of the tables, where one database holds several maps */
export async function createNameTables<T>(db: Kysely<T>, suffix = ''): Promise<void> {
  const table = (name: string) => sql.table(`${name}${suffix}`)
  await sql`
    create table ${table('zone')} (
      id int generated always as identity primary key,
      name bytea not null unique
    )`.execute(db)
  await sql`
    create table ${table('name')} (
      key bytea primary key,
      kind smallint not null,
      name bytea not null,
      zone int not null,
      latest bytea not null,
      history bytea not null
    ) with (fillfactor = 80)`.execute(db)
  await createIndexes(db, NAME_INDEXES, suffix)
  await sql`
    create table ${table('zone_keys')} (
      keys_id bytea not null,
      idx int8 not null,
      not_before int8 not null,
      not_after int8 not null,
      entry bytea not null,
      primary key (keys_id, idx)
    )`.execute(db)
  await sql`
    create table ${table('map_bucket')} (
      prefix int not null,
      tree_size int8 not null,
      root bytea not null,
      data bytea not null,
      primary key (prefix, tree_size)
    )`.execute(db)
  // Hashes do not compress; trying costs as much as storing them.
  await sql`alter table ${table('map_bucket')} alter data set storage external`.execute(db)
}
