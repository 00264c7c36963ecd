/**
 * The log service as operators run it, `dslog log` on PostgreSQL, over HTTP: submission of a whole root
 * zone, each observation with its signature, until all of it is published; and a full tile, fetched
 * as often as wrk can, beside a bare route of Fastify, and a bare node:http server, that know one answer.
 */
import { fileURLToPath } from 'node:url'
import { toBase64 } from '@dslog/tlog/bytes'
import { nameToText } from '@dslog/dnssec/name'
import type { RR } from '@dslog/dnssec/records'
import { encodeRecord } from '@dslog/dnssec/wire'
import type { SignedZone } from '@dslog/dnssec/zone'
import type { Observation, SubmitResults } from '@dslog/schema/api'
import { diffZone, keyRecords } from '@dslog/verify/zonediff'
import { rootZones, verified } from './data.ts'
import { freePort } from '@dslog/testbed/program'
import { type Bench, type Benchmark, repeat, secondsOf } from './harness.ts'
import { start, startLog, TOKEN } from './running.ts'
import { serverUrl } from './server.ts'
import { hasWrk, wrk } from './wrk.ts'

const BARE_SERVER = fileURLToPath(new URL('bare-server.js', import.meta.url))
/** Observations of one request, and requests at a time. */
const REQUEST = 100
const AT_ONCE = 4

export const serve: Benchmark = {
  name: 'serve',
  about: 'submission and tiles over HTTP',
  async run(bench) {
    const url = await serverUrl(bench)
    const file = rootZones().at(-1)
    if (url === undefined || file === undefined) {
      return bench.skip('serve: no PostgreSQL, or no root zones')
    }
    const observations = observationsOf(await verified(file))
    let log = ''
    const runs = await repeat(Math.min(bench.sizes.runs, 3), async () => {
      log = await startLog(bench, url)
      const seconds = await secondsOf(() => submit(log, observations))
      return observations.length / seconds
    })
    bench.report(
      `observations of a root zone, ${AT_ONCE} requests of ${REQUEST} at a time`,
      '/s',
      runs,
    )

    if (!hasWrk()) return bench.skip('wrk is not installed')
    const servers = {
      log,
      fastify: await startBareServer(bench),
      http: await startBareServer(bench, '--http'),
    }
    const tiles = { log: [] as number[], fastify: [] as number[], http: [] as number[] }
    for (let run = 0; run < bench.sizes.runs; run++) {
      for (const server of ['log', 'fastify', 'http'] as const) {
        tiles[server].push(await wrk(`${servers[server]}/tile/0/000`, bench.sizes.seconds))
      }
    }
    bench.report('GET of a full tile', '/s', tiles.log)
    bench.report('the same bytes from a bare route of Fastify', '/s', tiles.fastify)
    bench.report('the same bytes from a bare node:http', '/s', tiles.http)
    const ratio = tiles.log.map((rate, i) => rate / tiles.fastify[i]!)
    bench.report('the first of the second', '', ratio, { goal: { bound: 'at least', value: 0.9 } })
  },
}

/** Evidence of everything in a zone, as `dslog import` submits it. */
function observationsOf(zone: SignedZone): Observation[] {
  const moment = { observed_at: zone.at, historical: true }
  const base64 = (records: readonly RR[]) => records.map((rr) => toBase64(encodeRecord(rr)))
  const keys = { owner: '.', kind: 'keys' as const, ...moment, records: base64(keyRecords(zone)) }
  const states = diffZone(zone, new Map()).map(({ name, records }) => {
    return { owner: nameToText(name), ...moment, records: base64(records) }
  })
  return [keys, ...states]
}

async function submit(log: string, observations: readonly Observation[]): Promise<void> {
  // The keys first: everything hangs from them.
  let next = 1
  await post(log, observations.slice(0, 1))
  const worker = async (): Promise<void> => {
    while (next < observations.length) {
      const request = observations.slice(next, next + REQUEST)
      next += REQUEST
      await post(log, request)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
}

async function post(log: string, observations: readonly Observation[]): Promise<void> {
  const response = await fetch(`${log}/v1/observations`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${TOKEN}` },
    body: JSON.stringify({ observations }),
  })
  const text = await response.text()
  if (response.status !== 200) throw new Error(`${response.status}: ${text}`)
  const { results } = JSON.parse(text) as SubmitResults
  const wrong = results.find(({ status }) => status !== 'logged')
  if (wrong !== undefined) throw new Error(JSON.stringify(wrong))
}

async function startBareServer(bench: Bench, ...options: readonly string[]): Promise<string> {
  const port = await freePort()
  return start(bench, [BARE_SERVER, String(port), ...options], port, process.env)
}
