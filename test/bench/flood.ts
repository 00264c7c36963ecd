/**
 * A log under a flood: strangers hand in what does not verify while an operator's crawler hands in what does, and readers
 * read, from the log and from a process that only reads. How long readers wait, beside how long they do when nothing
 * happens; how long it takes from a submission to the published tree; and whether everything that was accepted is there in
 * the end. Whoever floods works on the same machine, so that the same is measured of a server that does nothing: while it
 * takes the same flood, and while the log does.
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
import { freePort } from '@dslog/testbed/program'
import { type Bench, type Benchmark, quantile } from './harness.ts'
import { start, startLog, startReader } from './running.ts'
import { serverUrl } from './server.ts'

/** Observations of a request, and requests of each kind every tenth of a second: 2,000 good ones a second, 10,000 bad ones. */
const REQUEST = 100
const GOOD = 2
const BAD = 10
const TICK_MS = 100
const READER = fileURLToPath(new URL('flood-reader.ts', import.meta.url))
const BARE = fileURLToPath(new URL('flood-bare.ts', import.meta.url))
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

    const bare = await startBare(bench, log)
    const places = { 'the log': log, 'a reader': await startReader(bench, log), bare }
    const idle = await readAll(places, seconds)
    const rehearsal = pour(seconds, (tick) => {
      const bodies = good.slice(tick * GOOD, (tick + 1) * GOOD)
      return [...bodies, ...Array.from({ length: BAD }, () => bad)].map((body) => post(bare, body))
    })
    const taking = await readAll({ bare }, seconds)
    await rehearsal
    const taken: number[] = []
    let accepted = 0
    const handIn = async (body: string, from: number): Promise<void> => {
      const { results } = await submit(log, body)
      taken.push(performance.now() - from)
      accepted += results.filter(({ status }) => status === 'logged').length
    }
    const began = performance.now()
    const flooding = pour(seconds, (tick) => {
      const from = performance.now()
      const bodies = good.slice(tick * GOOD, (tick + 1) * GOOD)
      return [
        ...bodies.map((body) => handIn(body, from)),
        ...Array.from({ length: BAD }, () => post(log, bad)),
      ]
    })
    const busy = await readAll(places, seconds)
    await flooding
    const took = (performance.now() - began) / 1_000

    const tell = (what: string, calm: number[], flooded: number[], goal: boolean): void => {
      const bound = 3 * quantile(calm, 0.99)
      bench.report(`${what}, idle, 99 of 100`, 'ms', [quantile(calm, 0.99)])
      bench.report(`${what}, flooded, half`, 'ms', [quantile(flooded, 0.5)])
      bench.report(`${what}, flooded, 99 of 100`, 'ms', [quantile(flooded, 0.99)], {
        ...(goal ? { goal: { bound: 'at most', value: bound } } : {}),
        note: `three times as long as idle: ${bound.toFixed(1)} ms`,
      })
    }
    for (const what of ['checkpoint', 'tile'] as const) {
      const [ofLog, ofReader, ofBare] = idle.map((waits) => waits[what])
      tell(`${what} of the log`, ofLog!, busy[0]![what], true)
      tell(`${what} of a reader`, ofReader!, busy[1]![what], true)
      tell(`${what} of a bare server beside them`, ofBare!, busy[2]![what], false)
      tell(`${what} of a bare server that takes the flood`, ofBare!, taking[0]![what], false)
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

/** Sends a flood, and waits until all of it is answered. @param send what is sent in a tick */
async function pour(seconds: number, send: (tick: number) => Promise<unknown>[]): Promise<void> {
  const sent: Promise<unknown>[] = []
  for (let tick = 0; tick < (seconds * 1_000) / TICK_MS; tick++) {
    const from = performance.now()
    sent.push(...send(tick))
    await sleep(Math.max(0, from + TICK_MS - performance.now()))
  }
  await Promise.all(sent)
}

/** A server without a log behind it; its URL. */
async function startBare(bench: Bench, log: string): Promise<string> {
  const port = await freePort()
  const args = ['--import', 'tsx', BARE, String(port), log]
  return start(bench, args, port, process.env)
}

/** Whatever is answered, and be it nothing. */
function post(log: string, body: string): Promise<void> {
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
