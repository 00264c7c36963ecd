/**
 * The pool in front of the log: evidence that was verified waits here to be sequenced, in the order
 * it came, and whoever submitted it waits for the tree it is published in. A full pool refuses, it
 * never drops: what is in it has been promised an answer.
 */
import { setImmediate as immediate } from 'node:timers/promises'
import { type Name, nameKey } from '@dslog/dnssec/name'
import { Ticker } from '@dslog/service/clock'
import type { Clock } from '@dslog/service/clock'
import { Problem, spreadRetry } from '@dslog/service/problem'
import type { Component } from '@dslog/service/run'
import { LogError } from './error.ts'
import { type DiskGuard, isDiskFull } from './disk.ts'
import type { Batch, Outcome } from './decide.ts'
import type { Log } from './log.ts'

/** Most candidates in one tree: half a second of work for the database. */
export const MAX_TREE_CANDIDATES = 5_000
/** Most candidates that wait: what ten trees hold. */
export const MAX_POOL_CANDIDATES = 50_000
/**
 * Part of the pool that one zone may fill. Half leaves room for all others while one registry moves
 * hundreds of thousands of names, or somebody floods the log with what one zone signs.
 */
const ZONE_SHARE = 0.5
/** An unchanged tree is signed and cosigned anew after this long, ms, so that its age tells it is alive. */
export const REFRESH_MS = 600_000
/** Mean of what a refused submitter is told to wait, seconds: a log that has stopped is started again as soon. */
const RETRY_SECONDS = 5
/** The same while the disk is full: somebody has to make room. */
const FULL_RETRY_SECONDS = 60
/** Longest that stopping waits for witnesses, ms. */
const STOP_GRACE_MS = 5_000
/** Observations whose submitters are told of them without a pause, a millisecond or two: readers wait no longer. */
const TOLD_AT_ONCE = 200
/** An interval of nothing would keep a processor busy with looking into an empty pool, ms. */
const SHORTEST_INTERVAL = 1

export interface SequencerOptions {
  /** Shortest time between two trees, ms. */
  readonly interval: number
  readonly clock: Clock
  readonly capacity?: number
  /** Tells when there is too little room to write; default: never. */
  readonly disk?: DiskGuard
}

interface Waiting {
  readonly batches: readonly Batch[]
  readonly candidates: number
  readonly resolve: (outcomes: Outcome[]) => void
  readonly reject: (error: unknown) => void
}

/** Feeds a log from a pool, one tree at a time. */
export class Sequencer implements Component {
  readonly name = 'sequencer'
  readonly #log: Log
  readonly #options: SequencerOptions
  readonly #listeners = new Set<() => void>()
  #pool: Waiting[] = []
  #waiting = 0
  /** Of those, how many of each zone. */
  readonly #ofZone = new Map<string, number>()
  #ticker: Ticker | undefined
  #failure: unknown

  constructor(log: Log, options: SequencerOptions) {
    this.#log = log
    this.#options = options
  }

  /** Candidates that wait. */
  get backlog(): number {
    return this.#waiting
  }

  /** Whether the log takes nothing more, for good. */
  get isFrozen(): boolean {
    return this.#log.isFrozen
  }

  /** Why nothing is sequenced at present, if so: there is too little room on a disk. */
  async heldBy(): Promise<string | undefined> {
    return this.#options.disk?.look()
  }

  /** Whether a zone has filled its share of the pool. */
  isCrowded(zone: Name): boolean {
    return (this.#ofZone.get(nameKey(zone)) ?? 0) >= this.#capacity * ZONE_SHARE
  }

  get #capacity(): number {
    return this.#options.capacity ?? MAX_POOL_CANDIDATES
  }

  /**
   * Hands in verified evidence, all of it or none.
   *
   * @returns what became of each candidate, once it is published; rejects if the log stops before, when
   *   nobody knows whether it was logged: handing it in again does no harm
   * @throws Problem `unavailable`, at once, when the pool is full or the log has stopped; `log-frozen`
   */
  submit(batches: readonly Batch[]): Promise<Outcome[]> {
    const candidates = batches.reduce((sum, batch) => sum + batch.candidates.length, 0)
    this.demandRoom(candidates)
    this.#count(batches, 1)
    return new Promise((resolve, reject) => {
      this.#pool.push({ batches, candidates, resolve, reject })
    })
  }

