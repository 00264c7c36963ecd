/**
 * What owners, operators and registries do every day, as stories: the monitor has nothing to say but
 * what belongs into a weekly digest. Whoever pins, publishes CDS, or publishes a key before its DS, is
 * promised this (docs/monitor.md).
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { ALGORITHM } from '@dslog/dnssec/backend/backend'
import { type RR, TYPE } from '@dslog/dnssec/records'
import { DAY, HOUR, MINUTE } from '@dslog/schema/time'
import { KSK, ZSK } from '@dslog/testbed/key'
import { place, type Place } from '../world.ts'
import { Stage } from './stage.ts'

let home: Place
let stage: Stage
beforeAll(async () => {
  home = await place()
})
afterEach(() => stage.close())
afterAll(() => home.close())

/** The key of the child that its DS names: the first is the one it begins with. */
function keyOf(generation: number, algorithm: number = ALGORITHM.ECDSAP256SHA256) {
  return stage.child.makeKey(KSK, algorithm, generation)
}

/** Nothing is told but what belongs into a digest, and nothing comes later. */
async function expectQuiet(...rules: readonly string[]): Promise<void> {
  await stage.wait(9 * DAY)
  expect(await stage.alerts()).toEqual([])
  expect(await stage.quiet()).toEqual(rules.map((rule) => `${rule} INFO`))
}

describe('roll-overs', () => {
  test('double-DS, announced by CDS: the DS of the next key, then the key, then the old DS goes', async () => {
    stage = await Stage.set(home)
    const [old, next] = [keyOf(1), keyOf(2)]
    stage.publishCds([stage.ds(old), stage.ds(next)])
    await stage.probe()
    stage.delegate(stage.ds(old), stage.ds(next))
    await stage.seen()
    await stage.wait(2 * DAY)
    stage.child.setKeys([next])
    stage.publishCds([stage.ds(next)])
    await stage.probe()
    stage.delegate(stage.ds(next))
    await stage.seen()
    await expectQuiet('R5', 'R9')
  })

  test('double-signature: both keys sign, then the DS is swapped', async () => {
    stage = await Stage.set(home)
    const [old, next] = [keyOf(1), keyOf(2)]
    stage.child.setKeys([old, next])
    await stage.probe()
    await stage.wait(2 * DAY)
    stage.delegate(stage.ds(next))
    await stage.seen()
    await stage.wait(2 * DAY)
    stage.child.setKeys([next])
    await stage.probe()
    await expectQuiet('R5')
  })

  test('a key published beforehand, which signs nothing yet', async () => {
    stage = await Stage.set(home)
    const [old, next] = [keyOf(1), keyOf(2)]
    stage.child.setKeys([old], [next])
    await stage.probe()
    stage.delegate(stage.ds(old), stage.ds(next))
    await stage.seen()
    await stage.wait(DAY)
    stage.delegate(stage.ds(next))
    await stage.seen()
    await expectQuiet('R5', 'R9')
  })

  test('of the first key of a name, in the week in which it was signed', async () => {
    stage = await Stage.set(home, { signed: false })
    const [old, next] = [keyOf(1), keyOf(2)]
    stage.delegate(stage.ds(old))
    await stage.seen()
    await stage.probe()
    await stage.wait(2 * HOUR)
    stage.publishCds([stage.ds(old), stage.ds(next)])
    await stage.probe()
    stage.delegate(stage.ds(old), stage.ds(next))
    await stage.seen()
    await stage.wait(2 * HOUR)
    stage.child.setKeys([next])
    await stage.probe()
    stage.delegate(stage.ds(next))
    await stage.seen()
    await expectQuiet('R5', 'R5', 'R9')
  })

  test('to another algorithm, with both for a while', async () => {
    stage = await Stage.set(home)
    const [old, next] = [keyOf(1), keyOf(1, ALGORITHM.ED25519)]
    stage.child.setKeys([old, next])
    await stage.probe()
    stage.delegate(stage.ds(old), stage.ds(next))
    await stage.seen()
    await stage.wait(2 * DAY)
    stage.delegate(stage.ds(next))
    await stage.seen()
    stage.child.setKeys([next])
    await stage.probe()
    await expectQuiet('R5', 'R9')
  })

  test('by CDS alone: the parent does at once what the child asks', async () => {
    stage = await Stage.set(home)
    const [old, next] = [keyOf(1), keyOf(2)]
    stage.child.setKeys([old], [next])
    stage.publishCds([stage.ds(next)])
    await stage.probe()
    stage.delegate(stage.ds(next))
    await stage.seen()
    await expectQuiet('R5')
  })

  test('of the keys below the key that the DS names', async () => {
    stage = await Stage.set(home, { child: { split: true } })
    const [old] = stage.child.keys
    stage.child.setKeys([old!, stage.child.makeKey(ZSK, ALGORITHM.ECDSAP256SHA256, 2)])
    await stage.probe()
    await stage.seen()
    await expectQuiet()
  })

  test('with pins of the old key and the next', async () => {
    stage = await Stage.set(home)
    const [old, next] = [keyOf(1), keyOf(2)]
    await stage.pin([old, next].map(({ rdata }) => ({ kind: 'dnskey', rdata })))
    stage.delegate(stage.ds(old), stage.ds(next))
    await stage.seen()
    await stage.wait(DAY)
    stage.delegate(stage.ds(next, 4))
    await stage.seen()
    await expectQuiet('R5', 'R5')
  })

  test('seen too late, and explained by the child within the hold', async () => {
    stage = await Stage.set(home)
    const [old, next] = [keyOf(1), keyOf(2)]
    stage.delegate(stage.ds(old), stage.ds(next))
    await stage.seen()
    stage.child.setKeys([old, next])
    await stage.probe()
    await expectQuiet('R5')
  })
})

