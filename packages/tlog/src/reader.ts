/**
 * Reads a tree of one size from its tiles: hashes of nodes, roots and proofs. Tiles come through the small interface
 * `TileSource`: a database, a folder, another log's server.
 *
 * A reader that is given the tree's root trusts no tile: the partial tiles at the right edge must lead to that root, and
 * each full tile to the hash its parent tile has for it, before anything of it is used (the idea of TileHashReader in
 * x/mod sumdb/tlog). That costs one hash a tile, since a proof needs the inner nodes of its tiles anyway: they are
 * computed once and kept (tilecache.ts), with the hashes along the right edge.
 */
import { equal } from './bytes.ts'
import { TlogError } from './error.ts'
import { EMPTY_ROOT, HASH_SIZE, nodeHash, type Hash } from './hash.ts'
import { consistencyNodes, inclusionNodes, isSubtree, subtreeNodes } from './proof.ts'
import { edgeTiles, MIDDLE_HEIGHT, TILE_HEIGHT, TILE_WIDTH, tileWidth } from './tile.ts'
import { TileCache, tileKey } from './tilecache.ts'
import { GROUP_BYTES, groupOf, subtreeOf, TileNodes } from './tilenodes.ts'
import { assertSize, peakNodes, rangeRoot, type TreeNode } from './tree.ts'
import { UnderWay } from './underway.ts'

/** Where tiles are. Answers exactly `width` hashes or rejects; `width` is that of a tree the caller knows of. */
export interface TileSource {
  tile(level: number, index: number, width: number): Promise<Uint8Array>
  /**
   * A sixteenth of a full tile of level 0, for a source that can read as little: there are many more of those tiles than are
   * kept, and a proof needs a sixteenth of one.
   */
  group?(tile: number, group: number): Promise<TileGroup>
}

/** Hashes below one node of a tile's middle, and the middle where it is known. It is checked like a tile. */
export interface TileGroup {
  readonly hashes: Uint8Array
  readonly middle?: Uint8Array | undefined
}

/** Bytes of the middle of a full tile. */
const MIDDLE_BYTES = 2 ** (TILE_HEIGHT - MIDDLE_HEIGHT) * HASH_SIZE

/** What a reader of the right edge needs again and again. */
interface Edge {
  /** The partial tiles, by level. */
  readonly tiles: ReadonlyMap<number, TileNodes>
  /** For each peak the hash of all leaves from its first to the last of the tree; that of 0 is the root. */
  readonly from: ReadonlyMap<number, Hash>
}

/**
 * A tree of fixed size, read from tiles. Hashes it answers are views of its cache: not to be changed.
 *
 * An index or size beyond the tree is RangeError; tiles that are not the tree's are TlogError `bad-tile`; what the source
 * throws is passed on, and the next call asks again.
 */
export class TreeReader {
  /** Leaves of the tree. */
  readonly size: number
  readonly #source: TileSource
  readonly #expected: Hash | undefined
  readonly #cache: TileCache
  /** How many tiles of each level are full. */
  readonly #full: readonly number[]
  /** Tiles, and groups of one. */
  readonly #reading = new UnderWay<number | string, TileNodes>()
  #edge: Edge | undefined
  #edgePending: Promise<Edge> | undefined

  /**
   * With `root`, of a verified checkpoint or of the log's own state, every tile is checked against it. Without, the
   * source is trusted.
   */
  constructor(
    source: TileSource,
    size: number,
    { root, cache = new TileCache() }: { root?: Hash; cache?: TileCache } = {},
  ) {
    assertSize(size)
    this.size = size
    this.#source = source
    this.#expected = root
    this.#cache = cache
    this.#full = fullTiles(size)
  }

  /** Root of the tree. */
  async root(): Promise<Hash> {
    const edge = this.#edge ?? (await this.#loadEdge())
    return edge.from.get(0) ?? EMPTY_ROOT
  }

