/**
 * Progress of long work: one line on a terminal, drawn over itself, gone when the work ends. It reads no
 * keys and hides no cursor, so a process that is stopped in the middle leaves the terminal as it was.
 */
import type { Sink } from './io.ts'

/** A long piece of work with a known end. */
export interface Progress {
  /** @param done so much of `max` */
  step(done: number, message?: string): void
  end(): void
}

/** What is shown where there is no terminal. */
export const NO_PROGRESS: Progress = { step: () => {}, end: () => {} }

/** Time between two drawings, ms: what the eye takes for steady. */
const DRAW_INTERVAL = 100
/** Characters of the bar. */
const BAR_WIDTH = 24
/** Back to the first column, and clear the line (ECMA-48). */
export const CLEAR_LINE = '\r\u001B[K'

/** A line of progress. */
export class ProgressLine implements Progress {
  readonly #sink: Sink
  readonly #title: string
  readonly #max: number
  readonly #now: () => number
  #drawnAt = -Infinity
  #visible = false

  constructor(sink: Sink, title: string, max: number, now: () => number = Date.now) {
    this.#sink = sink
    this.#title = title
    this.#max = max
    this.#now = now
  }

  step(done: number, message = ''): void {
    const now = this.#now()
    if (now - this.#drawnAt < DRAW_INTERVAL) return
    this.#drawnAt = now
    const part = this.#max === 0 ? 1 : Math.min(1, done / this.#max)
    const full = Math.round(part * BAR_WIDTH)
    const bar = '█'.repeat(full) + '░'.repeat(BAR_WIDTH - full)
    const line = `${this.#title} ${bar} ${done}/${this.#max} ${message}`
    // A line that wraps could not be drawn over.
    this.#sink.write(CLEAR_LINE + line.slice(0, (this.#sink.columns ?? 80) - 1))
    this.#visible = true
  }

  /** Takes the line away until the next step, to make room for another. */
  clear(): void {
    if (this.#visible) this.#sink.write(CLEAR_LINE)
    this.#visible = false
    this.#drawnAt = -Infinity
  }

  end(): void {
    this.clear()
  }
}
