/**
 * A step of the log: entries that have been decided upon, and where the log stands with them. Only
 * arithmetic; storing a step, and what happens then, is told in log.ts.
 */
import { HASH_SIZE, leafHashInto } from '@dslog/tlog/hash'
import type { UpperTree } from '@dslog/tlog/maptree'
import { bundledSize, type Tile, TILE_WIDTH, tileHash } from '@dslog/tlog/tile'
import type { TileWriter } from '@dslog/tlog/tilewriter'
import type { Name } from '@dslog/dnssec/name'
import type { Entry } from '@dslog/schema/entry'
import type { Fold, FoldHead } from '@dslog/verify/fold'
import type { FoldChanges } from '@dslog/verify/foldstore'
import { type Commit, continueBundles, leafPrefix, type LeafRow, type TreeRow } from './store.ts'

/** Where a log stands: everything that the next step begins with. */
export interface Position {
  readonly tree: TreeRow
  readonly writer: TileWriter
  /** Entries of the partial bundle at the end. */
  readonly lastBundle: readonly Uint8Array[]
  readonly head: FoldHead
  /** The name map, as of the newest MAP_HEAD. */
  readonly upper: UpperTree
}

/** An entry on its way into a tree. */
export interface Appended {
  readonly entry: Entry
  readonly bytes: Uint8Array
}

/** What is stored in one transaction. */
export interface Step {
  /** Size of the tree before. */
  readonly from: number
  /** Length of the bundle that it ends with. */
  readonly fromPos: number
  readonly to: Position
  readonly appended: readonly Appended[]
  /** Leaf hashes of those, one after the other. */
  readonly hashes: Uint8Array
  readonly tiles: readonly Tile[]
  readonly bundles: readonly { readonly index: number; readonly data: Uint8Array }[]
  readonly changes: FoldChanges
}

/**
 * The step that appends these entries.
 *
 * @param fold has appended them
 * @param loading without a MAP_HEAD and without a map: see load.ts
 */
export function stepFrom(
  position: Position,
  appended: readonly Appended[],
  fold: Fold,
  loading = false,
): Step {
  const from = position.tree.size
  const writer = position.writer.fork()
  const hashes = new Uint8Array(appended.length * HASH_SIZE)
  for (const [i, { bytes }] of appended.entries()) {
    leafHashInto(bytes, hashes, i * HASH_SIZE)
    writer.append(tileHash(hashes, i))
  }
  const entries = appended.map(({ bytes }) => bytes)
  const { bundles, last: lastBundle } = continueBundles(position.lastBundle, from, entries)
  const { head } = fold
  const upper = loading ? position.upper : fold.upper
  const tree: TreeRow = {
    ...position.tree,
    size: writer.size,
    root: writer.root(),
    map_root: loading ? position.tree.map_root : upper.root(),
    key_count: head.keyCount,
    map_head: head.mapHead ?? 0,
    // During a load also the time of what no MAP_HEAD covers yet: the one that will must not precede it.
    map_time: Math.max(head.mapTime, head.liveTime),
    loading,
  }
  const tiles = writer.take()
  const to = { tree, writer, lastBundle, head, upper }
  const fromPos = position.lastBundle.reduce((sum, entry) => sum + bundledSize(entry), 0)
  return { from, fromPos, to, appended, hashes, tiles, bundles, changes: fold.changes() }
}

/** The zones that leaves of a step name. */
export function zonesOf({ appended }: Step): Set<Name> {
  const zones = new Set<Name>()
  for (const { entry } of appended) if ('owner' in entry) zones.add(entry.zone)
  return zones
}

/** A step as the tree's tables take it. @param idOf small numbers of {@link zonesOf} */
export function commitOf(step: Step, idOf: (zone: Name) => number): Commit {
  const { bundles, from, tiles, to } = step
  return { from, to: to.tree, tiles, bundles, leaves: leavesOf(step, idOf) }
}

function* leavesOf(
  { appended, from, fromPos, hashes }: Step,
  idOf: (zone: Name) => number,
): Generator<LeafRow> {
  let pos = fromPos
  for (const [i, { bytes, entry }] of appended.entries()) {
    const index = from + i
    if (index % TILE_WIDTH === 0) pos = 0
    const zone = 'owner' in entry ? idOf(entry.zone) : undefined
    yield { index, prefix: leafPrefix(hashes, i * HASH_SIZE), zone, pos }
    pos += bundledSize(bytes)
  }
}
