/**
 * The loop of one process: leases tasks, has them inquired about (inquire.ts), renews what it holds, and writes
 * down what became of each. What is stopped gives its tasks back, due as they were.
 */
import { setMaxListeners } from 'node:events'
import { nameKey } from '@dslog/dnssec/name'
import type { CrawlerTables } from '@dslog/schema/crawlerdb'
import type { Clock } from '@dslog/service/clock'
import type { Database } from '@dslog/service/db'
import type { Component } from '@dslog/service/run'
import { type Pause, rideOut } from '@dslog/service/outage'
import { testPoint } from '@dslog/service/testpoint'
import type { Finished, Frontier, Task } from './frontier.ts'
import type { Inquirer, Party } from './inquire.ts'
import { type LoggedState, loggedStates } from './logged.ts'
import type { Counters } from './metrics.ts'
import type { Standing } from './standing.ts'
import type { Submitter } from './submit.ts'
import type { Evidence } from './vantage.ts'
import type { Views } from './views.ts'

/** Names being asked at once: at 500 questions a second, what waits some seconds for its turn. */
const MAX_IN_FLIGHT = 1_500
/** Tasks of one lease. */
const LEASE_BATCH = 250
/** How long to wait for answers before what was finished is written, ms. */
const WRITE_MS = 300
/** How long an idle worker sleeps at most, ms: others, and sources, add to the queue. */
const IDLE_MS = 1_000
/** Leases are renewed, and the process shows that it lives, this often, ms. */
const BEAT_MS = 20_000

export interface CrawlerOptions {
  readonly db: Database<CrawlerTables>
  readonly frontier: Frontier
  readonly inquirer: Inquirer
  readonly standing: Standing
  readonly views: Views
  readonly submitter: Submitter
  readonly counters: Pick<Counters, 'disagreed'>
  readonly clock: Clock
  readonly sleep: Pause
  /** How many processes share the queue, when that is known anew. */
  readonly onWorkers?: (workers: number) => void
}

/** One process of a crawl. */
export class Crawler implements Component {
  readonly name = 'crawler'
  readonly #options: CrawlerOptions
  readonly #stopping = new AbortController()
  readonly #held = new Map<string, Task>()
  readonly #finished: Finished[] = []
  readonly #seen: Evidence[] = []
  readonly #running = new Set<Promise<void>>()
  readonly #party: Party = {
    signal: this.#stopping.signal,
    onSeen: (evidence) => void this.#seen.push(...evidence),
  }
  #loop: Promise<void> = Promise.resolve()
  #beat = 0
  #leasing = false

  constructor(options: CrawlerOptions) {
    this.#options = options
    // Each name that is being asked listens: that is no leak.
    setMaxListeners(0, this.#stopping.signal)
  }

  /** Whether nothing is leased, and what became of everything is in the database. */
  get isIdle(): boolean {
    return !this.#leasing && this.#held.size === 0 && this.#finished.length === 0
  }

  /** Names being asked. */
  get inFlight(): number {
    return this.#held.size
  }

  start(fail: (error: unknown) => void): void {
    this.#loop = this.#run().catch((error: unknown) => {
      if (!this.#stopping.signal.aborted) fail(error)
    })
  }

  /** What is being asked is given up and given back; what is on its way to the log is waited for. */
  async stop(): Promise<void> {
    const { frontier, submitter } = this.#options
    this.#stopping.abort()
    await this.#loop
    await submitter.stop()
    await Promise.all(this.#running)
    await this.#write()
    await frontier.giveBack([...this.#held.values()])
    await frontier.leave()
  }

  async #run(): Promise<void> {
    const { sleep } = this.#options
    const { signal } = this.#stopping
    while (!signal.aborted) {
      // What an outage of the database keeps from being written is written when that is over.
      const leased = await rideOut(() => this.#turn(), signal, sleep)
      if (leased > 0) continue
      await sleep(this.#held.size > 0 ? WRITE_MS : IDLE_MS, signal).catch(() => {})
    }
  }

  async #turn(): Promise<number> {
    const now = this.#options.clock()
    if (Math.abs(now - this.#beat) >= BEAT_MS) await this.#renew(now)
    await this.#write()
    this.#leasing = true
    try {
      return await this.#lease(now)
    } finally {
      this.#leasing = false
    }
  }

  async #renew(now: number): Promise<void> {
    const { frontier, onWorkers } = this.#options
    const workers = await frontier.beat(now)
    onWorkers?.(workers)
    await frontier.renew([...this.#held.values()], now)
    this.#beat = now
  }

  /** Takes on as much as there is room for; nothing while the log does not take what there is. */
  async #lease(now: number): Promise<number> {
    const { db, frontier, submitter } = this.#options
    const room = Math.min(MAX_IN_FLIGHT - this.#held.size, LEASE_BATCH)
    if (room < LEASE_BATCH / 5 || submitter.isFull) return 0
    if (submitter.silentSince !== undefined && this.#held.size > 0) return 0
    const tasks = await frontier.lease(now, room)
    testPoint('crawler.leased')
    const logged = await loggedStates(
      db,
      tasks.map(({ name }) => name),
    )
    for (const task of tasks) {
      this.#held.set(idOf(task), task)
      const running = this.#take(task, logged.get(nameKey(task.name)))
      const ended = running.finally(() => this.#running.delete(ended))
      this.#running.add(ended)
    }
    return tasks.length
  }

  async #take(task: Task, logged: LoggedState | undefined): Promise<void> {
    const finished = await this.#options.inquirer.inquire(task, logged, this.#party)
    if (finished === undefined) return
    this.#held.delete(idOf(task))
    this.#finished.push(finished)
  }

  async #write(): Promise<void> {
    const { counters, frontier, standing, views } = this.#options
    const finished = this.#finished.slice()
    const seen = this.#seen.slice()
    const disagreeing = await views.write(seen)
    this.#seen.splice(0, seen.length)
    if (disagreeing > 0) counters.disagreed(disagreeing)
    if (finished.length > 0) await frontier.finish(finished)
    this.#finished.splice(0, finished.length)
    await standing.exchange()
  }
}

function idOf({ kind, name }: Task): string {
  return `${kind} ${nameKey(name)}`
}
