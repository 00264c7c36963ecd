/**
 * A tile and the nodes inside it, hashed as far as they are asked for.
 *
 *   height 8      1 node     the tile's own, which its parent tile has
 *   height 4     16 nodes    the middle
 *   height 0    256 hashes   the tile: 16 groups, one below each node of the middle
 *
 * A whole tile is 255 hashes, and a proof takes eight of them. So of a tile that has been hashed once the middle is worth
 * keeping, a sixteenth of its bytes, in memory or beside the tile: with it, whoever reads the tile again hashes only the
 * groups that are asked for, and needs no others. Each is held against the middle before anything of it is used.
 */
import { concat, equal } from './bytes.ts'
import { TlogError } from './error.ts'
import { HASH_SIZE, type Hash } from './hash.ts'
import { innerNodes, MIDDLE_HEIGHT, TILE_HEIGHT, tileHash, tilePeaks } from './tile.ts'

/** Groups of a full tile. */
const GROUPS = 2 ** (TILE_HEIGHT - MIDDLE_HEIGHT)
/** Bytes of a group. */
export const GROUP_BYTES: number = 2 ** MIDDLE_HEIGHT * HASH_SIZE

/** The group that a node below the middle is in, or the first one below a node of the middle or above. */
export function groupOf(height: number, position: number): number {
  return Math.floor(position * 2 ** (height - MIDDLE_HEIGHT))
}

/** See the head of this file. Hashes it answers are views of it: not to be changed. */
export class TileNodes {
  /** By height, as `innerNodes` has them; none below the middle where there are groups instead. */
  readonly #levels: readonly (Uint8Array | undefined)[]
  /** Of each group that is known its nodes, likewise. */
  readonly #groups: (readonly Uint8Array[] | undefined)[] = []
  /** Groups that are at hand and have not been hashed: the tile. */
  readonly #data: Uint8Array | undefined

  private constructor(levels: readonly (Uint8Array | undefined)[], data?: Uint8Array) {
    this.#levels = levels
    this.#data = data
  }

  /** Of a tile that nothing is known of, also of a partial one: all of it is hashed. Keeps `data`. */
  static of(data: Uint8Array): TileNodes {
    return new TileNodes(innerNodes(data))
  }

  /** Of a full tile whose middle is known. Keeps both; without `data` it has the groups that it is given. */
  static below(middle: Uint8Array, data?: Uint8Array): TileNodes {
    const below = Array.from({ length: MIDDLE_HEIGHT }, () => undefined)
    return new TileNodes([...below, ...innerNodes(middle)], data)
  }

  /** The middle of a full tile. */
  get middle(): Uint8Array {
    return this.#levels[MIDDLE_HEIGHT]!
  }

  /** The tile; `undefined` while groups are missing. @throws TlogError `bad-tile` */
  get data(): Uint8Array | undefined {
    if (this.#levels[0] !== undefined) return this.#levels[0]
    const groups: Uint8Array[] = []
    for (let group = 0; group < GROUPS; group++) {
      if (!this.has(0, group * 2 ** MIDDLE_HEIGHT)) return undefined
      groups.push(this.#group(group)[0]!)
    }
    return concat(...groups)
  }

  /** Of a tile that was hashed as a whole: the largest complete subtrees, from the left. */
  get peaks(): Hash[] {
    return tilePeaks(this.#levels as readonly Uint8Array[])
  }

  /** Whether the node is there. */
  has(height: number, position: number): boolean {
    if (this.#levels[height] !== undefined || this.#data !== undefined) return true
    return this.#groups[groupOf(height, position)] !== undefined
  }

  /** Adds a group, and keeps it. @throws TlogError `bad-tile` if it is not what the middle says */
  give(group: number, hashes: Uint8Array): void {
    const nodes = innerNodes(hashes)
    if (!equal(nodes[MIDDLE_HEIGHT]!, tileHash(this.middle, group))) {
      throw new TlogError('bad-tile', `the hashes of group ${group} are not the tile's`)
    }
    this.#groups[group] = nodes
  }

  /** A node that is there. @throws TlogError `bad-tile` if its group is not what the middle says */
  hash(height: number, position: number): Hash {
    const level = this.#levels[height]
    if (level !== undefined) return tileHash(level, position)
    const nodes = this.#group(groupOf(height, position))[height]!
    return tileHash(nodes, position % 2 ** (MIDDLE_HEIGHT - height))
  }

  #group(group: number): readonly Uint8Array[] {
    if (this.#groups[group] === undefined) {
      const start = group * GROUP_BYTES
      this.give(group, this.#data!.subarray(start, start + GROUP_BYTES))
    }
    return this.#groups[group]!
  }
}
