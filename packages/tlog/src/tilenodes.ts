/**
 * A tile and the nodes inside it, hashed as far as they are asked for.
 *
 *   height 8      1 node     the tile's own, which its parent tile has
 *   height 4     16 nodes    the middle
 *   height 0    256 hashes   the tile: 16 groups, one below each node of the middle
 *
 * A whole tile is 255 hashes, and a proof takes eight of them. So of a tile that has been hashed once the middle is worth
 * keeping, a sixteenth of its bytes, in memory or beside the tile: with it, whoever reads the tile again hashes only the groups that are asked for,
 * and each is held against the middle before anything of it is used.
 */
import { equal } from './bytes.ts'
import { TlogError } from './error.ts'
import { HASH_SIZE, type Hash } from './hash.ts'
import { innerNodes, MIDDLE_HEIGHT, tileHash } from './tile.ts'

/** Bytes of the tile below each node of the middle. */
const GROUP_BYTES = 2 ** MIDDLE_HEIGHT * HASH_SIZE
/** A bit for each group of a full tile. */
const ALL_GROUPS = 0xffff

/** See the head of this file. Hashes it answers are views of it: not to be changed. */
export class TileNodes {
  /** As `innerNodes` has them; below the middle only those of groups that are not open. */
  readonly #levels: readonly Uint8Array[]
  /** A bit for each group that has not been hashed. */
  #open: number

  private constructor(levels: readonly Uint8Array[], open: number) {
    this.#levels = levels
    this.#open = open
  }

  /** Of a tile that nothing is known of, also of a partial one: all of it is hashed. Keeps `data`. */
  static of(data: Uint8Array): TileNodes {
    return new TileNodes(innerNodes(data), 0)
  }

  /** Of a full tile whose middle is known. Keeps both. */
  static below(middle: Uint8Array, data: Uint8Array): TileNodes {
    const levels = [data]
    for (let h = 1; h < MIDDLE_HEIGHT; h++) levels.push(new Uint8Array(data.length / 2 ** h))
    return new TileNodes([...levels, ...innerNodes(middle)], ALL_GROUPS)
  }

  /** The middle of a full tile. */
  get middle(): Uint8Array {
    return this.#levels[MIDDLE_HEIGHT]!
  }

  /** The complete nodes by their height, lowest first. @throws TlogError `bad-tile` */
  get levels(): readonly Uint8Array[] {
    for (let group = 0; this.#open !== 0; group++) this.#hashGroup(group)
    return this.#levels
  }

  /** The node at a height and place. @throws TlogError `bad-tile` if its group is not what the middle says */
  hash(height: number, position: number): Hash {
    if (this.#open !== 0 && height < MIDDLE_HEIGHT) {
      this.#hashGroup(Math.floor(position / 2 ** (MIDDLE_HEIGHT - height)))
    }
    return tileHash(this.#levels[height]!, position)
  }

  #hashGroup(group: number): void {
    const bit = 1 << group
    if ((this.#open & bit) === 0) return
    const start = group * GROUP_BYTES
    const nodes = innerNodes(this.#levels[0]!.subarray(start, start + GROUP_BYTES))
    if (!equal(nodes[MIDDLE_HEIGHT]!, tileHash(this.middle, group))) {
      throw new TlogError('bad-tile', `the hashes of group ${group} are not the tile's`)
    }
    for (let h = 1; h < MIDDLE_HEIGHT; h++) this.#levels[h]!.set(nodes[h]!, start / 2 ** h)
    this.#open &= ~bit
  }
}
