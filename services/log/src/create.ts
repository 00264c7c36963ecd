/** The beginning of a log: its first leaf and its first tree, stored and not yet signed. */
import { leafHash } from '@dslog/tlog/hash'
import { UpperTree } from '@dslog/tlog/maptree'
import { encodeBundle } from '@dslog/tlog/tile'
import { TileWriter } from '@dslog/tlog/tilewriter'
import { encodeEntry } from '@dslog/schema/entry'
import { FoldTables } from '@dslog/service/foldtables'
import { MAP_DEPTH } from '@dslog/service/maptables'
import { testPoint } from '@dslog/service/testpoint'
import { EMPTY_HEAD, Fold } from '@dslog/verify/fold'
import { LogError } from './error.ts'
import type { LogOptions } from './log.ts'
import { originOf } from './open.ts'
import { emptyTree, leafPrefix, TreeStore } from './store.ts'

/**
 * Creates a log: an explicit act. Its first leaf is an empty MAP_HEAD, its first tree is signed when
 * it is opened.
 *
 * @throws LogError `exists`
 */
export async function createLog(options: LogOptions): Promise<void> {
  const lock = await options.db.lockExclusive('log', () => {})
  try {
    await create(options)
  } finally {
    await lock.release()
  }
}

async function create({ clock, db, signerRow, signers }: LogOptions): Promise<void> {
  const store = new TreeStore(db)
  if ((await store.tree()) !== undefined || (await signerRow.read()) !== undefined) {
    throw new LogError('exists', 'there is a log already')
  }
  const origin = originOf(signers)
  const time = clock()
  const fold = new Fold(EMPTY_HEAD, new UpperTree(MAP_DEPTH), {
    store: FoldTables.in(db),
    anchors: [],
  })
  const bytes = encodeEntry(await fold.appendMapHead(time))
  const writer = new TileWriter()
  writer.appendEntry(bytes)
  const tree = { ...emptyTree(origin, MAP_DEPTH), size: 1, root: writer.root(), map_time: time }
  await db.transaction(async (trx) => {
    await store.create(trx, tree)
    await store.insert(trx, {
      from: 0,
      tiles: writer.take(),
      bundles: [{ index: 0, data: encodeBundle([bytes]) }],
      leaves: [[0, leafPrefix(leafHash(bytes)), undefined, 0]],
    })
    testPoint('log.creating')
  })
  testPoint('log.created')
}
