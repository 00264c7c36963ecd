/**
 * The monitor's tables of what is being judged, and what was seen beside the log. Times are ms since the
 * Unix epoch, names in wire format, sets of DS as `encodeDsSet` has them.
 */
import type { ColumnType, Generated } from 'kysely'

export interface JudgeTables {
  judged: JudgedTable
  open_case: CaseTable
  look: LookTable
  probe: ProbeTable
  unlogged: UnloggedTable
  crawler: CrawlerTable
  view: ViewTable
}

/** A row a log: how far its entries have been looked through for watched names. */
export interface JudgedTable {
  log: ColumnType<number, number, never>
  /** Entries below were in the log when this monitor first saw it: history, not news. */
  baseline: number
  /** The next entry. */
  next: number
  /** The next entry that is to be handed to the other logs, if they lack it. */
  forward: number
}

/** A change of a watched name, from when it was seen until nothing more can come of it. */
export interface CaseTable {
  id: Generated<number>
  origin: string
  /** The entry. */
  idx: number
  /** The delegation, or the zone whose keys it is about. */
  name: Uint8Array
  kind: 'change' | 'keys'
  opened_at: number
  /** When it is to be judged again. */
  due_at: number
  /** When it is closed. */
  closes_at: number
  /** Whether those who watch names below have been told. */
  told_below: ColumnType<boolean, boolean | undefined, boolean>
}

/** Something seen of a child, as often as it was seen so without a break. */
export interface LookTable {
  id: Generated<number>
  name: Uint8Array
  /**
   * `keys` vouched for by a DS set; keys `served` by whoever; `servers` named by the parent; hashes of `owner`
   * keys, vouched for likewise.
   */
  kind: 'keys' | 'served' | 'servers' | 'owner'
  /** That DS set; empty for the others. */
  under: Uint8Array
  /** JSON. */
  content: string
  first_at: number
  last_at: number
}

/** When a watched name is looked at. */
export interface ProbeTable {
  name: Uint8Array
  due_at: number
  asked_at: number
  /** Since when nothing that its parent says can be verified; null while it can. */
  unverifiable_since: number | null
  /** Since when its parent speaks for what is below it; null while it does not. */
  past_since: number | null
}

/** A state that a parent has signed and a log does not show. */
export interface UnloggedTable {
  log: number
  name: Uint8Array
  /** Its state_id. */
  state: Uint8Array
  zone: Uint8Array
  ds: Uint8Array
  absence: string | null
  inception: number
  first_at: number
  last_at: number
  /** JSON array of the replies, base64; empty for what another log has. */
  messages: string
  /** JSON array of the records that prove it, base64, for what another log has; null for the others. */
  records: string | null
  /** What the log last said to it; null as long as it has said nothing. */
  answer: string | null
  /** When the owners were told; null if they were not. */
  told_at: number | null
}

/** How far the views of a crawler have been read. */
export interface CrawlerTable {
  url: string
  next: string
}

/** What one vantage saw at one server, as long as it saw the same. */
export interface ViewTable {
  id: Generated<number>
  name: Uint8Array
  /** The crawler, and where it looked from. */
  vantage: string
  server: string
  /** A state_id, base64. */
  state: string
  inception: number
  first_at: number
  last_at: number
}
