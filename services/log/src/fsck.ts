/**
 * Checks a stored log from end to end, without changing anything: re-hashes every entry, compares
 * every tile, re-validates all evidence and replays the map, and then compares what was derived
 * (names with their histories, key sets, buckets, look-up rows) and what was signed and published.
 * An auditor sees what a log shows; this sees what it keeps.
 */
import { equal } from '@dslog/tlog/bytes'
import { openCheckpoint } from '@dslog/tlog/checkpoint'
import { verifierOf } from '@dslog/tlog/cosignature'
import { TlogError } from '@dslog/tlog/error'
import { type Hash, HASH_SIZE, leafHash } from '@dslog/tlog/hash'
import { UpperTree } from '@dslog/tlog/maptree'
import { TreeReader } from '@dslog/tlog/reader'
import { bundledSize, decodeBundle, TILE_WIDTH, tileWidth } from '@dslog/tlog/tile'
import { TileWriter } from '@dslog/tlog/tilewriter'
import type { SignatureBackend } from '@dslog/dnssec/backend/backend'
import type { Entry } from '@dslog/schema/entry'
import { Auditor, type Violation } from '@dslog/verify/audit'
import { EMPTY_HEAD, Fold } from '@dslog/verify/fold'
import { MemoryStore } from '@dslog/verify/memory'
import { type Derived, derivedProblems } from './derived.ts'
import { LogError } from './error.ts'
import type { LogOptions } from './log.ts'
import type { SignedTree } from './signer.ts'
import { leafPrefix, TreeStore, type TreeRow } from './store.ts'

/** What was found. */
export interface FsckReport {
  readonly origin: string
  readonly size: number
  readonly names: number
  /** One text each; none: the log is sound. */
  readonly problems: readonly string[]
  /** The first entry that no honest log would hold. */
  readonly violation?: Violation
}

/** A broken disk breaks many things: after this many problems the rest is not worth a line each. */
const MAX_PROBLEMS = 100
/** Bundles after which the tiles made so far are compared and let go. */
const PAGE_BUNDLES = 64

/**
 * Checks a log.
 *
 * @param onProgress called with the number of entries checked
 * @throws LogError `missing` where there is no log
 */
export async function fsck(
  options: LogOptions,
  backend: SignatureBackend,
  onProgress: (done: number, size: number) => void = () => {},
): Promise<FsckReport> {
  const store = new TreeStore(options.db)
  const tree = await store.tree()
  if (tree === undefined) throw new LogError('missing', 'there is no log here')
  const check = new Check(options, store, tree)
  await check.entries(backend, onProgress)
  await check.derived()
  await check.signed()
  return check.report()
}

class Check {
  readonly #options: LogOptions
  readonly #store: TreeStore
  readonly #tree: TreeRow
  readonly #problems: string[] = []
  /** Set when all entries were replayed; otherwise what is derived from them has no measure. */
  #derived: Derived | undefined
  #violation: Violation | undefined

  constructor(options: LogOptions, store: TreeStore, tree: TreeRow) {
    this.#options = options
    this.#store = store
    this.#tree = tree
  }