  /** Hash of a node: of its leaves up to the tree's size, as tree.ts explains. */
  async hash(level: number, index: number): Promise<Hash> {
    return this.#now(level, index) ?? this.#later(level, index)
  }

  /** Hash of any range of leaves that is a subtree (see `isSubtree`), and of the tree's first `end` leaves. */
  async subtreeHash(start: number, end: number): Promise<Hash> {
    this.#within(end)
    if (start === end && start === 0) return EMPTY_ROOT
    if (start === 0 && end === this.size) return this.root()
    if (!isSubtree(start, end)) throw new RangeError(`no subtree: [${start}, ${end})`)
    // Its start is a multiple of a power of two that is not below its length: so is it of each of its peaks.
    const peaks = peakNodes(end - start).map(({ level, index }) => ({
      level,
      index: start / 2 ** level + index,
    }))
    return rangeRoot(await this.#hashes(peaks, end))
  }

  /** Inclusion proof of leaf `index` in the tree, or in that of its first `size` leaves. */
  async inclusionProof(index: number, size: number = this.size): Promise<Hash[]> {
    this.#within(size)
    return this.#hashes(inclusionNodes(index, size), size)
  }

  /** Proof that the tree, or that of its first `to` leaves, begins with the tree of `from` leaves. */
  async consistencyProof(from: number, to: number = this.size): Promise<Hash[]> {
    this.#within(to)
    return this.#hashes(consistencyNodes(from, to), to)
  }

  /** Proof that the subtree [start, end) is part of the tree, or of that of its first `size` leaves. */
  async subtreeProof(start: number, end: number, size: number = this.size): Promise<Hash[]> {
    this.#within(size)
    return this.#hashes(subtreeNodes(start, end, size), size)
  }

  /** Inclusion proof of leaf `index` in the subtree [start, end). */
  async subtreeInclusionProof(index: number, start: number, end: number): Promise<Hash[]> {
    this.#within(end)
    if (!isSubtree(start, end)) throw new RangeError(`no subtree: [${start}, ${end})`)
    const nodes = inclusionNodes(index - start, end - start).map(({ level, index: at }) => ({
      level,
      index: start / 2 ** level + at,
    }))
    return this.#hashes(nodes, end)
  }

  /** A tile of this tree, or its first `width` hashes. */
  async tile(level: number, index: number, width: number): Promise<Uint8Array> {
    if (!(width >= 1 && width <= tileWidth(this.size, level, index))) {
      throw new RangeError(`tile ${level}/${index} of width ${width} in a tree of ${this.size}`)
    }
    const now = this.#tileNow(level, index)
    const data = now && this.#checked(level, index, () => now.data)
    if (data !== undefined) return data.subarray(0, width * HASH_SIZE)
    const nodes = await this.#loadTile(level, index)
    return this.#checked(level, index, () => nodes.data!).subarray(0, width * HASH_SIZE)
  }

  #within(size: number): void {
    assertSize(size)
    if (size > this.size) throw new RangeError(`tree of ${this.size} asked for size ${size}`)
  }

