/**
 * Indexes that only readers use. A load does without them and makes them at its end: in one go and in
 * order they take a fifth of the time, and rows go in three times as fast. Both the migrations and the
 * load take them from here.
 */
import { type Kysely, sql } from 'kysely'

/** Indexes by name: the table and what of it is indexed. */
type Indexes = Readonly<Record<string, readonly [table: string, of: string]>>

/** Names by the zone that signs their state in force. */
export const NAME_INDEXES: Indexes = { name_by_zone: ['name', '(zone, name) where kind = 1'] }

/** Leaves by their hash and by the zone that signed them. */
export const LEAF_INDEXES: Indexes = {
  leaf_by_prefix: ['leaf', '(prefix)'],
  leaf_by_zone: ['leaf', '(zone, idx) where zone is not null'],
}

/**
 * Makes the indexes that are not there.
 *
 * @param suffix of the names of the tables, and so of the indexes
 */
export async function createIndexes<T>(
  db: Kysely<T>,
  indexes: Indexes,
  suffix = '',
): Promise<void> {
  for (const [name, [table, of]] of Object.entries(indexes)) {
    const index = sql.ref(`${name}${suffix}`)
    await sql`
      create index if not exists ${index} on ${sql.table(`${table}${suffix}`)} ${sql.raw(of)}
    `.execute(db)
  }
}

export async function dropIndexes<T>(db: Kysely<T>, indexes: Indexes): Promise<void> {
  for (const name of Object.keys(indexes)) {
    await sql`drop index if exists ${sql.raw(name)}`.execute(db)
  }
}
