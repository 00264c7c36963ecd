/**
 * The tables that hold the tree itself: tiles, bundles, the tree's one row, and what readers are
 * shown. Tiles and bundles are stored as they are served; a partial one is the prefix of the newest
 * and grows only at its end. What the fold remembers lies in @dslog/service/foldtables.
 */
import { type Insertable, type Selectable, sql, type Transaction } from 'kysely'
import { asHash, EMPTY_ROOT, type Hash, HASH_SIZE } from '@dslog/tlog/hash'
import type { TileGroup, TileSource } from '@dslog/tlog/reader'
import { bundlePrefix, encodeBundle, type Tile, TILE_WIDTH, tileWidth } from '@dslog/tlog/tile'
import { GROUP_BYTES } from '@dslog/tlog/tilenodes'
import type { LogTables, PublishedTable, TreeTable } from '@dslog/schema/db'
import { createIndexes, dropIndexes, LEAF_INDEXES, NAME_INDEXES } from '@dslog/schema/indexes'
import type { Database } from '@dslog/service/db'
import { LogError } from './error.ts'
import { Gather } from './gather.ts'

/** The newest committed tree. */
export type TreeRow = Omit<TreeTable, 'id' | 'root' | 'map_root'> & {
  readonly root: Hash
  readonly map_root: Hash
}

/** The tree of no entries, which no log has: a first one comes after it. */
export function emptyTree(origin: string, depth: number): TreeRow {
  return {
    origin,
    size: 0,
    root: EMPTY_ROOT,
    map_root: EMPTY_ROOT,
    key_count: 0,
    map_head: 0,
    map_time: 0,
    map_depth: depth,
    fence: 0,
    loading: false,
  }
}

/** What readers are shown. */
export type PublishedRow = Omit<Selectable<PublishedTable>, 'id'>

/** Where a tile is. */
type TilePlace = Pick<Tile, 'level' | 'index'>

type StoredTile = Required<Pick<Tile, 'data' | 'middle'>>

/** A group of a tile of level 0. */
interface GroupPlace {
  readonly tile: number
  readonly group: number
}

/** Bundles that are read at a time: a megabyte. */
const BUNDLES_AT_ONCE = 16

/** Bytes that are read for an entry, a few chunks of the table: more than nearly all have. */
const ENTRY_SLICE = 4_096

/** What a commit adds. */
export interface Commit {
  readonly from: number
  readonly to: TreeRow
  readonly tiles: readonly Tile[]
  readonly bundles: readonly { readonly index: number; readonly data: Uint8Array }[]
  readonly leaves: Iterable<LeafRow>
}

/**
 * A leaf, as it is found by its hash and by its zone: see {@link leafPrefix}; `pos` is where in its bundle the entry begins,
 * with its length.
 */
export type LeafRow = readonly [
  index: number,
  prefix: number,
  zone: number | undefined,
  pos: number,
]

/** First six bytes of the leaf hash at `at`: what the leaf table is searched by. */
export function leafPrefix(hashes: Uint8Array, at = 0): number {
  let prefix = 0
  for (let i = at; i < at + 6; i++) prefix = prefix * 256 + hashes[i]!
  return prefix
}

/**
 * Appends entries to the newest bundle and those after it.
 *
 * @param partial entries of the bundle that the tree of `from` entries ends with; none if it is full
 * @returns what is to be stored, and the entries of the new partial bundle
 */
export function continueBundles(
  partial: readonly Uint8Array[],
  from: number,
  appended: readonly Uint8Array[],
): { bundles: { index: number; data: Uint8Array }[]; last: Uint8Array[] } {
  const bundles: { index: number; data: Uint8Array }[] = []
  let index = Math.floor(from / TILE_WIDTH)
  let entries = [...partial]
  for (const entry of appended) {
    entries.push(entry)
    if (entries.length < TILE_WIDTH) continue
    bundles.push({ index, data: encodeBundle(entries) })
    entries = []
    index++
  }
  if (entries.length > 0) bundles.push({ index, data: encodeBundle(entries) })
  return { bundles, last: entries }
}