  /** The nodes as they are in the tree of the first `size` leaves. */
  async #hashes(nodes: readonly TreeNode[], size: number): Promise<Hash[]> {
    const cut = ({ level, index }: TreeNode): boolean =>
      size < this.size && size - index * 2 ** level < 2 ** level
    const found = nodes.map((node) => (cut(node) ? undefined : this.#now(node.level, node.index)))
    if (found.every((hash) => hash !== undefined)) return found
    // Of each tile the lowest node first: with it comes what those above it need.
    const lowest = new Map<number, TreeNode>()
    for (const [i, node] of nodes.entries()) {
      const { level, tile } = placeOf(node.level, node.index)
      const key = tileKey(level, tile)
      if (found[i] === undefined && !cut(node) && !lowest.has(key)) lowest.set(key, node)
    }
    // No two have a leaf in common, so at most one has the last.
    const last = nodes.find(cut)
    const [hashOfLast] = await Promise.all([
      last && this.subtreeHash(last.index * 2 ** last.level, size),
      ...[...lowest.values()].map(({ index, level }) => this.hash(level, index)),
    ])
    const hashes: Hash[] = []
    // Now mostly all are at hand: a promise for each would take longer than to find it.
    for (const [i, node] of nodes.entries()) {
      const hash = node === last ? hashOfLast : (found[i] ?? this.#now(node.level, node.index))
      hashes.push(hash ?? (await this.#later(node.level, node.index)))
    }
    return hashes
  }

  /** The hash of a node if nothing must be read for it: proofs from a warm cache never wait. */
  #now(level: number, index: number): Hash | undefined {
    const start = this.#startOf(level, index)
    if (this.size - start < 2 ** level) return this.#edge?.from.get(start)
    const at = placeOf(level, index)
    const nodes = this.#tileNow(at.level, at.tile)
    return nodes?.has(at.height, at.position) === true ? this.#hashIn(nodes, at) : undefined
  }

  async #later(level: number, index: number): Promise<Hash> {
    const start = this.#startOf(level, index)
    if (this.size - start < 2 ** level) return (await this.#loadEdge()).from.get(start)!
    const at = placeOf(level, index)
    return this.#hashIn(await this.#load(at), at)
  }

  #hashIn(nodes: TileNodes, { height, level, position, tile }: Place): Hash {
    return this.#checked(level, tile, () => nodes.hash(height, position))
  }

  /** Whoever asks for a damaged tile again has it read again. */
  #checked<T>(level: number, index: number, read: () => T): T {
    try {
      return read()
    } catch (error) {
      this.#cache.delete(level, index)
      throw error
    }
  }

  #startOf(level: number, index: number): number {
    const start = index * 2 ** level
    if (!Number.isInteger(level) || level < 0 || !Number.isInteger(index) || index < 0) {
      throw new RangeError(`not a node: (${level}, ${index})`)
    }
    if (start >= this.size) throw new RangeError(`node (${level}, ${index}) of ${this.size} leaves`)
    return start
  }

  #isPartial(level: number, index: number): boolean {
    return index >= (this.#full[level] ?? 0)
  }