  /** As {@link submit} refuses, before anybody has worked for it. @param candidates that are to come, at least */
  demandRoom(candidates = 1): void {
    if (this.#log.isFrozen) throw new Problem('log-frozen')
    if (this.#failure !== undefined || this.#ticker === undefined) {
      const retryAfter = spreadRetry(RETRY_SECONDS)
      throw new Problem('unavailable', 'The log is not sequencing', { retryAfter })
    }
    const low = this.#options.disk?.low
    if (low !== undefined) {
      throw new Problem('unavailable', low, { retryAfter: spreadRetry(FULL_RETRY_SECONDS) })
    }
    if (this.#waiting > 0 && this.#waiting + candidates > this.#capacity) {
      const retryAfter = spreadRetry(RETRY_SECONDS)
      throw new Problem('unavailable', 'The pool is full', { retryAfter })
    }
  }

  /** Calls back after each publication of a new tree; returns how to stop that. */
  onPublished(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  start(fail: (error: unknown) => void): void {
    // The pace is that of the machine; `clock` tells what time entries are given.
    this.#ticker = new Ticker({
      interval: Math.max(SHORTEST_INTERVAL, this.#options.interval),
      run: () => this.#run(),
      onError: (error) => {
        fail(error)
        throw error
      },
    })
  }

  async stop(): Promise<void> {
    const ticker = this.#ticker
    this.#ticker = undefined
    const timer = setTimeout(() => this.#log.giveUpWaiting(), STOP_GRACE_MS)
    try {
      // If it has failed, `fail` was told why.
      await ticker?.stop().catch(() => {})
      // What was accepted is sequenced: its submitters are still waiting.
      while (this.#pool.length > 0 && this.#options.disk?.low === undefined) await this.#run()
      if (this.#pool.length > 0) this.#end(new Error(this.#options.disk?.low))
    } catch (error) {
      // Witnesses that do not come are no failure of ours; the tree is published after the next start.
      if (!(error instanceof LogError) || error.code !== 'unwitnessed') throw error
    } finally {
      clearTimeout(timer)
      this.#log.giveUpWaiting()
    }
  }

  async #run(): Promise<void> {
    if (this.#failure !== undefined) return
    // What has been accepted waits until there is room again; nothing is begun that might not be finished.
    if ((await this.#options.disk?.look()) !== undefined) return
    // A tree that was on its way when the log was stopped comes first.
    if (this.#log.isUnfinished) await this.#idle()
    const taken = this.#take()
    if (taken.length === 0) return this.#idle()
    const size = this.#log.size
    let outcomes: Outcome[]
    try {
      outcomes = await this.#log.sequence(taken.flatMap(({ batches }) => batches))
    } catch (error) {
      const { disk } = this.#options
      if (disk !== undefined && isDiskFull(error) && !this.#log.isUnfinished) {
        // The server says that the transaction did not happen: it is tried again when there is room.
        disk.noteFull()
        this.#pool.unshift(...taken)
        return
      }
      this.#end(error, taken)
      throw error
    }
    await this.#answer(taken, outcomes)
    if (this.#log.size > size) for (const listener of this.#listeners) listener()
  }

  /** Tells those who wait, with pauses: whoever submitted thousands has as many results made of what he is told. */
  async #answer(taken: readonly Waiting[], outcomes: readonly Outcome[]): Promise<void> {
    let told = 0
    for (const { batches, resolve } of taken) {
      this.#count(batches, -1)
      resolve(outcomes.slice(told, told + batches.length))
      const before = told
      told += batches.length
      if (Math.floor(told / TOLD_AT_ONCE) > Math.floor(before / TOLD_AT_ONCE)) await immediate()
    }
  }

  /** Nothing new: is there a tree to finish, are there late cosignatures, is it time for fresh ones? */
  async #idle(): Promise<void> {
    try {
      if (this.#log.isUnfinished) {
        await this.#log.refresh()
        for (const listener of this.#listeners) listener()
        return
      }
      await this.#log.shown.addLate()
      const age = this.#options.clock() - this.#log.published.publishedAt
      if (age >= REFRESH_MS) await this.#log.refresh()
    } catch (error) {
      this.#end(error)
      throw error
    }
  }

  /** Whether the commit reached the disk is not known: only opening the log anew can tell. */
  #end(error: unknown, taken: readonly Waiting[] = []): void {
    this.#failure = error
    const detail = 'The log has stopped; hand it in again when it is back'
    for (const { reject } of [...taken, ...this.#pool]) {
      const retryAfter = spreadRetry(RETRY_SECONDS)
      reject(new Problem('unavailable', detail, { cause: error, retryAfter }))
    }
    this.#pool = []
    this.#waiting = 0
    this.#ofZone.clear()
  }

  #count(batches: readonly Batch[], sign: 1 | -1): void {
    for (const { candidates } of batches) {
      this.#waiting += sign * candidates.length
      for (const { zone } of candidates) {
        const key = nameKey(zone)
        const count = (this.#ofZone.get(key) ?? 0) + sign
        if (count === 0) this.#ofZone.delete(key)
        else this.#ofZone.set(key, count)
      }
    }
  }

  /** The next tree's worth, at least one submission: an import is never divided between trees. */
  #take(): Waiting[] {
    const taken: Waiting[] = []
    let candidates = 0
    while (this.#pool.length > 0) {
      const next = this.#pool[0]!
      if (taken.length > 0 && candidates + next.candidates > MAX_TREE_CANDIDATES) break
      candidates += next.candidates
      taken.push(next)
      this.#pool.shift()
    }
    return taken
  }
}
