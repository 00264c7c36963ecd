/** A fold's memory in memory: for audits, tests and whatever else runs from the first entry on. */
import type { Hash } from '@dslog/tlog/hash'
import { type FoldChanges, type FoldStore, keyText } from './foldstore.ts'
import type { History } from './history.ts'
import type { ZoneKeys } from './keys.ts'

/** Everything a log has said, by name, by key set and by map bucket. */
export class MemoryStore implements FoldStore {
  readonly #histories = new Map<string, History>()
  readonly #zoneKeys = new Map<string, readonly ZoneKeys[]>()
  readonly #buckets = new Map<number, Uint8Array>()

  /** Number of names and zones with entries. */
  get names(): number {
    return this.#histories.size
  }

  async histories(keys: readonly Hash[]): Promise<ReadonlyMap<string, History>> {
    const found = new Map<string, History>()
    for (const key of keys) {
      const text = keyText(key)
      const history = this.#histories.get(text)
      if (history !== undefined) found.set(text, history)
    }
    return found
  }

  async zoneKeys(keysId: Hash): Promise<readonly ZoneKeys[]> {
    return this.#zoneKeys.get(keyText(keysId)) ?? []
  }

  async buckets(prefixes: readonly number[]): Promise<ReadonlyMap<number, Uint8Array>> {
    const found = new Map<number, Uint8Array>()
    for (const prefix of prefixes) {
      const bucket = this.#buckets.get(prefix)
      if (bucket !== undefined) found.set(prefix, bucket)
    }
    return found
  }

  /** Takes over what a fold added. */
  apply(changes: FoldChanges): void {
    for (const { history, text } of changes.names) this.#histories.set(text, history)
    for (const { bytes, prefix } of changes.buckets) this.#buckets.set(prefix, bytes)
    for (const keys of changes.zoneKeys) {
      const text = keyText(keys.keysId)
      this.#zoneKeys.set(text, [keys, ...(this.#zoneKeys.get(text) ?? [])])
    }
  }
}
