/**
 * Load mode: a first import into a log that nobody has seen. Leaves go in by transactions of thousands
 * without a map; at the end the map is built in one pass over the sorted keys, one MAP_HEAD covers
 * everything, and only then the first tree is signed. A load that was interrupted goes on where it
 * stopped: what is stored already is known, and the map is built anew.
 */
import { sql } from 'kysely'
import { type Bucket, BucketBuilder } from '@dslog/tlog/mapbucket'
import { UpperTree } from '@dslog/tlog/maptree'
import { mapValue } from '@dslog/schema/identity'
import { createLog } from './create.ts'
import type { Batch, Outcome } from './decide.ts'
import { Log, type LogOptions } from './log.ts'
import { TreeStore } from './store.ts'

/** Candidates in one transaction. */
export const LOAD_CANDIDATES = 10_000
/** Keys read, and buckets written, at once while the map is built. */
const MAP_PAGE = 20_000

/** A load that is under way. */
export class Loader {
  readonly log: Log
  readonly #options: LogOptions

  private constructor(log: Log, options: LogOptions) {
    this.log = log
    this.#options = options
  }

  /** Whether the log is fresh, or its load unfinished: then it takes a load. */
  static async isDue(options: LogOptions): Promise<boolean> {
    const store = new TreeStore(options.db)
    const tree = await store.tree()
    if (tree === undefined || tree.loading) return true
    return tree.size === 1 && (await store.published()) === undefined
  }

  /** Opens a log for loading; creates it if there is none. */
  static async open(options: LogOptions): Promise<Loader> {
    if ((await new TreeStore(options.db).tree()) === undefined) await createLog(options)
    return new Loader(await Log.openForLoad(options), options)
  }

  /** Appends what is new; nothing of it is signed before {@link finish}. */
  async submit(batches: readonly Batch[]): Promise<Outcome[]> {
    const outcomes: Outcome[] = []
    for (let at = 0; at < batches.length;) {
      let candidates = 0
      let end = at
      while (end < batches.length && candidates < LOAD_CANDIDATES) {
        candidates += batches[end]!.candidates.length
        end++
      }
      for (const one of await this.log.appendLoad(batches.slice(at, end))) outcomes.push(one)
      at = end
    }
    await this.log.loaded()
    return outcomes
  }

  /** Builds the map and the indexes, appends the MAP_HEAD, signs and publishes. */
  async finish(): Promise<void> {
    await this.log.loaded()
    const upper = await this.buildMap()
    await this.log.store.indexLoaded()
    await this.log.endLoad(upper)
  }

  /** The map over everything stored, in one pass over the sorted keys. */
  async buildMap(): Promise<UpperTree> {
    const { db } = this.#options
    const { fold, tree } = this.log
    // What an interrupted build left behind is of no version that was ever signed.
    await sql`delete from map_bucket where tree_size > ${tree.size}`.execute(db.kysely)
    const upper = new UpperTree(tree.map_depth)
    const builder = new BucketBuilder(tree.map_depth)
    let done: Bucket[] = []
    const store = async (bucket: Bucket | undefined, all = false): Promise<void> => {
      if (bucket !== undefined) {
        upper.set(bucket.prefix, bucket.root)
        done.push(bucket)
      }
      if (done.length < MAP_PAGE && !all) return
      await db.transaction((trx) => fold.map.save(trx, done, tree.size + 1))
      done = []
    }
    for await (const page of fold.pages(MAP_PAGE)) {
      for (const { history, key } of page) {
        await store(builder.push(key, mapValue(history.map(({ index }) => index))))
      }
    }
    await store(builder.finish(), true)
    return upper
  }
}
