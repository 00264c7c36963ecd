/**
 * The name map of a fold (docs/spec/entry.md, "The name map"): which buckets the names with new entries fall into, read from
 * the store while others are still decided about, and made anew when a MAP_HEAD is to cover them.
 */
import { type MapPair, PAIR_SIZE } from '@dslog/tlog/map'
import { type Bucket, prefixOf } from '@dslog/tlog/mapbucket'
import { updateBuckets, type UpperTree } from '@dslog/tlog/maptree'
import { mapValue } from '@dslog/schema/identity'
import type { FoldStore, NameChange } from './foldstore.ts'

/** Pairs of the map that are hashed without a pause, a few milliseconds, whether they lie in few buckets or in many. */
const PAIRS_AT_ONCE = 400

const EMPTY_BUCKET = new Uint8Array(0)

/** A name with entries that no MAP_HEAD covers yet, as it is when one does. */
type Uncovered = Pick<NameChange, 'key' | 'history'>

/** The map on top of a store, up to the newest MAP_HEAD. */
export class FoldMap {
  /** Over all buckets, as of the newest MAP_HEAD. */
  readonly upper: UpperTree
  readonly #store: FoldStore
  readonly #pause: (() => Promise<unknown>) | undefined
  readonly #buckets = new Map<number, Bucket>()
  /** Buckets that were asked for and are not changed yet; empty until they come. */
  #read = new Map<number, Uint8Array>()
  /** What is on its way of those. */
  #reading: Promise<void>[] = []
  #uncovered: Uncovered[] = []
  /** How many of those have had their bucket asked for. */
  #asked = 0

  /**
   * @param upper of the map that the store has; another version of it is worked on
   * @param pause called now and then while buckets are hashed
   */
  constructor(upper: UpperTree, store: FoldStore, pause?: () => Promise<unknown>) {
    this.upper = upper.fork()
    this.#store = store
    this.#pause = pause
  }

  /** Buckets that are not as the store has them. */
  get changed(): Bucket[] {
    return [...this.#buckets.values()]
  }

  /** Notes a name that has its first new entry since the newest MAP_HEAD. */
  add(name: Uncovered): void {
    this.#uncovered.push(name)
  }

  /** Reads the buckets of what was noted, as far as nobody has begun to; waits also for those on their way. */
  async prefetch(): Promise<void> {
    const missing: number[] = []
    for (; this.#asked < this.#uncovered.length; this.#asked++) {
      const prefix = prefixOf(this.#uncovered[this.#asked]!.key, this.upper.depth)
      if (this.#buckets.has(prefix) || this.#read.has(prefix)) continue
      this.#read.set(prefix, EMPTY_BUCKET)
      missing.push(prefix)
    }
    if (missing.length > 0) this.#reading.push(this.#readBuckets(missing))
    await Promise.all(this.#reading)
  }

  async #readBuckets(prefixes: readonly number[]): Promise<void> {
    for (const [prefix, bytes] of await this.#store.buckets(prefixes)) this.#read.set(prefix, bytes)
  }

  /** Brings the map up to date with all names that were noted. */
  async update(): Promise<void> {
    await this.prefetch()
    const changes = new Map<number, Uncovered[]>()
    for (const name of this.#uncovered) {
      const prefix = prefixOf(name.key, this.upper.depth)
      const others = changes.get(prefix)
      if (others === undefined) changes.set(prefix, [name])
      else others.push(name)
    }
    const prefixes = [...changes.keys()].sort((a, b) => a - b)
    const stored = this.#read
    this.#read = new Map()
    this.#reading = []
    for (const prefix of prefixes) {
      const bucket = this.#buckets.get(prefix)
      if (bucket !== undefined) stored.set(prefix, bucket.bytes)
    }
    for (let next = 0; next < prefixes.length;) {
      const some: MapPair[] = []
      for (let pairs = 0; next < prefixes.length && pairs < PAIRS_AT_ONCE; next++) {
        const prefix = prefixes[next]!
        const changed = changes.get(prefix)!
        some.push(...changed.map(pairOf))
        pairs += changed.length + (stored.get(prefix)?.length ?? 0) / PAIR_SIZE
      }
      for (const bucket of updateBuckets(this.upper, stored, some)) {
        this.#buckets.set(bucket.prefix, bucket)
      }
      await this.#pause?.()
    }
    if (this.#pause !== undefined) await this.upper.settle(this.#pause)
    this.#uncovered = []
    this.#asked = 0
  }
}

/** What the map has of a name. */
function pairOf({ history, key }: Uncovered): MapPair {
  return { key, value: mapValue(history.map(({ index }) => index)) }
}
