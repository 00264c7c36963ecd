/**
 * A log under a flood: strangers hand in what does not verify while an operator's crawler hands in what does, and readers
 * read, from the log and from a process that only reads. How long readers wait, beside how long they do when nothing
 * happens; how long it takes from a submission to the published tree; and whether everything that was accepted is there in
 * the end. Whoever floods works on the same machine.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { ALGORITHM } from '@dslog/dnssec/backend/backend'
import type { ZoneView } from '@dslog/schema/api'
import type { Waits } from './flood-reader.ts'
import { bodyOf, signedNames, submit } from './handin.ts'
import { type Benchmark, quantile } from './harness.ts'
import { startLog, startReader } from './running.ts'
import { serverUrl } from './server.ts'

/** Observations of a request, and requests of each kind every tenth of a second: 2,000 good ones a second, 10,000 bad ones. */
const REQUEST = 100
const GOOD = 2
const BAD = 10
const TICK_MS = 100
const READER = fileURLToPath(new URL('flood-reader.ts', import.meta.url))
/** What is lost is looked for so long, ms. */
const SETTLE_MS = 30_000

export const flood: Benchmark = {
  name: 'flood',
  about: 'reads and submissions while strangers flood the log',
  async run(bench) {
    const server = await serverUrl(bench)
    if (server === undefined) return bench.skip('flood: no PostgreSQL')
    const { seconds } = bench.sizes
    const { anchors, bad, good } = evidence((seconds * 1_000) / TICK_MS)
    const file = join(bench.folder(), 'anchors')
    writeFileSync(file, anchors)
    const log = await startLog(bench, server, {
      DSLOG_ANCHORS: file,
      DSLOG_LOG_PUBLISH_INTERVAL: '1s',
      DSLOG_LOG_RATE_LIMIT: '1000000',
    })
    await submit(log, good.shift()!)

    const places = { 'the log': log, 'a reader': await startReader(bench, log) }
    const idle = await readAll(places, seconds)
    const taken: number[] = []
    let accepted = 0
    const handIn = async (body: string, from: number): Promise<void> => {
      const { results } = await submit(log, body)
      taken.push(performance.now() - from)
      accepted += results.filter(({ status }) => status === 'logged').length
    }
    const flooding = (async () => {
      const sent: Promise<unknown>[] = []
      for (let tick = 0; tick < (seconds * 1_000) / TICK_MS; tick++) {
        const from = performance.now()
        for (const body of good.splice(0, GOOD)) sent.push(handIn(body, from))
        for (let i = 0; i < BAD; i++) sent.push(refused(log, bad))
        await sleep(Math.max(0, from + TICK_MS - performance.now()))
      }
      await Promise.all(sent)
    })()
    const began = performance.now()
    const busy = await readAll(places, seconds)
    await flooding
    const took = (performance.now() - began) / 1_000

    for (const [i, place] of Object.keys(places).entries()) {
      for (const what of ['checkpoint', 'tile'] as const) {
        const [calm, flooded] = [idle[i]![what], busy[i]![what]]
        bench.report(`${what} of ${place}, idle, 99 of 100`, 'ms', [quantile(calm, 0.99)])
        bench.report(`${what} of ${place}, flooded, half`, 'ms', [quantile(flooded, 0.5)])
        bench.report(`${what} of ${place}, flooded, 99 of 100`, 'ms', [quantile(flooded, 0.99)], {
          goal: { bound: 'at most', value: 3 * quantile(calm, 0.99) },
          note: 'three times as long as idle; the flood is made on the same cores',
        })
      }
    }
    bench.report('submitted until published, half', 'ms', [quantile(taken, 0.5)])
    bench.report('submitted until published, 99 of 100', 'ms', [quantile(taken, 0.99)])
    bench.report('accepted meanwhile', '/s', [accepted / took])
    bench.report('accepted and lost', '', [await lost(log, accepted + 1)], {
      goal: { bound: 'at most', value: 0 },
    })
  },
}

/** Bodies of submissions: good ones, the first a single name; and a bad one, each of whose signatures is wrong. */
function evidence(ticks: number): { anchors: string; good: string[]; bad: string } {
  const counts = [1, ...Array.from({ length: ticks * GOOD }, () => REQUEST)]
  const total = counts.reduce((sum, count) => sum + count, REQUEST)
  const { anchors, names } = signedNames(total, ALGORITHM.ED25519)
  const rest = [...names]
  const bad = rest.splice(0, REQUEST).map(({ owner, records: [ds, rrsig, ...keys] }) => {
    const broken = rrsig!.slice()
    broken[broken.length - 1]! ^= 1
    return { owner, records: [ds!, broken, ...keys] }
  })
  return { anchors, good: counts.map((count) => bodyOf(rest.splice(0, count))), bad: bodyOf(bad) }
}

/** Strangers come from another address than the operator. */
const STRANGERS = new Agent({ keepAlive: true, localAddress: '127.0.0.2' })

/** Whatever is answered, and be it nothing. */
function refused(log: string, body: string): Promise<void> {
  return new Promise((resolve) => {
    const headers = { 'content-type': 'application/json' }
    const asked = request(`${log}/v1/observations`, { method: 'POST', headers, agent: STRANGERS })
    asked.on('error', () => resolve())
    asked.on('response', (answer) => answer.resume().on('close', () => resolve()))
    asked.end(body)
  })
}

/** Reads from several places at once, in a process of its own. */
async function readAll(
  places: Readonly<Record<string, string>>,
  seconds: number,
): Promise<Waits[]> {
  const args = ['--import', 'tsx', READER, String(seconds), ...Object.values(places)]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  await once(child, 'close')
  return JSON.parse(output) as Waits[]
}

/** Names that were accepted and are not in the published tree. */
async function lost(log: string, accepted: number): Promise<number> {
  let missing = accepted
  for (const end = Date.now() + SETTLE_MS; missing > 0 && Date.now() < end; await sleep(TICK_MS)) {
    const zone = (await (await fetch(`${log}/v1/zones/fi.`)).json()) as ZoneView
    missing = accepted - zone.names
  }
  return Math.max(0, missing)
}
