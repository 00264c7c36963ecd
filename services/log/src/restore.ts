/**
 * Repairs a log from what it has published: brings a database that is older than what was signed (a backup, a standby
 * that lagged) up to the newest published tree. The missing entries come from anywhere, a mirror will do: they are
 * those of a checkpoint that the log's own key signed, and that checkpoint continues both what the
 * database holds and what the signer row remembers. Anything else is refused: an entry that was
 * signed and is nowhere to be had cannot be restored, and going on without it would fork the log.
 *
 * It is the replay of the monitor that stores them, so whatever comes out has been verified once more.
 */
import type { Transaction } from 'kysely'
import { equal } from '@dslog/tlog/bytes'
import type { LogClient } from '@dslog/tlog/client'
import { EMPTY_ROOT } from '@dslog/tlog/hash'
import { UpperTree } from '@dslog/tlog/maptree'
import type { TrustedCheckpoint } from '@dslog/tlog/policy'
import { TreeReader } from '@dslog/tlog/reader'
import { decodeBundle, TILE_WIDTH, tileWidth } from '@dslog/tlog/tile'
import { TileWriter } from '@dslog/tlog/tilewriter'
import type { SignatureBackend } from '@dslog/dnssec/backend/backend'
import type { LogTables } from '@dslog/schema/db'
import { decodeEntry } from '@dslog/schema/entry'
import type { Database } from '@dslog/service/db'
import { FoldTables } from '@dslog/service/foldtables'
import { MAP_DEPTH } from '@dslog/service/maptables'
import {
  forgetting,
  Replay,
  type Replayed,
  type ReplayStore,
  type UnitLimits,
  unitsOf,
} from '@dslog/service/replay'
import { testPoint } from '@dslog/service/testpoint'
import { EMPTY_HEAD } from '@dslog/verify/fold'
import { LogError } from './error.ts'
import type { LogOptions } from './log.ts'
import { openStored, originOf } from './open.ts'
import type { SignedTree } from './signer.ts'
import { appendedOf, commitOf, leavesFrom, type Position, stepFrom, zonesOf } from './step.ts'
import { emptyTree, TreeStore } from './store.ts'

/** How a restore is run. */
export interface RestoreOptions {
  /** Whence entries come. Its policy trusts the log's own keys, and them alone. */
  readonly client: LogClient
  readonly backend: SignatureBackend
  /**
   * The record of what was signed is lost with the database: the published tree is taken for the newest
   * that was ever signed. Whoever says so answers for it.
   */
  readonly withoutSigner?: boolean
  /** How much is stored at once. */
  readonly limits?: UnitLimits
  /** Called with the number of entries that are there. */
  readonly onProgress?: (done: number, size: number) => void
}

/** What a restore did. */
export interface Restored {
  readonly origin: string
  /** Entries that were there before, and that are there now. */
  readonly from: number
  readonly size: number
}

/**
 * Brings the database up to the newest published tree. Nothing is signed; the log, opened afterwards,
 * goes on from there. A restore that was interrupted goes on where it stopped.
 *
 * @throws LogError `behind` if the source lacks what was signed, `forked` if it or the database holds
 *   other entries than were signed, `frozen` if it goes on behind the last tree, `signer` without a
 *   record of what was signed; ViolationError; MisbehaviourError and TlogError of the client
 */
export async function restore(options: LogOptions, own: RestoreOptions): Promise<Restored> {
  const lock = await options.db.lockExclusive('log', options.onLost ?? (() => {}))
  try {
    return await restoreLocked(options, own)
  } finally {
    await lock.release()
  }
}

async function restoreLocked(options: LogOptions, own: RestoreOptions): Promise<Restored> {
  const { client, onProgress } = own
  const origin = originOf(options.signers)
  const signed = await options.signerRow.read()
  if (signed === undefined && own.withoutSigner !== true) {
    throw new LogError('signer', 'the record of what was signed is gone')
  }
  // Signed by our own key: the policy of the client has seen to that.
  const goal = await client.checkpoint()
  const { root, size } = goal.checkpoint
  if (goal.checkpoint.origin !== origin) {
    throw new LogError('key', `the key is for ${origin}, the source is ${goal.checkpoint.origin}`)
  }
  const store = new TreeStore(options.db)
  const position = await positionOf(options, store)
  const from = position.head.size
  if (from >= Math.max(size, signed?.size ?? 0) && !position.tree.loading) {
    // Nothing is missing. Whether it is what was signed, the log looks at when it is opened.
    return { origin, from, size: from }
  }
  if (signed !== undefined) await demandContinued(signed, goal, client)
  if (from > size) throw new LogError('behind', `${client.url} has only ${size} entries`)
  const reader = client.tree(goal)
  if (!equal(await reader.subtreeHash(0, from), rootAt(position))) {
    throw new LogError('forked', `the ${from} entries in the database are not those of the source`)
  }
  // The source begins with everything that we hold and everything that we signed.

  const tables = new RestoredTables(options.db, store)
  const verifier = { anchors: options.anchors, backend: own.backend }
  const replay = new Replay(tables, verifier, position)
  for await (const unit of unitsOf(client.bundles(from, size, goal), size, own.limits)) {
    await replay.take(unit)
    testPoint('restore.unit')
    onProgress?.(replay.position.head.size, size)
  }
  if (!equal(rootAt(replay.position), root)) {
    throw new LogError('corrupt', 'the entries that were restored do not lead to the signed root')
  }
  // The database holds the published tree, map and all. Only now does the signer row follow, and only
  // where it is older: it was restored with the database, or lost.
  if (signed === undefined || signed.size < size) {
    await options.signerRow.advance(signed, { origin, size, root })
  }
  return { origin, from, size }
}

