/** What is kept in memory of what can be had again. */

/**
 * Things by key, the most recently used ones kept: two generations in place of a list of uses. A hit in the old one moves
 * to the young, and a full young one becomes the old.
 */
export class Generations<K, T> {
  readonly #half: number
  readonly #sizeOf: (value: T) => number
  #size = 0
  #young = new Map<K, T>()
  #old = new Map<K, T>()

  /**
   * Keeps at most `limit`, and always the half of it that was used last.
   *
   * @param sizeOf what a thing counts for: 1 unless told
   */
  constructor(limit: number, sizeOf: (value: T) => number = () => 1) {
    this.#half = limit / 2
    this.#sizeOf = sizeOf
  }

  get(key: K): T | undefined {
    const young = this.#young.get(key)
    if (young !== undefined) return young
    const old = this.#old.get(key)
    if (old !== undefined) this.set(key, old)
    return old
  }

  /** What is there is not replaced: under one key there is one thing, for ever. */
  set(key: K, value: T): void {
    if (this.#young.has(key)) return
    this.#size += this.#sizeOf(value)
    if (this.#size > this.#half) {
      this.#old = this.#young
      this.#young = new Map()
      this.#size = this.#sizeOf(value)
    }
    this.#young.set(key, value)
  }

  delete(key: K): void {
    const young = this.#young.get(key)
    if (young !== undefined) this.#size -= this.#sizeOf(young)
    this.#young.delete(key)
    this.#old.delete(key)
  }
}
