/**
 * A log that another process writes, followed through its tables: for processes that only read, as many
 * as one likes, on the server of the log or on a standby of it. Nothing here writes, signs or needs a
 * secret, so it runs under a role that may select and nothing else.
 *
 * The tables are believed no more than they have to be: a tree is shown when one of the log's keys has
 * signed it, it continues the one before, and the map that its last entry names is the one that is stored.
 * Until then readers are shown the tree before. A server that went back in time, as a standby that was
 * restored, makes a follower wait, not go back.
 */
import { setImmediate as immediate } from 'node:timers/promises'
import { sql } from 'kysely'
import { equal } from '@dslog/tlog/bytes'
import { openCheckpoint } from '@dslog/tlog/checkpoint'
import type { Hash } from '@dslog/tlog/hash'
import { UpperTree } from '@dslog/tlog/maptree'
import type { NoteVerifier } from '@dslog/tlog/note'
import { verifyConsistency } from '@dslog/tlog/proof'
import { TreeReader } from '@dslog/tlog/reader'
import { TileCache } from '@dslog/tlog/tilecache'
import { decodeBundle, TILE_WIDTH, tileWidth } from '@dslog/tlog/tile'
import type { Anchor } from '@dslog/dnssec/anchors'
import type { LogTables } from '@dslog/schema/db'
import { decodeEntry } from '@dslog/schema/entry'
import type { Database } from '@dslog/service/db'
import { FoldTables } from '@dslog/service/foldtables'
import { LogError } from './error.ts'
import type { ReadableLog } from './reader.ts'
import { demandPublished, type PublishedTree } from './shown.ts'
import { type PublishedRow, TreeStore } from './store.ts'

/** Buckets of the map that are taken over without a pause, a millisecond or two: readers wait no longer. */
const SET_AT_ONCE = 250

export interface FollowerOptions {
  readonly db: Database<LogTables>
  /** Keys of the log: one of them has signed what is shown. */
  readonly verifiers: readonly NoteVerifier[]
  readonly anchors: readonly Anchor[]
}

/** See the head of this file. */
export class Follower implements ReadableLog {
  readonly origin: string
  readonly store: TreeStore
  readonly fold: FoldTables
  readonly anchors: readonly Anchor[]
  readonly #options: FollowerOptions
  readonly #cache = new TileCache()
  readonly #depth: number
  readonly #listeners = new Set<() => void>()
  #published: PublishedTree | undefined
  #isFrozen = false
  #looking: Promise<void> | undefined

  private constructor(options: FollowerOptions, origin: string, depth: number) {
    this.origin = origin
    this.store = new TreeStore(options.db)
    this.fold = FoldTables.in(options.db)
    this.anchors = options.anchors
    this.#options = options
    this.#depth = depth
  }

  /**
   * Follows the log of a database, from the tree that is published now, if there is one.
   *
   * @throws LogError `missing`, `key` if the keys are those of another log, and as {@link look} does
   */
  static async open(options: FollowerOptions): Promise<Follower> {
    const tree = await new TreeStore(options.db).tree()
    if (tree === undefined) throw new LogError('missing', 'there is no log here yet')
    const { map_depth: depth, origin } = tree
    const other = options.verifiers.find(({ key }) => key.name !== origin)
    if (other !== undefined) {
      throw new LogError('key', `the policy is for ${other.key.name}, the log is ${origin}`)
    }
    const follower = new Follower(options, origin, depth)
    await follower.look()
    return follower
  }

  /** @throws Problem `unavailable` before the first tree is published */
  get published(): PublishedTree {
    return demandPublished(this.#published)
  }

  get tree(): PublishedTree | undefined {
    return this.#published
  }

  get readable(): number {
    return this.#published?.size ?? 0
  }

  /** Whether the log was ended for good. */
  get isFrozen(): boolean {
    return this.#isFrozen
  }

  /** Calls back after each new tree; returns how to stop that. */
  onPublished(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /**
   * Looks for a newer tree and shows it.
   *
   * @throws LogError `corrupt` or `forked` if what is stored is not to be shown, `behind` if it is older
   *   than what was shown; errors of the database
   */
  async look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => (this.#looking = undefined))
    await this.#looking
  }

  async #look(): Promise<void> {
    const newest = await this.store.published()
    if (newest === undefined) return
    this.#isFrozen ||= newest.frozen
    if (newest.note === this.#published?.note) return
    const before = this.#published
    const { row, roots } = await this.#snapshot(before)
    const next = await this.#checked(row, roots, before)
    this.#published = next
    if (next.size > (before?.size ?? 0)) for (const listener of this.#listeners) listener()
  }

  /** What is published and the buckets that it changed, as of one moment: the log prunes what no published tree needs. */
  async #snapshot(before: PublishedTree | undefined): Promise<{
    row: PublishedRow
    roots: ReadonlyMap<number, Hash>
  }> {
    return this.#options.db.transaction(async (trx) => {
      await sql`set transaction isolation level repeatable read, read only`.execute(trx)
      const row = await trx.selectFrom('published').selectAll().executeTakeFirstOrThrow()
      if (before !== undefined && row.size < before.size) {
        throw new LogError('behind', `${row.size} entries are published, and ${before.size} were`)
      }
      return { row, roots: await this.fold.map.changedRoots(trx, before?.size ?? 0, row.size) }
    })
  }

  async #checked(
    { note, published_at: publishedAt, root: stored, size }: PublishedRow,
    roots: ReadonlyMap<number, Hash>,
    before: PublishedTree | undefined,
  ): Promise<PublishedTree> {
    const { origin } = this
    const { checkpoint } = openCheckpoint(note, this.#options.verifiers)
    const { root } = checkpoint
    if (checkpoint.origin !== origin || checkpoint.size !== size || !equal(root, stored)) {
      throw new LogError('corrupt', 'the published note is not of the published tree')
    }
    const reader = new TreeReader(this.store, size, { root, cache: this.#cache })
    if (before !== undefined) {
      const proof = await reader.consistencyProof(before.size)
      try {
        verifyConsistency(before.size, size, proof, before.root, root)
      } catch (cause) {
        throw new LogError(
          'forked',
          `the tree of ${size} does not continue that of ${before.size}`,
          {
            cause,
          },
        )
      }
    }
    const upper = before?.upper.fork() ?? new UpperTree(this.#depth)
    let set = 0
    for (const [prefix, hash] of roots) {
      upper.set(prefix, hash)
      if (++set % SET_AT_ONCE === 0) await immediate()
    }
    await upper.settle(() => immediate())
    const mapRoot = await this.#mapRoot(size)
    if (mapRoot === undefined || !equal(upper.root(), mapRoot)) {
      throw new LogError('corrupt', 'the stored name map is not that of the last MAP_HEAD')
    }
    return { origin, size, root, note, publishedAt, upper, reader }
  }

  /** That of the last entry. It is a MAP_HEAD of the log's own; who reads it verifies it. */
  async #mapRoot(size: number): Promise<Hash | undefined> {
    const index = Math.floor((size - 1) / TILE_WIDTH)
    const width = tileWidth(size, 0, index)
    const last = decodeEntry(decodeBundle(await this.store.bundle(index, width), width).at(-1)!)
    return last.type === 'map-head' ? last.mapRoot : undefined
  }
}
