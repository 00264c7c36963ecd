/**
 * Reads a stored log back and checks that it fits together and with what was signed, before anything
 * may be appended: rule 2 of the log core. Nothing here writes, but for the fence.
 */
import { equal } from '@dslog/tlog/bytes'
import { TlogError } from '@dslog/tlog/error'
import { UpperTree } from '@dslog/tlog/maptree'
import type { NoteSigner } from '@dslog/tlog/note'
import { TreeReader } from '@dslog/tlog/reader'
import { edgeTiles, TILE_WIDTH } from '@dslog/tlog/tile'
import { TileWriter } from '@dslog/tlog/tilewriter'
import { decodeEntry } from '@dslog/schema/entry'
import { EntryError } from '@dslog/schema/error'
import { FoldTables } from '@dslog/service/foldtables'
import { checkedBundle } from './bundle.ts'
import { LogError } from './error.ts'
import type { LogOptions } from './log.ts'
import type { SignedTree } from './signer.ts'
import type { Position } from './step.ts'
import { TreeStore, type TreeRow } from './store.ts'

/** What a sequencer starts from. */
export interface StoredLog {
  readonly position: Position
  /** Buckets that the newest tree changed. */
  readonly superseded: number[]
  readonly store: TreeStore
  readonly fold: FoldTables
}

/**
 * Takes the log over and checks it.
 *
 * @param compare what is stored with what was signed; a restore compares by itself
 * @throws LogError `missing`, `key`, `signer`, `behind`, `forked` or `corrupt`
 */
export async function openStored(
  options: LogOptions,
  compare: typeof checkSigned = checkSigned,
): Promise<StoredLog> {
  const store = new TreeStore(options.db)
  const tree = await store.takeOver()
  const origin = originOf(options.signers)
  if (tree.origin !== origin) {
    throw new LogError('key', `the key is for ${origin}, the log is ${tree.origin}`)
  }
  // By itself first: of a damaged tree nobody can say whether it was signed.
  const { last, lastBundle, writer } = await fitting(() => openTree(tree, store))
  await compare(await options.signerRow.read(), tree, store)

  const fold = FoldTables.in(options.db)
  const upper = new UpperTree(tree.map_depth)
  for (const [prefix, root] of await fold.map.roots(tree.size)) upper.set(prefix, root)
  if (!tree.loading) await fitting(async () => checkMapHead(tree, last, upper))
  const { key_count: keyCount, map_head: mapHead, map_time: mapTime, size } = tree
  const head = { size, mapHead, mapTime, keyCount, liveTime: 0 }
  // The tree before may have been shown when this one was committed: its buckets are still there.
  const superseded = tree.loading ? [] : await fold.map.changedAt(size)
  return { position: { tree, writer, lastBundle, head, upper }, superseded, store, fold }
}

/** The origin is the name of every key: a log has one name. */
export function originOf(signers: readonly NoteSigner[]): string {
  const names = new Set(signers.map(({ key }) => key.name))
  const [origin] = names
  if (origin === undefined || names.size > 1) {
    throw new LogError('key', 'the keys of a log carry one name, its origin')
  }
  return origin
}

/** Refuses a database that is older than, or other than, what was signed. */
async function checkSigned(
  signed: SignedTree | undefined,
  tree: TreeRow,
  store: TreeStore,
): Promise<void> {
  if (signed === undefined) {
    if ((await store.published()) === undefined) return
    throw new LogError('signer', 'the log was published, but the record of what was signed is gone')
  }
  if (signed.origin !== tree.origin) throw new LogError('signer', `it is of ${signed.origin}`)
  if (signed.size > tree.size) throw behind(signed, tree.size)
  const reader = new TreeReader(store, tree.size, { root: tree.root })
  const root = await fitting(() => reader.subtreeHash(0, signed.size))
  if (!equal(root, signed.root)) {
    throw new LogError('forked', `the first ${signed.size} entries are not those that were signed`)
  }
}

/** The right edge of the tree, and the entries there; TileWriter refuses tiles that do not lead to the root. */
async function openTree(
  { root, size }: TreeRow,
  store: TreeStore,
): Promise<Pick<Position, 'writer' | 'lastBundle'> & { last: Uint8Array }> {
  const edge = await Promise.all(
    edgeTiles(size).map(async ({ index, level, width }) => {
      return { level, index, data: await store.tile(level, index, width) }
    }),
  )
  const writer = TileWriter.from(size, edge, root)
  const index = Math.floor((size - 1) / TILE_WIDTH)
  // They are stored again when the bundle grows.
  const { entries } = await checkedBundle(store, new TreeReader(store, size, { root }), index)
  const lastBundle = entries.length === TILE_WIDTH ? [] : entries
  return { writer, lastBundle, last: entries.at(-1)! }
}

function checkMapHead(tree: TreeRow, last: Uint8Array, upper: UpperTree): void {
  const index = tree.size - 1
  const entry = decodeEntry(last)
  const fits =
    entry.type === 'map-head' &&
    entry.covers === index &&
    tree.map_head === index &&
    entry.time === tree.map_time &&
    entry.keyCount === tree.key_count &&
    equal(entry.mapRoot, tree.map_root) &&
    equal(entry.mapRoot, upper.root())
  if (!fits) throw new LogError('corrupt', 'the stored name map is not that of the last MAP_HEAD')
}

/** Runs what reads stored bytes: that they do not decode, or do not lead where they should, is damage. */
async function fitting<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read()
  } catch (cause) {
    if (!(cause instanceof TlogError) && !(cause instanceof EntryError)) throw cause
    throw new LogError('corrupt', `what is stored does not fit together: ${cause.message}`, {
      cause,
    })
  }
}

/** The refusal of a database that lacks entries which were signed. */
export function behind(signed: SignedTree, size: number): LogError {
  return new LogError(
    'behind',
    `the database holds ${size} entries, but ${signed.size} were signed: restore the rest first`,
  )
}
