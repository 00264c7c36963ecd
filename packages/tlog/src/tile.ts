/**
 * Tiles: the tree and the entries of a log cut into files that never change (C2SP tlog-tiles).
 *
 *   tile/<L>/<N>            256 hashes, 8192 bytes: hash i is the node (8·L, 256·N + i)
 *   tile/<L>/<N>.p/<W>      the same while the tile is being filled, W of 1..255 hashes
 *   tile/entries/<N>[.p/<W>]   the entries below tile 0/N, each u16be length ‖ entry
 *
 * N is written in groups of three digits, all but the last with an x in front: 1234067 is x001/x234/067. A tree of 70,000
 * leaves has 273 full tiles and one of 112 at level 0, one full and one of 17 at level 1, one of 1 at level 2.
 *
 * Writing a growing tree as tiles is tilewriter.ts, reading one reader.ts.
 */
import { ByteReader } from './binary.ts'
import { TlogError } from './error.ts'
import { HASH_SIZE, nodeHashInto, type Hash } from './hash.ts'
import { assertSize } from './tree.ts'

/** Levels of the tree in one level of tiles. */
export const TILE_HEIGHT = 8

/** Hashes of a full tile, entries of a full bundle. */
export const TILE_WIDTH = 256

/** Highest tile level a path may name (tlog-tiles); trees of up to 2^53-1 leaves have levels 0 to 6. */
export const MAX_TILE_LEVEL = 63

/** Largest entry of a bundle: its length is a u16. */
export const MAX_ENTRY_SIZE = 0xffff

/** Names a tile: `width` is 256, or 1 to 255 for a partial one. */
export interface TileId {
  readonly level: number
  readonly index: number
  readonly width: number
}

/** Names an entry bundle. */
export interface BundleId {
  readonly index: number
  readonly width: number
}

/** A tile with its hashes, 32 bytes each; its width is their number. */
export interface Tile {
  readonly level: number
  readonly index: number
  readonly data: Uint8Array
  /** Of a full tile, its nodes half way up (tilenodes.ts), where they are known. */
  readonly middle?: Uint8Array | undefined
}

/** Height of the middle of a tile. */
export const MIDDLE_HEIGHT = 4

/** What a path below the log's prefix names. */
export type TilePath =
  ({ readonly kind: 'tile' } & TileId) | ({ readonly kind: 'entries' } & BundleId)

/** Path of a tile, relative to the log's prefix. */
export function tilePath({ level, index, width }: TileId): string {
  if (!Number.isInteger(level) || level < 0 || level > MAX_TILE_LEVEL) {
    throw new RangeError(`not a tile level: ${level}`)
  }
  return `tile/${level}/${pathEnd(index, width)}`
}

/** Path of an entry bundle, relative to the log's prefix. */
export function bundlePath({ index, width }: BundleId): string {
  return `tile/entries/${pathEnd(index, width)}`
}

function pathEnd(index: number, width: number): string {
  assertSize(index)
  if (!Number.isInteger(width) || width < 1 || width > TILE_WIDTH) {
    throw new RangeError(`not a tile width: ${width}`)
  }
  let text = groupOf(index)
  for (let rest = Math.floor(index / 1000); rest > 0; rest = Math.floor(rest / 1000)) {
    text = `x${groupOf(rest)}/${text}`
  }
  return width === TILE_WIDTH ? text : `${text}.p/${width}`
}

function groupOf(n: number): string {
  return String(n % 1000).padStart(3, '0')
}

const TILE_PATH = /^tile\/(entries|\d+)\/((?:x\d{3}\/)*\d{3})(?:\.p\/(\d+))?$/

/**
 * Reads the path of a tile or bundle, the exact inverse of `tilePath` and `bundlePath`: every tile has one path, so
 * anything else, and an index above 2^53-1, is TlogError `bad-path`.
 */
export function parseTilePath(path: string): TilePath {
  const match = TILE_PATH.exec(path)
  if (match === null) throw new TlogError('bad-path', 'not a tile path')
  const index = Number(match[2]!.replaceAll(/[x/]/g, ''))
  const width = match[3] === undefined ? TILE_WIDTH : Number(match[3])
  const level = match[1] === 'entries' ? undefined : Number(match[1])
  if (
    !Number.isSafeInteger(index) ||
    width < 1 ||
    width > TILE_WIDTH ||
    (level !== undefined && level > MAX_TILE_LEVEL)
  ) {
    throw new TlogError('bad-path', 'tile path out of range')
  }
  const parsed: TilePath =
    level === undefined ? { kind: 'entries', index, width } : { kind: 'tile', level, index, width }
  const again = parsed.kind === 'entries' ? bundlePath(parsed) : tilePath(parsed)
  if (again !== path) throw new TlogError('bad-path', 'not the one spelling of a tile path')
  return parsed
}

/** Hashes a tree of `size` leaves has at a tile level. */
function countAt(size: number, level: number): number {
  return Math.floor(size / TILE_WIDTH ** level)
}

/** Width of a tile in the tree of `size` leaves: 0 if it is not there. A bundle is as wide as its tile of level 0. */
export function tileWidth(size: number, level: number, index: number): number {
  assertSize(size)
  return Math.max(0, Math.min(TILE_WIDTH, countAt(size, level) - index * TILE_WIDTH))
}

