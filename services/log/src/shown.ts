/**
 * The end of a tree's way, in the order of its effects: signed, it can be read by who audits it before
 * cosigning; cosigned by a quorum, it is published. Between the two readers are shown the tree before.
 */
import { asHash, type Hash } from '@dslog/tlog/hash'
import { UpperTree } from '@dslog/tlog/maptree'
import { TreeReader } from '@dslog/tlog/reader'
import { TileCache } from '@dslog/tlog/tilecache'
import type { FoldTables } from '@dslog/service/foldtables'
import { Problem } from '@dslog/service/problem'
import type { TreeRow, TreeStore } from './store.ts'
import type { SignedNote, Witnesses } from './witness.ts'

/** What is told to wait who comes before the first tree is published, seconds. */
const RETRY_SECONDS = 2

/** @throws Problem `unavailable` before the first tree is published */
export function demandPublished(tree: PublishedTree | undefined): PublishedTree {
  if (tree !== undefined) return tree
  throw new Problem('unavailable', 'No tree is published yet', { retryAfter: RETRY_SECONDS })
}

/** A tree that readers are shown. */
export interface PublishedTree {
  readonly origin: string
  readonly size: number
  readonly root: Hash
  readonly note: string
  /** ms since the Unix epoch. */
  readonly publishedAt: number
  /** The name map under the MAP_HEAD that ends the tree. */
  readonly upper: UpperTree
  readonly reader: TreeReader
}

/** See the head of this file. */
export class Shown {
  /** Of all trees: hashes never change. */
  readonly cache: TileCache = new TileCache()
  /** The log was ended for good; processes that follow it learn it from what is published. */
  isFrozen = false
  readonly #origin: string
  readonly #store: TreeStore
  readonly #witnesses: Witnesses | undefined
  #published: PublishedTree | undefined
  #readable = 0
  #waitingSince: number | undefined

  constructor(origin: string, store: TreeStore, witnesses: Witnesses | undefined) {
    this.#origin = origin
    this.#store = store
    this.#witnesses = witnesses
  }

  /** The newest published tree, if there is one. */
  get tree(): PublishedTree | undefined {
    return this.#published
  }

  /** @throws Problem `unavailable` while the witnesses of the first tree keep it waiting */
  get published(): PublishedTree {
    return demandPublished(this.#published)
  }

  /** Entries that tiles and bundles are served of: those of the newest signed tree. */
  get readable(): number {
    return this.#readable
  }

  /** How long a signed tree has been waiting for its witnesses, ms; 0 if none is. */
  get waiting(): number {
    return this.#waitingSince === undefined ? 0 : performance.now() - this.#waitingSince
  }

  /** Lets a signed tree be read. */
  read(size: number): void {
    this.#readable = Math.max(this.#readable, size)
  }

  /** Waits for the witnesses, if there are any. @throws LogError `unwitnessed` when it is stopped meanwhile */
  async cosign(note: string, size: number): Promise<string> {
    if (this.#witnesses === undefined) return note
    this.#waitingSince ??= performance.now()
    const cosigned = await this.#witnesses.cosign(this.#signed(note, size))
    this.#waitingSince = undefined
    return cosigned
  }

  async publish(tree: Omit<PublishedTree, 'origin' | 'reader'>): Promise<void> {
    const { note, publishedAt, root, size } = tree
    const frozen = this.isFrozen
    await this.#store.publish({ size, root, note, published_at: publishedAt, frozen })
    this.#show(tree)
  }

  /** Says of what is published that nothing follows it. */
  async end(): Promise<void> {
    this.isFrozen = true
    await this.publish(this.published)
  }

  /** Shows the cosignatures that have come since the newest tree was published. */
  async addLate(): Promise<void> {
    const note = this.#witnesses?.since(this.published.note)
    if (note !== undefined) await this.publish({ ...this.published, note })
  }

  /** Shows what was published before a restart, if the witnesses that are asked now are satisfied with it. */
  async resume(newest: TreeRow, fold: FoldTables): Promise<void> {
    const row = await this.#store.published()
    if (row === undefined || row.size > newest.size) return
    if (this.#witnesses?.resume(this.#signed(row.note, row.size)) === false) return
    const upper = new UpperTree(newest.map_depth)
    for (const [prefix, root] of await fold.map.roots(row.size)) upper.set(prefix, root)
    this.#show({ ...row, root: asHash(row.root), upper, publishedAt: row.published_at })
  }

  #signed(note: string, size: number): SignedNote {
    const reader = new TreeReader(this.#store, size, { cache: this.cache })
    return { size, note, proof: (from) => reader.consistencyProof(from) }
  }

  #show({ note, publishedAt, root, size, upper }: Omit<PublishedTree, 'origin' | 'reader'>): void {
    const reader = new TreeReader(this.#store, size, { root, cache: this.cache })
    this.#published = { origin: this.#origin, size, root, note, publishedAt, upper, reader }
    this.read(size)
  }
}
