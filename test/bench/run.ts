/**
 * The benchmarks: `npm run bench -- [--only name,name] [--full] [--json FILE] [--<size> number]`.
 * Everything of dslog that runs here is what `npm run build` made. What is measured, on what, and
 * what came out is in docs/performance.md.
 */
import { writeFileSync } from 'node:fs'
import { availableParallelism, cpus, totalmem } from 'node:os'
import { parseArgs } from 'node:util'
import { installNodeCrypto } from '@dslog/service/crypto'
import { alarms } from './alarms.ts'
import { audit } from './audit.ts'
import { crawlers } from './crawlers.ts'
import { dns } from './dns.ts'
import { embedded } from './embedded.ts'
import { flood } from './flood.ts'
import { following } from './following.ts'
import { Bench, type Benchmark, type Figure, FULL, type Sizes, USUAL } from './harness.ts'
import { http } from './http.ts'
import { importZone } from './import.ts'
import { load } from './load.ts'
import { names } from './names.ts'
import { proofs } from './proofs.ts'
import { publish } from './publish.ts'
import { scaleout } from './scaleout.ts'
import { sequence } from './sequence.ts'
import { serve } from './serve.ts'
import { tree } from './tree.ts'
import { watching } from './watching.ts'

const ALL: readonly Benchmark[] = [
  importZone,
  tree,
  proofs,
  audit,
  load,
  sequence,
  names,
  http,
  serve,
  publish,
  flood,
  embedded,
  alarms,
  dns,
  crawlers,
  watching,
  scaleout,
  following,
]

installNodeCrypto()
const { only, full, json, sizes } = readOptions()
const bench = new Bench(sizes)
const results: Record<string, Figure[]> = {}
// Who has no more patience still learns what was wrong, and leaves no program behind.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    for (const line of [...bench.faults, ...bench.warnings]) console.error(line)
    process.exit(1)
  })
}
try {
  for (const { about, name, run } of ALL) {
    if (!only.includes(name)) continue
    console.log(`\n${name}: ${about}`)
    const from = bench.figures.length
    await run(bench)
    results[name] = bench.figures.slice(from)
    for (const figure of results[name]) console.log(lineOf(figure))
  }
} catch (error) {
  // What has ended unasked is the cause more often than what noticed it.
  for (const fault of bench.faults) console.error(fault)
  throw error
} finally {
  for (const warning of bench.warnings) console.log(`  ${warning}`)
  await bench.close()
}
const [cpu] = cpus()
const machine = {
  node: process.version,
  cpu: cpu?.model,
  cores: availableParallelism(),
  memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
}
if (json !== undefined) {
  const report = { machine, full, sizes, results, skipped: bench.skipped }
  writeFileSync(json, `${JSON.stringify(report, null, 2)}\n`)
}
const missed = bench.figures.filter(({ met }) => met === false)
console.log(`\n${machine.node}, ${machine.cores} × ${machine.cpu}, ${machine.memory}`)
console.log(missed.length === 0 ? 'every goal was met' : `goals missed: ${missed.length}`)
for (const { what } of missed) console.log(`  ${what}`)

function readOptions(): {
  only: readonly string[]
  full: boolean
  json: string | undefined
  sizes: Sizes
} {
  const keys = Object.keys(USUAL) as (keyof Sizes)[]
  const { values } = parseArgs({
    options: {
      only: { type: 'string' },
      full: { type: 'boolean', default: false },
      json: { type: 'string' },
      ...Object.fromEntries(keys.map((key) => [key, { type: 'string' as const }])),
    },
  })
  const known = ALL.map(({ name }) => name)
  const only = values.only?.split(',') ?? known
  for (const name of only) {
    if (known.includes(name)) continue
    throw new Error(`no benchmark ${name}: there are ${known.join(', ')}`)
  }
  const given = values as Readonly<Record<string, string | boolean | undefined>>
  const sizes = { ...(values.full ? FULL : USUAL) } as Record<keyof Sizes, number>
  for (const key of keys) if (given[key] !== undefined) sizes[key] = Number(given[key])
  return { only, full: values.full, json: values.json, sizes }
}

function lineOf({ best, goal, median, met, note, runs, unit, what }: Figure): string {
  const target = goal === undefined ? '' : `  goal ${goal.bound} ${text(goal.value)}${unit}`
  const verdict = met === undefined ? '' : met ? ', met' : ', MISSED'
  const figure = `${text(median)}${unit}`.padStart(12)
  const spread = runs.length === 1 ? '' : `  best ${text(best)} of ${runs.length}`
  const remark = note === undefined ? '' : `  (${note})`
  return `  ${what.padEnd(58)} ${figure}${spread}${target}${verdict}${remark}`
}

function text(value: number): string {
  if (value >= 1000) return Math.round(value).toLocaleString('en').replaceAll(',', ' ')
  return value.toPrecision(3)
}
