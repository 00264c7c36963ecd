/**
 * From sightings to the log: gathered for a moment, posted in batches, a few at a time. A log that is
 * busy or away is waited for, up to a limit; then the sighting fails like a question does, and its name
 * is asked again later: the queue in the database is what nothing is lost from, not this memory.
 */
import { setMaxListeners } from 'node:events'
import { TlogError } from '@dslog/tlog/error'
import type { Observation, SubmitResult } from '@dslog/schema/api'
import type { Clock } from '@dslog/service/clock'
import type { Logger } from '@dslog/service/log'
import type { LogApi } from '@dslog/service/logapi'
import type { Pause } from '@dslog/service/outage'

/** Longest wait for more to send along, ms. */
const GATHER_MS = 250
/** Observations in one request: with their chains some 5 kB each. */
const BATCH = 400
/** Requests under way at once. The log sequences one tree after the other anyway. */
const REQUESTS = 2
/** Observations that may wait, and their characters; beyond, nothing more is leased. */
const MAX_WAITING = { observations: 4_000, characters: 64 * 1024 * 1024 }
/** Tries of a request that got no answer. */
const TRIES = 4
/** First wait after one, ms; doubled each time. */
const RETRY_MS = 2_000

/** What a log answers to a request that it does not look into: not of the form, too large. */
const UNREADABLE: ReadonlySet<number> = new Set([400, 413])

interface Waiting {
  readonly observation: Observation
  readonly settle: (result: SubmitResult | Error) => void
}

/** The log has not taken an observation: it is away, or talks nonsense. */
export class SubmitError extends Error {
  override readonly name = 'SubmitError'
}

/** What is on its way to the log. */
export class Submitter {
  readonly #api: Pick<LogApi, 'submit'>
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #sleep: Pause
  readonly #stopping = new AbortController()
  readonly #waiting: Waiting[] = []
  readonly #running = new Set<Promise<void>>()
  #timer: NodeJS.Timeout | undefined
  /** Since when the log does not answer; ms since the epoch. */
  #silentSince: number | undefined

  constructor(parts: {
    readonly api: Pick<LogApi, 'submit'>
    readonly clock: Clock
    readonly logger: Logger
    readonly sleep: Pause
  }) {
    setMaxListeners(0, this.#stopping.signal)
    this.#api = parts.api
    this.#clock = parts.clock
    this.#logger = parts.logger
    this.#sleep = parts.sleep
  }

  /** Observations that wait or are on their way. */
  waiting = 0
  /** Of evidence that waits: whoever runs a zone decides how large an answer is. */
  #characters = 0

  /** Whether there is enough to bring to the log for now. */
  get isFull(): boolean {
    const { characters, observations } = MAX_WAITING
    return this.waiting >= observations || this.#characters >= characters
  }

  /** Since when the log does not answer, ms since the epoch. */
  get silentSince(): number | undefined {
    return this.#silentSince
  }

  /**
   * Hands in one observation; resolves with the log's answer.
   *
   * @throws SubmitError if there is none
   */
  async submit(observation: Observation): Promise<SubmitResult> {
    if (this.#stopping.signal.aborted) throw new SubmitError('stopping')
    const size = charactersOf(observation)
    this.waiting++
    this.#characters += size
    const outcome = new Promise<SubmitResult | Error>((settle) => {
      this.#waiting.push({ observation, settle })
    })
    if (this.#waiting.length >= BATCH) this.#send()
    else this.#timer ??= setTimeout(() => this.#send(), GATHER_MS)
    const result = await outcome
    this.waiting--
    this.#characters -= size
    if (result instanceof Error) throw result
    return result
  }

  /** Several that belong together, in their order; resolves with an answer each. */
  async submitAll(observations: readonly Observation[]): Promise<SubmitResult[]> {
    this.waiting += observations.length
    try {
      return await this.#post(observations)
    } finally {
      this.waiting -= observations.length
    }
  }

  /** Sends what waits and waits for the answers; `now` gives up what has none yet. */
  async stop(now = false): Promise<void> {
    if (now) this.#stopping.abort()
    this.#send()
    while (this.#running.size > 0) await Promise.all(this.#running)
    this.#stopping.abort()
  }

  #send(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    while (this.#waiting.length > 0 && this.#running.size < REQUESTS) {
      const batch = this.#waiting.splice(0, BATCH)
      const running = this.#deliver(batch).finally(() => {
        this.#running.delete(running)
        this.#send()
      })
      this.#running.add(running)
    }
  }

  async #deliver(batch: readonly Waiting[]): Promise<void> {
    try {
      const results = await this.#post(batch.map(({ observation }) => observation))
      for (const [i, { settle }] of batch.entries()) settle(results[i]!)
    } catch (cause) {
      if (batch.length > 1 && cause instanceof TlogError && UNREADABLE.has(cause.status ?? 0)) {
        // One that the log does not even read must not take the others with it.
        const middle = batch.length >> 1
        await this.#deliver(batch.slice(0, middle))
        await this.#deliver(batch.slice(middle))
        return
      }
      const error = new SubmitError('the log did not take it', { cause })
      for (const { settle } of batch) settle(error)
    }
  }

  async #post(observations: readonly Observation[]): Promise<SubmitResult[]> {
    const { signal } = this.#stopping
    for (let attempt = 1; ; attempt++) {
      try {
        const results = await this.#api.submit(observations, signal)
        this.#silentSince = undefined
        return results
      } catch (error) {
        signal.throwIfAborted()
        if (!(error instanceof TlogError)) throw error
        this.#silentSince ??= this.#clock()
        this.#logger.warn({ err: error, attempt }, 'the log did not take observations')
        // An answer that says no is no silence.
        const refused = (error.status ?? 500) < 500
        if (attempt === TRIES || refused) throw error
        // What the log took before it fell silent is `known` when it comes again.
        await this.#sleep(RETRY_MS * 2 ** (attempt - 1), signal)
      }
    }
  }
}

function charactersOf({ messages = [], records = [] }: Observation): number {
  return [...messages, ...records].reduce((sum, text) => sum + text.length, 0)
}
