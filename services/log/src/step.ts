/**
 * A step of the log: entries that have been decided upon, and where the log stands with them. Only
 * arithmetic; storing a step, and what happens then, is told in log.ts.
 */
import { setImmediate as immediate } from 'node:timers/promises'
import { concat } from '@dslog/tlog/bytes'
import { HASH_SIZE, leafHash, leafHashInto } from '@dslog/tlog/hash'
import type { UpperTree } from '@dslog/tlog/maptree'
import { bundledSize, type Tile, TILE_WIDTH } from '@dslog/tlog/tile'
import type { TileWriter } from '@dslog/tlog/tilewriter'
import type { Name } from '@dslog/dnssec/name'
import { encodeEntry, type Entry } from '@dslog/schema/entry'
import type { Chains, Fold, FoldHead } from '@dslog/verify/fold'
import type { FoldChanges } from '@dslog/verify/foldstore'
import { type Commit, continueBundles, leafPrefix, type LeafRow, type TreeRow } from './store.ts'

/** Leaves that are hashed without a pause, a millisecond or two: readers wait no longer. */
const HASHED_AT_ONCE = 500

/** Where a log stands: everything that the next step begins with. */
export interface Position {
  readonly tree: TreeRow
  readonly writer: TileWriter
  /** Entries of the partial bundle at the end. */
  readonly lastBundle: readonly Uint8Array[]
  readonly head: FoldHead
  /** Of the fold that led here. */
  readonly chains?: Chains
  /** The name map, as of the newest MAP_HEAD. */
  readonly upper: UpperTree
}

/** An entry on its way into a tree. */
export interface Appended {
  readonly bytes: Uint8Array
  /** Whose keys prove it, if it is of a delegation: it is found by that. */
  readonly zone: Name | undefined
}

/** Entries with what is stored of each beside the tree. */
export interface Leaves {
  /** Size of the tree before. */
  readonly from: number
  /** Length of the bundle that it ends with. */
  readonly fromPos: number
  readonly appended: readonly Appended[]
  /** Leaf hashes of those, one after the other. */
  readonly hashes: Uint8Array
}

/** What is stored in one transaction. */
export interface Step {
  readonly leaves: Leaves
  readonly to: Position
  readonly tiles: readonly Tile[]
  readonly bundles: readonly { readonly index: number; readonly data: Uint8Array }[]
  readonly changes: FoldChanges
}

export function appendedOf({ bytes, entry }: { bytes: Uint8Array; entry: Entry }): Appended {
  return { bytes, zone: 'owner' in entry ? entry.zone : undefined }
}

/** Entries that are to be appended. */
export async function leavesFrom(
  { lastBundle, tree }: Position,
  appended: readonly Appended[],
): Promise<Leaves> {
  const hashes = new Uint8Array(appended.length * HASH_SIZE)
  for (let i = 0; i < appended.length; i++) {
    leafHashInto(appended[i]!.bytes, hashes, i * HASH_SIZE)
    if ((i + 1) % HASHED_AT_ONCE === 0) await immediate()
  }
  const fromPos = lastBundle.reduce((sum, entry) => sum + bundledSize(entry), 0)
  return { from: tree.size, fromPos, appended, hashes }
}

/** The same with one more. */
export function leavesWith(leaves: Leaves, entry: Entry): Leaves {
  const bytes = encodeEntry(entry)
  const hashes = concat(leaves.hashes, leafHash(bytes))
  return { ...leaves, appended: [...leaves.appended, appendedOf({ bytes, entry })], hashes }
}

/**
 * The step that appends these entries.
 *
 * @param leaves from that very position
 * @param fold has appended them
 * @param loading without a MAP_HEAD and without a map: see load.ts
 */
export async function stepFrom(
  position: Position,
  leaves: Leaves,
  fold: Fold,
  loading = false,
): Promise<Step> {
  const { appended, from, hashes } = leaves
  const writer = position.writer.fork()
  for (let at = 0; at < hashes.length; at += HASHED_AT_ONCE * HASH_SIZE) {
    if (at > 0) await immediate()
    writer.append(hashes.subarray(at, at + HASHED_AT_ONCE * HASH_SIZE))
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
  const to = { tree, writer, lastBundle, head, chains: fold.chains, upper }
  return { leaves, to, tiles: writer.take(), bundles, changes: fold.changes() }
}

/** The zones that leaves name. */
export function zonesOf({ appended }: Leaves): Set<Name> {
  const zones = new Set<Name>()
  for (const { zone } of appended) if (zone !== undefined) zones.add(zone)
  return zones
}

/**
 * A step as the tree's tables take it.
 *
 * @param idOf small numbers of {@link zonesOf}
 * @param stored leaves that are in their table already
 */
export function commitOf(step: Step, idOf: (zone: Name) => number, stored = 0): Commit {
  const { bundles, leaves, tiles, to } = step
  return { from: leaves.from, to: to.tree, tiles, bundles, leaves: leafRows(leaves, idOf, stored) }
}

/** Rows of the leaf table, without the first `stored`. */
export function* leafRows(
  { appended, from, fromPos, hashes }: Leaves,
  idOf: (zone: Name) => number,
  stored = 0,
): Generator<LeafRow> {
  let pos = fromPos
  for (let i = 0; i < appended.length; i++) {
    const { bytes, zone } = appended[i]!
    const index = from + i
    if (index % TILE_WIDTH === 0) pos = 0
    if (i >= stored) {
      const prefix = leafPrefix(hashes, i * HASH_SIZE)
      yield [index, prefix, zone === undefined ? undefined : idOf(zone), pos]
    }
    pos += bundledSize(bytes)
  }
}
