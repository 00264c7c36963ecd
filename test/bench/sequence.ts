/**
 * Trees of 5,000 candidates on a log that has many names already, on PostgreSQL: decided, stored,
 * mapped, signed and published. Candidates have been verified before; signatures of DNSSEC are no part
 * of this.
 */
import type { Log } from '@dslog/log/log'
import { MAX_TREE_CANDIDATES } from '@dslog/log/sequencer'
import type { StateCandidate } from '@dslog/verify/candidate'
import { randomIntFrom } from '@dslog/testbed/random'
import { type FilledLog, filledLog } from './filled.ts'
import { type Bench, type Benchmark, type Goal, repeat, secondsOf } from './harness.ts'

/** Trees that are not counted, until the code is compiled, and the server has written what came before. */
const WARM_UP = 6

export const sequence: Benchmark = {
  name: 'sequence',
  about: 'trees of 5,000 candidates into PostgreSQL',
  async run(bench) {
    const filled = await filledLog(bench)
    if (filled === undefined) return bench.skip('sequence: no PostgreSQL')
    await sequenceTrees(bench, filled, bench.sizes.names, {
      at: `at ${bench.sizes.names} names`,
      goal: { bound: 'at least', value: 15_000 },
    })
  },
}

/** Measures trees of new names, of changed ones, of both, and of none. */
export async function sequenceTrees(
  bench: Bench,
  filled: FilledLog,
  names: number,
  { at, goal }: { at: string; goal?: Goal },
): Promise<void> {
  const { evidence, log } = filled
  const random = randomIntFrom(names)
  let version = 1
  const isNew = (): StateCandidate => evidence.state(filled.fresh++, 0)
  const changed = (): StateCandidate => evidence.state(random(names), version++)
  const mixed = (i: number): StateCandidate => (i % 2 === 0 ? isNew() : changed())
  const trees = (
    make: (i: number) => StateCandidate,
    count = bench.sizes.trees,
  ): Promise<number[]> => {
    return repeat(count, () => treeOf(log, arrayOf(MAX_TREE_CANDIDATES, make)))
  }
  await trees(mixed, WARM_UP)

  const more = goal === undefined ? {} : { goal }
  bench.report(`entries, half of new names, half changes, ${at}`, '/s', await trees(mixed), more)
  bench.report(`entries of new names, ${at}`, '/s', await trees(isNew))
  bench.report(`entries that change a name, ${at}`, '/s', await trees(changed))
  // The newest names: none of them has changed since.
  const again = arrayOf(MAX_TREE_CANDIDATES, (i) => evidence.state(filled.fresh - 1 - i, 0))
  bench.report(
    `candidates that are known already, ${at}`,
    '/s',
    await repeat(bench.sizes.trees, () => treeOf(log, again, 0)),
  )
}

function arrayOf<T>(length: number, make: (i: number) => T): T[] {
  return Array.from({ length }, (_, i) => make(i))
}

/** Sequences a tree; candidates a second. */
async function treeOf(
  log: Log,
  candidates: readonly StateCandidate[],
  expected = candidates.length,
): Promise<number> {
  const { size } = log
  const seconds = await secondsOf(() => log.sequence([{ candidates }]))
  const added = Math.max(0, log.size - size - 1)
  // A name may be drawn twice in a tree; its second change is one, too.
  if (added !== expected) throw new Error(`${added} entries of ${expected}`)
  return candidates.length / seconds
}
