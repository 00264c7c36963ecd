/**
 * Full tiles that were verified, with their inner nodes, in memory. Of many more tiles than are kept, the upper
 * nodes are (tilenodes.ts): proofs at random over a large tree hash the part of a tile that they need.
 */
import { Generations } from './generations.ts'
import { TILE_HEIGHT } from './tile.ts'
import type { TileNodes } from './tilenodes.ts'

/**
 * Full tiles kept by a cache, unless told otherwise: 16 KiB each with their inner nodes, so 64 MiB. Those above level 0
 * of a tree of 200 million leaves are 3,062.
 */
const CACHED_TILES = 4096

/** Tiles whose upper nodes are kept, for each tile that is: 992 bytes each, so 62 MiB for 16.8 million leaves. */
const UPPERS_PER_TILE = 16

/**
 * Full tiles, which never change: readers of different sizes of one append-only tree may share a cache. They must be
 * consistent, for what one has verified the others take from here unseen.
 */
export class TileCache {
  readonly #kept: Generations<number, TileNodes>
  readonly #uppers: Generations<number, Uint8Array>

  /** Keeps at most `limit` tiles, and always the `limit / 2` used last; of sixteen times as many, their upper nodes. */
  constructor(limit: number = CACHED_TILES) {
    this.#kept = new Generations(limit)
    this.#uppers = new Generations(limit * UPPERS_PER_TILE)
  }

  get(level: number, index: number): TileNodes | undefined {
    return this.#kept.get(tileKey(level, index))
  }

  /** What a tile that may be here no longer has from its middle up. */
  upper(level: number, index: number): Uint8Array | undefined {
    return this.#uppers.get(tileKey(level, index))
  }

  set(level: number, index: number, nodes: TileNodes): void {
    this.#kept.set(tileKey(level, index), nodes)
    this.#uppers.set(tileKey(level, index), nodes.upper)
  }

  /** Forgets a tile that is not what its upper nodes say. */
  delete(level: number, index: number): void {
    this.#kept.delete(tileKey(level, index))
  }
}

/** A full tile as a key. Levels are 0 to 6 and indices below 2^45, so it is a safe integer. */
export function tileKey(level: number, index: number): number {
  return index * TILE_HEIGHT + level
}
