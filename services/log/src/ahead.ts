/**
 * What a fold looks up during a load. Nearly every name is new then, which a filter knows without asking. For the others:
 * first what the transaction on its way stores, then the tables, which may show them as they are before it or after it.
 */
import { equal } from '@dslog/tlog/bytes'
import type { Hash } from '@dslog/tlog/hash'
import { type FoldChanges, type FoldStore, keyText } from '@dslog/verify/foldstore'
import type { History } from '@dslog/verify/history'
import type { ZoneKeys } from '@dslog/verify/keys'
import type { KeyFilter } from './keyfilter.ts'

/** A transaction on its way. */
export interface Ahead {
  /** What it adds; no buckets of the map. */
  readonly changes: FoldChanges
  /** Index of its first entry. */
  readonly from: number
}

export class AheadStore implements FoldStore {
  readonly #tables: FoldStore
  readonly #known: KeyFilter
  readonly #ahead: Ahead | undefined
  #histories: ReadonlyMap<string, History> | undefined

  /**
   * @param tables hold what is below `ahead`, and perhaps all of it
   * @param known keys of all names in the tables and in `ahead`
   */
  constructor(tables: FoldStore, known: KeyFilter, ahead: Ahead | undefined) {
    this.#tables = tables
    this.#known = known
    this.#ahead = ahead
  }

  async histories(keys: readonly Hash[]): Promise<ReadonlyMap<string, History>> {
    const found = new Map<string, History>()
    const asked: Hash[] = []
    for (const key of keys) {
      if (!this.#known.mayHave(key)) continue
      const text = keyText(key)
      const history = this.#underway.get(text)
      if (history === undefined) asked.push(key)
      else found.set(text, history)
    }
    if (asked.length === 0) return found
    for (const [text, history] of await this.#tables.histories(asked)) found.set(text, history)
    return found
  }

  /** Histories of `ahead`: made when a filter takes a name for a known one, which in most transactions it does not. */
  get #underway(): ReadonlyMap<string, History> {
    return (this.#histories ??= new Map(
      this.#ahead?.changes.names.map(({ history, text }) => [text, history]),
    ))
  }

  async zoneKeys(keysId: Hash): Promise<readonly ZoneKeys[]> {
    const stored = await this.#tables.zoneKeys(keysId)
    if (this.#ahead === undefined) return stored
    const { changes, from } = this.#ahead
    const ahead = changes.zoneKeys.filter((keys) => equal(keys.keysId, keysId)).reverse()
    return [...ahead, ...stored.filter(({ index }) => index < from)]
  }

  buckets(prefixes: readonly number[]): Promise<ReadonlyMap<number, Uint8Array>> {
    return this.#tables.buckets(prefixes)
  }
}
