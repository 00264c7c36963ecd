/**
 * What the role of a running service may do with its tables, and no more. The tables belong to another
 * role, the one that migrates; `dslog migrate --role` grants this. Indexes are dropped and made, and
 * the map is rebuilt, by the owner alone.
 */
import type { LogTables } from './db.ts'

/** Privileges on tables; an UPDATE may name its columns. */
export type Grants = Readonly<Record<string, readonly string[]>>

/** The table in which the names of migrations are kept; a service looks whether all are there. */
const MIGRATIONS: Grants = { kysely_migration: ['select'] }

/**
 * A log adds. It changes what grows or moves on (guarded by triggers: the partial tile and bundle at
 * the end, the rows of the tree, of what was signed and of what is shown, the histories of names), and
 * deletes nothing but versions of map buckets that nobody needs.
 */
export const LOG_GRANTS: Grants = {
  ...MIGRATIONS,
  tree: ['select', 'insert', 'update'],
  signer: ['select', 'insert', 'update'],
  published: ['select', 'insert', 'update'],
  tile: ['select', 'insert', 'update (data)'],
  bundle: ['select', 'insert', 'update (data)'],
  leaf: ['select', 'insert'],
  zone: ['select', 'insert'],
  name: ['select', 'insert', 'update (zone, latest, history)'],
  zone_keys: ['select', 'insert'],
  map_bucket: ['select', 'insert', 'delete'],
} satisfies Grants & Record<keyof LogTables, readonly string[]>

/** A process that only reads, of tables under these grants. */
export function readGrants(grants: Grants): Grants {
  return Object.fromEntries(Object.keys(grants).map((table) => [table, ['select']]))
}
