/** How the demo speaks, and how it waits: for services to do their work, by machine time and by its own. */
import { setTimeout as sleep } from 'node:timers/promises'
import { EXIT, Failure } from '../failure.ts'
import type { Output } from '../output.ts'
import type { RunningClock } from '@dslog/testbed/clock'

/** From one look to the next, ms. */
const LOOK_MS = 500
/** Longest wait for anything, ms: a slow machine is no failure. */
const LIMIT_MS = 120_000

/** See the head of this file. */
export class Teller {
  readonly #output: Output
  readonly #clock: RunningClock
  readonly #signal: AbortSignal
  #step = ''

  constructor(output: Output, clock: RunningClock, signal: AbortSignal) {
    this.#output = output
    this.#clock = clock
    this.#signal = signal
  }

  /** Begins a step. */
  begin(step: string, number: number, title: string): void {
    this.#step = step
    const { bold } = this.#output.colors
    this.#output.line(`\n${number}. ${title}`, bold)
  }

  /** Something happened; the details are for programs. */
  tell(event: string, text: string, details: object = {}): void {
    const time = this.#clock.now()
    this.#output.event({ event, step: this.#step, time, ...details })
    this.#output.line(`   ${new Date(time).toISOString().slice(11, 16)}  ${text}`)
  }

  /** Something to look at, as it is. */
  show(text: string): void {
    const { dim } = this.#output.colors
    for (const line of text.split('\n')) {
      this.#output.line(`            | ${line}`.trimEnd(), (shown) => shown.replace('|', dim('|')))
    }
  }

  /** A step came out as told. */
  done(): void {
    this.#output.event({ event: 'step', step: this.#step, ok: true })
  }

  /** Says what was to be, if it is not. */
  expect(isSo: boolean, what: string): void {
    if (!isSo) throw new Failure(EXIT.unverified, `${this.#step}: ${what}`)
  }

  /**
   * Looks until there is something.
   *
   * @param what is waited for, in words
   * @param pace the clock goes on by so much with each second look, ms; as it does by itself unless told
   */
  async until<T>(what: string, look: () => Promise<T | undefined>, pace = 0): Promise<T> {
    const end = Date.now() + LIMIT_MS
    for (let looks = 1; ; looks++) {
      const found = await look()
      if (found !== undefined) return found
      if (Date.now() > end) {
        throw new Failure(
          EXIT.unverified,
          `${this.#step}: not within ${LIMIT_MS / 1000} s: ${what}`,
        )
      }
      await sleep(LOOK_MS, undefined, { signal: this.#signal })
      if (looks % 2 === 0 && pace <= this.#clock.behind) this.#clock.advance(pace)
    }
  }
}
