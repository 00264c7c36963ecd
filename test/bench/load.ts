/** Load mode on PostgreSQL: leaves in transactions without a map, then the map and the indexes in one go. */
import { filledLog } from './filled.ts'
import type { Benchmark } from './harness.ts'

export const load: Benchmark = {
  name: 'load',
  about: 'load mode into PostgreSQL',
  async run(bench) {
    const filled = await filledLog(bench)
    if (filled === undefined) return bench.skip('load: no PostgreSQL')
    const { end, indexes, leaves, map } = filled.times
    const { names } = bench.sizes
    const more = { goal: { bound: 'at least', value: 60_000 } } as const
    bench.report('leaves before the map is built', '/s', leaves, more)
    bench.report(`map of ${names} names`, 's', [map])
    bench.report(`indexes of ${names} names`, 's', [indexes])
    bench.report('MAP_HEAD, signature, publication', 's', [end])
  },
}
