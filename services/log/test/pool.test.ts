/** Threads that judge: the same verdicts as on the log's own thread, also when threads die. */
import { Worker } from 'node:worker_threads'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { utf8 } from '@dslog/tlog/bytes'
import { ALGORITHM } from '@dslog/dnssec/backend/backend'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { nameFromText } from '@dslog/dnssec/name'
import type { Observation } from '@dslog/schema/api'
import { mapKey, MapKind } from '@dslog/schema/identity'
import type { FoldTables } from '@dslog/service/foldtables'
import { startThread } from '@dslog/service/thread'
import type { KnownKeys } from '@dslog/verify/observe'
import { Internet } from '@dslog/testbed/internet'
import { ownerDs } from '@dslog/testbed/stories'
import { Places } from '../../../test/place.ts'
import { observe, TestLog } from '../../../test/testlog.ts'
import { VerifyBudget } from '../src/budget.ts'
import { Judge } from '../src/judge/judge.ts'
import { JudgePool, type JudgePoolOptions } from '../src/judge/pool.ts'
import { ZoneList } from '../src/zones.ts'

const algorithm = ALGORITHM.ED25519
const net = new Internet()
net.addZone('fi.', { algorithm })
net.addZone('shop.fi.', { algorithm })
const { now } = net.clock
const added = [nameFromText('shop.fi.')]
const owners = Array.from({ length: 100 }, (_, i) => {
  const owner = nameFromText(i % 10 === 9 ? `name${i}.shop.fi.` : `name${i}.fi.`)
  net.parentOf(owner).delegate(owner, [ownerDs(owner)])
  return owner
})
const observations = owners.map((owner) => observe(net, owner))

const places = await Places.open(['embedded'])
let log: TestLog
let pool: JudgePool

beforeAll(async () => {
  log = await TestLog.open({
    place: await places.make('embedded', net.anchors),
    clock: now,
    zones: added,
  })
  pool = poolOf()
})
afterAll(async () => {
  await pool.close()
  await log.close()
  await places.close()
})

function poolOf(more: Partial<JudgePoolOptions> = {}): JudgePool {
  return new JudgePool({ log: log.log, threads: 2, zones: added, ...more })
}

function bodyOf(all: readonly Observation[]): Uint8Array {
  return utf8(JSON.stringify({ observations: all }))
}

function work(body: Uint8Array, takesPast = false, purse?: Int32Array) {
  return { body, now: now(), purse, takesPast }
}

/** Another octet in the middle of each record. */
function damaged({ owner, records = [] }: Observation): Observation {
  return {
    owner,
    records: records.map((text) => {
      const bytes = Buffer.from(text, 'base64')
      bytes[Math.floor(bytes.length / 2)]! ^= 1
      return bytes.toString('base64')
    }),
  }
}

/** What the log's own thread says, without what is lost between threads: that some bytes are a Buffer. */
async function judgedHere(all: readonly Observation[]) {
  const { fold } = log.log
  const zones = new ZoneList(added)
  const known: KnownKeys = {
    lookup: (keysId) => fold.zoneKeys(keysId),
    keysOfZone: (zone) => fold.keysOfZone(mapKey(MapKind.zoneKeys, zone)),
    admits: (zone) => zones.admits(zone),
  }
  const options = { anchors: net.anchors, backend: nodeBackend(), known }
  const judge = new Judge(options, now(), undefined)
  const judged = []
  for (const observation of all) judged.push(await judge.judge(observation))
  return structuredClone(judged)
}

