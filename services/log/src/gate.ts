/**
 * Bounds how much of one kind goes on at one time, of all who ask and of one source: who comes when all places are taken is
 * told to come again.
 */
import { Problem, spreadRetry } from '@dslog/service/problem'

/** How many places there are, and what those hear who find none. */
export interface Places {
  /** At one time. */
  readonly all: number
  /** Of one source. */
  readonly each: number
  /** What takes them, in the plural, for people. */
  readonly what: string
  /** Mean of what the others are told to wait, seconds. */
  readonly retrySeconds: number
}

/** Hands out places. */
export class Gate {
  readonly #places: Places
  readonly #sources = new Map<string, number>()
  #taken = 0

  constructor(places: Places) {
    this.#places = places
  }

  /** Places that are taken. */
  get taken(): number {
    return this.#taken
  }

  /**
   * Takes a place.
   *
   * @returns how to leave it; a second call does nothing
   * @throws Problem when there is none
   */
  enter(source: string): () => void {
    const { all, each, retrySeconds, what } = this.#places
    const own = this.#sources.get(source) ?? 0
    const retryAfter = spreadRetry(retrySeconds)
    if (own >= each) {
      throw new Problem('too-many-requests', `Too many ${what} of one source`, { retryAfter })
    }
    if (this.#taken >= all) throw new Problem('unavailable', `Too many ${what}`, { retryAfter })
    this.#taken++
    this.#sources.set(source, own + 1)
    let inside = true
    return () => {
      if (!inside) return
      inside = false
      this.#taken--
      const left = this.#sources.get(source)! - 1
      if (left === 0) this.#sources.delete(source)
      else this.#sources.set(source, left)
    }
  }
}
