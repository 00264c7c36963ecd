/**
 * `npm run fuzz -- [--only name,name] [--seconds n | --inputs n] [--seed n]`: each target for so long.
 * Inputs that a target does not survive are kept in files, and the exit code is 1.
 */
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Coverage } from './coverage.ts'
import type { Target } from './fuzz.ts'

const coverage = new Coverage()
// Only now may the code that is counted be loaded.
const { fuzz } = await import('./fuzz.ts')

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    seconds: { type: 'string', default: '60' },
    inputs: { type: 'string' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 32) },
  },
})
const only = values.only?.split(',')
const known = new Set<string>()

/** Without the parsers when the fuzzer itself is tested: their code would be looked at after each batch. */
async function all(): Promise<Iterable<Target> | AsyncIterable<Target>> {
  if (values.only === 'planted') return [(await import('./planted.ts')).planted]
  return (await import('./targets.ts')).targets()
}

console.log(`seed ${values.seed}`)
let total = 0
let found = 0
for await (const target of await all()) {
  known.add(target.name)
  if (only?.includes(target.name) === false) continue
  const end = Date.now() + Number(values.seconds) * 1000
  const { inputs: limit } = values
  const goOn = (inputs: number): boolean =>
    limit === undefined ? Date.now() < end : inputs < Number(limit)
  const outcome = await fuzz(target, coverage, { seed: Number(values.seed), goOn })
  const { accepted, blocks, corpus, findings, inputs } = outcome
  total += inputs
  found += findings.length
  console.log(
    `${target.name.padEnd(14)} ${String(inputs).padStart(9)} inputs, ${accepted} accepted, ` +
      `${corpus} kept, ${blocks} blocks, ${findings.length} findings`,
  )
  for (const { error, input } of findings) {
    const file = join(mkdtempSync(join(tmpdir(), 'dslog-fuzz-')), 'input')
    writeFileSync(file, input)
    console.log(`  ${file}: ${error instanceof Error ? error.stack : String(error)}`)
  }
}
const unknown = only?.find((name) => !known.has(name))
if (unknown !== undefined) {
  throw new Error(`no target ${unknown}: there are ${[...known].join(', ')}`)
}
console.log(`${total} inputs, ${found} findings`)
process.exitCode = found === 0 ? 0 : 1
