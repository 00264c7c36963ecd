/**
 * What the operator has watched: subscriptions that need no confirming, and are what a list says.
 */
import type { Transaction } from 'kysely'
import { toHex, utf8 } from '@dslog/tlog/bytes'
import { sha256 } from '@dslog/tlog/hash'
import type { Name } from '@dslog/dnssec/name'
import { type AlertLevel, levelRank } from '@dslog/schema/alert'
import type { SubscriptionSource } from '@dslog/schema/alertdb'
import type { MonitorTables } from '@dslog/schema/db'
import type { Database } from '@dslog/service/db'
import { announceHistory } from './history.ts'
import { OPERATOR } from './operator.ts'
import type { Target } from './target.ts'
import { pathOf } from './watch.ts'

/** Names that are told their history when they are new in the list: a first list of thousands is not. */
const MAX_HISTORIES = 100

/** Rows of a statement. */
const BATCH = 1_000

/** Names added at a time: some seconds of work for the database. */
const PART = 20_000

/** Bytes of a hash that is an id. */
const ID_BYTES = 16

/** A name, and a channel of its own. */
export interface Watched {
  readonly name: Name
  readonly target: Target
  readonly level: AlertLevel
  readonly subtree: boolean
  readonly secret: Uint8Array | undefined
}

/** Makes what is watched for one of the operator's sources what a list says. */
export async function reconcile(
  db: Database<MonitorTables>,
  source: Exclude<SubscriptionSource, 'api'>,
  list: readonly Watched[],
  now: number,
): Promise<{ added: number; removed: number }> {
  const wanted = new Map(list.map((watched) => [idOf(source, watched), watched]))
  return db.transaction(async (trx) => {
    const rows = await trx
      .selectFrom('subscription')
      .select('id')
      .where('source', '=', source)
      .execute()
    const there = new Set(rows.map(({ id }) => id))
    const gone = [...there].filter((id) => !wanted.has(id))
    const fresh = [...wanted].filter(([id]) => !there.has(id))
    for (let at = 0; at < gone.length; at += BATCH) {
      await trx
        .deleteFrom('subscription')
        .where('id', 'in', gone.slice(at, at + BATCH))
        .execute()
    }
    // A part at a time: a million at once keep the database waiting for longer than it lets anybody.
    for (let at = 0; at < fresh.length; at += PART) {
      await add(trx, db, source, fresh.slice(at, at + PART), now)
    }
    if (source === 'watchlist' && fresh.length <= MAX_HISTORIES) {
      for (const [id, { name }] of fresh) await announceHistory(trx, { id, name }, now)
    }
    return { added: fresh.length, removed: gone.length }
  })
}

async function add(
  trx: Transaction<MonitorTables>,
  db: Database<MonitorTables>,
  source: string,
  fresh: readonly (readonly [id: string, watched: Watched])[],
  now: number,
): Promise<void> {
  await db.bulkInsert(
    trx,
    'subscription',
    ['id', 'source', 'name', 'path', 'subtree', 'active', 'created_at', 'confirmed_at'],
    fresh.map(([id, { name, subtree }]) => [
      id,
      source,
      name,
      pathOf(name),
      subtree,
      true,
      now,
      now,
    ]),
  )
  await db.bulkInsert(
    trx,
    'channel',
    [
      'id',
      'subscription',
      'kind',
      'target',
      'secret',
      'level',
      'state',
      'created_at',
      'confirmed_at',
      'digest_at',
    ],
    fresh.map(([id, { level, secret, target }]) => [
      `ch_${id}`,
      id,
      target.kind,
      target.target,
      secret ?? null,
      levelRank(level),
      'active',
      now,
      now,
      now,
    ]),
  )
}

/** Whether an id is one of the operator's subscriptions: of the alarms, or of a line of a list. */
export function isOperators(id: string): boolean {
  return id === OPERATOR || id.startsWith('watchlist_')
}

/** The same line is the same subscription, so that what was found for it is known after a change of others. */
function idOf(source: string, { level, name, secret, subtree, target }: Watched): string {
  const line = [
    target.kind,
    target.target,
    level,
    subtree,
    secret === undefined ? '' : toHex(secret),
  ]
  const hash = sha256(Buffer.concat([utf8(`${source}\0${line.join('\0')}\0`), name]))
  return `${source}_${toHex(hash.subarray(0, ID_BYTES))}`
}