/** The partial tiles of a tree of `size` leaves: with them it can be continued, and they fix its root. */
export function edgeTiles(size: number): TileId[] {
  assertSize(size)
  const tiles: TileId[] = []
  for (let level = 0; countAt(size, level) > 0; level++) {
    const count = countAt(size, level)
    const width = count % TILE_WIDTH
    if (width > 0) tiles.push({ level, index: Math.floor(count / TILE_WIDTH), width })
  }
  return tiles
}

/**
 * The tiles that the tree of `newSize` leaves has and the one of `oldSize` had not, level by level from left to right:
 * the full ones, and the partial ones of `newSize` only. Those of level 0 are the new bundles too.
 */
export function* tilesBetween(oldSize: number, newSize: number): Generator<TileId> {
  assertSize(oldSize)
  assertSize(newSize)
  if (oldSize > newSize) throw new RangeError(`tiles from ${oldSize} back to ${newSize}`)
  for (let level = 0; countAt(oldSize, level) < countAt(newSize, level); level++) {
    const count = countAt(newSize, level)
    const first = Math.floor(countAt(oldSize, level) / TILE_WIDTH)
    const full = Math.floor(count / TILE_WIDTH)
    for (let index = first; index < full; index++) yield { level, index, width: TILE_WIDTH }
    if (count % TILE_WIDTH > 0) yield { level, index: full, width: count % TILE_WIDTH }
  }
}

/** Hash `i` of a tile, a view of its bytes. */
export function tileHash(data: Uint8Array, i: number): Hash {
  return data.subarray(i * HASH_SIZE, (i + 1) * HASH_SIZE) as Hash
}

/**
 * The complete nodes inside a tile: element h holds, 32 bytes each, those h levels above the tile's own hashes, which are
 * element 0. A tile of W hashes has floor(W / 2^h) of them; only a full one has a node at h = 8.
 */
export function innerNodes(data: Uint8Array): Uint8Array[] {
  const levels = [data]
  for (let count = data.length / HASH_SIZE; count >= 2;) {
    const below = levels.at(-1)!
    count = Math.floor(count / 2)
    const level = new Uint8Array(count * HASH_SIZE)
    for (let at = 0; at < level.length; at += HASH_SIZE) nodeHashInto(below, 2 * at, level, at)
    levels.push(level)
  }
  return levels
}

/** The peaks inside a partial tile, largest first, from its `innerNodes`: one for each bit of its width. */
export function tilePeaks(levels: readonly Uint8Array[]): Hash[] {
  const peaks: Hash[] = []
  for (let h = levels.length - 1; h >= 0; h--) {
    const count = levels[h]!.length / HASH_SIZE
    if (count % 2 === 1) peaks.push(tileHash(levels[h]!, count - 1))
  }
  return peaks
}

/** Bytes that an entry takes in its bundle. */
export function bundledSize(entry: Uint8Array): number {
  return 2 + entry.length
}

/** The bytes of an entry bundle: 1 to 256 entries of at most 65,535 bytes, each behind its u16 length. */
export function encodeBundle(entries: readonly Uint8Array[]): Uint8Array {
  if (entries.length < 1 || entries.length > TILE_WIDTH) {
    throw new RangeError(`a bundle of ${entries.length} entries`)
  }
  let length = 0
  for (const entry of entries) {
    if (entry.length > MAX_ENTRY_SIZE) throw new RangeError(`an entry of ${entry.length} bytes`)
    length += bundledSize(entry)
  }
  const bundle = new Uint8Array(length)
  let at = 0
  for (const entry of entries) {
    bundle[at] = Math.floor(entry.length / 0x100)
    bundle[at + 1] = entry.length % 0x100
    bundle.set(entry, at + 2)
    at += bundledSize(entry)
  }
  return bundle
}

/**
 * The entries of a bundle, as views of it. Anything but `width` whole entries (or, where no width is given, 1 to 256) is
 * TlogError `bad-bundle`. That they are the log's entries is for the caller to check, by their hashes.
 */
export function decodeBundle(bytes: Uint8Array, width?: number): Uint8Array[] {
  const reader = new ByteReader(bytes)
  const entries: Uint8Array[] = []
  while (reader.remaining > 0) {
    if (entries.length === (width ?? TILE_WIDTH)) throw badBundle('more entries than wanted')
    entries.push(nextEntry(reader))
  }
  if (entries.length < (width ?? 1)) throw badBundle(`only ${entries.length} entries`)
  return entries
}

/** Entry `i` of a bundle, a view of it; what is behind it is not looked at. TlogError `bad-bundle` if it has fewer. */
export function bundleEntry(bytes: Uint8Array, i: number): Uint8Array {
  const start = bundlePrefix(bytes, i)
  return nextEntry(new ByteReader(bytes.subarray(start)))
}

/** Length in bytes of the first `n` entries of a bundle, TlogError `bad-bundle` if it has fewer. */
export function bundlePrefix(bytes: Uint8Array, n: number): number {
  const reader = new ByteReader(bytes)
  return whole(() => {
    for (let i = 0; i < n; i++) reader.skip(reader.u16())
    return reader.pos
  })
}

function nextEntry(reader: ByteReader): Uint8Array {
  return whole(() => reader.bytes(reader.u16()))
}

function whole<T>(read: () => T): T {
  try {
    return read()
  } catch (cause) {
    throw new TlogError('bad-bundle', 'bundle ends within an entry', { cause })
  }
}

function badBundle(message: string): TlogError {
  return new TlogError('bad-bundle', message)
}
