/** Two to four crawlers on one queue, one of them killed: no name is lost, and hardly any asked twice. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { medianOf } from '../bench/harness.ts'
import { crawlWithDeath } from '../crawlers.ts'
import { Places } from '../place.ts'

const NAMES = 30_000
/** Names for as many crawlers as are not looked at so closely. */
const FEW_NAMES = 12_000
/** What a process has under way when it dies: asked, and not written down. */
const UNDER_WAY = 3_000
/** Most memory of a process, bytes; it does not grow with the queue. */
const MEMORY = 400 * 2 ** 20

let places: Places
beforeAll(async () => {
  places = await Places.open(['postgres'])
})
afterAll(() => places.close())

test('a crawler of three that is killed loses no name', async () => {
  const report = await crawlWithDeath(places, { names: NAMES, workers: 3, timeout: 400_000 })
  if (report === undefined) return
  expect(report).toMatchObject({ lost: 0, late: 0, logged: report.signed })
  // What it had said last may lack some of what it did; the others did the rest, and its leases.
  expect(report.seen).toBeGreaterThan(NAMES / 2)
  for (const rss of report.memory) expect(Math.max(...rss)).toBeLessThan(MEMORY)
  // What is held stays what it is, however many names have gone through.
  for (const sizes of report.held.slice(1)) {
    const middle = Math.ceil(sizes.length / 2)
    expect(medianOf(sizes.slice(middle))).toBeLessThan(1.2 * medianOf(sizes.slice(0, middle)))
  }
  expect(report.seen).toBeLessThan(NAMES + UNDER_WAY + report.signed * 2)
}, 500_000)

test.each([2, 4])(
  'nor does a crawler of %i',
  async (workers) => {
    const report = await crawlWithDeath(places, { names: FEW_NAMES, workers, timeout: 400_000 })
    if (report === undefined) return
    expect(report).toMatchObject({ lost: 0, late: 0, logged: report.signed })
    expect(report.seen).toBeGreaterThan(FEW_NAMES / 2)
    expect(report.seen).toBeLessThan(FEW_NAMES + UNDER_WAY + report.signed * 2)
  },
  500_000,
)