describe('going unsigned, and coming back', () => {
  test('CDS asks for all DS to be taken away, and an owner with pins wants it so', async () => {
    stage = await Stage.set(home)
    await stage.pin([{ kind: 'dnskey', rdata: keyOf(1).rdata }])
    stage.publishCds('delete')
    await stage.probe()
    stage.delegate()
    await stage.seen()
    await expectQuiet('R3')
  })

  test('without pins, the same is a notice, an hour later', async () => {
    stage = await Stage.set(home)
    stage.publishCds('delete')
    await stage.probe()
    stage.delegate()
    await stage.seen()
    await stage.wait(30 * MINUTE)
    expect(await stage.alerts()).toEqual([])
    await stage.wait(HOUR)
    await stage.wait(9 * DAY)
    expect(await stage.alerts()).toEqual(['R3 NOTICE raised'])
  })

  test('bootstrapping: signed for the first time, by keys that the child serves', async () => {
    stage = await Stage.set(home, { signed: false })
    await stage.probe()
    stage.delegate(...stage.child.dsRecords())
    await stage.seen()
    await stage.probe()
    await expectQuiet('R5')
  })

  test('an announced change of the operator: other servers, other keys', async () => {
    stage = await Stage.set(home)
    await stage.probe()
    await stage.announce(3 * DAY, false)
    stage.servers = ['ns1.new.example.', 'ns2.new.example.']
    stage.child.setKeys([keyOf(2)])
    stage.delegate(stage.ds(keyOf(2)))
    await stage.seen()
    await stage.probe()
    await expectQuiet('R5')
  })

  test('an announced change of the operator, for some hours unsigned', async () => {
    stage = await Stage.set(home)
    await stage.pin([keyOf(1), keyOf(2)].map(({ rdata }) => ({ kind: 'dnskey', rdata })))
    await stage.announce(3 * DAY, true)
    stage.delegate()
    await stage.seen()
    stage.servers = ['ns1.new.example.', 'ns2.new.example.']
    await stage.probe()
    await stage.wait(DAY)
    stage.child.setKeys([keyOf(2)])
    stage.delegate(stage.ds(keyOf(2)))
    await stage.seen()
    await expectQuiet('R3', 'R5')
  })
})

