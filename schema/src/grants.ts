/**
 * What the role of a running service may do with its tables, and no more. The tables belong to another
 * role, the one that migrates; `dslog migrate --role` grants this. What a role is not granted, no bug of
 * the service and no stolen password can do: what is kept as evidence is not changed or deleted by
 * anybody. Indexes are dropped and made, and the map is rebuilt, by the owner alone.
 */
import type { CrawlerTables } from './crawlerdb.ts'
import type { LogTables, MonitorTables, NameTables } from './db.ts'
import { LOG_SUFFIXES } from './lognumber.ts'

/** Privileges on tables; an UPDATE may name its columns. */
export type Grants = Readonly<Record<string, readonly string[]>>

/** The table in which the names of migrations are kept; a service looks whether all are there. */
const MIGRATIONS: Grants = { kysely_migration: ['select'] }

/** A name map and the histories below it; versions of buckets that nobody needs are deleted. */
const NAME_GRANTS: Grants = {
  zone: ['select', 'insert'],
  name: ['select', 'insert', 'update (zone, latest, history)'],
  zone_keys: ['select', 'insert'],
  map_bucket: ['select', 'insert', 'delete'],
} satisfies Grants & Record<keyof NameTables, readonly string[]>

/**
 * A log adds. It changes what grows or moves on (guarded by triggers: the partial tile and bundle at
 * the end, the rows of the tree, of what was signed and of what is shown, the histories of names), and
 * deletes nothing but versions of map buckets that nobody needs.
 */
export const LOG_GRANTS: Grants = {
  ...MIGRATIONS,
  ...NAME_GRANTS,
  tree: ['select', 'insert', 'update'],
  signer: ['select', 'insert', 'update'],
  published: ['select', 'insert', 'update'],
  tile: ['select', 'insert', 'update (data, middle)'],
  bundle: ['select', 'insert', 'update (data)'],
  leaf: ['select', 'insert'],
} satisfies Grants & Record<Exclude<keyof LogTables, keyof NameTables>, readonly string[]>

/** A queue of work, and what is known meanwhile; the sequence numbers what monitors ask for. */
export const CRAWLER_GRANTS: Grants = {
  ...MIGRATIONS,
  queue: ['select'],
  worker: ['select', 'insert', 'update', 'delete'],
  duty: ['select', 'insert', 'update', 'delete'],
  task: ['select', 'insert', 'update', 'delete'],
  logged: ['select', 'insert', 'update', 'delete'],
  followed_log: ['select', 'insert', 'update'],
  zone_status: ['select', 'insert', 'update'],
  server: ['select', 'insert', 'update', 'delete'],
  source: ['select', 'insert', 'update'],
  view: ['select', 'insert', 'update', 'delete'],
  view_seq: ['select', 'update'],
} satisfies Grants & Record<keyof CrawlerTables, readonly string[]>

/**
 * A monitor adds evidence, changes and statements of owners, and never deletes them; what an owner ends
 * goes with his subscription. What it has cosigned is guarded by a trigger: it moves on.
 */
export const MONITOR_GRANTS: Grants = {
  ...MIGRATIONS,
  // A name map for each log.
  ...Object.fromEntries(
    LOG_SUFFIXES.flatMap((suffix) =>
      Object.entries(NAME_GRANTS).map(([table, may]) => [`${table}${suffix}`, may] as const),
    ),
  ),
  followed: ['select', 'insert', 'update'],
  misbehaviour: ['select', 'insert'],
  change: ['select', 'insert'],
  witnessed: ['select', 'insert', 'update (size, root, note)'],
  judged: ['select', 'insert', 'update'],
  open_case: ['select', 'insert', 'update', 'delete'],
  look: ['select', 'insert', 'update', 'delete'],
  probe: ['select', 'insert', 'update', 'delete'],
  unlogged: ['select', 'insert', 'update', 'delete'],
  crawler: ['select', 'insert', 'update'],
  view: ['select', 'insert', 'update', 'delete'],
  subscription: ['select', 'insert', 'update', 'delete'],
  channel: ['select', 'insert', 'update', 'delete'],
  pin_set: ['select', 'insert', 'update'],
  change_window: ['select', 'insert'],
  alert: ['select', 'insert', 'update'],
  outbox: ['select', 'insert', 'update', 'delete'],
  opt_in: ['select', 'insert', 'delete'],
} satisfies Grants & Record<Exclude<keyof MonitorTables, keyof NameTables>, readonly string[]>

/** A process that only reads, of tables under these grants. */
export function readGrants(grants: Grants): Grants {
  return Object.fromEntries(Object.keys(grants).map((table) => [table, ['select']]))
}
