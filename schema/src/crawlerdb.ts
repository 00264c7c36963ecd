/** Tables of the crawler as Kysely sees them; the SQL is in migrations/crawler. Column types: see db.ts. */
import type { Generated } from 'kysely'

export interface CrawlerTables {
  queue: QueueTable
  worker: WorkerTable
  duty: DutyTable
  task: TaskTable
  logged: LoggedTable
  followed_log: FollowedLogTable
  zone_status: ZoneStatusTable
  server: ServerTable
  source: SourceTable
  view: ViewTable
}

/** One row. */
export interface QueueTable {
  id: number
  /** Secret of all processes: it decides the order of names, and which of them are decoys. */
  hash_key: Uint8Array
}

/** Processes that share the queue. One that has not been seen for a while is gone, and so are its leases. */
export interface WorkerTable {
  id: Generated<number>
  seen_at: number
}

/** What one process does for all, as long as it lives. */
export interface DutyTable {
  /** `log`, or the id of a source. */
  what: string
  /** worker.id */
  worker: number
}

/**
 * The queue. A lease moves `due` to its own end, so what nobody brings back is due again then, and
 * nothing has to look for the dead.
 */
export interface TaskTable {
  /** Wire format. */
  name: Uint8Array
  /** 0 the delegation of the name, 1 the keys of the zone, from 2 on another look after a first sighting. */
  kind: number
  /** 0 watched, or looked at again; 1 signed, 2 others, 3 keys. */
  tier: number
  /** Keyed hash of the name: what is due together leaves in an order that tells nobody anything. */
  rank: number
  /** ms since the epoch; while leased, when the lease ends. */
  due: number
  /** worker.id of who leased it last. */
  holder: number | null
  /** Bits: who wants it asked. */
  sources: number
  /** When the file of names was read that it was last found in, ms since the epoch. */
  listed: Generated<number>
  /** When it was last answered provably. */
  seen_at: number | null
  /** Failed tries since. */
  failures: number
  /** Why the last one failed. */
  reason: string | null
  /** State and inception that the log has answered for already without taking it on. */
  answered: Uint8Array | null
}

/** The states in force in the log, by what it says of its changes. */
export interface LoggedTable {
  name: Uint8Array
  zone: Uint8Array
  state: Uint8Array
  /** Inception of the deciding signature, seconds since the epoch. */
  inception: number
  signed: boolean
}

/** One row: which log that is, and up to where it was read. */
export interface FollowedLogTable {
  id: number
  origin: string
  after: number
}

/** How it stands with a parent zone. */
export interface ZoneStatusTable {
  name: Uint8Array
  seen_at: number | null
  failed_at: number | null
  failures: Generated<number>
  reason: string | null
  /** Of the newest transfer or file that was taken over whole. */
  serial: number | null
  transferred_at: number | null
}

/** Servers of a zone that are left alone for a while. */
export interface ServerTable {
  zone: Uint8Array
  address: string
  failures: number
  reason: string
  blocked_until: number
}

/** Zone files and lists that were read. */
export interface SourceTable {
  id: string
  /** Names with DS records in the version that was taken over last. */
  signed: number
  read_at: number
  /** The version that was taken over last: a digest, or what the server calls it. */
  version: string | null
  /** Why the last reading came to nothing. */
  reason: string | null
  /** Version that waits for the operator. */
  held: string | null
  /** Version that the operator lets pass. */
  accepted: string | null
}

/** The newest that was seen of a name, from where. */
export interface ViewTable {
  name: Uint8Array
  vantage: string
  server: string
  transport: string
  zone: Uint8Array
  state: Uint8Array
  inception: number
  at: number
  /** Another view of the last hours had another state. */
  differs: boolean
  /** Grows with each write. */
  seq: number
}
