/** Proofs over HTTP from a log of many names on PostgreSQL, asked for as often as wrk can on the same cores. */
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { nameToText } from '@dslog/dnssec/name'
import { LOG_CONFIG } from '@dslog/log/config'
import { buildLogHttp } from '@dslog/log/http'
import { LogReader } from '@dslog/log/reader'
import { ZoneList } from '@dslog/log/zones'
import { readConfig } from '@dslog/service/config'
import { Health } from '@dslog/service/health'
import type { Http } from '@dslog/service/http'
import { Metrics } from '@dslog/service/metrics'
import { randomIntFrom } from '@dslog/testbed/random'
import { silent } from '../silent.ts'
import { type FilledLog, filledLog } from './filled.ts'
import { type Benchmark, type Goal, repeat } from './harness.ts'
import { Meter } from './processor.ts'
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
    const app = await serverOf(filled)
    bench.after(() => app.close())
    await app.listen({ host: '127.0.0.1', port: 0 })
    const url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
    const { names, runs, seconds } = bench.sizes
    const meter = await Meter.of(filled.options.db)
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
      // Making it up was such work that the server sheds load until it has seen that it is over.
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

/** The server of the log service, in this process. */
async function serverOf({ log, options }: FilledLog): Promise<Http> {
  const { log: config } = readConfig({ log: LOG_CONFIG }, { DSLOG_LOG_RATE_LIMIT: '1000000000' })
  const context = {
    reader: new LogReader(log, options.db),
    admitter: undefined,
    onPublished: () => () => {},
    isFrozen: () => false,
    zones: new ZoneList([]),
    vkeys: [],
    policy: '',
    anchors: undefined,
    monitor: undefined,
    publishInterval: 1000,
    announcement: undefined,
    operatorToken: undefined,
    software: 'dslog benchmark',
  }
  return buildLogHttp(context, config, {
    logger: silent,
    health: new Health(),
    metrics: new Metrics('log'),
  })
}
