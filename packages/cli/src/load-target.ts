/**
 * A fresh log in a folder: its first import runs as a load (services/log, load.ts), so that a zone of
 * millions of names goes in as fast as the disk takes it. Closing the target ends the load, also after
 * an import that failed half-way: what went in before is signed and published. If nothing did, because the first file
 * was refused, a log that was made for it is unmade: nobody has asked for an empty one.
 */
import { decodeBundle, TILE_WIDTH, tileWidth } from '@dslog/tlog/tile'
import { type Name, nameToText } from '@dslog/dnssec/name'
import { dsToText } from '@dslog/dnssec/records'
import type { Observation, SubmitResult } from '@dslog/schema/api'
import { mapKey, MapKind } from '@dslog/schema/identity'
import type { OpenedLoad } from '@dslog/log/main'
import type { StoredName } from '@dslog/service/foldtables'
import { pagesOf } from '@dslog/service/pages'
import { keyText } from '@dslog/verify/foldstore'
import { type SignedDs, signedDsOf, type Target } from './target.ts'

/** Names read at once. */
const PAGE = 10_000

export class LoadTarget implements Target {
  readonly #load: OpenedLoad
  readonly #unmake: (() => Promise<void>) | undefined
  #isUsed = false

  /** @param unmake removes the log, if it was made when it was opened */
  constructor(load: OpenedLoad, unmake?: () => Promise<void>) {
    this.#load = load
    this.#unmake = unmake
  }

  async size(): Promise<number> {
    // The MAP_HEAD that will end the load is counted: it is part of what this import leaves behind.
    const { size } = this.#load.loader.log
    return size === 1 ? size : size + 1
  }

  async states(zone: Name): Promise<Map<string, readonly string[]>> {
    const states = new Map<string, readonly string[]>()
    const { fold } = this.#load.loader.log
    const pages = pagesOf((last: StoredName | undefined) =>
      fold.namesOfZone(zone, last?.name, PAGE),
    )
    for await (const page of pages) {
      for (const { ds, name } of page) states.set(nameToText(name), ds.map(dsToText))
    }
    return states
  }

  async delegation(name: Name): Promise<SignedDs | undefined> {
    const { log } = this.#load.loader
    const key = mapKey(MapKind.delegation, name)
    const history = (await log.fold.histories([key])).get(keyText(key)) ?? []
    const entries: Uint8Array[] = []
    for (const { index } of history) {
      const bundle = Math.floor(index / TILE_WIDTH)
      const width = tileWidth(log.size, 0, bundle)
      const bytes = await log.store.bundle(bundle, width)
      entries.push(decodeBundle(bytes, width)[index % TILE_WIDTH]!)
    }
    return signedDsOf(entries)
  }

  submit(observations: readonly Observation[]): Promise<SubmitResult[]> {
    this.#isUsed = true
    return this.#load.admitter.submit(observations)
  }

  async close(): Promise<void> {
    try {
      if (this.#isUsed || this.#unmake === undefined) await this.#load.loader.finish()
    } finally {
      await this.#load.close()
    }
    if (!this.#isUsed) await this.#unmake?.()
  }
}
