/** Three crawlers on one queue, one of them killed in the middle (../crawlers.ts): how fast, and how much memory. */
import { crawlWithDeath } from '../crawlers.ts'
import { Places } from '../place.ts'
import { type Benchmark, medianOf } from './harness.ts'

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
    const { held, late, logged, lost, memory, queue, seconds, seen, signed, survivors } = report
    const none = { goal: { bound: 'at most', value: 0 } } as const
    bench.report(`${names} names, three processes, one of them killed`, '/s', [names / seconds])
    bench.report('a name, of a processor', 'µs', [(survivors.cpu / survivors.seen) * 1e6])
    bench.report('names nobody has asked', '', [lost], none)
    bench.report('names asked later than their interval', '', [late], none)
    bench.report('signed names that the log lacks', '', [signed - logged], none)
    bench.report('answers for each name', '×', [seen / names])
    bench.report('queue and indexes, a million names', 'MiB', [(queue / names) * (1e6 / MIB)])
    const living = memory.slice(1)
    bench.report('memory of a process at most', 'MiB', [Math.max(...living.flat()) / MIB])
    // What a process has once needed it keeps; what it holds tells whether it leaks.
    const halves = held.slice(1).map((sizes) => {
      const middle = Math.ceil(sizes.length / 2)
      return { first: medianOf(sizes.slice(0, middle)), second: medianOf(sizes.slice(middle)) }
    })
    bench.report('held after a collection, first half', 'MiB', of(halves, 'first'))
    bench.report('the same, second half', 'MiB', of(halves, 'second'))
    const growth = halves.map(({ first, second }) => second / first)
    bench.report('the second of the first', '×', growth, { goal: { bound: 'at most', value: 1.1 } })
  },
}

function of<K extends string>(halves: readonly Record<K, number>[], which: K): number[] {
  return halves.map((half) => half[which] / MIB)
}
