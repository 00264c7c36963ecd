/**
 * From a submission to the published tree, through the log service as operators run it: how many names
 * a second, each with signatures of P-256; and how long a single one takes where the log publishes each
 * second, without witnesses and with three on this machine.
 */
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { formatSkey } from '@dslog/tlog/key'
import { formatPolicy } from '@dslog/tlog/policy'
import { ALGORITHM } from '@dslog/dnssec/backend/backend'
import { FakeWitness } from '../fakewitness.ts'
import { keyOf } from '../place.ts'
import { bodyOf, type SignedName, signedNames, submit } from './handin.ts'
import { listenOnLoopback } from '@dslog/testbed/loopback'
import { type Bench, type Benchmark, quantile, repeat, secondsOf } from './harness.ts'
import { startLog } from './running.ts'
import { serverUrl } from './server.ts'

/** Names that are measured, and those before them: until threads run and code is compiled. */
const NAMES = 8_000
const WARM_UP = 8_000
/** Names of a request, and requests at a time. */
const REQUEST = 250
const AT_ONCE = 8
/** A single name is handed in so often, ms. */
const EACH_MS = 50
/** Witnesses of whom all must cosign. */
const WITNESSES = ['a', 'b', 'c']

export const publish: Benchmark = {
  name: 'publish',
  about: 'from a submission to the published tree, P-256',
  async run(bench) {
    const server = await serverUrl(bench)
    if (server === undefined) return bench.skip('publish: no PostgreSQL')
    const { runs, seconds } = bench.sizes
    const singles = Math.ceil((seconds * 1_000) / EACH_MS)
    const { anchors, names } = signedNames(
      WARM_UP + NAMES + 2 * singles,
      ALGORITHM.ECDSAP256SHA256,
      REQUEST,
    )
    const file = join(bench.folder(), 'anchors')
    writeFileSync(file, anchors)
    const settings = { DSLOG_ANCHORS: file, DSLOG_LOG_RATE_LIMIT: '1000000' }

    const cold: number[] = []
    const rates = await repeat(Math.min(runs, 3), async () => {
      const log = await startLog(bench, server, settings)
      cold.push(await rateOf(log, names.slice(0, WARM_UP)))
      return rateOf(log, names.slice(WARM_UP, WARM_UP + NAMES))
    })
    const how = `${AT_ONCE} requests of ${REQUEST} at a time`
    bench.report(`names, ${how}, the first ${WARM_UP} of a process`, '/s', cold)
    bench.report(`names, ${how}, after those`, '/s', rates, {
      goal: { bound: 'at least', value: 4_000 },
    })

    const slow = { ...settings, DSLOG_LOG_PUBLISH_INTERVAL: '1s' }
    const alone = await startLog(bench, server, slow)
    await reportWaits(bench, 'no witness', alone, names.slice(-singles), [1_500, 3_000])
    const witnessed = await startLog(bench, server, {
      ...slow,
      DSLOG_LOG_KEY: formatSkey(keyOf()),
      DSLOG_LOG_WITNESS_POLICY: await startWitnesses(bench),
    })
    await reportWaits(
      bench,
      'three witnesses',
      witnessed,
      names.slice(-2 * singles, -singles),
      [2_000, 5_000],
    )
  },
}

/** Names a second, until all of them are published. */
async function rateOf(log: string, names: readonly SignedName[]): Promise<number> {
  const bodies: string[] = []
  for (let at = 0; at < names.length; at += REQUEST) {
    bodies.push(bodyOf(names.slice(at, at + REQUEST)))
  }
  return names.length / (await secondsOf(() => submitAll(log, bodies)))
}

/** Until everything is published. */
async function submitAll(log: string, bodies: string[]): Promise<void> {
  const worker = async (): Promise<void> => {
    for (let body = bodies.pop(); body !== undefined; body = bodies.pop()) await submit(log, body)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
}

/** The answer to a submission comes when it is published. */
async function reportWaits(
  bench: Bench,
  how: string,
  log: string,
  names: readonly SignedName[],
  [half, most]: readonly [number, number],
): Promise<void> {
  const waits: Promise<number>[] = []
  for (const name of names) {
    waits.push(secondsOf(() => submit(log, bodyOf([name]))))
    await sleep(EACH_MS)
  }
  const times = (await Promise.all(waits)).map((seconds) => seconds * 1_000)
  bench.report(`submitted until published, ${how}, half`, 'ms', [quantile(times, 0.5)], {
    goal: { bound: 'at most', value: half },
  })
  bench.report(`…, 99 of 100`, 'ms', [quantile(times, 0.99)], {
    goal: { bound: 'at most', value: most },
  })
}

/** Witnesses in this process, each at a URL of its own; the file of their policy. */
async function startWitnesses(bench: Bench): Promise<string> {
  const witnesses = await Promise.all(
    WITNESSES.map(async (name) => {
      const witness = new FakeWitness(name, Date.now)
      return { name, key: witness.key, url: await serve(bench, witness) }
    }),
  )
  const group = { name: 'all', threshold: WITNESSES.length, members: WITNESSES }
  const policy = formatPolicy({
    logs: [{ key: keyOf() }],
    witnesses,
    groups: [group],
    quorum: 'all',
  })
  const file = join(bench.folder(), 'witnesses')
  writeFileSync(file, policy)
  return file
}

async function serve(bench: Bench, witness: FakeWitness): Promise<string> {
  const server = createServer((request, response) => {
    void text(request).then(async (body) => {
      const answer = witness.cosign(body)
      response.writeHead(answer.status, Object.fromEntries(answer.headers))
      response.end(await answer.text())
    })
  })
  const port = await listenOnLoopback(server)
  bench.after(() => void server.close())
  return `http://127.0.0.1:${port}`
}