  #tileNow(level: number, index: number): TileNodes | undefined {
    return this.#isPartial(level, index)
      ? this.#edge?.tiles.get(level)
      : this.#cache.get(level, index)
  }

  /** Tiles with that node in them; as little more as the source can read. */
  async #load({ height, level, position, tile }: Place): Promise<TileNodes> {
    if (level > 0 || this.#source.group === undefined || this.#isPartial(level, tile)) {
      return this.#loadTile(level, tile)
    }
    const group = groupOf(height, position)
    return this.#reading.once(`${tile}/${group}`, () => this.#loadGroup(tile, group))
  }

  async #loadTile(level: number, index: number): Promise<TileNodes> {
    if (this.#isPartial(level, index)) return (await this.#loadEdge()).tiles.get(level)!
    return this.#reading.once(tileKey(level, index), () => this.#loadFull(level, index))
  }

  async #loadFull(level: number, index: number): Promise<TileNodes> {
    const held = this.#cache.upper(level, index)
    const [data, known] = await Promise.all([
      this.#fetch(level, index, TILE_WIDTH),
      held === undefined ? this.#hashOfTile(level, index) : undefined,
    ])
    // What was verified once is what it is held against.
    const nodes = held === undefined ? TileNodes.of(data) : TileNodes.below(held, data)
    if (known !== undefined && !equal(nodes.hash(TILE_HEIGHT, 0), known)) {
      throw new TlogError('bad-tile', `tile ${level}/${index} is not the tree's`)
    }
    this.#cache.set(level, index, nodes)
    return nodes
  }

  /** The whole tile where its middle is not known. */
  async #loadGroup(tile: number, group: number): Promise<TileNodes> {
    const isKnown = this.#cache.upper(0, tile) !== undefined
    const [{ hashes, middle }, known] = await Promise.all([
      this.#source.group!(tile, group),
      isKnown ? undefined : this.#hashOfTile(0, tile),
    ])
    // Meanwhile others may have given it other groups.
    const held = this.#cache.upper(0, tile)
    const nodes =
      this.#cache.get(0, tile) ??
      (held === undefined ? nodesBelow(middle, known) : TileNodes.below(held))
    if (nodes === undefined) return this.#loadTile(0, tile)
    if (hashes.length !== GROUP_BYTES) {
      throw new TlogError('bad-tile', `group ${group} of tile 0/${tile} has ${hashes.length} bytes`)
    }
    nodes.give(group, hashes)
    this.#cache.set(0, tile, nodes)
    return nodes
  }

  /** What the tree says that a full tile comes to, where the tree is known. */
  #hashOfTile(level: number, index: number): Promise<Hash> | undefined {
    return this.#expected && this.hash(TILE_HEIGHT * (level + 1), index)
  }

  #loadEdge(): Promise<Edge> {
    this.#edgePending ??= this.#readEdge().finally(() => (this.#edgePending = undefined))
    return this.#edgePending
  }

  async #readEdge(): Promise<Edge> {
    if (this.#edge !== undefined) return this.#edge
    const partial = edgeTiles(this.size)
    const data = await Promise.all(partial.map((id) => this.#fetch(id.level, id.index, id.width)))
    const nodes = data.map((hashes) => TileNodes.of(hashes))
    const peaks = nodes.toReversed().flatMap((tile) => tile.peaks)
    const from = new Map<number, Hash>()
    let joined: Hash | undefined
    for (const { level, index } of peakNodes(this.size).reverse()) {
      const peak = peaks.pop()!
      joined = joined === undefined ? peak : nodeHash(peak, joined)
      from.set(index * 2 ** level, joined)
    }
    if (this.#expected !== undefined && !equal(joined ?? EMPTY_ROOT, this.#expected)) {
      throw new TlogError('bad-tile', `the right edge is not that of the tree of ${this.size}`)
    }
    this.#edge = { tiles: new Map(partial.map(({ level }, i) => [level, nodes[i]!])), from }
    return this.#edge
  }

  /** A copy, since what was verified must not change with a buffer that the source uses again. */
  async #fetch(level: number, index: number, width: number): Promise<Uint8Array> {
    const data = await this.#source.tile(level, index, width)
    if (data.length !== width * HASH_SIZE) {
      throw new TlogError('bad-tile', `tile ${level}/${index} has ${data.length} bytes`)
    }
    return new Uint8Array(data)
  }
}

function fullTiles(size: number): number[] {
  const counts: number[] = []
  let count = size
  while ((count = Math.floor(count / TILE_WIDTH)) > 0) counts.push(count)
  return counts
}

/** A tile by the middle that was stored beside it, if that leads to the tile's hash. */
function nodesBelow(
  middle: Uint8Array | undefined,
  known: Hash | undefined,
): TileNodes | undefined {
  if (middle?.length !== MIDDLE_BYTES || known === undefined) return undefined
  const nodes = TileNodes.below(subtreeOf(middle))
  return equal(nodes.hash(TILE_HEIGHT, 0), known) ? nodes : undefined
}

/** Where a complete node lies: in which tile, how high inside it, and where at that height. */
interface Place {
  readonly level: number
  readonly tile: number
  readonly height: number
  readonly position: number
}

function placeOf(level: number, index: number): Place {
  const height = level % TILE_HEIGHT
  const nodes = 2 ** (TILE_HEIGHT - height)
  return {
    level: (level - height) / TILE_HEIGHT,
    tile: Math.floor(index / nodes),
    height,
    position: index % nodes,
  }
}

/**
 * A source whose tiles are those of the tree of `size` leaves with that root, or an error: every tile is verified before
 * it is handed on. It answers the tiles of that tree, and prefixes of them (older partial tiles).
 */
export function authenticated(
  source: TileSource,
  size: number,
  root: Hash,
  cache: TileCache = new TileCache(),
): TileSource {
  return new TreeReader(source, size, { root, cache })
}