/** The published tree has everything that was signed, and nothing after the last tree of all. */
async function demandContinued(
  signed: SignedTree,
  { checkpoint }: TrustedCheckpoint,
  client: LogClient,
): Promise<void> {
  if (signed.origin !== checkpoint.origin) throw new LogError('signer', `it is of ${signed.origin}`)
  if (signed.frozen === true && checkpoint.size > signed.size) {
    throw new LogError(
      'frozen',
      `the log was ended at ${signed.size} entries, and its key has signed the ${checkpoint.size} of ${client.url}`,
    )
  }
  if (checkpoint.size < signed.size) {
    throw new LogError(
      'behind',
      `${signed.size} entries were signed, and ${client.url} has only ${checkpoint.size} of them`,
    )
  }
  const reader = new TreeReader(client, checkpoint.size, { root: checkpoint.root })
  if (equal(await reader.subtreeHash(0, signed.size), signed.root)) return
  throw new LogError('forked', `what ${client.url} has is not what was signed`)
}

/** Where the database stands; at nothing, if it is empty. */
async function positionOf(options: LogOptions, store: TreeStore): Promise<Position> {
  const tree = await store.tree()
  if (tree === undefined) {
    const empty = emptyTree(originOf(options.signers), MAP_DEPTH)
    const upper = new UpperTree(MAP_DEPTH)
    return { tree: empty, writer: new TileWriter(), lastBundle: [], head: EMPTY_HEAD, upper }
  }
  const { position } = await openStored(options, async (signed, { origin }) => {
    if (signed !== undefined && signed.origin !== origin) {
      throw new LogError('signer', `it is of ${signed.origin}`)
    }
  })
  if (!position.tree.loading) return position
  return { ...position, head: await openHead(position, store) }
}

/** The times of entries that no MAP_HEAD covers yet are in the entries alone. */
async function openHead({ head, tree }: Position, store: TreeStore): Promise<Position['head']> {
  const { map_head: mapHead, size } = tree
  let [mapTime, liveTime] = [0, 0]
  for (let index = Math.floor(mapHead / TILE_WIDTH); index * TILE_WIDTH < size; index++) {
    const width = tileWidth(size, 0, index)
    const entries = decodeBundle(await store.bundle(index, width), width)
    for (const bytes of entries.slice(Math.max(0, mapHead - index * TILE_WIDTH))) {
      const entry = decodeEntry(bytes)
      if (entry.type === 'map-head') mapTime = entry.time
      else if (entry.type !== 'unknown' && !entry.historical) {
        liveTime = Math.max(liveTime, entry.time)
      }
    }
  }
  return { ...head, mapTime, liveTime }
}

function rootAt({ writer }: Position): ReturnType<TileWriter['root']> {
  return writer.size === 0 ? EMPTY_ROOT : writer.root()
}

/** The log's tables, written as the log itself would. */
class RestoredTables implements ReplayStore<LogTables, Position> {
  readonly names: FoldTables
  readonly #db: Database<LogTables>
  readonly #store: TreeStore

  constructor(db: Database<LogTables>, store: TreeStore) {
    this.#db = db
    this.#store = store
    this.names = FoldTables.in(db)
  }

  transaction<R>(work: (trx: Transaction<LogTables>) => Promise<R>): Promise<R> {
    return forgetting(this.names, () => this.#db.transaction(work))
  }

  async move(
    trx: Transaction<LogTables>,
    from: Position,
    { entries, fold, unit }: Replayed,
  ): Promise<Position> {
    const appended = entries.map((entry, i) => appendedOf({ entry, bytes: unit[i]!.entry }))
    const isOpen = fold.head.size > (fold.head.mapHead ?? 0) + 1
    const leaves = await leavesFrom(from, appended)
    const step = await stepFrom(from, leaves, fold, isOpen)
    if (leaves.from === 0) await this.#store.create(trx, from.tree)
    const idOf = await this.names.zoneIds(trx, zonesOf(leaves))
    await this.#store.commit(trx, commitOf(step, idOf))
    testPoint('restore.committing')
    return { ...step.to, head: fold.head }
  }
}
