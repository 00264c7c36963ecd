/** The crash matrix, for one kind of database: each test point at several passes, then any moment. */
import { beforeAll, expect, test } from 'vitest'
import type { Kind, Places } from '../place.ts'
import { CrashedLog } from './crash.ts'
import { numbers, Stream } from './stream.ts'

/** Points between two effects of one tree, in their order. */
const POINTS: Readonly<Record<Kind, readonly string[]>> = {
  embedded: [
    'log.opened',
    'log.decided',
    'log.stored',
    'log.committing',
    'log.committed',
    'signer.compared',
    'file.written',
    'file.renamed',
    'log.recorded',
    'log.signed',
    'log.published',
  ],
  postgres: [
    'log.opened',
    'log.decided',
    'log.stored',
    'log.committing',
    'log.committed',
    'signer.writing',
    'log.recorded',
    'log.signed',
    'log.published',
  ],
}
/** Points of the creation of a log. */
const CREATION = ['log.creating', 'log.created'] as const

const nightly = process.env['DSLOG_TEST_NIGHTLY'] !== undefined
/** Which pass of a point it is: opening the log makes some of them, too. */
const PASSES = nightly ? [1, 2, 3, 5, 8] : [1, 3]
/** A log is opened once in a process. */
const passesOf = (point: string): number[] => (point === 'log.opened' ? [1] : PASSES)
const RANDOM_KILLS = nightly ? 100 : 6
/** Lines after which a process is killed at random, and ms after that. */
const MAX_LINES = 20
const MAX_DELAY = 25

/** Tests about one log, which they kill in turn. */
export function crashTests(places: Places, kind: Kind): void {
  let log: CrashedLog

  beforeAll(async () => {
    log = new CrashedLog(await places.make(kind, new Stream().net.anchors))
  })

  test.each(CREATION)('at %s', async (point) => {
    const created = new CrashedLog(await places.make(kind, new Stream().net.anchors))
    await created.crash({ point, pass: 1 })
    expect(created.counts.steps).toBeGreaterThan(0)
  })

  test.each(POINTS[kind].flatMap((point) => passesOf(point).map((pass) => ({ point, pass }))))(
    'at $point, pass $pass',
    async (end) => {
      await log.crash(end)
      expect(log.counts.steps).toBeGreaterThan(0)
    },
  )

  test(`at ${RANDOM_KILLS} random moments`, async () => {
    const seed = Number(process.env['DSLOG_TEST_SEED'] ?? Date.now() % 1_000_000)
    console.log(`random kills of ${kind}: DSLOG_TEST_SEED=${seed}`)
    const random = numbers(seed)
    for (let i = 0; i < RANDOM_KILLS; i++) {
      const lines = 1 + Math.floor(random() * MAX_LINES)
      await log.crash({ lines, delay: Math.floor(random() * MAX_DELAY) })
    }
    console.log(`${kind}: ${JSON.stringify(log.counts)}`)
    expect(log.counts.acked).toBeGreaterThan(RANDOM_KILLS)
  })
}
