/**
 * The monitor's tables of who watches what, what was found, and what is to be delivered. Times are ms
 * since the Unix epoch, names in wire format, levels `levelRank` of alert.ts.
 */
import type { Generated, Selectable } from 'kysely'
import type { AlertEvent, AlertRule } from './alert.ts'

export interface AlertTables {
  subscription: SubscriptionTable
  channel: ChannelTable
  pin_set: PinSetTable
  change_window: WindowTable
  alert: AlertTable
  outbox: OutboxTable
  opt_in: OptInTable
}

/** Who may change a subscription: its owner by token, or the operator's files alone. */
export type SubscriptionSource = 'api' | 'watchlist' | 'operator'

/** One name watched for one owner. */
export interface SubscriptionTable {
  id: string
  source: SubscriptionSource
  name: Uint8Array
  /** The labels of `name` from the root down, each with its length: a prefix of all names below. */
  path: Uint8Array
  /** Whether names below are watched too. */
  subtree: boolean
  /** Without it, nothing is matched and nothing delivered but a request to confirm. */
  active: boolean
  /** SHA-256 of the manage token; null until a channel was confirmed, and for operators' own. */
  token_hash: Uint8Array | null
  /** The channel that the token came through: what needs a second one is confirmed on another. */
  token_channel: string | null
  created_at: number
  confirmed_at: number | null
  /** Since when the name cannot be watched, once its owner was told. */
  blind_since: number | null
}

export type ChannelKind = 'email' | 'webhook' | 'ntfy' | 'hook' | 'stdout'

/** `pending` until it was confirmed; `failed` when it refuses for good; `ended` until it was told so. */
export type ChannelState = 'pending' | 'active' | 'failed' | 'ended'

/** One way to reach an owner. */
export interface ChannelTable {
  id: string
  subscription: string
  kind: ChannelKind
  /** Address, URL or path. */
  target: string
  /** Key of a webhook's signatures. */
  secret: Uint8Array | null
  /** Lowest level that is sent at once. */
  level: number
  state: ChannelState
  /** SHA-256 of the token that confirms it, and until when; null when there is none. */
  confirm_hash: Uint8Array | null
  confirm_until: number | null
  created_at: number
  confirmed_at: number | null
  /** Since when deliveries fail; null while they succeed. */
  failing_since: number | null
  last_error: string | null
  /** Deliveries that have failed in a row, and when the next is tried; null for at once. */
  failures: Generated<number>
  retry_at: number | null
  /** UTC day (days since the epoch) that `sent` counts, for the daily limit of mails. */
  day: Generated<number>
  sent: Generated<number>
  /** When the last digest went out, or the channel was confirmed. */
  digest_at: number
}

/** A row of it. */
export type ChannelRow = Selectable<ChannelTable>

/** One statement of an owner on which keys are allowed. The newest in force counts. */
export interface PinSetTable {
  id: Generated<number>
  subscription: string
  /** Of the owner's statement; 0 for an acknowledgement, which no owner key has signed. */
  seq: number
  /** End of the statement, ms. */
  not_after: number
  /** The pinned keys, as the statement has them. */
  keys: Uint8Array
  /** Ed25519 public key of the owner; null for an acknowledgement. */
  owner_key: Uint8Array | null
  signature: Uint8Array | null
  created_at: number
  /** From when on it counts. */
  effective_at: number
  /** SHA-256 of the token that makes it count at once; null when there is none. */
  confirm_hash: Uint8Array | null
  /** The channel that token went to. */
  confirm_channel: string | null
}

/** An announced change. */
export interface WindowTable {
  id: Generated<number>
  subscription: string
  begins_at: number
  ends_at: number
  /** Whether the name may go unsigned in it. */
  unsigned: boolean
  note: string
  created_at: number
}

export interface AlertTable {
  id: string
  /** Order in which they were raised: the cursor of lists. */
  seq: Generated<number>
  subscription: string
  rule: AlertRule
  /** What makes it this finding and no other, for this subscription and rule. */
  cause: string
  level: number
  /** How often it was notified: the next notification has this number. */
  revision: number
  name: Uint8Array
  origin: string | null
  idx: number | null
  /** JSON array of numbers. */
  indices: string
  /** As `encodeDsSet` has it. */
  before: Uint8Array | null
  after: Uint8Array | null
  why: string
  first_at: number
  last_at: number
  raised_at: number
  resolved_at: number | null
  resolution: string | null
  acknowledged_at: number | null
}

/** A row of it. */
export type AlertRecord = Selectable<AlertTable>

/** `waiting` to be sent, for a `digest`, or `folded` into a summary; then `sent` or, given up, `dead`. */
export type OutboxState = 'waiting' | 'digest' | 'folded' | 'sent' | 'dead'

/** What is told: an event of an alert, or something about the channel itself. */
export type OutboxEvent = AlertEvent | 'confirm' | 'confirm-pins' | 'digest' | 'ended'

/** One thing to be delivered over one channel, in the order of `id`. */
export interface OutboxTable {
  id: Generated<number>
  channel: string
  /** The same at each attempt and on each channel: receivers know duplicates by it. */
  message: string
  event: OutboxEvent
  /** The alert of its events. */
  alert: string | null
  /** JSON: what the other events say. */
  data: string | null
  state: OutboxState
  created_at: number
  attempts: Generated<number>
  sent_at: number | null
  last_error: string | null
}

/** A row of it. */
export type OutboxRow = Selectable<OutboxTable>

/** Requests to confirm that were sent, for the limits of them. */
export interface OptInTable {
  id: Generated<number>
  /** SHA-256 of the address or URL, and of the source that asked. */
  target: Uint8Array
  source: Uint8Array
  at: number
}
