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
import { DnssecError } from '@dslog/dnssec/error'
import { nameFromText } from '@dslog/dnssec/name'
import { ALERT_LEVELS, type AlertLevel } from '@dslog/schema/alert'
import type { MonitorTables } from '@dslog/schema/db'
import type { Clock } from '@dslog/service/clock'
import type { Database } from '@dslog/service/db'
import type { Logger } from '@dslog/service/log'
import { Periodic } from '@dslog/service/periodic'
import { MonitorError } from './error.ts'
import { OwnerError } from './owner-error.ts'
import { reconcile, type Watched } from './operatorwatches.ts'
import { operatorTarget } from './target.ts'

/** How often it is looked whether the file has changed, ms. */
const LOOK_INTERVAL_MS = 2_000

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
