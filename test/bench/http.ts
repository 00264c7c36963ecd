/**
 * Proofs over HTTP from a log of many names on PostgreSQL, by a process that only reads, asked for as often as wrk can on the
 * same cores.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { formatVkey } from '@dslog/tlog/key'
import { formatAnchors } from '@dslog/dnssec/anchors'
import { nameToText } from '@dslog/dnssec/name'
import { LOG_FILES } from '@dslog/log/files'
import { policyText } from '@dslog/log/policy'
import { randomIntFrom } from '@dslog/testbed/random'
import { type FilledLog, filledLog } from './filled.ts'
import { type Bench, type Benchmark, type Goal, repeat } from './harness.ts'
import { Meter } from './processor.ts'
import { READ_ONLY, startReaderWith } from './running.ts'
import { serverUrl, urlOf } from './server.ts'
import { cpuOf } from './usage.ts'
import { anyOf, hasWrk, wrk } from './wrk.ts'

/** Leaves that are asked for again and again, and different paths of what is asked for at random. */
const WARM = 1_000
const PATHS = 50_000
const AGAIN_MS = 100

export const http: Benchmark = {
  name: 'http',
  about: 'proofs over HTTP from PostgreSQL',
  async run(bench) {
    const filled = await filledLog(bench)
    if (filled === undefined || !hasWrk()) return bench.skip('http: no PostgreSQL, or no wrk')
    const url = await startReaderOf(bench, filled)
    const { names, runs, seconds } = bench.sizes
    const meter = await Meter.of(filled.options.db, () => cpuOf(READ_ONLY))
    const below = randomIntFrom(names)
    const inclusion = (index: number) => `/v1/proofs/inclusion?index=${index}`
    const measure = async (
      what: string,
      path: (i: number) => string,
      { goal, header }: { readonly goal?: Goal; readonly header?: string },
    ) => {
      const script = anyOf(
        bench,
        Array.from({ length: PATHS }, (_, i) => path(i)),
        header,
      )
      // It may still be shedding load that was too much for it.
      while (!(await fetch(`${url}${path(0)}`)).ok) await sleep(AGAIN_MS)
      await wrk(url, 1, script)
      const rates: number[] = []
      const { node, server } = await meter.spent(async () => {
        rates.push(...(await repeat(Math.min(runs, 3), () => wrk(url, seconds, script))))
      })
      bench.report(`${what}, over HTTP`, '/s', rates, goal === undefined ? {} : { goal })
      const requests = rates.reduce((sum, rate) => sum + rate * seconds, 0)
      bench.report('processor time of one: Node', 'µs', [(node * 1e6) / requests])
      bench.report('processor time of one: PostgreSQL', 'µs', [(server * 1e6) / requests])
    }
    await measure('inclusion proofs, warm', (i) => inclusion(i % WARM), {
      goal: { bound: 'at least', value: 20_000 },
    })
    // What was answered before is not computed again in one tree, but for who has an answer already.
    const header = 'wrk.headers["If-None-Match"] = \'"another"\''
    await measure('the same, computed each time', (i) => inclusion(i % WARM), { header })
    const { size } = filled.log.published
    await measure(`inclusion proofs at random over ${size}`, () => inclusion(below(size)), {
      goal: { bound: 'at least', value: 6_000 },
    })
    const name = () => encodeURIComponent(nameToText(filled.evidence.name(below(names))))
    await measure(`proof files of names at random of ${names}`, () => `/v1/names/${name()}/proof`, {
      goal: { bound: 'at least', value: 2_000 },
    })
  },
}

/** `dslog log --read-only` on the tables of that log. */
async function startReaderOf(bench: Bench, { evidence, options }: FilledLog): Promise<string> {
  const { rows } = await sql<{ name: string }>`
    select current_database() as name`.execute(options.db.kysely)
  const folder = bench.folder()
  const anchors = join(folder, 'anchors')
  const vkeys = options.signers.map(({ key }) => formatVkey(key))
  writeFileSync(join(folder, LOG_FILES.policy), policyText(vkeys, undefined))
  writeFileSync(anchors, formatAnchors(evidence.anchors))
  return startReaderWith(bench, {
    ...process.env,
    DATABASE_URL: urlOf((await serverUrl(bench))!, rows[0]!.name),
    DSLOG_ANCHORS: anchors,
    DSLOG_DATA: folder,
    DSLOG_LOG_LEVEL: 'error',
    DSLOG_LOG_RATE_LIMIT: '1000000000',
  })
}