  /** The entries by themselves: hashes, tiles, evidence, rules, MAP_HEADs. */
  async entries(
    backend: SignatureBackend,
    onProgress: (done: number, size: number) => void,
  ): Promise<void> {
    const { anchors } = this.#options
    const { map_depth: depth, root, size } = this.#tree
    const writer = new TileWriter()
    const fold = new Fold(EMPTY_HEAD, new UpperTree(depth), { store: new MemoryStore(), anchors })
    const auditor = new Auditor(fold, { anchors, backend })
    for (let index = 0; index * TILE_WIDTH < size; index++) {
      const entries = await this.#bundle(index)
      if (entries === undefined) return
      for (const entry of entries) writer.appendEntry(entry)
      const decoded: Entry[] = []
      this.#violation ??= await auditor.check(entries, (_, entry) => decoded.push(entry))
      await this.#leaves(index * TILE_WIDTH, entries, decoded)
      if (index % PAGE_BUNDLES === 0) await this.#compareTiles(writer)
      onProgress(writer.size, size)
    }
    await this.#compareTiles(writer)
    if (!equal(writer.root(), root)) this.#problem('the entries do not lead to the stored root')
    if (this.#violation !== undefined) {
      const { index, reason } = this.#violation
      this.#problem(`entry ${index}: ${reason}`)
      return
    }
    const changes = fold.changes()
    const { head, upper } = fold
    this.#derived = { changes, upper }
    if (this.#tree.loading) this.#problem('a load has not been finished')
    else if (head.mapHead !== size - 1) this.#problem('the tree does not end with a MAP_HEAD')
    if (!equal(upper.root(), this.#tree.map_root)) {
      this.#problem('the stored root of the name map is not that of the entries')
    }
    if (head.keyCount !== this.#tree.key_count) this.#problem('the stored count of keys is wrong')
  }

  /** What was derived from the entries, to be found quickly. */
  async derived(): Promise<void> {
    if (this.#derived === undefined) return
    const problems = derivedProblems(this.#options.db, this.#tree, this.#derived)
    for await (const problem of problems) this.#problem(problem)
  }

  /** What was signed and what is shown. */
  async signed(): Promise<void> {
    const published = await this.#store.published()
    if (published !== undefined) await this.#comparePublished(published.note)
    try {
      const signed = await this.#options.signerRow.read()
      if (signed !== undefined) await this.#compareSigned(signed)
      else if (published !== undefined) this.#problem('the record of what was signed is gone')
    } catch (error) {
      if (!(error instanceof LogError)) throw error
      this.#problem(`the record of what was signed: ${error.message}`)
    }
  }

  async #compareSigned({ origin, root, size }: SignedTree): Promise<void> {
    if (origin !== this.#tree.origin || size > this.#tree.size) {
      this.#problem(`a tree of ${size} of ${origin} was signed; it is not stored`)
      return
    }
    const stored = await this.#rootOf(size)
    if (stored !== undefined && !equal(stored, root)) {
      this.#problem(`the first ${size} entries are not those that were signed`)
    }
  }

  async #comparePublished(note: string): Promise<void> {
    const { signers } = this.#options
    const { origin, size } = this.#tree
    const verifiers = signers.map(({ key }) => verifierOf(key))
    try {
      const { checkpoint } = openCheckpoint(note, verifiers)
      const within = checkpoint.origin === origin && checkpoint.size <= size
      const stored = within ? await this.#rootOf(checkpoint.size) : undefined
      if (!within || (stored !== undefined && !equal(stored, checkpoint.root))) {
        this.#problem('the published checkpoint is not of this tree')
      }
    } catch (error) {
      if (!(error instanceof TlogError)) throw error
      this.#problem(`the published checkpoint does not verify: ${error.message}`)
    }
  }

  /** Root of the first `size` entries by the stored tiles; `undefined`, and a problem, if those are damaged. */
  async #rootOf(size: number): Promise<Hash | undefined> {
    try {
      return await new TreeReader(this.#store, this.#tree.size).subtreeHash(0, size)
    } catch (error) {
      if (!(error instanceof LogError) && !(error instanceof TlogError)) throw error
      this.#problem(`the root of the first ${size} entries cannot be computed: ${error.message}`)
      return undefined
    }
  }

  report(): FsckReport {
    const { origin, size } = this.#tree
    const found = {
      origin,
      size,
      names: this.#derived?.changes.names.length ?? 0,
      problems: this.#problems,
    }
    return this.#violation === undefined ? found : { ...found, violation: this.#violation }
  }

  async #bundle(index: number): Promise<Uint8Array[] | undefined> {
    const width = tileWidth(this.#tree.size, 0, index)
    try {
      return decodeBundle(await this.#store.bundle(index, width), width)
    } catch (error) {
      if (!(error instanceof LogError) && !(error instanceof TlogError)) throw error
      this.#problem(`bundle ${index}: ${error.message}`)
      return undefined
    }
  }

  async #compareTiles(writer: TileWriter): Promise<void> {
    for (const { data, index, level, middle } of writer.take()) {
      try {
        const width = data.length / HASH_SIZE
        const isRight = equal(await this.#store.tile(level, index, width), data)
        if (isRight && (middle === undefined || (await this.#hasMiddle(level, index, middle)))) {
          continue
        }
        this.#problem(`tile ${level}/${index} is not that of the entries`)
      } catch (error) {
        if (!(error instanceof LogError)) throw error
        this.#problem(error.message)
      }
    }
  }

  /** Whether what is stored half way up a full tile is right, or nothing is. */
  async #hasMiddle(level: number, index: number, middle: Uint8Array): Promise<boolean> {
    const stored = (await this.#store.fullTile(level, index)).middle
    return stored === undefined || equal(stored, middle)
  }

  /** @param decoded as many of the entries as come before the first violation: of the rest, zones are not compared */
  async #leaves(
    start: number,
    entries: readonly Uint8Array[],
    decoded: readonly Entry[],
  ): Promise<void> {
    const rows = await this.#options.db.kysely
      .selectFrom('leaf')
      .leftJoin('zone', 'zone.id', 'leaf.zone')
      .select(['idx', 'prefix', 'pos', 'leaf.zone as zoneId', 'zone.name as zone'])
      .where('idx', '>=', start)
      .where('idx', '<', start + entries.length)
      .orderBy('idx')
      .execute()
    let at = 0
    const right = entries.every((entry, i) => {
      const row = rows[i]
      const isPlaced = row?.pos === null || row?.pos === at
      at += bundledSize(entry)
      if (row?.idx !== start + i || row.prefix !== leafPrefix(leafHash(entry))) return false
      return isPlaced && isInZone(row, decoded[i])
    })
    if (!right) this.#problem(`look-up rows from ${start} on are not those of the entries`)
  }

  #problem(text: string): void {
    if (this.#problems.length < MAX_PROBLEMS) this.#problems.push(text)
  }
}

/** Whether a look-up row has the zone that its entry names, or none if it names none. */
function isInZone(
  row: { readonly zoneId: number | null; readonly zone: Uint8Array | null },
  entry: Entry | undefined,
): boolean {
  if (entry === undefined) return true
  if (!('owner' in entry)) return row.zoneId === null
  return row.zone !== null && equal(row.zone, entry.zone)
}
