/**
 * Brings a place from one tree of a log to a newer one. The order of effects is that of tlog-tiles: hash
 * tiles, then bundles, and the checkpoint last, so whoever reads the place never sees a tree whose
 * files are not there. Every step can be repeated: after a crash the place still shows the older tree,
 * and copying starts from that again.
 *
 * A place that follows the log also gets the partial files of the trees between the two, as far as no
 * full file holds them by now: their checkpoints may be known from elsewhere (tlog-tiles: the partial
 * tiles of every tree with a checkpoint are served). Which trees there were, the entries say: each
 * ends with a MAP_HEAD.
 *
 * Whether the newer tree continues the older one is for the caller to know, before.
 */
import { HASH_SIZE } from '@dslog/tlog/hash'
import {
  bundlePath,
  bundlePrefix,
  decodeBundle,
  edgeTiles,
  TILE_WIDTH,
  type TileId,
  tilePath,
  tilesBetween,
  tileWidth,
} from '@dslog/tlog/tile'
import { claimsMapHead } from '@dslog/schema/entry'
import { testPoint } from '@dslog/service/testpoint'
import type { HeldCheckpoint, PublishTarget } from './target.ts'

/** Files under way at once: enough to hide the latency of an object store. */
const FILES_AHEAD = 16

/** Reads the files of a tree. What comes has been verified against its root. */
export interface TreeFiles {
  tile(id: TileId): Promise<Uint8Array>
  /** Entry bundles, encoded, from this one to the last. */
  bundles(first: number): AsyncIterable<Uint8Array>
}

/** The tree to be shown. */
export interface NewTree {
  readonly size: number
  readonly note: string
  readonly files: TreeFiles
}

/** The tree that is shown. */
export interface OldTree {
  readonly size: number
  readonly held: HeldCheckpoint
}

export interface WriteOptions {
  /** The place follows the log tree by tree: see the head of this file. Partial files that are full now go. */
  readonly follows?: boolean
  /** Told of each tile and bundle that is there now. */
  readonly onFile?: () => void
}

/** Files of the newer tree that the older one had not. */
export interface Written {
  readonly tiles: number
  readonly bundles: number
}

/** How many tiles and bundles that will be. */
export function countFiles(from: number, size: number): number {
  const bundles = from < size ? Math.ceil(size / TILE_WIDTH) - Math.floor(from / TILE_WIDTH) : 0
  return [...tilesBetween(from, size)].length + bundles
}

/** See the head of this file. Rejects with what `files` or the place throw; the place then shows the old tree. */
export async function writeTree(
  target: PublishTarget,
  older: OldTree | undefined,
  { files, note, size }: NewTree,
  { follows = false, onFile = () => {} }: WriteOptions = {},
): Promise<Written> {
  const from = older?.size ?? 0
  const between = follows && from > 0 ? from : size

  let tiles = 0
  await eachOf(tilesBetween(from, size), async (id) => {
    const data = await files.tile(id)
    for (const width of upperWidths(between, id)) {
      await target.put(tilePath({ ...id, width }), data.subarray(0, width * HASH_SIZE))
    }
    await target.put(tilePath(id), data)
    tiles++
    onFile()
  })
  testPoint('publish.tiles')

  let bundles = 0
  const first = Math.floor(from / TILE_WIDTH)
  if (from < size) {
    await eachOf(numbered(files.bundles(first), first), async ({ data, index }) => {
      const width = tileWidth(size, 0, index)
      for (const part of width < TILE_WIDTH ? treesIn(data, index, between) : []) {
        const tile = await files.tile({ level: 0, index, width })
        await target.put(
          tilePath({ level: 0, index, width: part }),
          tile.subarray(0, part * HASH_SIZE),
        )
        const prefix = data.subarray(0, bundlePrefix(data, part))
        await target.put(bundlePath({ index, width: part }), prefix)
      }
      await target.put(bundlePath({ index, width }), data)
      bundles++
      onFile()
    })
  }
  testPoint('publish.bundles')

  // Readers of the older tree find the full files from here on.
  for (const { index, level } of follows ? edgeTiles(from) : []) {
    if (tileWidth(size, level, index) < TILE_WIDTH) continue
    await target.dropPartials(tilePath({ level, index, width: TILE_WIDTH }))
    if (level === 0) await target.dropPartials(bundlePath({ index, width: TILE_WIDTH }))
  }
  testPoint('publish.dropped')

  // All of the tree is there, and durable: now it may be seen.
  await target.show(note, older?.held)
  testPoint('publish.shown')
  return { tiles, bundles }
}

/** Widths of a partial tile above level 0 in trees after that of `from` entries, without the newest. */
function upperWidths(from: number, { index, level, width }: TileId): number[] {
  if (level === 0 || width === TILE_WIDTH) return []
  const held = tileWidth(from, level, index)
  return Array.from({ length: Math.max(0, width - held - 1) }, (_, i) => held + 1 + i)
}

/** Widths of a partial bundle in trees after that of `from` entries, without the newest. */
function treesIn(data: Uint8Array, index: number, from: number): number[] {
  const first = index * TILE_WIDTH
  const entries = decodeBundle(data)
  return entries.flatMap((entry, i) => {
    const width = i + 1
    const newest = width === entries.length
    return claimsMapHead(entry) && first + width > from && !newest ? [width] : []
  })
}

async function* numbered(
  bundles: AsyncIterable<Uint8Array>,
  first: number,
): AsyncGenerator<{ index: number; data: Uint8Array }> {
  let index = first
  for await (const data of bundles) yield { index: index++, data }
}

/** Does something with each item, some at a time; ends with the first failure. */
async function eachOf<T>(
  items: Iterable<T> | AsyncIterable<T>,
  work: (item: T) => Promise<void>,
): Promise<void> {
  let some: Promise<void>[] = []
  for await (const item of items) {
    const done = work(item)
    // Awaited below; one that fails earlier must not count as unhandled.
    done.catch(() => {})
    some.push(done)
    if (some.length < FILES_AHEAD) continue
    await Promise.all(some)
    some = []
  }
  await Promise.all(some)
}
