/**
 * A clock that stands still until it is told to go on: the time of a signed internet of tests and of
 * the demo, and of whatever validates it.
 */

/** Time in ms, hours and days, for steps of a clock. */
export const HOUR = 3_600_000
export const DAY: number = 24 * HOUR

/** Where tests begin unless told: 2024-07-01T00:00:00Z. */
export const TEST_EPOCH: number = Date.UTC(2024, 6, 1)

/** A clock set by hand. */
export class TestClock {
  #now: number

  /** @param start ms since the Unix epoch */
  constructor(start: number = TEST_EPOCH) {
    this.#now = start
  }

  /** The time, in ms since the Unix epoch; bound, so that it can be handed on as a function. */
  readonly now = (): number => this.#now

  /** Goes on by `ms`, and gives the new time. */
  advance(ms: number): number {
    if (!(ms >= 0)) throw new RangeError(`a clock does not go on by ${ms}`)
    this.#now += ms
    return this.#now
  }

  /** Jumps, backwards too. */
  set(now: number): void {
    this.#now = now
  }
}
