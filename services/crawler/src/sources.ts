/**
 * Everything that is read again and again beside the DNS itself: the log's changes, the file of names,
 * zone files, transfers, and what has to be tidied up. Each has a ticker of its own. What fails is
 * written down, counted, and tried again: nothing here ends the process.
 *
 * A zone is read by one process for all that share the queue (duties.ts). What that one has found is in the queue
 * before it says that it has read it: one that dies in between has it all read again.
 */
import { TlogError } from '@dslog/tlog/error'
import { MINUTE } from '@dslog/schema/time'
import { type Clock, Ticker } from '@dslog/service/clock'
import type { Logger } from '@dslog/service/log'
import { isOutage } from '@dslog/service/outage'
import type { Component } from '@dslog/service/run'
import type { Duties } from './duties.ts'
import type { Logged } from './logged.ts'
import type { Counters } from './metrics.ts'
import type { NamesFile } from './source/names.ts'
import { SourceError, type SourceTable } from './source/source.ts'
import { SubmitError } from './submit.ts'

/** How often the log is asked what is new there, ms. */
const FOLLOW_MS = 5_000
/** How often the file of names is looked at, ms. */
const NAMES_MS = 5_000
/** How often a source is tried again that failed, ms; less often than that it is read only if told so. */
const RETRY_MS = 60_000
/** How often what is old is forgotten, and decoys are counted, ms. */
const TIDY_MS = 10 * MINUTE
/** So that sources, and crawlers, do not fall into step. */
const JITTER = 0.1

/** A zone file or a transfer. */
export interface ZoneSource {
  readonly id: string
  /** @returns whether something new was taken over */
  read(signal: AbortSignal): Promise<boolean>
}

export interface SourcesOptions {
  readonly logged: Pick<Logged, 'follow' | 'isCaughtUp'>
  readonly names: Pick<NamesFile, 'read'> | undefined
  readonly zones: readonly ZoneSource[]
  readonly duties: Pick<Duties, 'has' | 'giveUp'>
  readonly table: Pick<SourceTable, 'failed'>
  readonly counters: Pick<Counters, 'read'>
  readonly clock: Clock
  readonly logger: Logger
  /** From one reading of a zone to the next, ms. */
  readonly interval: number
  /** A source gave nothing, or, without a reason, gives again. */
  readonly onSource: (id: string, reason: string | undefined) => void
  /** Forgets what is old. */
  readonly tidy: () => Promise<void>
}

/** See the head of this file. */
export class SourcesPart implements Component {
  readonly name = 'sources'
  readonly #options: SourcesOptions
  readonly #tickers: Ticker[] = []
  /** Why sources gave nothing when they were read last, by their id. */
  readonly #faults = new Map<string, string>()
  /** Whether it is known what the log holds. Held against less than that, all of a zone would be new. */
  #isLogKnown = false

  constructor(options: SourcesOptions) {
    this.#options = options
  }

  start(fail: (error: unknown) => void): void {
    const { interval, logged, names, tidy, zones } = this.#options
    const waiting: Ticker[] = []
    this.#every(FOLLOW_MS, 'log', fail, async (signal) => {
      await logged.follow(signal)
      this.#isLogKnown ||= await logged.isCaughtUp()
      if (this.#isLogKnown) for (const ticker of waiting.splice(0)) ticker.poke()
    })
    this.#every(TIDY_MS, 'tidy', fail, tidy)
    if (names !== undefined) {
      this.#every(NAMES_MS, 'names', fail, async (signal) => {
        const count = await names.read(signal)
        if (count !== undefined) this.#options.counters.read('names', 'taken')
      })
    }
    waiting.push(...zones.map((zone) => this.#follow(zone, interval, fail)))
  }

  async stop(): Promise<void> {
    await Promise.all(this.#tickers.map((ticker) => ticker.stop()))
  }

  /** A zone is read when its interval is over, or soon again when it failed. */
  #follow(zone: ZoneSource, interval: number, fail: (error: unknown) => void): Ticker {
    const { clock, counters, duties, table } = this.#options
    const kind = zone.id.startsWith('axfr:') ? 'transfer' : 'file'
    let due = -Infinity
    const step = Math.min(interval, RETRY_MS)
    return this.#every(step, zone.id, fail, async (signal) => {
      if (!this.#isLogKnown || clock() < due || !(await duties.has(zone.id))) return
      try {
        const taken = await zone.read(signal)
        due = clock() + interval - step / 2
        counters.read(kind, taken ? 'taken' : 'same')
      } catch (error) {
        signal.throwIfAborted()
        // Another process may have a disk, or a way, that we have not.
        await duties.giveUp(zone.id)
        if (!(error instanceof SourceError)) throw error
        counters.read(kind, error.code)
        if (error.code !== 'held') await table.failed(zone.id, error.message, null, clock())
        throw error
      }
    })
  }

  #every(
    interval: number,
    id: string,
    fail: (error: unknown) => void,
    run: (signal: AbortSignal) => Promise<void>,
  ): Ticker {
    const { clock, logger, onSource } = this.#options
    const ticker = new Ticker({
      interval,
      jitter: JITTER,
      immediately: true,
      clock,
      run: async (signal) => {
        try {
          await run(signal)
          if (!this.#faults.delete(id)) return
          logger.info({ source: id }, 'gives again')
          onSource(id, undefined)
        } catch (error) {
          if (signal.aborted) return
          this.#failed(id, error)
        }
      },
      onError: (error) => {
        fail(error)
        throw error
      },
    })
    this.#tickers.push(ticker)
    return ticker
  }

  /** Says once what is wrong, not with each try. */
  #failed(id: string, error: unknown): void {
    const expected =
      error instanceof SourceError ||
      error instanceof SubmitError ||
      error instanceof TlogError ||
      isOutage(error)
    const reason = error instanceof Error ? error.message : String(error)
    if (this.#faults.get(id) === reason) return
    this.#faults.set(id, reason)
    const { logger, onSource } = this.#options
    onSource(id, reason)
    if (expected) logger.warn({ source: id, reason }, 'a source gave nothing; trying again')
    else logger.error({ source: id, err: error }, 'a source failed; trying again')
  }
}
