/**
 * Checks a stored log from end to end, without changing anything: re-hashes every entry, compares
 * every tile, re-validates all evidence and replays the map, and then compares what was derived
 * (names with their histories, key sets, buckets, look-up rows) and what was signed and published.
 * An auditor sees what a log shows; this sees what it keeps.
 */
import { equal, toHex } from '@dslog/tlog/bytes'
import { openCheckpoint } from '@dslog/tlog/checkpoint'
import { verifierOf } from '@dslog/tlog/cosignature'
import { TlogError } from '@dslog/tlog/error'
import { asHash, type Hash, HASH_SIZE, leafHash } from '@dslog/tlog/hash'
import { UpperTree } from '@dslog/tlog/maptree'
import { TreeReader } from '@dslog/tlog/reader'
import { bundledSize, decodeBundle, TILE_WIDTH, tileWidth } from '@dslog/tlog/tile'
import { TileWriter } from '@dslog/tlog/tilewriter'
import type { SignatureBackend } from '@dslog/dnssec/backend/backend'
import type { NameTable, ZoneKeysTable } from '@dslog/schema/db'
import { encodeEntry, type Entry } from '@dslog/schema/entry'
import { encodeDsSet } from '@dslog/service/dsset'
import { FoldTables } from '@dslog/service/foldtables'
import { encodeHistory } from '@dslog/service/histories'
import { Auditor, type Violation } from '@dslog/verify/audit'
import { EMPTY_HEAD, Fold } from '@dslog/verify/fold'
import { keyText, type NameChange } from '@dslog/verify/foldstore'
import type { ZoneKeys } from '@dslog/verify/keys'
import { MemoryStore } from '@dslog/verify/memory'
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
/** Names, or key sets, read at once. */
const PAGE = 5_000
/** Buckets read at once: 24 KiB each at 25 M names. */
const PAGE_BUCKETS = 500
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
  #upper: UpperTree | undefined
  /** By {@link keyText}. */
  readonly #names = new Map<string, NameChange>()
  readonly #buckets = new Map<number, Uint8Array>()
  #keySets: readonly ZoneKeys[] = []
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
    for (const change of changes.names) this.#names.set(keyText(change.key), change)
    for (const { bytes, prefix } of changes.buckets) this.#buckets.set(prefix, bytes)
    this.#keySets = changes.zoneKeys
    this.#upper = fold.upper
    const { head, upper } = fold
    if (this.#tree.loading) this.#problem('a load has not been finished')
    else if (head.mapHead !== size - 1) this.#problem('the tree does not end with a MAP_HEAD')
    if (!equal(upper.root(), this.#tree.map_root)) {
      this.#problem('the stored root of the name map is not that of the entries')
    }
    if (head.keyCount !== this.#tree.key_count) this.#problem('the stored count of keys is wrong')
  }

  /** What was derived from the entries, to be found quickly. */
  async derived(): Promise<void> {
    const upper = this.#upper
    if (upper === undefined) return
    await this.#compareNames()
    await this.#compareKeySets()
    if (this.#tree.loading) return
    const { size } = this.#tree
    const { map: tables } = FoldTables.in(this.#options.db)
    const roots = await tables.roots(size)
    const buckets = 2 ** this.#tree.map_depth
    const within = [...roots.keys()].filter((prefix) => prefix < buckets)
    const map = new UpperTree(this.#tree.map_depth)
    for (const prefix of within) map.set(prefix, roots.get(prefix)!)
    // Those that are stored lead to the root: then none is missing, and there is no need to look for one.
    const isWhole = equal(map.root(), upper.root())
    for (const prefix of isWhole ? within : Array(buckets).keys()) {
      const expected = upper.get(prefix)
      const stored = roots.get(prefix)
      const same = expected === null ? stored === undefined : stored && equal(stored, expected)
      if (!same) this.#problem(`bucket ${prefix} of the name map is not that of the entries`)
    }
    const prefixes = [...roots.keys()]
    for (let at = 0; at < prefixes.length; at += PAGE_BUCKETS) {
      const page = prefixes.slice(at, at + PAGE_BUCKETS)
      const stored = await tables.at(page, size)
      for (const prefix of page) {
        const [kept, right] = [stored.get(prefix), this.#buckets.get(prefix)]
        if (kept !== undefined && right !== undefined && equal(kept, right)) continue
        this.#problem(
          `the contents of bucket ${prefix} of the name map are not those of the entries`,
        )
      }
    }
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

  /** By these it is decided what is new, and found which names a zone has. */
  async #compareNames(): Promise<void> {
    let count = 0
    for (let after: Uint8Array = new Uint8Array(0); ;) {
      const page = await this.#options.db.kysely
        .selectFrom('name')
        .leftJoin('zone', 'zone.id', 'name.zone')
        .select(['key', 'kind', 'name.name', 'zone.name as zone', 'latest', 'history'])
        .where('key', '>', after)
        .orderBy('key')
        .limit(PAGE)
        .execute()
      for (const row of page) {
        count++
        for (const what of wrongIn(row, this.#names.get(keyText(asHash(row.key))))) {
          this.#problem(
            `the stored ${what} of map key ${toHex(row.key)} is not that of the entries`,
          )
        }
      }
      const last = page.at(-1)
      if (last === undefined) break
      after = last.key
    }
    if (count !== this.#names.size) {
      this.#problem(`${count} histories are stored, the entries make ${this.#names.size}`)
    }
  }

  /** By these it is decided what else is admitted: one that is wrong would be signed for ever. */
  async #compareKeySets(): Promise<void> {
    const expected = new Map(this.#keySets.map((keys) => [keys.index, keys]))
    let count = 0
    for (let after = -1; ;) {
      const page = await this.#options.db.kysely
        .selectFrom('zone_keys')
        .selectAll()
        .where('idx', '>', after)
        .orderBy('idx')
        .limit(PAGE)
        .execute()
      for (const row of page) {
        count++
        if (!sameKeys(row, expected.get(row.idx))) {
          this.#problem(`the stored key set of entry ${row.idx} is not that of the entries`)
        }
      }
      const last = page.at(-1)
      if (last === undefined) break
      after = last.idx
    }
    if (count !== expected.size) {
      this.#problem(`${count} key sets are stored, the entries make ${expected.size}`)
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
    const found = { origin, size, names: this.#names.size, problems: this.#problems }
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

function sameKeys(row: ZoneKeysTable, keys: ZoneKeys | undefined): boolean {
  return (
    keys !== undefined &&
    equal(row.keys_id, keys.keysId) &&
    equal(row.entry, encodeEntry(keys.entry)) &&
    row.not_before === keys.notBefore &&
    row.not_after === keys.notAfter
  )
}

type NameRow = Pick<NameTable, 'kind' | 'name' | 'latest' | 'history'> & {
  /** `null` where there is no zone of that number. */
  readonly zone: Uint8Array | null
}

/** What of a name is not as the entries make it. */
function* wrongIn(row: NameRow, right: NameChange | undefined): Generator<string> {
  if (right === undefined || !equal(row.history, encodeHistory(right.history))) yield 'history'
  // No entry is about such a name.
  if (right === undefined) return
  if (row.kind !== right.kind) yield 'kind'
  if (!equal(row.name, right.name)) yield 'name'
  // The first entry of a name is never out of order: from then on some state is in force.
  const { ds, zone } = right.inForce!
  if (row.zone === null || !equal(row.zone, zone)) yield 'zone'
  if (!equal(row.latest, encodeDsSet(ds))) yield 'DS set'
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
