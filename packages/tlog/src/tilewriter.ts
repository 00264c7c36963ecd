/**
 * Writes a growing tree as tiles (C2SP tlog-tiles): the fast path of sequencing. It holds the right edge of the tree, one
 * tile being filled at each level, and hashes every leaf and every node once, straight into its tile.
 *
 * Storing the tiles, and entry bundles, is left to the caller; so is the order of effects.
 */
import { equal } from './bytes.ts'
import { TlogError } from './error.ts'
import { HASH_SIZE, leafHashInto, type Hash } from './hash.ts'
import { edgeTiles, innerNodes, MIDDLE_HEIGHT, TILE_WIDTH, tilePeaks, type Tile } from './tile.ts'
import { assertSize, rangeRoot } from './tree.ts'

/** The tile being filled at one level. */
interface Open {
  index: number
  width: number
  /** Width when it was last handed out by `take`. */
  taken: number
  data: Uint8Array
}

/**
 * A tree that is appended to and leaves tiles behind:
 *
 *   const writer = TileWriter.from(size, edge, root)      // edge: the stored tiles named by edgeTiles(size)
 *   for (const entry of batch) writer.appendEntry(entry)
 *   store(writer.take(), writer.size, writer.root())
 */
export class TileWriter {
  #size = 0
  #open: Open[] = []
  #full: Tile[] = []

  /**
   * Continues a stored tree from its partial tiles, those that `edgeTiles(size)` names, in that order. If they are not,
   * or do not lead to `root`, it is TlogError `bad-tile`.
   */
  static from(size: number, edge: readonly Tile[], root: Hash): TileWriter {
    const writer = new TileWriter()
    const wanted = edgeTiles(size)
    wanted.forEach(({ level, index, width }, i) => {
      const tile = edge[i]
      if (tile?.level !== level || tile.index !== index || tile.data.length !== width * HASH_SIZE) {
        throw new TlogError('bad-tile', `tile ${level}/${index} of width ${width} is missing`)
      }
      const open = writer.#at(level)
      open.data.set(tile.data)
      open.width = width
      open.taken = width
    })
    for (const [level, open] of writer.#open.entries()) {
      open.index = Math.floor(size / TILE_WIDTH ** (level + 1))
    }
    writer.#size = size
    if (edge.length !== wanted.length || !equal(writer.root(), root)) {
      throw new TlogError('bad-tile', `the tiles at the edge are not those of the tree of ${size}`)
    }
    return writer
  }

  /** Leaves so far. */
  get size(): number {
    return this.#size
  }

  /** Appends the leaf that holds `entry`. */
  appendEntry(entry: Uint8Array): void {
    const open = this.#at(0)
    leafHashInto(entry, open.data, open.width * HASH_SIZE)
    this.#grow(open, 1)
  }

  /** Appends leaves by their hashes, one after the other. */
  append(leaves: Uint8Array): void {
    if (leaves.length % HASH_SIZE !== 0) throw new RangeError(`hashes of ${leaves.length} bytes`)
    for (let at = 0; at < leaves.length;) {
      const open = this.#at(0)
      const room = (TILE_WIDTH - open.width) * HASH_SIZE
      const some = leaves.subarray(at, at + room)
      open.data.set(some, open.width * HASH_SIZE)
      this.#grow(open, some.length / HASH_SIZE)
      at += some.length
    }
  }

  /** Root of the tree so far. */
  root(): Hash {
    const levels = this.#open.map((open) => tilePeaks(innerNodes(filled(open))))
    return rangeRoot(levels.reverse().flat())
  }

  /**
   * The tiles that are new since the last call, as `tilesBetween` names them but in no order that matters: all that were
   * filled, with their middles, and the partial ones that changed. Their bytes are the caller's.
   */
  take(): Tile[] {
    const tiles = this.#full
    this.#full = []
    for (const [level, open] of this.#open.entries()) {
      if (open.width === open.taken) continue
      open.taken = open.width
      tiles.push({ level, index: open.index, data: filled(open).slice() })
    }
    return tiles
  }

  /** A writer of its own with the same tree: what is appended to one does not show in the other. */
  fork(): TileWriter {
    const fork = new TileWriter()
    fork.#size = this.#size
    fork.#open = this.#open.map((open) => ({ ...open, data: open.data.slice() }))
    fork.#full = [...this.#full]
    return fork
  }

  #grow(open: Open, leaves: number): void {
    assertSize(this.#size + leaves)
    this.#size += leaves
    open.width += leaves
    if (open.width === TILE_WIDTH) this.#fill(0)
  }

  /** Closes the full tile of a level: its root becomes the next hash of the level above. */
  #fill(level: number): void {
    const { index, data } = this.#open[level]!
    const nodes = innerNodes(data)
    this.#full.push({ level, index, data, middle: nodes[MIDDLE_HEIGHT]! })
    this.#open[level] = opened(index + 1)
    const above = this.#at(level + 1)
    above.data.set(nodes.at(-1)!, above.width * HASH_SIZE)
    above.width++
    if (above.width === TILE_WIDTH) this.#fill(level + 1)
  }

  #at(level: number): Open {
    while (this.#open.length <= level) this.#open.push(opened(0))
    return this.#open[level]!
  }
}

function opened(index: number): Open {
  return { index, width: 0, taken: 0, data: new Uint8Array(TILE_WIDTH * HASH_SIZE) }
}

function filled({ data, width }: Open): Uint8Array {
  return data.subarray(0, width * HASH_SIZE)
}
