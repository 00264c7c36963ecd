/** Work that is done once for all who ask for it while it is on its way. */
export class UnderWay<K, V> {
  readonly #works = new Map<K, Promise<V>>()

  /** What is on its way under this key, or what `begin` begins; forgotten when it ends, well or not. */
  once(key: K, begin: () => Promise<V>): Promise<V> {
    let work = this.#works.get(key)
    if (work === undefined) {
      work = begin().finally(() => this.#works.delete(key))
      this.#works.set(key, work)
    }
    return work
  }
}
