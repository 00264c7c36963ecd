/**
 * What the public may ask about the published tree. Everything here is answered for one tree, the
 * one that was newest when the question came, whatever the sequencer is doing meanwhile: tables may
 * hold more, and what is at or above the published size is left out. Answers come with proofs; who
 * asks need not believe this file.
 */
import { equal } from '@dslog/tlog/bytes'
import { formatTlogProof } from '@dslog/tlog/bundle'
import { Generations } from '@dslog/tlog/generations'
import type { Hash } from '@dslog/tlog/hash'
import { proveMap } from '@dslog/tlog/maptree'
import { bundleEntry, decodeBundle, TILE_WIDTH, tileWidth } from '@dslog/tlog/tile'
import type { Anchor } from '@dslog/dnssec/anchors'
import { type Name, nameKey, sameName } from '@dslog/dnssec/name'
import type { LogTables } from '@dslog/schema/db'
import { decodeEntry } from '@dslog/schema/entry'
import { mapKey, type MapKind } from '@dslog/schema/identity'
import type { Database } from '@dslog/service/db'
import type { FoldTables } from '@dslog/service/foldtables'
import { keyText } from '@dslog/verify/foldstore'
import { type History, latestOf } from '@dslog/verify/history'
import { encodeExtra, type ProofItem } from '@dslog/verify/prooffile'
import { type Blob, Blobs, type BlobSource } from './blobs.ts'
import { ChainItems, itemOf, ProvenLeaves } from './chainitems.ts'
import { Gather } from './gather.ts'
import { HotNames } from './hot.ts'
import type { PublishedTree } from './shown.ts'
import type { TreeStore } from './store.ts'

/** Bytes of entries kept in memory. */
const CACHED_BYTES = 64 * 2 ** 20

/** Most bundles that one page of filtered changes may read: a filter that matches nothing must end. */
const MAX_SCANNED_BUNDLES = 64

/** How often a question about a name starts over because the log went on meanwhile. */
const MAX_TREE_CHANGES = 3

/** A log as far as it is read: by the process that writes it, or by one that follows (follower.ts). */
export interface ReadableLog extends BlobSource {
  readonly origin: string
  /** @throws Problem `unavailable` while nothing is published */
  readonly published: PublishedTree
  readonly store: TreeStore
  readonly fold: FoldTables
  /** Anchors that evidence is checked against. */
  readonly anchors: readonly Anchor[]
  /** Looks whether another tree has been published; nothing where that is known anyway. */
  look?(): Promise<void>
}

/** An entry with its place. */
export interface Leaf {
  readonly index: number
  readonly bytes: Uint8Array
}

/** Everything the log holds about a name, with the proof that it is everything. */
export interface NameAnswer {
  readonly tree: PublishedTree
  readonly key: Hash
  readonly history: readonly Leaf[]
  readonly mapProof: Uint8Array
  readonly mapHead: Leaf
  readonly mapHeadProof: readonly Hash[]
}

/** How many names of a zone are known, and how many of them are signed. */
interface ZoneCounts {
  readonly names: number
  readonly signed: number
}

/** Reads the published tree. */
export class LogReader {
  readonly #log: ReadableLog
  readonly #db: Database<LogTables>
  readonly #blobs: Blobs
  readonly #entries = new Generations<number, Uint8Array>(CACHED_BYTES, ({ length }) => length)
  readonly #hot = new HotNames()
  readonly #histories: Gather<Hash, History>
  readonly #buckets: Gather<BucketAt, Uint8Array>
  readonly #counts = new Gather((zones: readonly Name[]) => this.#countNames(zones))
  readonly #proven = new WeakMap<PublishedTree, ProvenLeaves>()