/** Reads and writes of the tree's tables. */
export class TreeStore implements TileSource {
  readonly #db: Database<LogTables>
  readonly #tiles = new Gather((wanted: readonly TilePlace[]) => this.#readTiles(wanted))
  readonly #groups = new Gather((wanted: readonly GroupPlace[]) => this.#readGroups(wanted))
  readonly #bundles = new Gather(
    (wanted: readonly number[]) => this.#readBundles(wanted),
    BUNDLES_AT_ONCE,
  )
  readonly #entries = new Gather((wanted: readonly number[]) => this.#readEntries(wanted))

  constructor(db: Database<LogTables>) {
    this.#db = db
  }

  /** The tree's row; `undefined` where no log has been created. */
  async tree(): Promise<TreeRow | undefined> {
    const row = await this.#db.kysely.selectFrom('tree').selectAll().executeTakeFirst()
    if (row === undefined) return undefined
    return { ...row, root: asHash(row.root), map_root: asHash(row.map_root) }
  }

  /** Takes the log over: commits of whoever had it before will fail from now on. */
  async takeOver(): Promise<TreeRow> {
    const row = await this.#db.kysely
      .updateTable('tree')
      .set((eb) => ({ fence: eb('fence', '+', 1) }))
      .returningAll()
      .executeTakeFirst()
    if (row === undefined) throw new LogError('missing', 'there is no log here yet')
    return { ...row, root: asHash(row.root), map_root: asHash(row.map_root) }
  }

  async published(): Promise<PublishedRow | undefined> {
    return this.#db.kysely.selectFrom('published').selectAll().executeTakeFirst()
  }

  /** Shows a tree to readers. One that comes late, from a process that lost the log, hides no newer one. */
  async publish(row: Omit<Insertable<PublishedTable>, 'id'>): Promise<void> {
    await this.#db.kysely
      .insertInto('published')
      .values({ id: 1, ...row })
      .onConflict((on) => on.column('id').doUpdateSet(row).where('published.size', '<=', row.size))
      .execute()
  }

  /** Read together with others that are asked for meanwhile. @throws LogError `corrupt` if so much of it is not stored */
  async tile(level: number, index: number, width: number): Promise<Uint8Array> {
    return (await this.#tile(level, index, width)).data
  }

  /** A sixteenth of one, likewise: read out of the table by itself. */
  async group(tile: number, group: number): Promise<TileGroup> {
    const found = await this.#groups.ask({ tile, group })
    if (found === undefined) throw new LogError('corrupt', `tile 0/${tile} is not stored`)
    return found
  }

  async #readGroups(wanted: readonly GroupPlace[]): Promise<(TileGroup | undefined)[]> {
    const tiles = wanted.map(({ tile }) => tile)
    const groups = wanted.map(({ group }) => group)
    // Tables that have grown much since statistics were taken would be read whole, but for `offset 0`.
    const { rows } = await sql<{ hashes: Uint8Array | null; middle: Uint8Array | null }>`
      select hashes, middle
      from unnest(${tiles}::int8[], ${groups}::int4[]) with ordinality as wanted (tile, grp, place)
      left join lateral (
        select substr(data, grp * ${GROUP_BYTES}::int4 + 1, ${GROUP_BYTES}::int4) as hashes, middle
        from tile where level = 0 and idx = tile offset 0
      ) as found on true
      order by place`.execute(this.#db.kysely)
    return rows.map(({ hashes, middle }) => {
      return hashes === null ? undefined : { hashes, middle: middle ?? undefined }
    })
  }

  /** A full tile, likewise, and its middle. */
  async fullTile(level: number, index: number): Promise<Pick<Tile, 'data' | 'middle'>> {
    return this.#tile(level, index, TILE_WIDTH)
  }

  async #tile(level: number, index: number, width: number): Promise<StoredTile> {
    const stored = await this.#tiles.ask({ level, index })
    if (stored === undefined || stored.data.length < width * HASH_SIZE) {
      throw new LogError('corrupt', `tile ${level}/${index} of width ${width} is not stored`)
    }
    return { data: stored.data.subarray(0, width * HASH_SIZE), middle: stored.middle }
  }

  async #readTiles(wanted: readonly TilePlace[]): Promise<(StoredTile | undefined)[]> {
    const levels = [...new Set(wanted.map(({ level }) => level))]
    const found = await Promise.all(
      levels.map(async (level) => {
        const indices = wanted.filter((one) => one.level === level).map(({ index }) => index)
        const rows = await this.#db.kysely
          .selectFrom('tile')
          .select(['idx', 'data', 'middle'])
          .where('level', '=', level)
          .where((eb) => eb('idx', '=', eb.fn.any(eb.val([...new Set(indices)]))))
          .execute()
        return new Map(
          rows.map(({ data, idx, middle }) => [idx, { data, middle: middle ?? undefined }]),
        )
      }),
    )
    return wanted.map(({ index, level }) => found[levels.indexOf(level)]!.get(index))
  }

  /**
   * The first `width` entries of a bundle, as served. Read with others likewise: whoever asks for thousands must not have
   * all connections, for which the sequencer would wait behind them.
   *
   * @throws LogError `corrupt`
   */
  async bundle(index: number, width: number): Promise<Uint8Array> {
    const data = await this.#bundles.ask(index)
    if (data === undefined) throw new LogError('corrupt', `bundle ${index} is not stored`)
    return data.subarray(0, bundlePrefix(data, width))
  }

  async #readBundles(wanted: readonly number[]): Promise<(Uint8Array | undefined)[]> {
    const rows = await this.#db.kysely
      .selectFrom('bundle')
      .select(['idx', 'data'])
      .where((eb) => eb('idx', '=', eb.fn.any(eb.val([...new Set(wanted)]))))
      .execute()
    const found = new Map(rows.map(({ data, idx }) => [idx, data]))
    return wanted.map((index) => found.get(index))
  }

  /**
   * An entry by itself, read together with others that are asked for meanwhile: a bundle is two hundred times as long.
   *
   * @returns `undefined` for one whose place in its bundle is not known, or that is longer than most
   */
  async entry(index: number): Promise<Uint8Array | undefined> {
    const slice = await this.#entries.ask(index)
    if (slice === undefined || slice.length < 2) return undefined
    const end = 2 + slice[0]! * 256 + slice[1]!
    return slice.length < end ? undefined : slice.subarray(2, end)
  }

  async #readEntries(wanted: readonly number[]): Promise<(Uint8Array | undefined)[]> {
    const { rows } = await sql<{ idx: number; slice: Uint8Array }>`
      select leaf.idx, substr(bundle.data, leaf.pos + 1, ${ENTRY_SLICE}::int) as slice
      from leaf join bundle on bundle.idx = leaf.idx / ${TILE_WIDTH}::int8
      where leaf.idx = any(${[...new Set(wanted)]}::int8[]) and leaf.pos is not null`.execute(
      this.#db.kysely,
    )
    const found = new Map(rows.map(({ idx, slice }) => [idx, slice]))
    return wanted.map((index) => found.get(index))
  }

  /** Leaves whose hash may begin with the bytes of `hash`, lowest index first. */
  async leavesLike(hash: Hash): Promise<number[]> {
    const rows = await this.#db.kysely
      .selectFrom('leaf')
      .select('idx')
      .where('prefix', '=', leafPrefix(hash))
      .orderBy('idx')
      .execute()
    return rows.map(({ idx }) => idx)
  }

  /** The first tree of a log: creating one is an explicit act. */
  async create(trx: Transaction<LogTables>, tree: TreeRow): Promise<void> {
    await trx
      .insertInto('tree')
      .values({ id: 1, ...tree })
      .execute()
  }

  /**
   * Keeps the tree as it is until the transaction ends: whatever is stored in it comes after this tree.
   *
   * @throws LogError `fenced` if the stored tree is another
   */
  async hold(trx: Transaction<LogTables>, { fence, size }: TreeRow): Promise<void> {
    const held = await trx
      .selectFrom('tree')
      .select('size')
      .where('size', '=', size)
      .where('fence', '=', fence)
      .forUpdate()
      .executeTakeFirst()
    if (held === undefined) throw fenced(size)
  }

  /**
   * Stores the entries of a tree in the transaction that stores everything else about it.
   *
   * @throws LogError `fenced` if the stored tree is not the one this commit builds on
   */
  async commit(trx: Transaction<LogTables>, commit: Commit): Promise<void> {
    const { from, to } = commit
    const { fence } = to
    const swapped = await trx
      .updateTable('tree')
      .set(to)
      .where('size', '=', from)
      .where('fence', '=', fence)
      .executeTakeFirst()
    if (swapped.numUpdatedRows !== 1n) throw fenced(from)
    await this.insert(trx, commit)
  }

  /** Stores tiles, bundles and leaves; those that `from` had already are extended. */
  async insert(trx: Transaction<LogTables>, commit: Omit<Commit, 'to'>): Promise<void> {
    const { bundles, from, leaves, tiles } = commit
    const newTiles = tiles.filter(({ index, level }) => tileWidth(from, level, index) === 0)
    const newBundles = bundles.filter(({ index }) => tileWidth(from, 0, index) === 0)
    for (const { data, index, level, middle } of tiles) {
      if (tileWidth(from, level, index) === 0) continue
      await trx
        .updateTable('tile')
        .set({ data, middle: middle ?? null })
        .where('level', '=', level)
        .where('idx', '=', index)
        .execute()
    }
    for (const { data, index } of bundles) {
      if (tileWidth(from, 0, index) === 0) continue
      await trx.updateTable('bundle').set({ data }).where('idx', '=', index).execute()
    }
    await this.#db.bulkInsert(
      trx,
      'tile',
      ['level', 'idx', 'data', 'middle'],
      newTiles.map(({ data, index, level, middle }) => [level, index, data, middle ?? null]),
    )
    await this.#db.bulkInsert(
      trx,
      'bundle',
      ['idx', 'data'],
      newBundles.map(({ data, index }) => [index, data]),
    )
    await this.insertLeaves(trx, leaves)
  }

  /** Stores leaves that a {@link commit} of the same transaction does not. */
  async insertLeaves(trx: Transaction<LogTables>, leaves: Iterable<LeafRow>): Promise<void> {
    await this.#db.bulkInsert(trx, 'leaf', ['idx', 'prefix', 'zone', 'pos'], leaves)
  }

  /** Takes away what only readers need, in the transaction that begins a load; if the tables are ours. */
  async beginLoad(trx: Transaction<LogTables>): Promise<void> {
    if (!(await ownsTables(trx))) return
    await dropIndexes(trx, NAME_INDEXES)
    await dropIndexes(trx, LEAF_INDEXES)
  }

  /** Makes anew what {@link beginLoad} took away. */
  async indexLoaded(): Promise<void> {
    await this.#db.transaction(async (trx) => {
      if (!(await ownsTables(trx))) return
      // Millions of rows are sorted in one statement.
      await sql`set local statement_timeout = 0`.execute(trx)
      await createIndexes(trx, NAME_INDEXES)
      await createIndexes(trx, LEAF_INDEXES)
    })
  }

  /** Lets a reader of statistics see how large the tables are, bytes. */
  async bytes(): Promise<number> {
    const { rows } = await sql<{ bytes: number }>`
      select sum(pg_total_relation_size(oid))::int8 as bytes from pg_class
      where relkind = 'r' and relnamespace = current_schema()::regnamespace`.execute(
      this.#db.kysely,
    )
    return rows[0]?.bytes ?? 0
  }
}

function fenced(size: number): LogError {
  return new LogError('fenced', `the stored tree is no longer the one of ${size} entries`)
}

/** Only the owner of a table may drop and make its indexes; a load under another role goes on with them. */
async function ownsTables(trx: Transaction<LogTables>): Promise<boolean> {
  const { rows } = await sql<{ owns: boolean }>`
    select pg_has_role(relowner, 'usage') as owns
    from pg_class where oid = to_regclass('leaf')`.execute(trx)
  return rows[0]?.owns === true
}
