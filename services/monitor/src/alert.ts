/**
 * Alerts: raised, raised in level, resolved. All of it happens in the transaction of what was found, and
 * puts into the outbox, in that same transaction, what is to be sent of it: so that an alert is never lost
 * between the finding and the sending, and a finding that is judged twice is told once.
 *
 * An alert is one per subscription, rule and cause, as a rule the entry of the log; its id is their hash.
 * Each notification of it is numbered, and its message id is made of both.
 */
import { sql, type Transaction } from 'kysely'
import { toHex, utf8 } from '@dslog/tlog/bytes'
import { sha256 } from '@dslog/tlog/hash'
import type { Name } from '@dslog/dnssec/name'
import { type AlertEvent, type AlertLevel, type AlertRule, levelRank } from '@dslog/schema/alert'
import type { MonitorTables } from '@dslog/schema/db'
import { encodeDsSet } from '@dslog/service/dsset'
import { testPoint } from '@dslog/service/testpoint'

/** What a rule found for one subscription. */
export interface AlertDraft {
  readonly subscription: string
  readonly rule: AlertRule
  readonly level: AlertLevel
  /** Whose delegation it is about: the watched name, one below or one above it. */
  readonly name: Name
  /** The entry it is about, and others that belong to it. */
  readonly entry?: {
    readonly origin: string
    readonly index: number
    readonly others?: readonly number[]
  }
  /** What makes it this finding, where that is not an entry. */
  readonly cause?: string
  /** DS RDATA before and after, where it is about them; empty: provably none. */
  readonly before?: readonly Uint8Array[]
  readonly after?: readonly Uint8Array[]
  /** Why it has this level, in a sentence for the owner. */
  readonly why: string
  /** When what it is about was seen, ms. */
  readonly at: number
}

/** What became of a draft. */
export interface RaisedAlert {
  readonly id: string
  /** Nothing happened if the alert was there with this level or a worse one. */
  readonly event: 'raised' | 'risen' | undefined
}

/** Rows of a table that one statement takes: 18 parameters each, of the 65,535 that the protocol has. */
const BATCH = 1_000

/** Bytes of the hash that is an alert's id. */
const ID_BYTES = 16

/** What a draft is about, as a text. */
export function causeOf({ cause, entry }: Pick<AlertDraft, 'cause' | 'entry'>): string {
  if (cause !== undefined) return cause
  if (entry === undefined) throw new TypeError('an alert is about an entry or has another cause')
  return `${entry.origin}#${entry.index}`
}

/** The id of the alert of a rule for a subscription. */
export function alertId(subscription: string, rule: AlertRule, cause: string): string {
  const hash = sha256(utf8(`${subscription}\0${rule}\0${cause}`))
  return `alert_${toHex(hash.subarray(0, ID_BYTES))}`
}

/**
 * Raises alerts, each once; raises the level of those that are there with a lower one; notes what else is
 * new of the others without a word to anybody.
 *
 * @param now ms
 * @returns what became of each, in order
 */
export async function raiseAlerts(
  trx: Transaction<MonitorTables>,
  drafts: readonly AlertDraft[],
  now: number,
): Promise<RaisedAlert[]> {
  const raised: RaisedAlert[] = []
  for (let at = 0; at < drafts.length; at += BATCH) {
    raised.push(...(await raiseBatch(trx, drafts.slice(at, at + BATCH), now)))
  }
  return raised
}

async function raiseBatch(
  trx: Transaction<MonitorTables>,
  drafts: readonly AlertDraft[],
  now: number,
): Promise<RaisedAlert[]> {
  const rows = drafts.map((draft) => rowOf(draft, now))
  const inserted = await trx
    .insertInto('alert')
    .values(rows)
    .onConflict((conflict) => conflict.column('id').doNothing())
    .returning('id')
    .execute()
  testPoint('alert.raised')
  const fresh = new Set(inserted.map(({ id }) => id))
  await enqueue(trx, [...fresh], 'raised', now)
  const raised: RaisedAlert[] = []
  for (const [i, { id }] of rows.entries()) {
    // The second of two drafts of one alert finds it there.
    if (fresh.delete(id)) raised.push({ id, event: 'raised' })
    else raised.push({ id, event: await raiseAgain(trx, id, drafts[i]!, now) })
  }
  return raised
}

