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
import { HASH_SIZE, nodeHashInto, type Hash } from './hash.ts'
import { innerNodes, MIDDLE_HEIGHT, tileHash, tilePeaks } from './tile.ts'

/** Hashes of a group, groups of a tile, and nodes of the middle. */
const GROUP = 2 ** MIDDLE_HEIGHT
/** Bytes of a group. */
export const GROUP_BYTES: number = GROUP * HASH_SIZE

/** The group that a node below the middle is in, or the first one below a node of the middle or above. */
export function groupOf(height: number, position: number): number {
  return Math.floor(position * 2 ** (height - MIDDLE_HEIGHT))
}

/**
 * Sixteen hashes and the nodes above them, height by height: of a group, or of a middle, whose are the upper nodes of its tile.
 * In one array, for of tiles read at random nearly all that they cost is what they leave behind.
 */
export function subtreeOf(hashes: Uint8Array): Uint8Array {
  const nodes = new Uint8Array((2 * GROUP - 1) * HASH_SIZE)
  nodes.set(hashes)
  for (let from = 0, to = GROUP; to < 2 * GROUP - 1; from += 2, to++) {
    nodeHashInto(nodes, from * HASH_SIZE, nodes, to * HASH_SIZE)
  }
  return nodes
}

/** A node of that. */
function nodeOf(subtree: Uint8Array, height: number, position: number): Hash {
  return tileHash(subtree, 2 * GROUP - 2 ** (MIDDLE_HEIGHT + 1 - height) + position)
}

const NONE = new Uint8Array(0)

/** See the head of this file. Hashes it answers are views of it: not to be changed. */
export class TileNodes {
  /** All nodes of a tile that was hashed as a whole, as `innerNodes` has them. */
  readonly #levels: readonly Uint8Array[] | undefined
  /** Of another one the middle and above, and those groups that are known. */
  readonly #upper: Uint8Array
  readonly #groups: (Uint8Array | undefined)[] = []
  /** Groups that are at hand and have not been hashed: the tile. */
  readonly #data: Uint8Array | undefined

  private constructor(
    levels: readonly Uint8Array[] | undefined,
    upper: Uint8Array,
    data: Uint8Array | undefined,
  ) {
    this.#levels = levels
    this.#upper = upper
    this.#data = data
  }

  /** Of a tile that nothing is known of, also of a partial one: all of it is hashed. Keeps `data`. */
  static of(data: Uint8Array): TileNodes {
    return new TileNodes(innerNodes(data), NONE, undefined)
  }

  /** Of a full tile whose upper nodes are known. Keeps `data`; without it, it has the groups that it is given. */
  static below(upper: Uint8Array, data?: Uint8Array): TileNodes {
    return new TileNodes(undefined, upper, data)
  }

  /** The middle of a full tile. */
  get middle(): Uint8Array {
    return this.#levels?.[MIDDLE_HEIGHT] ?? this.#upper.subarray(0, GROUP_BYTES)
  }

  /** The middle of a full tile and the nodes above it. */
  get upper(): Uint8Array {
    return this.#levels === undefined ? this.#upper : concat(...this.#levels.slice(MIDDLE_HEIGHT))
  }

  /** The tile; `undefined` while groups are missing. @throws TlogError `bad-tile` */
  get data(): Uint8Array | undefined {
    if (this.#levels !== undefined) return this.#levels[0]
    const groups: Uint8Array[] = []
    for (let group = 0; group < GROUP; group++) {
      if (!this.has(0, group * GROUP)) return undefined
      groups.push(this.#group(group).subarray(0, GROUP_BYTES))
    }
    return concat(...groups)
  }

  /** Of a tile that was hashed as a whole: the largest complete subtrees, from the left. */
  get peaks(): Hash[] {
    return tilePeaks(this.#levels!)
  }

  /** Whether the node is there. */
  has(height: number, position: number): boolean {
    if (this.#levels !== undefined || height >= MIDDLE_HEIGHT) return true
    return this.#data !== undefined || this.#groups[groupOf(height, position)] !== undefined
  }

  /** Adds a group. @throws TlogError `bad-tile` if it is not what the middle says */
  give(group: number, hashes: Uint8Array): void {
    const nodes = subtreeOf(hashes)
    if (!equal(nodeOf(nodes, MIDDLE_HEIGHT, 0), tileHash(this.middle, group))) {
      throw new TlogError('bad-tile', `the hashes of group ${group} are not the tile's`)
    }
    this.#groups[group] = nodes
  }

  /** A node that is there. @throws TlogError `bad-tile` if its group is not what the middle says */
  hash(height: number, position: number): Hash {
    if (this.#levels !== undefined) return tileHash(this.#levels[height]!, position)
    if (height >= MIDDLE_HEIGHT) return nodeOf(this.#upper, height - MIDDLE_HEIGHT, position)
    const group = groupOf(height, position)
    return nodeOf(this.#group(group), height, position - group * 2 ** (MIDDLE_HEIGHT - height))
  }

  #group(group: number): Uint8Array {
    if (this.#groups[group] === undefined) {
      const start = group * GROUP_BYTES
      this.give(group, this.#data!.subarray(start, start + GROUP_BYTES))
    }
    return this.#groups[group]!
  }
}
