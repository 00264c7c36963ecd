/**
 * What is remembered until a time, and no more of it than there is room for: names and servers come from
 * outside, so a cache without bounds would be a leak that others can fill.
 */

/** Values by key, each until it expires; the one not asked for longest makes room. */
export class ExpiringCache<T> {
  readonly #limit: number
  readonly #kept = new Map<string, { readonly value: T; readonly expires: number }>()

  /** @param limit values at most */
  constructor(limit: number) {
    this.#limit = limit
  }

  get size(): number {
    return this.#kept.size
  }

  /** The value, if it has not expired at `now` (ms). */
  get(key: string, now: number): T | undefined {
    const kept = this.#kept.get(key)
    if (kept === undefined) return undefined
    this.#kept.delete(key)
    if (kept.expires <= now) return undefined
    this.#kept.set(key, kept)
    return kept.value
  }

  /** @param expires in ms */
  set(key: string, value: T, expires: number): void {
    this.#kept.delete(key)
    if (this.#kept.size >= this.#limit) {
      for (const oldest of this.#kept.keys()) {
        this.#kept.delete(oldest)
        break
      }
    }
    this.#kept.set(key, { value, expires })
  }

  delete(key: string): void {
    this.#kept.delete(key)
  }
}
