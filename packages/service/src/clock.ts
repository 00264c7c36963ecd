/**
 * Time as a value: whoever needs the time is given a `Clock`, so that tests and the demo can run on another one. The ticker
 * here is the loop of everything periodic.
 */

/** Milliseconds since 1970 in UTC. */
export type Clock = () => number

/** The machine's clock. */
export const systemClock: Clock = () => Date.now()

/**
 * Longest sleep of a ticker, ms. It looks at its clock at least this often, so a suspended machine, a corrected clock and a
 * test's clock are all noticed within a second.
 */
const LONGEST_SLEEP = 1_000

/** What a ticker does and when. */
export interface TickerOptions {
  /** From the start of one run to the start of the next, ms by the clock. A run that takes longer delays the next. */
  interval: number
  /** Spreads the interval by ± this share (0 to 1), so that many tickers do not fall into step. Default 0. */
  jitter?: number
  /** Runs at once at the start, not after the first interval. Default false. */
  immediately?: boolean
  clock?: Clock
  random?: () => number
  /** The work. `signal` is aborted when the ticker stops; `stop` waits for the run to end. */
  run(signal: AbortSignal): Promise<void> | void
  /** A run threw. The ticker goes on, unless this throws too: then it has stopped and `done` rejects. */
  onError(error: unknown): void
}

/** A periodic task; runs never overlap. */
export class Ticker {
  /** Settles when the ticker has stopped; rejects with what `onError` threw. */
  readonly done: Promise<void>
  readonly #options: TickerOptions
  readonly #stopping = new AbortController()
  #due: number
  #wake: () => void = () => {}

  constructor(options: TickerOptions) {
    this.#options = options
    this.#due = options.immediately === true ? -Infinity : this.#next(this.#now())
    this.done = this.#loop()
    // Whoever awaits `done` or `stop` still gets the error; nobody listening is not a crash of the process.
    this.done.catch(() => {})
  }

  /** Makes the next run due now. During a run: directly after it. */
  poke(): void {
    this.#due = -Infinity
    this.#wake()
  }

  /** No further run; resolves when the current one has ended. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    this.#wake()
    await this.done
  }

  async #loop(): Promise<void> {
    const { signal } = this.#stopping
    for (;;) {
      for (let now = this.#now(); !signal.aborted && now < this.#due; now = this.#now()) {
        // A clock set back must not make the next run later than one interval from now.
        this.#due = Math.min(this.#due, now + this.#longest)
        await this.#sleep(Math.min(this.#due - now, LONGEST_SLEEP))
      }
      if (signal.aborted) return
      this.#due = this.#next(this.#now())
      try {
        await this.#options.run(signal)
      } catch (error) {
        this.#options.onError(error)
      }
      // A run of a task that is always due must not starve timers and sockets.
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  #now(): number {
    return (this.#options.clock ?? systemClock)()
  }

  get #longest(): number {
    return this.#options.interval * (1 + (this.#options.jitter ?? 0))
  }

  #next(now: number): number {
    const { interval, jitter = 0, random = Math.random } = this.#options
    return now + interval * (1 + jitter * (2 * random() - 1))
  }
}
