/**
 * Tiles and bundles as they are served (C2SP tlog-tiles), and kept: each in one piece as far as it had grown when it was read,
 * of which everything narrower is the beginning; full ones, which never change, compressed and tagged once.
 */
import { createHash } from 'node:crypto'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { Generations } from '@dslog/tlog/generations'
import { HASH_SIZE } from '@dslog/tlog/hash'
import { bundlePrefix, TILE_WIDTH, type TileId, tileWidth } from '@dslog/tlog/tile'
import { UnderWay } from '@dslog/tlog/underway'
import type { TreeStore } from './store.ts'

const compress = promisify(gzip)

/** Bytes kept in memory; compressed, full bundles take less beside them. */
const CACHED_BYTES = 64 * 2 ** 20

/** A bundle or tile as it is sent. */
export interface Blob {
  readonly data: Uint8Array
  /** Of full ones, which never change: compressed and hashed once, when they are first sent. */
  gzipped?: Uint8Array
  /** Names the bytes in `data`. */
  tag?: string
}

/** A bundle or tile as far as it had grown when it was read. */
interface Grown extends Blob {
  readonly width: number
}

/** Where they are. */
export interface BlobSource {
  /** Entries that tiles and bundles are served of. */
  readonly readable: number
  readonly store: Pick<TreeStore, 'bundle' | 'tile'>
}

/** See the head of this file. */
export class Blobs {
  readonly #source: BlobSource
  readonly #grown = new Generations<string, Grown>(CACHED_BYTES, ({ data }) => data.length)
  /** On its way to there: after each tree all streams of changes ask for the same bundle. */
  readonly #reading = new UnderWay<string, Grown>()
  readonly #packing = new UnderWay<Blob, void>()

  constructor(source: BlobSource) {
    this.#source = source
  }

  /** A hash tile; `undefined` where the newest signed tree has none of that width. */
  async tile(level: number, index: number, width: number): Promise<Blob | undefined> {
    if (width > tileWidth(this.#source.readable, level, index)) return undefined
    const tile = await this.#read({ level, index, width }, `${level}/${index}`, (newest) =>
      this.#source.store.tile(level, index, newest),
    )
    if (width < tile.width) return { data: tile.data.subarray(0, width * HASH_SIZE) }
    if (width === TILE_WIDTH) tile.tag ??= tagOf(tile.data)
    return tile
  }

  /** An entry bundle, likewise. */
  async bundle(index: number, width: number): Promise<Blob | undefined> {
    if (width > tileWidth(this.#source.readable, 0, index)) return undefined
    const bundle = await this.#bundle(index, width)
    if (width < bundle.width) return { data: prefixOf(bundle, width) }
    if (width === TILE_WIDTH && bundle.gzipped === undefined) {
      await this.#packing.once(bundle, () => pack(bundle))
    }
    return bundle
  }

  /** The bytes of a bundle, to read in: compressing it would take a hundred times as long. */
  async bundleBytes(index: number, width: number): Promise<Uint8Array> {
    return prefixOf(await this.#bundle(index, width), width)
  }

  /** At least so wide. */
  #bundle(index: number, width: number): Promise<Grown> {
    return this.#read({ level: 0, index, width }, `entries/${index}`, (newest) =>
      this.#source.store.bundle(index, newest),
    )
  }

  async #read(
    { index, level, width }: TileId,
    key: string,
    read: (width: number) => Promise<Uint8Array>,
  ): Promise<Grown> {
    const held = this.#grown.get(key)
    if (held !== undefined && held.width >= width) return held
    const newest = tileWidth(this.#source.readable, level, index)
    return this.#reading.once(`${key} ${newest}`, async () => {
      const grown = { data: await read(newest), width: newest }
      this.#grown.delete(key)
      this.#grown.set(key, grown)
      return grown
    })
  }
}

function prefixOf({ data }: Blob, width: number): Uint8Array {
  return data.subarray(0, bundlePrefix(data, width))
}

async function pack(bundle: Blob): Promise<void> {
  bundle.tag = tagOf(bundle.data)
  bundle.gzipped = await compress(bundle.data)
}

function tagOf(data: Uint8Array): string {
  return createHash('sha256').update(data).digest('base64url')
}
