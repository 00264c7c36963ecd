/**
 * What a fold looks up while a transaction is on its way into the tables: first what that one stores,
 * then the tables, which may show them as they are before it or after it.
 */
import type { Hash } from '@dslog/tlog/hash'
import { type FoldChanges, type FoldStore, keyText } from '@dslog/verify/foldstore'
import type { History } from '@dslog/verify/history'
import { MemoryStore } from '@dslog/verify/memory'
import type { ZoneKeys } from '@dslog/verify/keys'

export class AheadStore implements FoldStore {
  readonly #ahead = new MemoryStore()
  readonly #tables: FoldStore
  readonly #from: number

  /**
   * @param tables hold what is below index `from`, and perhaps all of `changes`
   * @param changes what the transaction adds; no buckets of the map
   */
  constructor(tables: FoldStore, changes: FoldChanges, from: number) {
    this.#tables = tables
    this.#from = from
    this.#ahead.apply(changes)
  }

  async histories(keys: readonly Hash[]): Promise<ReadonlyMap<string, History>> {
    const ahead = await this.#ahead.histories(keys)
    const stored = await this.#tables.histories(keys.filter((key) => !ahead.has(keyText(key))))
    return ahead.size === 0 ? stored : new Map([...stored, ...ahead])
  }

  async zoneKeys(keysId: Hash): Promise<readonly ZoneKeys[]> {
    const ahead = await this.#ahead.zoneKeys(keysId)
    const stored = await this.#tables.zoneKeys(keysId)
    return [...ahead, ...stored.filter(({ index }) => index < this.#from)]
  }

  buckets(prefixes: readonly number[]): Promise<ReadonlyMap<number, Uint8Array>> {
    return this.#tables.buckets(prefixes)
  }
}
