import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { asHash } from '@dslog/tlog/hash'
import { nameFromText } from '@dslog/dnssec/name'
import type { StateCandidate } from '@dslog/verify/candidate'
import { Problem } from '@dslog/service/problem'
import { goingOn } from '@dslog/testbed/clock'
import { Internet } from '@dslog/testbed/internet'
import { ownerDs } from '@dslog/testbed/stories'
import { Turns } from '@dslog/testbed/turns'
import { Places } from '../../../test/place.ts'
import { observe, openPlace, TestLog } from '../../../test/testlog.ts'
import type { Batch, Outcome } from '../src/decide.ts'
import type { Log, LogOptions } from '../src/log.ts'
import {
  MAX_TREE_CANDIDATES,
  REFRESH_MS,
  Sequencer,
  type SequencerOptions,
} from '../src/sequencer.ts'
import { Hold } from './hold.ts'

const places = await Places.open()
afterAll(() => places.close())

const net = new Internet()
const fi = net.addZone('fi.')
const clock = goingOn(net.clock.now)

/** A verified candidate, which others are made from: the log looks at no signature again. */
let real: StateCandidate
let made = 0

/** Evidence about so many names that are new, each an observation. */
function evidence(count: number): Batch[] {
  return Array.from({ length: count }, () => {
    const owner = nameFromText(`made${++made}.fi.`)
    const stateId = asHash(new Uint8Array(32).fill(made % 251))
    return { candidates: [{ ...real, owner, stateId }] }
  })
}

let plain: LogOptions
let log: Log
let sequencer: Sequencer
let hold: Hold
let broken: boolean
let failures: unknown[]

/** Makes what the log stands on stop at a commit, or before a signature. */
function wrap(options: LogOptions): LogOptions {
  const { db } = options
  const transaction: typeof db.transaction = async (run) => {
    if (broken) throw new Error('the disk is full')
    return db.transaction(run)
  }
  return hold.wrap({ ...options, db: { ...db, transaction } })
}

beforeAll(async () => {
  plain = await openPlace(await places.make(places.kinds.at(-1)!, net.anchors), clock)
  const owner = nameFromText('real.fi.')
  fi.delegate(owner, [ownerDs(owner)])
  const test = await TestLog.over(plain, {
    clock,
    sink: (log) => ({
      submit(batches) {
        real = batches[0]!.candidates.at(-1) as StateCandidate
        return log.sequence(batches)
      },
    }),
  })
  await test.submit(observe(net, owner))
  await test.log.close()
})
afterAll(() => plain.db.close())

beforeEach(async () => {
  hold = new Hold()
  broken = false
  failures = []
  ;({ log } = await TestLog.over(plain, { clock, wrap }))
})
afterEach(async () => {
  hold.open()
  await sequencer.stop().catch(() => {})
  await log.close()
})

/** What who hands in something now is told. */
function refusal(): unknown {
  try {
    return void sequencer.submit(evidence(1))
  } catch (error) {
    return error
  }
}

/** Of a log that is not sequencing: it may be again, when it has been started. */
const LATER = { problem: 'unavailable', status: 503, retryAfter: expect.any(Number) }

/** @param start or left as it is before */
function make(options: Partial<SequencerOptions> = {}, start = true): Sequencer {
  sequencer = new Sequencer(log, { interval: 1, clock, ...options })
  if (start) sequencer.start((error) => failures.push(error))
  return sequencer
}

const indices = (outcomes: readonly Outcome[]): (number | string)[] =>
  outcomes.map((one) => (one.status === 'logged' ? one.index : one.status))