  constructor(log: ReadableLog, db: Database<LogTables>) {
    this.#log = log
    this.#db = db
    this.#blobs = new Blobs(log)
    this.#histories = new Gather(async (keys) => {
      const found = await log.fold.histories(keys)
      return keys.map((key) => found.get(keyText(key)) ?? [])
    })
    this.#buckets = new Gather((wanted) => readBuckets(log.fold, wanted))
  }

  /** Of the log; also while nothing is published. */
  get origin(): string {
    return this.#log.origin
  }

  get tree(): PublishedTree {
    return this.#log.published
  }

  /** See {@link Blobs.tile}. */
  tile(level: number, index: number, width: number): Promise<Blob | undefined> {
    return this.#blobs.tile(level, index, width)
  }

  /** See {@link Blobs.bundle}. */
  bundle(index: number, width: number): Promise<Blob | undefined> {
    return this.#blobs.bundle(index, width)
  }

  /** Entries [start, start + limit) as far as the tree reaches. */
  async entries(start: number, limit: number, tree: PublishedTree = this.tree): Promise<Leaf[]> {
    const end = Math.min(start + limit, tree.size)
    const leaves: Leaf[] = []
    for (let at = start; at < end;) {
      const index = Math.floor(at / TILE_WIDTH)
      const first = index * TILE_WIDTH
      const width = tileWidth(tree.size, 0, index)
      const entries = decodeBundle(await this.#blobs.bundleBytes(index, width), width)
      for (; at < Math.min(end, first + width); at++) {
        leaves.push({ index: at, bytes: entries[at - first]! })
      }
    }
    return leaves
  }

  async entry(index: number, tree: PublishedTree = this.tree): Promise<Leaf> {
    if (index >= tree.size) throw new RangeError(`entry ${index} of ${tree.size}`)
    const held = this.#entries.get(index)
    if (held !== undefined) return { index, bytes: held }
    const read = (await this.#log.store.entry(index)) ?? (await this.#bundled(index, tree))
    // What was read is longer, many times as long as most entries: kept as a part of it, they would keep all of it.
    const bytes = new Uint8Array(read)
    this.#entries.set(index, bytes)
    return { index, bytes }
  }

  /** An entry out of its bundle, which is kept. */
  async #bundled(index: number, tree: PublishedTree): Promise<Uint8Array> {
    const bundle = Math.floor(index / TILE_WIDTH)
    const width = tileWidth(tree.size, 0, bundle)
    return bundleEntry(await this.#blobs.bundleBytes(bundle, width), index % TILE_WIDTH)
  }

  /** Index of the first leaf with this hash. */
  async indexOf(hash: Hash): Promise<number | undefined> {
    for (const index of await this.#log.store.leavesLike(hash)) {
      if (index >= this.tree.size) return undefined
      if (equal(await this.tree.reader.hash(0, index), hash)) return index
    }
    return undefined
  }

  /** Everything about a name, proven. */
  async name(kind: MapKind, name: Name): Promise<NameAnswer> {
    for (let tries = MAX_TREE_CHANGES; ; tries--) {
      const { tree } = this
      try {
        return await this.#nameIn(tree, kind, name)
      } catch (error) {
        // Two trees later the buckets of this one are pruned; then the newest is asked instead.
        await this.#log.look?.()
        if (tries === 0 || tree === this.tree) throw error
      }
    }
  }

  async #nameIn(tree: PublishedTree, kind: MapKind, name: Name): Promise<NameAnswer> {
    const key = mapKey(kind, name)
    const { proof: mapProof, value } = await proveMap(tree.upper, key, (prefix, root) =>
      this.#hot.bucket(root, () => this.#buckets.ask({ prefix, size: tree.size })),
    )
    const indices =
      value === null ? [] : await this.#hot.indices(value, () => this.#indicesOf(key, tree.size))
    const history: Leaf[] = []
    for (const index of indices) history.push(await this.entry(index, tree))
    const mapHead = await this.#provenIn(tree).leaf(tree.size - 1)
    return { tree, key, history, mapProof, mapHead, mapHeadProof: mapHead.path }
  }

  /** Everything about a name as one file that verifies offline (docs/spec/entry.md, "Proof files"). */
  async nameProofFile(kind: MapKind, name: Name): Promise<string> {
    const { history, mapHead, mapHeadProof, mapProof, tree } = await this.name(kind, name)
    const chain = new ChainItems(this.#log, this.#provenIn(tree))
    const items: ProofItem[] = []
    for (const leaf of history) {
      items.push(itemOf(leaf, await tree.reader.inclusionProof(leaf.index)))
      await chain.add(leaf)
    }
    const extra = encodeExtra({
      kind: 'name',
      leaf: mapHead.bytes,
      mapKind: kind,
      name,
      mapProof,
      history: items,
      chain: chain.items,
    })
    return formatTlogProof({
      extra,
      index: mapHead.index,
      path: mapHeadProof,
      checkpoint: tree.note,
    })
  }

  /** One entry as a file that verifies offline. */
  async entryProofFile(index: number): Promise<string> {
    const { tree } = this
    const leaf = await this.entry(index, tree)
    const chain = new ChainItems(this.#log, this.#provenIn(tree))
    await chain.add(leaf)
    const extra = encodeExtra({ kind: 'entry', leaf: leaf.bytes, chain: chain.items })
    const path = await tree.reader.inclusionProof(index)
    return formatTlogProof({ extra, index, path, checkpoint: tree.note })
  }

  /** How many names of a zone the log knows, and how many of them have a DS in force. */
  zoneCounts(zone: Name): Promise<ZoneCounts> {
    return this.#counts.ask(zone)
  }

  /** Of a million names in a second: whoever asks must not have all connections, of which one is the sequencer's. */
  async #countNames(zones: readonly Name[]): Promise<ZoneCounts[]> {
    const counts = new Map<string, ZoneCounts>()
    for (const zone of zones) {
      const key = nameKey(zone)
      if (counts.has(key)) continue
      counts.set(key, await this.#log.fold.countNames(zone, this.tree.size))
    }
    return zones.map((zone) => counts.get(nameKey(zone))!)
  }

  /**
   * Names of a zone with the state in force, in the order of their wire bytes. A name that another zone
   * signs in the tree that is on its way is left out until that is published.
   */
  async zoneNames(zone: Name, after: Name | undefined, limit: number) {
    const { tree } = this
    const rows = await this.#log.fold.namesOfZone(zone, after, limit + 1)
    const names = []
    for (const { ds, history, name } of rows.slice(0, limit)) {
      const latest = latestOf(history.filter(({ index }) => index < tree.size))
      if (latest === undefined) continue
      if (latestOf(history)?.index === latest.index) {
        names.push({ name, latest, ds })
        continue
      }
      // The row is ahead of the published tree: the entry says what was in force.
      const entry = decodeEntry((await this.entry(latest.index, tree)).bytes)
      if (!('owner' in entry) || !sameName(entry.zone, zone)) continue
      names.push({ name, latest, ds: entry.type === 'ds' ? entry.ds : [] })
    }
    const next = rows.length > limit ? rows[limit - 1]!.name : undefined
    return { size: tree.size, names, next }
  }

  /** Entries about delegations from `start` on, in log order; `next` is where to go on. */
  async changes(start: number, limit: number, zone: Name | undefined) {
    const { tree } = this
    const leaves: Leaf[] = []
    if (zone !== undefined) {
      const rows = await this.#db.kysely
        .selectFrom('leaf')
        .select('idx')
        .where('zone', '=', (eb) => eb.selectFrom('zone').select('id').where('name', '=', zone))
        .where('idx', '>=', start)
        .where('idx', '<', tree.size)
        .orderBy('idx')
        .limit(limit)
        .execute()
      for (const { idx } of rows) leaves.push(await this.entry(idx, tree))
      const last = leaves.at(-1)
      return { tree, leaves, next: leaves.length < limit || !last ? tree.size : last.index + 1 }
    }
    let at = start
    for (let scanned = 0; at < tree.size && scanned < MAX_SCANNED_BUNDLES; scanned++) {
      const rest = TILE_WIDTH - (at % TILE_WIDTH)
      for (const leaf of await this.entries(at, rest, tree)) {
        at = leaf.index + 1
        const { type } = decodeEntry(leaf.bytes)
        if (type === 'ds' || type === 'no-ds') leaves.push(leaf)
        if (leaves.length === limit) return { tree, leaves, next: at }
      }
    }
    return { tree, leaves, next: at }
  }

  async #indicesOf(key: Hash, size: number): Promise<number[]> {
    const history = await this.#histories.ask(key)
    return history.flatMap(({ index }) => (index < size ? [index] : []))
  }

  #provenIn(tree: PublishedTree): ProvenLeaves {
    let proven = this.#proven.get(tree)
    if (proven === undefined) {
      proven = new ProvenLeaves(tree, (index) => this.entry(index, tree))
      this.#proven.set(tree, proven)
    }
    return proven
  }
}

/** A bucket of the map, as of a tree. */
interface BucketAt {
  readonly prefix: number
  readonly size: number
}

/** Buckets of one tree, as a rule: they are asked for together. */
async function readBuckets(fold: FoldTables, wanted: readonly BucketAt[]): Promise<Uint8Array[]> {
  const sizes = [...new Set(wanted.map(({ size }) => size))]
  const found = await Promise.all(
    sizes.map((size) => {
      const prefixes = wanted.filter((one) => one.size === size).map(({ prefix }) => prefix)
      return fold.map.at([...new Set(prefixes)], size)
    }),
  )
  return wanted.map(({ prefix, size }) => {
    return found[sizes.indexOf(size)]!.get(prefix) ?? new Uint8Array(0)
  })
}
