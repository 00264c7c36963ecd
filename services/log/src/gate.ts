/**
 * Bounds how many submissions of strangers are read and judged at one time: each may bring 8 MiB, and none may
 * take the processor from those who read the log. Who comes when all places are taken is told to come again
 * before a byte of the body is read. Waiting for publication takes no place.
 */
import { Problem, spreadRetry } from '@dslog/service/problem'

/** Submissions at one time: some 130 MiB of bodies at most. */
export const MAX_AT_ONCE = 16
/** Of one source. Nobody needs more: one submission carries a thousand observations. */
export const MAX_PER_SOURCE = 4
/** Mean of what the others are told to wait, seconds. */
const RETRY_SECONDS = 2

/** The places. */
export class Gate {
  readonly #sources = new Map<string, number>()
  #taken = 0

  /** Submissions that are being read or judged. */
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
    const own = this.#sources.get(source) ?? 0
    const retryAfter = spreadRetry(RETRY_SECONDS)
    if (own >= MAX_PER_SOURCE) {
      const detail = `${own} submissions of this source are being judged`
      throw new Problem('too-many-requests', detail, { retryAfter })
    }
    if (this.#taken >= MAX_AT_ONCE) {
      throw new Problem('unavailable', 'Too many submissions are being judged', { retryAfter })
    }
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
