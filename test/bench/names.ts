/** What the log answers about names and entries at random, from PostgreSQL, one at a time and many at once. */
import { LogReader } from '@dslog/log/reader'
import { MapKind } from '@dslog/schema/identity'
import { randomIntFrom } from '@dslog/testbed/random'
import { filledLog } from './filled.ts'
import { type Benchmark, rate, repeat } from './harness.ts'

const RUN_MS = 1_000
/** Requests that are answered at the same time. */
const AT_ONCE = 16

export const names: Benchmark = {
  name: 'names',
  about: 'proofs of names and entries from PostgreSQL',
  async run(bench) {
    const filled = await filledLog(bench)
    if (filled === undefined) return bench.skip('names: no PostgreSQL')
    const { evidence, log, options } = filled
    const { names: count, runs } = bench.sizes
    const reader = new LogReader(log, options.db)
    const random = randomIntFrom(count)
    const name = () => evidence.name(random(count))
    const measure = async (what: string, work: () => unknown, atOnce: number): Promise<void> => {
      await rate(RUN_MS, work, atOnce)
      const figures = await repeat(runs, () => rate(RUN_MS, work, atOnce))
      const how = atOnce === 1 ? 'one at a time' : `${atOnce} at once`
      bench.report(`${what} at random, ${how}`, '/s', figures)
    }
    for (const atOnce of [1, AT_ONCE]) {
      await measure('name proofs', () => reader.name(MapKind.delegation, name()), atOnce)
      await measure('proof files', () => reader.nameProofFile(MapKind.delegation, name()), atOnce)
      const index = () => random(log.published.size)
      await measure('inclusion proofs', () => log.published.reader.inclusionProof(index()), atOnce)
    }
  },
}