describe('what is no change', () => {
  test('the parent signs anew, and rolls its own keys', async () => {
    stage = await Stage.set(home)
    const { fi } = stage
    const [ksk, zsk] = fi.keys
    const next = fi.makeKey(ZSK, ALGORITHM.ECDSAP256SHA256, 2)
    for (const [keys, published] of [
      [[ksk!, zsk!], [next]],
      [[ksk!, next], [zsk!]],
      [[ksk!, next], []],
    ] as const) {
      fi.setKeys(keys, published)
      await stage.seen()
      await stage.wait(5 * DAY)
    }
    await expectQuiet()
  })

  test('a second digest of the key, and then that alone', async () => {
    stage = await Stage.set(home)
    await stage.probe()
    const old = keyOf(1)
    stage.delegate(stage.ds(old), stage.ds(old, 4))
    await stage.seen()
    await stage.wait(DAY)
    await stage.probe()
    stage.delegate(stage.ds(old, 4))
    await stage.seen()
    await expectQuiet()
  })

  test('another TTL', async () => {
    stage = await Stage.set(home)
    stage.fi.remove(stage.name, TYPE.DS)
    stage.fi.add(
      ...stage.child
        .dsRecords()
        .map((rdata) => ({ owner: stage.name, type: TYPE.DS, class: 1, ttl: 60, rdata })),
    )
    await stage.seen()
    await expectQuiet()
  })

  test('the parent lets its signatures expire: nothing is proven, and nothing judged', async () => {
    stage = await Stage.set(home)
    const day = DAY / 1000
    const { inception } = stage.fi.window()
    const window = { inception: inception - 9 * day, expiration: inception - day }
    stage.fi.makeOdd(stage.name, TYPE.DS, { window })
    await expect(stage.seen()).rejects.toThrow('expired')
    await stage.wait(DAY)
    stage.fi.makeOdd(stage.name, TYPE.DS, undefined)
    await stage.seen()
    await expectQuiet()
  })

  test('the parent does not answer for a day', async () => {
    stage = await Stage.set(home)
    await stage.probe([{ dnskey: undefined, cds: undefined, cdnskey: undefined }])
    await expect(stage.seen(stage.name, [])).rejects.toThrow(/./)
    await stage.wait(DAY)
    await stage.seen()
    await expectQuiet()
  })

  test('a secondary of the parent is days behind', async () => {
    stage = await Stage.set(home)
    const before = stage.net.evidence(stage.name)
    const [old, next] = [keyOf(1), keyOf(2)]
    stage.child.setKeys([old], [next])
    await stage.probe()
    stage.delegate(stage.ds(next))
    await stage.seen()
    await stage.seen(stage.name, before)
    await stage.seen()
    await expectQuiet('R5')
  })

  test('somebody submits old answers again', async () => {
    stage = await Stage.set(home)
    const replayed: RR[][] = [stage.net.evidence(stage.name)]
    const [old, next] = [keyOf(1), keyOf(2)]
    stage.child.setKeys([old], [next])
    await stage.probe()
    stage.delegate(stage.ds(old), stage.ds(next))
    await stage.seen()
    replayed.push(stage.net.evidence(stage.name))
    stage.delegate(stage.ds(next))
    await stage.seen()
    for (const bag of [...replayed, ...replayed.toReversed()]) await stage.seen(stage.name, bag)
    await expectQuiet('R5', 'R9')
  })
})

test('a name that is left to lapse is a notice, and no more', async () => {
  stage = await Stage.set(home)
  stage.fi.undelegate(stage.name)
  await stage.seen()
  await stage.wait(30 * MINUTE)
  expect(await stage.alerts()).toEqual([])
  await stage.wait(9 * DAY)
  expect(await stage.alerts()).toEqual(['R4a NOTICE raised'])
})

test.each(['nsec', { nsec3: {} }] as const)(
  'the same under a registry that has long had a wildcard, as another name has shown (%j)',
  async (denial) => {
    stage = await Stage.set(home, { parent: { denial } })
    await stage.lapses('other.fi.', '*.fi.')
    await stage.wait(8 * DAY)
    stage.fi.undelegate(stage.name)
    await stage.seen()
    await stage.wait(30 * MINUTE)
    expect(await stage.alerts()).toEqual([])
    await stage.wait(9 * DAY)
    expect(await stage.alerts()).toEqual(['R4a NOTICE raised'])
  },
)
