/**
 * A component that does the same again and again: a {@link Ticker} behind `start` and `stop`. What a round
 * can get over it handles itself; one that the database keeps from its end is begun anew when that is back
 * (outage.ts). Anything else that it throws is the end of the component, told once by `fail`, which is for
 * the process to log and to die of.
 */
import { type Clock, Ticker } from './clock.ts'
import { isOutage, pause, type Pause, rideOut } from './outage.ts'
import type { Component } from './run.ts'

/** When rounds are due; see `TickerOptions` of clock.ts. */
export interface Rhythm {
  /** ms. */
  readonly interval: number
  readonly jitter?: number
  readonly immediately?: boolean
  readonly clock?: Clock
  /** How long an outage is waited for, and by which clock. */
  readonly wait?: Pause
}

/** Rounds never overlap, as long as nobody else calls {@link round}. */
export abstract class Periodic implements Component {
  abstract readonly name: string
  readonly #rhythm: Rhythm
  #ticker: Ticker | undefined

  constructor(rhythm: Rhythm) {
    this.#rhythm = rhythm
  }

  /** One round. `signal` is aborted when the component is told to stop. */
  abstract round(signal: AbortSignal): Promise<unknown>

  /** What has to be done first, a class says in an override of its own. */
  async start(fail: (error: unknown) => void): Promise<void> {
    this.#ticker = new Ticker({
      ...this.#rhythm,
      run: async (signal) => {
        await rideOut(() => this.round(signal), signal, this.#rhythm.wait ?? pause)
      },
      onError: (error) => {
        // An outage that is still there at the end has kept a round from its own, no more.
        if (!isOutage(error)) fail(error)
        throw error
      },
    })
  }

  /** Ends when the round that runs has ended. If one has failed, `fail` was told why. */
  async stop(): Promise<void> {
    await this.#ticker?.stop().catch(() => {})
  }

  /** The next round is due now; during a round, directly after it. */
  poke(): void {
    this.#ticker?.poke()
  }

  /** Whether it was started. */
  protected get isStarted(): boolean {
    return this.#ticker !== undefined
  }
}
