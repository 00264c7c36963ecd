/**
 * A file with what to watch, for whoever runs a monitor for themselves: a name and a channel a line, read
 * again when it changes. Nothing of it needs confirming, since the operator has written it.
 *
 *   # name       channel                          from which level on, and what
 *   example.com  mailto:ops@example.net
 *   example.org  https://hooks.example.net/dns    HIGH secret=whsec_…
 *   example.net  hook:/etc/dslog/alert            CRITICAL alone
 *
 * `alone` leaves out the names below. A file with a mistake changes nothing: what was watched is watched
 * on, and the log says which line is wrong.
 */
import { readFile, stat } from 'node:fs/promises'
import type { Transaction } from 'kysely'
import { toHex, utf8 } from '@dslog/tlog/bytes'
import { sha256 } from '@dslog/tlog/hash'
import { DnssecError } from '@dslog/dnssec/error'
import { type Name, nameFromText } from '@dslog/dnssec/name'
import { ALERT_LEVELS, type AlertLevel, levelRank } from '@dslog/schema/alert'
import type { SubscriptionSource } from '@dslog/schema/alertdb'
import type { MonitorTables } from '@dslog/schema/db'
import type { Clock } from '@dslog/service/clock'
import type { Database } from '@dslog/service/db'
import type { Logger } from '@dslog/service/log'
import { Periodic } from '@dslog/service/periodic'
import { MonitorError } from './error.ts'
import { announceHistory } from './history.ts'
import { OwnerError } from './owner-error.ts'
import { OPERATOR } from './operator.ts'
import { operatorTarget, type Target } from './target.ts'
import { pathOf } from './watch.ts'

/** How often it is looked whether the file has changed, ms. */
const LOOK_INTERVAL_MS = 2_000

/** Names that are told their history when they are new in the file: a first list of thousands is not. */
const MAX_HISTORIES = 100

/** Rows of a statement. */
const BATCH = 1_000

/** Names added at a time: some seconds of work for the database. */
const PART = 20_000

/** Bytes of a hash that is an id. */
const ID_BYTES = 16

/** One line: a watch with a channel of its own. */
export interface Watched {
  readonly name: Name
  readonly target: Target
  readonly level: AlertLevel
  readonly subtree: boolean
  readonly secret: Uint8Array | undefined
}

/** Reads a watch list. @throws MonitorError `watchlist`, with the line */
export function parseWatchlist(text: string): Watched[] {
  return text.split(/\r?\n/).flatMap((line, i) => {
    const content = line.replace(/(^|\s)#.*$/, '').trim()
    if (content === '') return []
    try {
      return [parseLine(content)]
    } catch (cause) {
      if (!(cause instanceof OwnerError || cause instanceof DnssecError)) throw cause
      throw new MonitorError('watchlist', `line ${i + 1}: ${cause.message}`, { cause })
    }
  })
}

function parseLine(line: string): Watched {
  const [name = '', channel, ...options] = line.split(/\s+/)
  if (channel === undefined) throw new OwnerError('invalid', 'a name needs a channel')
  let level: AlertLevel = 'NOTICE'
  let subtree = true
  let secret: Uint8Array | undefined
  for (const option of options) {
    const known = ALERT_LEVELS.find((candidate) => candidate === option)
    if (known !== undefined) level = known
    else if (option === 'alone') subtree = false
    else if (option.startsWith('secret=whsec_')) {
      secret = secretOf(option.slice('secret=whsec_'.length))
    } else throw new OwnerError('invalid', `${option} is no level, "alone" or "secret=whsec_…"`)
  }
  return { name: nameFromText(name), target: operatorTarget(channel), level, subtree, secret }
}

/** Shortest key of webhook signatures that the specification allows, bytes. */
const MIN_SECRET_BYTES = 24

function secretOf(text: string): Uint8Array {
  const secret = Uint8Array.from(Buffer.from(text, 'base64'))
  if (secret.length >= MIN_SECRET_BYTES) return secret
  throw new OwnerError('invalid', `a secret has at least ${MIN_SECRET_BYTES} bytes in base64`)
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

export interface WatchlistOptions {
  readonly path: string
  readonly db: Database<MonitorTables>
  readonly clock: Clock
  readonly logger: Logger
  /** Something was put into the outbox. */
  readonly poke: () => void
}

/** Keeps what is watched at what the file says. */
export class Watchlist extends Periodic {
  readonly name = 'watch list'
  readonly #options: WatchlistOptions
  #seen = ''

  constructor(options: WatchlistOptions) {
    // A file changes by the machine's clock.
    super({ interval: LOOK_INTERVAL_MS })
    this.#options = options
  }

  /** @throws MonitorError `watchlist` if the file cannot be read: then nothing would be watched */
  override async start(fail: (error: unknown) => void): Promise<void> {
    await this.#load(await this.#version())
    await super.start(fail)
  }

  /** Takes up the file if it has changed; a mistake in it is logged, once. */
  async round(): Promise<void> {
    let version = ''
    try {
      version = await this.#version()
      if (version === this.#seen) return
      await this.#load(version)
    } catch (error) {
      if (!(error instanceof MonitorError)) throw error
      // Also what cannot be read is not read again before it changes.
      this.#seen = version
      const { logger } = this.#options
      logger.error(
        { reason: error.message },
        'the watch list was not taken up: what it said before stays',
      )
    }
  }

  async #version(): Promise<string> {
    const { mtimeMs, size, ino } = await this.#read(() => stat(this.#options.path))
    return `${mtimeMs} ${size} ${ino}`
  }

  async #load(version: string): Promise<void> {
    const { clock, db, logger, path, poke } = this.#options
    const list = parseWatchlist(await this.#read(() => readFile(path, 'utf8')))
    const { added, removed } = await reconcile(db, 'watchlist', list, clock())
    this.#seen = version
    if (added > 0) poke()
    logger.info({ watched: list.length, added, removed }, 'watch list taken up')
  }

  async #read<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause)
      throw new MonitorError('watchlist', reason, { cause })
    }
  }
}
