/** Whether others could go on meanwhile: turns of the event loop, counted until somebody has seen enough. */
export class Turns {
  /** So many so far. */
  count = 0
  #next = setImmediate(() => this.#turn())

  #turn(): void {
    this.count++
    this.#next = setImmediate(() => this.#turn())
  }

  stop(): void {
    clearImmediate(this.#next)
  }
}
