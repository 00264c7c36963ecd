/** Three crawlers on one queue, one of them killed in the middle (../crawlers.ts): how fast, and how much memory. */
import { crawlWithDeath } from '../crawlers.ts'
import { Places } from '../place.ts'
import type { Benchmark } from './harness.ts'

const WORKERS = 3
/** Slower than this is not worth waiting for, names a second. */
const SLOWEST = 100
/** What starting, and the lease of who was killed, may take besides, ms. */
const BESIDES_MS = 300_000
const MIB = 2 ** 20

export const crawlers: Benchmark = {
  name: 'crawlers',
  about: 'three crawlers on one queue, one of them killed',
  async run(bench) {
    const names = bench.sizes.queued
    const places = await Places.open(['postgres'])
    bench.after(() => places.close())
    const timeout = BESIDES_MS + (names / SLOWEST) * 1000
    const report = await crawlWithDeath(places, { names, workers: WORKERS, timeout })
    if (report === undefined) return bench.skip('crawlers: no nsd, or no PostgreSQL')
    const { late, logged, lost, memory, seconds, seen, signed } = report
    const none = { goal: { bound: 'at most', value: 0 } } as const
    bench.report(`${names} names, three processes, one of them killed`, '/s', [names / seconds])
    bench.report('names nobody has asked', '', [lost], none)
    bench.report('names asked later than their interval', '', [late], none)
    bench.report('signed names that the log lacks', '', [signed - logged], none)
    bench.report('answers for each name', '×', [seen / names])
    const halves = memory.slice(1).map((rss) => {
      const middle = Math.ceil(rss.length / 2)
      return { first: Math.max(...rss.slice(0, middle)), second: Math.max(...rss.slice(middle)) }
    })
    const most = (of: 'first' | 'second'): number => Math.max(...halves.map((half) => half[of]))
    bench.report('most memory of a process, first half', 'MiB', [most('first') / MIB])
    bench.report('the same, second half', 'MiB', [most('second') / MIB])
  },
}
