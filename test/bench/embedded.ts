/** Load and trees on the embedded database, for information: nobody promised anything there. */
import { Evidence } from './evidence.ts'
import { fill } from './filled.ts'
import type { Benchmark } from './harness.ts'
import { sequenceTrees } from './sequence.ts'
import { newLogOptions } from './server.ts'

export const embedded: Benchmark = {
  name: 'embedded',
  about: 'load and trees on the embedded database',
  async run(bench) {
    const names = bench.sizes.embedded
    const evidence = new Evidence()
    const options = await newLogOptions(bench, undefined, evidence)
    const filled = await fill(bench, options, evidence, names)
    const { leaves, map } = filled.times
    bench.report('leaves before the map is built, embedded', '/s', leaves)
    bench.report(`map of ${names} names, embedded`, 's', [map.wall])
    await sequenceTrees(bench, filled, names, { at: `at ${names} names, embedded` })
  },
}
