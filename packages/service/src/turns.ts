/** Tasks of one process that must not overlap take turns, in the order in which they came. */

/** See the head of this file. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve()

  /** Runs a task after all that came before it, however those ended. */
  run<T>(task: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(task)
    this.#last = turn.catch(() => {})
    return turn
  }
}
