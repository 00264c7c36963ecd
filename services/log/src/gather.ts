/**
 * Questions to a database, gathered: those of one turn of the event loop go together, and so do those that come up while
 * others are on their way. A query for sixteen keys costs little more than one for one.
 */

/** Batches on their way at a time: the second does not wait for a slow first. */
const AT_ONCE = 2
/** Questions of a batch at most, unless told otherwise. */
const MAX_BATCH = 256

interface Question<K, V> {
  readonly key: K
  readonly resolve: (value: V) => void
  readonly reject: (error: unknown) => void
}

/** See the head of this file. */
export class Gather<K, V> {
  readonly #read: (keys: readonly K[]) => Promise<readonly V[]>
  readonly #most: number
  readonly #waiting: Question<K, V>[] = []
  #under = 0

  /**
   * @param read answers all of some keys, in their order
   * @param most keys at a time
   */
  constructor(read: (keys: readonly K[]) => Promise<readonly V[]>, most: number = MAX_BATCH) {
    this.#read = read
    this.#most = most
  }

  ask(key: K): Promise<V> {
    return new Promise((resolve, reject) => {
      // When all that has come in has been read: who is answered together asks again together.
      if (this.#waiting.length === 0) setImmediate(() => this.#send())
      this.#waiting.push({ key, resolve, reject })
    })
  }

  #send(): void {
    while (this.#under < AT_ONCE && this.#waiting.length > 0) {
      this.#under++
      const batch = this.#waiting.splice(0, this.#most)
      void this.#answer(batch).finally(() => {
        this.#under--
        this.#send()
      })
    }
  }

  async #answer(batch: readonly Question<K, V>[]): Promise<void> {
    try {
      const values = await this.#read(batch.map(({ key }) => key))
      for (const [i, { resolve }] of batch.entries()) resolve(values[i]!)
    } catch (error) {
      for (const { reject } of batch) reject(error)
    }
  }
}
