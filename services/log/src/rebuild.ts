/**
 * Repairs a log from itself: makes everything that is derived from its entries anew, for tables that were damaged. It is the
 * replay of the monitor that does it, so whatever comes out has been verified once more.
 */
import { sql, type Transaction } from 'kysely'
import { equal } from '@dslog/tlog/bytes'
import type { LogEntry } from '@dslog/tlog/client'
import { leafHash } from '@dslog/tlog/hash'
import { UpperTree } from '@dslog/tlog/maptree'
import { TreeReader } from '@dslog/tlog/reader'
import { TILE_WIDTH } from '@dslog/tlog/tile'
import type { SignatureBackend } from '@dslog/dnssec/backend/backend'
import type { LogTables } from '@dslog/schema/db'
import type { Database } from '@dslog/service/db'
import { FoldTables } from '@dslog/service/foldtables'
import {
  forgetting,
  Replay,
  type Replayed,
  type ReplayPosition,
  type ReplayStore,
  unitsOf,
} from '@dslog/service/replay'
import { testPoint } from '@dslog/service/testpoint'
import { EMPTY_HEAD } from '@dslog/verify/fold'
import { checkedBundle } from './bundle.ts'
import { LogError } from './error.ts'
import type { LogOptions } from './log.ts'
import { behind } from './open.ts'
import { TreeStore } from './store.ts'

/** What a rebuild did. */
export interface Rebuilt {
  readonly origin: string
  readonly size: number
  /** Names and zones in the map. */
  readonly names: number
}

/**
 * Makes histories, key sets and the name map anew, from the entries. What was derived is deleted first:
 * if this is interrupted the log does not open, and it is to be run again.
 *
 * @throws LogError `missing`, `corrupt` if the entries are not those of the tree; ViolationError
 */
export async function rebuildMap(
  options: LogOptions,
  backend: SignatureBackend,
  onProgress: (done: number, size: number) => void = () => {},
): Promise<Rebuilt> {
  const { anchors, db } = options
  const lock = await db.lockExclusive('log', options.onLost ?? (() => {}))
  try {
    const store = new TreeStore(db)
    const tree = await store.tree()
    if (tree === undefined) throw new LogError('missing', 'there is no log here')
    if (tree.loading) throw new LogError('unfinished-load', 'import or restore the rest first')
    const { map_depth: depth, origin, root, size } = tree
    const signed = await options.signerRow.read()
    if (signed !== undefined && signed.size > size) throw behind(signed, size)
    const reader = new TreeReader(store, size, { root })
    // Read once before anything is deleted: a rebuild from damaged entries would end halfway.
    for await (const _ of storedEntries(store, reader)) continue

    const names = FoldTables.in(db)
    await db.transaction(async (trx) => {
      // Millions of rows in one statement.
      await sql`set local statement_timeout = 0`.execute(trx)
      await trx.deleteFrom('map_bucket').execute()
      await trx.deleteFrom('name').execute()
      await trx.deleteFrom('zone_keys').execute()
    })
    names.forget()
    testPoint('rebuild.emptied')
    const start = { head: EMPTY_HEAD, upper: new UpperTree(depth) }
    const replay = new Replay(new DerivedTables(db, names), { anchors, backend }, start)
    for await (const unit of unitsOf(storedEntries(store, reader), size)) {
      await replay.take(unit)
      testPoint('rebuild.unit')
      onProgress(replay.position.head.size, size)
    }
    const { head, upper } = replay.position
    if (!equal(upper.root(), tree.map_root) || head.keyCount !== tree.key_count) {
      throw new LogError('corrupt', 'the map of the entries is not that of the stored tree')
    }
    return { origin, size, names: head.keyCount }
  } finally {
    await lock.release()
  }
}

/** The tables beside the tree's own: those stay as they are. */
class DerivedTables implements ReplayStore<LogTables, ReplayPosition> {
  readonly names: FoldTables
  readonly #db: Database<LogTables>

  constructor(db: Database<LogTables>, names: FoldTables) {
    this.#db = db
    this.names = names
  }

  transaction<R>(work: (trx: Transaction<LogTables>) => Promise<R>): Promise<R> {
    return forgetting(this.names, () => this.#db.transaction(work))
  }

  async move(_: unknown, __: unknown, { fold }: Replayed): Promise<ReplayPosition> {
    return { head: fold.head, upper: fold.upper }
  }
}

/** Entries out of the log's own tables, each one that of the tree. */
async function* storedEntries(
  store: TreeStore,
  reader: TreeReader,
): AsyncGenerator<readonly LogEntry[]> {
  const { size } = reader
  for (let index = 0; index * TILE_WIDTH < size; index++) {
    const { entries } = await checkedBundle(store, reader, index)
    yield entries.map((entry, i) => {
      return { index: index * TILE_WIDTH + i, entry, leaf: leafHash(entry) }
    })
  }
}