describe('threads that judge', () => {
  test('say what the log’s own thread says, of good evidence and bad', async () => {
    const all = [
      ...observations,
      ...observations.slice(0, 5).map(damaged),
      { owner: 'a..fi.', records: ['AA=='] },
      { owner: '.', kind: 'keys' as const, records: observations[0]!.records! },
      { owner: 'nothing.fi.' },
      { ...observations[0]!, historical: true, observed_at: now() - 1000 },
      { ...observations[0]!, historical: true, observed_at: now() + 1000 },
    ]
    const judgement = await pool.judge(work(bodyOf(all), true))
    const here = await judgedHere(all)
    expect(judgement).toEqual({ judged: here })
    expect(here.filter((one) => 'batch' in one)).toHaveLength(102)
  })

  test('send keys once for all that hang from them', async () => {
    const judgement = await pool.judge(work(bodyOf(observations)))
    if (!('judged' in judgement)) throw new Error('nothing was judged')
    const sets = judgement.judged.flatMap((one) => ('batch' in one ? one.batch.candidates : []))
    expect(new Set(sets.filter(({ kind }) => kind === 'keys')).size).toBe(3)
  })

  test('know the keys that the log has', async () => {
    await log.submit(...observations.slice(0, 20))
    // Nothing but the DS records and their signatures.
    const bare = observations.map(({ owner, records }) => {
      return { owner, records: records!.slice(0, 2) }
    })
    const judgement = await pool.judge(work(bodyOf(bare)))
    expect(judgement).toEqual({ judged: await judgedHere(bare) })
    expect(judgement).toMatchObject({ judged: bare.map(() => ({ batch: expect.anything() })) })
  })

  test('judge many submissions at a time, each for itself', async () => {
    const parts = Array.from({ length: 10 }, (_, i) => observations.slice(10 * i, 10 * i + 10))
    const all = await Promise.all(parts.map((part) => pool.judge(work(bodyOf(part)))))
    for (const [i, judgement] of all.entries()) {
      expect(judgement).toEqual({ judged: await judgedHere(parts[i]!) })
    }
  })

  test('refuse what is no submission, and evidence from the past', async () => {
    const past = bodyOf([{ ...observations[0]!, historical: true }])
    expect(await pool.judge(work(past))).toEqual({ past: true })
    expect(await pool.judge(work(utf8('{"observations"')))).toEqual({ faults: undefined })
    const wrong = await pool.judge(work(utf8('{"observations":[{"owner":1}]}')))
    expect(wrong).toMatchObject({ faults: [{ instancePath: '/observations/0/owner' }] })
  })

  test('take what they cost from the purse, and stop when it is empty', async () => {
    const budget = new VerifyBudget(now, 20)
    const purse = budget.purse('a')
    const judgement = await pool.judge(work(bodyOf(observations), false, purse.memory))
    expect(purse.left).toBeLessThanOrEqual(0)
    expect(purse.left).toBeGreaterThan(-5)
    expect(judgement).toMatchObject({ judged: expect.any(Array) })
    const { judged } = judgement as Extract<typeof judgement, { judged: unknown }>
    expect(judged[0]).toHaveProperty('batch')
    expect(judged.at(-1)).toMatchObject({ refused: { reason: 'rate-limited' } })
  })

  test('tell of a database that does not answer', async () => {
    const failing = { keysOfZone: () => Promise.reject(new Error('away')) }
    const blind = poolOf({ log: { anchors: net.anchors, fold: failing as unknown as FoldTables } })
    onTestFinished(() => blind.close())
    await expect(blind.judge(work(bodyOf(observations)))).rejects.toThrow('away')
  })
})

describe('a thread that dies', () => {
  /** Takes work, and is gone. */
  function dying(): Worker {
    const code = `require('node:worker_threads').parentPort.once('message', () => process.exit(3))`
    return new Worker(code, { eval: true })
  }

  test('is replaced, and what it was at is judged again', async () => {
    const deaths: string[] = []
    let started = 0
    const frail = poolOf({
      threads: 1,
      start: (workerData) =>
        started++ === 0
          ? dying()
          : startThread('../src/judge/worker', import.meta.url, { name: 'test', workerData }),
    })
    onTestFinished(() => frail.close())
    frail.onDeath = ({ message }) => deaths.push(message)
    const part = observations.slice(0, 10)
    const all = await Promise.all([1, 2, 3].map(() => frail.judge(work(bodyOf(part)))))
    for (const judgement of all) expect(judgement).toEqual({ judged: await judgedHere(part) })
    expect({ deaths, started }).toEqual({ deaths: ['exit code 3'], started: 2 })
  })

  test('takes no third one along', async () => {
    let started = 0
    const dyingAgain = (): Worker => {
      started++
      return dying()
    }
    const doomed = poolOf({ threads: 1, start: dyingAgain })
    onTestFinished(() => doomed.close())
    const retry = { problem: 'unavailable', retryAfter: expect.any(Number) }
    await expect(doomed.judge(work(bodyOf(observations)))).rejects.toMatchObject(retry)
    expect(started).toBe(2)
  })

  test('at the end of the service, with what it was at', async () => {
    const ending = poolOf()
    const judged = ending.judge(work(bodyOf(observations))).catch((error: unknown) => error)
    await ending.close()
    expect(await judged).toMatchObject({ problem: 'unavailable' })
    await expect(ending.judge(work(bodyOf([])))).rejects.toMatchObject({ problem: 'unavailable' })
  })
})
