import { expect, test } from 'vitest'
import { toHex } from '@dslog/tlog/bytes'
import { leafHash } from '@dslog/tlog/hash'
import { UpperTree } from '@dslog/tlog/maptree'
import { TileWriter } from '@dslog/tlog/tilewriter'
import { rootOf } from '@dslog/tlog/tree'
import { Turns } from '@dslog/testbed/turns'
import { EMPTY_HEAD, Fold } from '@dslog/verify/fold'
import { MemoryStore } from '@dslog/verify/memory'
import { type Appended, leavesFrom, type Position, stepFrom } from '../src/step.ts'
import { emptyTree } from '../src/store.ts'

const LEAVES = 2_000

test('others go on while thousands of leaves are hashed, and while they are put into the tree', async () => {
  const upper = new UpperTree(8)
  const fold = new Fold(EMPTY_HEAD, upper, { store: new MemoryStore(), anchors: [] })
  const tree = { ...emptyTree('step.example/log', 8), loading: true }
  const writer = new TileWriter()
  const position: Position = { tree, writer, lastBundle: [], head: EMPTY_HEAD, upper }
  const appended = Array.from({ length: LEAVES }, (_, i): Appended => {
    return { bytes: Uint8Array.of(i >> 8, i), zone: undefined }
  })
  const turns = new Turns()
  const leaves = await leavesFrom(position, appended)
  const before = turns.count
  const step = await stepFrom(position, leaves, fold, true)
  turns.stop()
  expect(before).toBeGreaterThanOrEqual(3)
  expect(turns.count - before).toBeGreaterThanOrEqual(3)
  const root = rootOf(appended.map(({ bytes }) => leafHash(bytes)))
  expect(toHex(step.to.tree.root)).toBe(toHex(root))
})