describe('a pool', () => {
  test('answers each submission, in order, once its tree is published', async () => {
    make()
    const { size } = log
    const arrived = hold.close()
    const first = sequencer.submit(evidence(1))
    await arrived
    // These wait together, and make one tree.
    const others = [sequencer.submit(evidence(2)), sequencer.submit(evidence(3))]
    expect(sequencer.backlog).toBe(6)
    expect(log.published.size).toBe(size)
    hold.open()
    expect(indices(await first)).toEqual([size])
    expect(log.published.size).toBeGreaterThanOrEqual(size + 2)
    expect(indices(await others[0]!)).toEqual([size + 2, size + 3])
    expect(indices(await others[1]!)).toEqual([size + 4, size + 5, size + 6])
    expect(log.published.size).toBe(size + 8)
    expect(sequencer.backlog).toBe(0)
  })

  test('lets others go on while it answers many', async () => {
    make()
    const arrived = hold.close()
    const first = sequencer.submit(evidence(1))
    await arrived
    const [many, last] = [sequencer.submit(evidence(250)), sequencer.submit(evidence(1))]
    const turns = new Turns()
    const told = Promise.all([many, last].map((answer) => answer.then(() => turns.count)))
    hold.open()
    await first
    const [before, after] = await told
    turns.stop()
    expect(after).toBeGreaterThan(before!)
  })

  test('tells what is known, and makes no tree of nothing new', async () => {
    make()
    const heard: number[] = []
    const stop = sequencer.onPublished(() => heard.push(log.published.size))
    const twice = evidence(2)
    await sequencer.submit(twice)
    const { size } = log
    expect(indices(await sequencer.submit(twice))).toEqual(['known', 'known'])
    expect(await sequencer.submit([])).toEqual([])
    expect(log.size).toBe(size)
    expect(heard).toEqual([size])
    stop()
    await sequencer.submit(evidence(1))
    expect(heard).toEqual([size])
  })

  test('divides what is too much for one tree, but no submission', async () => {
    make()
    const arrived = hold.close()
    const first = sequencer.submit(evidence(1))
    await arrived
    const { size } = log
    const large = sequencer.submit(evidence(MAX_TREE_CANDIDATES + 1))
    const small = sequencer.submit(evidence(1))
    hold.open()
    await first
    const last = indices(await large).at(-1)
    expect(last).toBe(size + MAX_TREE_CANDIDATES)
    // A MAP_HEAD lies between.
    expect(indices(await small)).toEqual([size + MAX_TREE_CANDIDATES + 2])
  })

  test('refuses when it is full, and takes one submission of any size when it is empty', async () => {
    make({ capacity: 3 })
    const arrived = hold.close()
    const first = sequencer.submit(evidence(5))
    await arrived
    const refused = Array.from({ length: 50 }, refusal)
    for (const problem of refused) {
      expect(problem).toBeInstanceOf(Problem)
      expect(problem).toMatchObject({ problem: 'unavailable', status: 503, message: /full/ })
    }
    // Who was refused together does not come back together.
    const waits = new Set(refused.map((problem) => (problem as Problem).retryAfter))
    expect(waits.size).toBeGreaterThan(1)
    for (const wait of waits) expect(wait).toBeGreaterThanOrEqual(1)
    hold.open()
    await first
    const room = [sequencer.submit(evidence(2)), sequencer.submit(evidence(1))]
    expect((await Promise.all(room)).flat()).toHaveLength(3)
  })

  test('one zone fills half of it, and is counted down again', async () => {
    make({ capacity: 10 })
    const arrived = hold.close()
    const first = sequencer.submit(evidence(4))
    await arrived
    expect(sequencer.isCrowded(real.zone)).toBe(false)
    const second = sequencer.submit(evidence(1))
    expect(sequencer.isCrowded(real.zone)).toBe(true)
    expect(sequencer.isCrowded(nameFromText('se.'))).toBe(false)
    hold.open()
    await Promise.all([first, second])
    expect(sequencer.isCrowded(real.zone)).toBe(false)
  })

  test('takes nothing before its start', async () => {
    make({}, false)
    expect(refusal()).toMatchObject(LATER)
    await sequencer.stop()
  })

  test('works without a pause between trees', async () => {
    make({ interval: 0 })
    const { size } = log
    for (let i = 0; i < 3; i++) await sequencer.submit(evidence(1))
    expect(log.published.size).toBe(size + 6)
  })

  test('signs anew when nothing happens', async () => {
    make()
    const { note, publishedAt, size } = log.published
    net.clock.advance(REFRESH_MS)
    while (log.published.publishedAt === publishedAt) await new Promise(setImmediate)
    expect(log.published).toMatchObject({ note, size })
    expect(log.published.publishedAt).toBeGreaterThanOrEqual(publishedAt + REFRESH_MS)
    await sequencer.submit(evidence(1))
    expect(failures).toEqual([])
  })
})

describe('the end of a pool', () => {
  test('comes after everything that was accepted', async () => {
    make()
    const arrived = hold.close()
    const first = sequencer.submit(evidence(1))
    await arrived
    const second = sequencer.submit(evidence(2))
    const stopped = sequencer.stop()
    expect(refusal()).toMatchObject(LATER)
    hold.open()
    await stopped
    expect(await first).toHaveLength(1)
    expect(await second).toHaveLength(2)
    expect(log.published.size).toBe(log.size)
  })

  test('is final when a tree fails: nobody waits, and nothing goes on', async () => {
    make()
    const { size } = log
    const arrived = hold.close()
    const first = sequencer.submit(evidence(1))
    await arrived
    broken = true
    const rest = [sequencer.submit(evidence(1)), sequencer.submit(evidence(1))]
    hold.open()
    expect(await first).toHaveLength(1)
    for (const one of rest) {
      await expect(one).rejects.toMatchObject({ ...LATER, message: /stopped/ })
    }
    await new Promise(setImmediate)
    expect(failures).toHaveLength(1)
    expect(failures[0]).toMatchObject({ message: 'the disk is full' })
    broken = false
    expect(refusal()).toMatchObject(LATER)
    await sequencer.stop()
    expect(log.size).toBe(size + 2)
    expect(sequencer.backlog).toBe(0)
  })

  test('is final also when it fails while it stops', async () => {
    make()
    const arrived = hold.close()
    const first = sequencer.submit(evidence(1))
    await arrived
    const rest = [sequencer.submit(evidence(MAX_TREE_CANDIDATES)), sequencer.submit(evidence(1))]
    const refused = rest.map((one) => expect(one).rejects.toMatchObject(LATER))
    const stopped = sequencer.stop()
    broken = true
    hold.open()
    await expect(stopped).rejects.toThrow('the disk is full')
    await first
    await Promise.all(refused)
  })

  test('is final when the record of what was signed is gone', async () => {
    make()
    const { signerRow } = plain
    const read = signerRow.read.bind(signerRow)
    signerRow.read = async () => {
      throw new Error('the disk is gone')
    }
    try {
      await expect(sequencer.submit(evidence(1))).rejects.toMatchObject(LATER)
    } finally {
      signerRow.read = read
    }
    await new Promise(setImmediate)
    expect(failures).toHaveLength(1)
    // What was committed is signed by whoever opens the log next.
    const { size } = log
    expect(log.published.size).toBeLessThan(size)
    await log.close()
    ;({ log } = await TestLog.over(plain, { clock }))
    expect(log.published.size).toBe(size)
  })
})