function rowOf(draft: AlertDraft, now: number) {
  const { after, at, before, entry, level, name, rule, subscription, why } = draft
  const cause = causeOf(draft)
  return {
    id: alertId(subscription, rule, cause),
    subscription,
    rule,
    cause,
    level: levelRank(level),
    revision: 1,
    name,
    origin: entry?.origin ?? null,
    idx: entry?.index ?? null,
    indices: JSON.stringify(indicesOf(entry)),
    before: before === undefined ? null : encodeDsSet(before),
    after: after === undefined ? null : encodeDsSet(after),
    why,
    first_at: at,
    last_at: at,
    raised_at: now,
  }
}

function indicesOf(entry: AlertDraft['entry']): number[] {
  if (entry === undefined) return []
  return [...new Set([entry.index, ...(entry.others ?? [])])].sort((a, b) => a - b)
}

/** The alert is there: its level may rise; when it was last seen, and in which entries, is noted. */
async function raiseAgain(
  trx: Transaction<MonitorTables>,
  id: string,
  draft: AlertDraft,
  now: number,
): Promise<'risen' | undefined> {
  const row = await trx
    .selectFrom('alert')
    .select(['level', 'indices', 'last_at'])
    .where('id', '=', id)
    .forUpdate()
    .executeTakeFirstOrThrow()
  const level = levelRank(draft.level)
  const known = JSON.parse(row.indices) as number[]
  const indices = [...new Set([...known, ...indicesOf(draft.entry)])].sort((a, b) => a - b)
  const isRisen = level > row.level
  const isLater = draft.at > row.last_at
  if (!isRisen && !isLater && indices.length === known.length) return undefined
  await trx
    .updateTable('alert')
    .set((eb) => ({
      indices: JSON.stringify(indices),
      last_at: Math.max(row.last_at, draft.at),
      ...(isRisen && { level, why: draft.why, revision: eb('revision', '+', 1) }),
    }))
    .where('id', '=', id)
    .execute()
  if (!isRisen) return undefined
  await enqueue(trx, [id], 'risen', now)
  return 'risen'
}

/**
 * Resolves an alert, if it is there and was not resolved before.
 *
 * @param resolution how, in a sentence for the owner
 * @returns whether it is resolved by this
 */
export async function resolveAlert(
  trx: Transaction<MonitorTables>,
  id: string,
  resolution: string,
  now: number,
): Promise<boolean> {
  const { numUpdatedRows } = await trx
    .updateTable('alert')
    .set((eb) => ({ resolved_at: now, resolution, revision: eb('revision', '+', 1) }))
    .where('id', '=', id)
    .where('resolved_at', 'is', null)
    .executeTakeFirst()
  if (numUpdatedRows === 0n) return false
  await enqueue(trx, [id], 'resolved', now)
  return true
}

/**
 * Whether an alert is about a change of keys, so that its owner may say "That was me"; of all else, the past
 * of a name that is newly watched included, there is only "I have seen this".
 */
export function isClaimable({
  after,
  rule,
}: {
  readonly after: unknown
  readonly rule: string
}): boolean {
  return after !== null && rule !== 'history'
}

/**
 * Rules that every channel is told of, whatever its level: what somebody did to the subscription, which
 * may have been somebody else, and what was asked for.
 */
const ALWAYS: readonly AlertRule[] = ['pins', 'window', 'access', 'channel', 'history', 'test']

/**
 * Puts a notification of alerts into the outbox of each confirmed channel. What is below the level of a
 * channel is not sent over it; of mails, it waits for the weekly digest, as INFO always does.
 */
async function enqueue(
  trx: Transaction<MonitorTables>,
  ids: readonly string[],
  event: AlertEvent,
  now: number,
): Promise<void> {
  if (ids.length === 0) return
  const atOnce = sql`(a.rule = any(${[...ALWAYS]}::text[])
    or a.level >= c.level and (c.kind <> 'email' or a.level > ${levelRank('INFO')}::int))`
  // That something is over which was in no more than a digest needs no word.
  const digest = event === 'resolved' ? sql`false` : sql`c.kind = 'email'`
  await sql`
    insert into outbox (channel, message, event, alert, state, created_at)
    select c.id, a.id || '_' || a.revision, ${event}::text, a.id,
      case when ${atOnce} then 'waiting' else 'digest' end, ${now}::int8
    from alert a join channel c on c.subscription = a.subscription and c.state = 'active'
    where a.id = any(${[...ids]}::text[]) and (${atOnce} or ${digest})
    order by a.seq
    on conflict (channel, message) do nothing`.execute(trx)
  testPoint('alert.enqueued')
}
