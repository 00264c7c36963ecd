/**
 * Two logs that are followed at once: an owner hears of a change once, from whichever shows it first; what
 * one of them lacks is handed to it, out of the other; and a log that does not take it is remembered for it.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { TlogError } from '@dslog/tlog/error'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { sameName } from '@dslog/dnssec/name'
import { decodeEntry } from '@dslog/schema/entry'
import { DAY, HOUR, MINUTE } from '@dslog/schema/time'
import { decodeFinding, verifyFinding, type Withheld } from '../../src/evidence.ts'
import { evidenceAfter } from '../../src/findings.ts'
import { verifyWithheld } from '../../src/withheld.ts'
import { type Place, quickPlace } from '../world.ts'
import { rogueKey, Stage } from './stage.ts'

let home: Place
let stage: Stage

beforeAll(async () => {
  home = await quickPlace()
})
afterEach(() => stage.close())
afterAll(() => home.close())

async function kept() {
  return evidenceAfter(home.db, 0, 10)
}

async function missing(): Promise<number> {
  return (await home.db.kysely.selectFrom('unlogged').select('log').execute()).length
}

describe('a swap', () => {
  test('that both logs show is told once', async () => {
    stage = await Stage.set(home, { logs: 2 })
    stage.delegate(stage.ds(rogueKey()))
    await stage.seen()
    await stage.wait(DAY)
    expect(await stage.alerts()).toEqual(['R7 HIGH raised'])
    expect(stage.second.offered).toEqual([])
  })

  test('that one shows is told, handed to the other, and not told again when that has it', async () => {
    stage = await Stage.set(home, { logs: 2 })
    stage.delegate(stage.ds(rogueKey()))
    await stage.seen(stage.name, stage.net.evidence(stage.name), [stage.second])
    expect(stage.first.offered).toHaveLength(1)
    const { size } = stage.first.log
    // Taken: by the evidence in the other log's entries alone, the keys up to the root included.
    await stage.grow()
    expect(stage.first.log.size).toBeGreaterThan(size + 1)
    await stage.wait(30 * MINUTE)
    expect(await stage.alerts()).toEqual(['R7 HIGH raised'])
    const [alert] = await home.db.kysely.selectFrom('alert').select('origin').execute()
    expect(alert!.origin).toBe(stage.second.log.origin)
    expect(await missing()).toBe(0)
    await stage.wait(DAY)
    expect(await stage.alerts()).toEqual(['R7 HIGH raised'])
    expect(await kept()).toEqual([])
  })

  test('that is taken back is over, whichever log shows that first', async () => {
    stage = await Stage.set(home, { logs: 2 })
    await stage.pin([{ kind: 'ds', rdata: stage.child.dsRecords()[0]! }])
    stage.delegate(stage.ds(rogueKey()))
    await stage.seen(stage.name, stage.net.evidence(stage.name), [stage.first])
    await stage.grow()
    await stage.wait(4 * DAY)
    stage.delegate(...stage.child.dsRecords())
    await stage.seen(stage.name, stage.net.evidence(stage.name), [stage.second])
    await stage.grow()
    await stage.wait(2 * HOUR)
    expect(await stage.alerts()).toEqual(['R1 CRITICAL raised', 'R1 CRITICAL resolved'])
  })

  test('that comes a second time is told a second time, though it is the same DS', async () => {
    stage = await Stage.set(home, { logs: 2 })
    const [own, rogue] = [stage.child.dsRecords(), stage.ds(rogueKey())]
    await stage.pin([{ kind: 'ds', rdata: own[0]! }])
    for (const [ds, log] of [
      [[rogue], stage.first],
      [own, stage.second],
      [[rogue], stage.second],
    ] as const) {
      stage.delegate(...ds)
      await stage.seen(stage.name, stage.net.evidence(stage.name), [log])
      await stage.grow()
      await stage.wait(5 * DAY)
    }
    expect(await stage.alerts()).toEqual([
      'R1 CRITICAL raised',
      'R1 CRITICAL resolved',
      'R1 CRITICAL raised',
    ])
  })
})

describe('a removal', () => {
  test('that one shows is proven to the other by the NSEC records in the entry', async () => {
    stage = await Stage.set(home, { logs: 2 })
    stage.delegate()
    await stage.seen(stage.name, stage.net.evidence(stage.name), [stage.first])
    await stage.grow()
    expect(stage.second.offered).toHaveLength(1)
    await stage.wait(DAY)
    expect(await missing()).toBe(0)
    expect(await stage.alerts()).toEqual(['R2 HIGH raised'])
  })
})

describe('a log that does not take what the other has', () => {
  test('is kept as withholding it, with evidence that verifies, and the owner is not told twice', async () => {
    stage = await Stage.set(home, { logs: 2 })
    stage.second.refusal = { status: 'accepted' }
    stage.delegate(stage.ds(rogueKey()))
    await stage.seen(stage.name, stage.net.evidence(stage.name), [stage.first])
    for (let i = 0; i < 8; i++) {
      await stage.wait(15 * MINUTE)
      await stage.grow()
    }
    // It was asked again, too.
    expect(stage.second.offered.length).toBeGreaterThan(3)
    expect(await stage.alerts()).toEqual(['R7 HIGH raised'])
    const [piece, ...more] = await kept()
    expect(more).toEqual([])
    expect(piece).toMatchObject({ origin: stage.second.log.origin, kind: 'withheld' })
    const finding = decodeFinding(piece!.kind, piece!.evidence) as Withheld
    verifyFinding(finding, [stage.second.log.key])
    expect(() => verifyFinding(finding, [stage.first.log.key])).toThrow(TlogError)
    const verifier = { anchors: stage.net.anchors, backend: nodeBackend() }
    const state = await verifyWithheld(finding, [stage.second.log.key], verifier)
    if (state.kind !== 'state') throw new Error('a state')
    expect(sameName(state.owner, stage.name)).toBe(true)
    // It takes it after all: the evidence stays, what was missing is not.
    stage.second.refusal = undefined
    await stage.wait(15 * MINUTE)
    await stage.grow()
    await stage.wait(15 * MINUTE)
    expect(await missing()).toBe(0)
    expect(await kept()).toHaveLength(1)
  })

  test('has withheld nothing while it is away, or takes names of other zones', async () => {
    stage = await Stage.set(home, { logs: 2 })
    stage.second.refusal = new TlogError('network', 'no route to host')
    stage.delegate(stage.ds(rogueKey()))
    await stage.seen(stage.name, stage.net.evidence(stage.name), [stage.first])
    for (let i = 0; i < 8; i++) await stage.wait(15 * MINUTE)
    expect(await missing()).toBe(1)
    stage.second.refusal = { status: 'refused', reason: 'zone-not-admitted' }
    await stage.wait(15 * MINUTE)
    await stage.wait(15 * MINUTE)
    expect(await missing()).toBe(0)
    expect(await kept()).toEqual([])
    expect(await stage.alerts()).toEqual(['R7 HIGH raised'])
  })
})

describe('keys of a zone', () => {
  /** The keys of fi. as they are now, in one log alone: nothing that they sign is logged. */
  const alone = async (): Promise<void> => {
    stage = await Stage.set(home, { logs: 2 })
    const { fi, first, net } = stage
    net.rekey(fi, 7, 13)
    await first.scribe.observeKeys(fi.name, net.chain(fi.name))
    await stage.grow()
  }
  const keySets = (log: Stage['first']): number =>
    log.scribe.entries.filter((entry) => decodeEntry(entry).type === 'zone-keys').length

  test('that sign nothing which is logged are handed on, after some time to come by themselves', async () => {
    await alone()
    const before = keySets(stage.second)
    expect(stage.second.offered).toEqual([])
    await stage.wait(10 * MINUTE)
    expect(stage.second.offered).toMatchObject([{ owner: 'fi.', kind: 'keys' }])
    await stage.grow()
    expect(keySets(stage.second)).toBe(before + 1)
    for (let i = 0; i < 4; i++) await stage.wait(10 * MINUTE)
    expect(stage.second.offered).toHaveLength(1)
    expect(stage.first.offered).toEqual([])
    expect(await kept()).toEqual([])
  })

  test('are handed in again to a log that was away or busy, and not to one that refuses them', async () => {
    await alone()
    for (const refusal of [
      new TlogError('network', 'no route to host'),
      { status: 'refused', reason: 'rate-limited' },
      { status: 'refused', reason: 'zone-not-admitted' },
    ] as const) {
      stage.second.refusal = refusal
      await stage.wait(10 * MINUTE)
    }
    expect(stage.second.offered).toHaveLength(3)
    await stage.wait(HOUR)
    expect(stage.second.offered).toHaveLength(3)
  })
})

test('what a log had when it was first seen is not handed to the other', async () => {
  stage = await Stage.set(home, { logs: 2 })
  expect(stage.first.offered).toEqual([])
  expect(stage.second.offered).toEqual([])
})
