/**
 * Clocks for a signed internet and whatever validates it: one that stands still until it is told to go
 * on, for tests, which may run meanwhile; and one that runs behind the machine's, for the demo.
 */

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

/** What a clock says, and on from now as the machine's does: a sequencer waits for its clock. */
export function goingOn(now: () => number): () => number {
  const started = performance.now()
  return () => now() + Math.floor(performance.now() - started)
}

/**
 * A clock that runs as the machine's does, but behind it, so that a story can begin some days ago and put
 * it forward to come out at the present.
 */
export class RunningClock extends TestClock {
  #behind: number

  /** @param behind ms */
  constructor(behind: number) {
    super()
    this.#behind = behind
  }

  /** How far it is behind the machine's clock, ms. */
  get behind(): number {
    return this.#behind
  }

  override readonly now = (): number => Date.now() - this.#behind

  /** Goes on by `ms` at once, never past the machine's clock. */
  override advance(ms: number): number {
    if (!(ms >= 0 && ms <= this.#behind)) {
      throw new RangeError(`a clock ${this.#behind} ms behind does not go on by ${ms}`)
    }
    this.#behind -= ms
    return this.now()
  }

  override set(now: number): void {
    this.advance(now - this.now())
  }
}
