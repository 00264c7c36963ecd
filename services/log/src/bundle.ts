/** Entries out of the log's own tables, each one that of a tree: damage is found before anything is made of it. */
import { equal } from '@dslog/tlog/bytes'
import { leafHash } from '@dslog/tlog/hash'
import type { TreeReader } from '@dslog/tlog/reader'
import { decodeBundle, TILE_WIDTH, tileHash, tileWidth } from '@dslog/tlog/tile'
import { LogError } from './error.ts'
import type { TreeStore } from './store.ts'

/** A bundle whose entries are those of a tree. */
export interface CheckedBundle {
  /** As served. */
  readonly data: Uint8Array
  readonly entries: readonly Uint8Array[]
}

/**
 * Reads a bundle as far as a tree reaches, and compares each entry with its leaf.
 *
 * @throws LogError `corrupt`; TlogError if it is no bundle
 */
export async function checkedBundle(
  store: Pick<TreeStore, 'bundle'>,
  tree: TreeReader,
  index: number,
): Promise<CheckedBundle> {
  const width = tileWidth(tree.size, 0, index)
  const data = await store.bundle(index, width)
  const entries = decodeBundle(data, width)
  const tile = await tree.tile(0, index, width)
  const wrong = entries.findIndex((entry, i) => !equal(leafHash(entry), tileHash(tile, i)))
  if (wrong === -1) return { data, entries }
  throw new LogError('corrupt', `entry ${index * TILE_WIDTH + wrong} is not that of the tree`)
}
