/**
 * Tables of the services as Kysely sees them. `int8` columns hold safe integers and come back as
 * numbers from both drivers; `bytea` as Uint8Array. The SQL is in `migrations/`.
 *
 * Log and monitor each keep a name map of their own, in the same four tables ({@link NameTables}):
 * the log to build it, the monitor to check it. Neither reads the other's.
 */
import type { ColumnType, Generated } from 'kysely'
import type { AlertTables } from './alertdb.ts'
import type { JudgeTables } from './judgedb.ts'

/** What a fold over the entries of a log remembers; see FoldStore in @dslog/verify. */
export interface NameTables {
  zone: ZoneTable
  name: NameTable
  zone_keys: ZoneKeysTable
  map_bucket: MapBucketTable
}

/** Small numbers for the signing zones, to keep rows and indexes narrow. */
export interface ZoneTable {
  id: Generated<number>
  /** Wire format. */
  name: Uint8Array
}

/** One key of the name map, with everything needed to decide about the next observation. */
export interface NameTable {
  /** Key of the name map. */
  key: Uint8Array
  /** MapKind: 1 delegation of a name, 2 keys of a zone. */
  kind: number
  /** Wire format. */
  name: Uint8Array
  /** zone.id of the zone that signs the state in force. */
  zone: number
  /** The state in force: `u16 n | n × (u16 len | DS RDATA)`; n is 0 for proven absence and for kind 2. */
  latest: Uint8Array
  /** Every entry of this key, in log order; see `encodeHistory`. */
  history: Uint8Array
}

/** ZONE_KEYS entries by the key set they vouch for. */
export interface ZoneKeysTable {
  keys_id: Uint8Array
  idx: number
  /** The span, in ms since the epoch, in which all signatures of the entry are valid. */
  not_before: number
  not_after: number
  entry: Uint8Array
}

/** Sorted key ‖ value pairs of all names whose key starts with `prefix`, as of tree size `tree_size`. */
export interface MapBucketTable {
  prefix: number
  tree_size: number
  root: Uint8Array
  data: Uint8Array
}

export interface LogTables extends NameTables {
  tree: TreeTable
  signer: SignerTable
  published: PublishedTable
  tile: TileTable
  bundle: BundleTable
  leaf: LeafTable
}

/** One row: the newest committed tree. */
export interface TreeTable {
  id: ColumnType<number, number, never>
  origin: string
  size: number
  root: Uint8Array
  map_root: Uint8Array
  key_count: number
  map_head: number
  map_time: number
  /** Number of leading bits of a map key that name a bucket. */
  map_depth: number
  /** Grows with every process that opens the log for writing; a commit of an older one fails. */
  fence: number
  /** A load has committed leaves that no MAP_HEAD covers yet. */
  loading: boolean
}

/** One row: the largest tree that was ever given to the signing key. */
export interface SignerTable {
  id: ColumnType<number, number, never>
  origin: string
  size: number
  root: Uint8Array
  /** No larger tree is ever signed. */
  frozen: Generated<boolean>
}

/** One row: what readers are shown. */
export interface PublishedTable {
  id: ColumnType<number, number, never>
  size: number
  root: Uint8Array
  note: string
  published_at: number
  /** Nothing follows it. */
  frozen: Generated<boolean>
}

/** Hash tiles; the newest of a level may be partial and grows only at its end. */
export interface TileTable {
  level: number
  idx: number
  data: Uint8Array
  /** Of a full tile, its 16 nodes half way up; null where it was stored before there was this column. */
  middle: Uint8Array | null
}

/** Entry bundles, likewise. */
export interface BundleTable {
  idx: number
  data: Uint8Array
}

/** What is looked up by leaf. */
export interface LeafTable {
  idx: number
  /** First six bytes of the leaf hash: enough to find it, small enough for a safe integer. */
  prefix: number
  /** zone.id for entries of types DS and NO_DS. */
  zone: number | null
  /** Where in its bundle the entry begins, with its length; null where it was stored before there was this column. */
  pos: number | null
}

export interface MonitorTables extends NameTables, AlertTables, JudgeTables {
  followed: FollowedTable
  misbehaviour: MisbehaviourTable
  change: ChangeTable
  witnessed: WitnessedTable
}

/**
 * A row a log: what has been verified of it. The first log that a monitor followed has its name map in
 * the tables of {@link NameTables}, log n in others of their shape, with `_n` behind the name. Entries
 * between `map_head` and `size` are in the other tables, but not yet in the buckets of the map.
 */
export interface FollowedTable {
  /** From 1, in the order in which the logs were first followed. */
  log: ColumnType<number, number, never>
  origin: string
  /** Everything below this index has been verified. */
  size: number
  /** Right edge of that tree: its peaks, 32 bytes each, largest first. */
  peaks: Uint8Array
  map_root: Uint8Array
  key_count: number
  map_head: number | null
  map_time: number
  /** Largest `time` of a live entry since that MAP_HEAD. */
  live_time: number
  map_depth: number
  /** Newest checkpoint that was consistent with everything before; null at first. */
  checkpoint: string | null
  /** ms since the epoch until when the log is known to be alive; see `freshAt` in follow.ts. Null at first. */
  fresh_at: number | null
  /** ms since the epoch when all of the newest checkpoint was last found right; null at first. */
  verified_at: number | null
  /** A tree that the log has signed and not published yet, and that consistency was checked with. */
  pending: string | null
}

/** The largest tree of a log that this monitor has cosigned as a witness. */
export interface WitnessedTable {
  origin: string
  size: number
  root: Uint8Array
  /** The note with the log's signatures and this witness's. */
  note: string
}

/** Evidence that a log broke its promise. Never deleted. */
export interface MisbehaviourTable {
  id: Generated<number>
  origin: string
  kind: string
  /** Hash of what makes it this piece of this log and no other, so that it is kept once. */
  identity: Uint8Array
  found_at: number
  detail: string
  /** JSON: the signed notes, the entry, what was expected. */
  evidence: string
}

/** Changes of delegations in verified trees, to list them. */
export interface ChangeTable {
  log: number
  idx: number
  name: Uint8Array
  zone: Uint8Array
  time: number
  present: boolean
  out_of_order: boolean
  historical: boolean
  ds: Uint8Array
  /** Inception of the deciding signature, s; null in rows from before it was kept. */
  inception: number | null
  /** What stands where there is no DS, likewise. */
  absence: string | null
}
