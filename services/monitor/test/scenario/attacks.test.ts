/**
 * What is done to owners, as stories: each is told at its level, once, in time, and what it is told with
 * verifies offline. `in time` is the hold of the rule: nothing a minute before it, the alert a minute after.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { ALGORITHM } from '@dslog/dnssec/backend/backend'
import { nameFromText } from '@dslog/dnssec/name'
import { keyTag, TYPE } from '@dslog/dnssec/records'
import { DAY, HOUR, MINUTE } from '@dslog/schema/time'
import { dsOf } from '@dslog/testbed/key'
import { record } from '@dslog/testbed/internet'
import { place, type Place } from '../world.ts'
import { rogueKey, Stage } from './stage.ts'

let home: Place
let stage: Stage
beforeAll(async () => {
  home = await place()
})
afterEach(() => stage.close())
afterAll(() => home.close())

/** Pins the key of the child. */
async function pinned(): Promise<void> {
  await stage.pin(stage.child.entryKeys().map(({ rdata }) => ({ kind: 'dnskey', rdata })))
}

/** Nothing is told until the hold is over, and then this; in the weeks after, no more. */
async function expectAfter(hold: number, ...alerts: readonly string[]): Promise<void> {
  if (hold > 0) {
    await stage.wait(hold - 4 * MINUTE)
    expect(await stage.alerts()).toEqual([])
    await stage.wait(5 * MINUTE)
  }
  expect(await stage.alerts()).toEqual(alerts)
  await stage.wait(DAY)
  await stage.wait(9 * DAY)
  expect(await stage.alerts()).toEqual(alerts)
  expect(await stage.proven()).not.toEqual([])
}

describe('a registry swaps the DS', () => {
  test('and nobody has pinned anything', async () => {
    stage = await Stage.set(home)
    stage.delegate(stage.ds(rogueKey()))
    await stage.seen()
    await expectAfter(15 * MINUTE, 'R7 HIGH raised')
  })

  test('against pins: at once', async () => {
    stage = await Stage.set(home)
    await pinned()
    stage.delegate(stage.ds(rogueKey()))
    await stage.seen()
    await expectAfter(0, 'R1 CRITICAL raised')
  })

  test('together with the name servers, which serve the rogue key', async () => {
    stage = await Stage.set(home)
    await stage.probe()
    stage.delegate(stage.ds(rogueKey()))
    stage.servers = ['ns1.rogue.example.']
    stage.child.setKeys([rogueKey()])
    stage.publishCds([stage.ds(rogueKey())])
    await stage.seen()
    await stage.probe()
    await expectAfter(15 * MINUTE, 'R8 HIGH raised')
  })

  test('and the name servers, which go back the next day', async () => {
    stage = await Stage.set(home)
    await stage.probe()
    stage.delegate(stage.ds(rogueKey()))
    const { servers } = stage
    stage.servers = ['ns1.rogue.example.']
    stage.child.setKeys([rogueKey()])
    await stage.seen()
    await stage.probe()
    await stage.wait(DAY)
    stage.servers = servers
    await stage.probe()
    await expectAfter(0, 'R8 raised', 'R8 CRITICAL risen')
  })

  test('for one whose key no server has', async () => {
    stage = await Stage.set(home)
    await stage.probe()
    stage.delegate(stage.ds(rogueKey()))
    await stage.seen()
    await stage.probe()
    await expectAfter(15 * MINUTE, 'R6 CRITICAL raised')
  })

  test('a second time, with the same DS', async () => {
    stage = await Stage.set(home)
    const [mine] = stage.child.dsRecords()
    const rogue = stage.ds(rogueKey())
    for (let i = 0; i < 2; i++) {
      stage.delegate(rogue)
      await stage.seen()
      await stage.wait(6 * DAY)
      stage.delegate(mine!)
      await stage.seen()
      await stage.wait(6 * DAY)
    }
    // Each time, and also when the old set returns: by then nobody knows whose it is.
    expect(await stage.alerts()).toEqual(Array.from({ length: 4 }, () => 'R7 HIGH raised'))
    expect(await stage.proven()).not.toEqual([])
  })
})

describe('a registry adds a DS beside that of the owner', () => {
  test('which signs nothing yet', async () => {
    stage = await Stage.set(home)
    await stage.probe()
    stage.delegate(...stage.child.dsRecords(), stage.ds(rogueKey()))
    await stage.seen()
    await stage.probe()
    await stage.wait(20 * MINUTE)
    expect(await stage.alerts()).toEqual(['R6 HIGH raised'])
    await stage.wait(6 * DAY)
    await stage.probe()
    expect(await stage.alerts()).toEqual(['R6 HIGH raised'])
    await stage.wait(DAY)
    // A week without a key: it was never meant to have one.
    await expectAfter(0, 'R6 raised', 'R6 CRITICAL risen')
  })

  test('against pins', async () => {
    stage = await Stage.set(home)
    await pinned()
    stage.delegate(...stage.child.dsRecords(), stage.ds(rogueKey()))
    await stage.seen()
    await expectAfter(0, 'R1 CRITICAL raised')
  })

  test('of a key with the same tag and algorithm', async () => {
    stage = await Stage.set(home)
    await stage.probe()
    const [mine] = stage.child.entryKeys()
    const rogue = dsOf(stage.name, { ...rogueKey(), tag: mine!.tag })
    expect(rogue.subarray(0, 4)).toEqual(stage.ds(mine!).subarray(0, 4))
    expect(keyTag(mine!.rdata)).toBe(mine!.tag)
    stage.delegate(...stage.child.dsRecords(), rogue)
    await stage.seen()
    await expectAfter(15 * MINUTE, 'R6 HIGH raised')
  })

  test('with name servers that serve the rogue key, and CDS that ask for it', async () => {
    stage = await Stage.set(home)
    await stage.probe()
    const [mine] = stage.child.dsRecords()
    stage.delegate(mine!, stage.ds(rogueKey()))
    // The attacker's zone is signed with the attacker's key: no word of the owner.
    stage.child.setKeys([rogueKey()])
    stage.publishCds([mine!, stage.ds(rogueKey())])
    await stage.seen()
    await stage.probe()
    await expectAfter(15 * MINUTE, 'R6 HIGH raised')
  })

  test('and one of two name servers was taken over, and asks for it', async () => {
    stage = await Stage.set(home)
    const honest = stage.answersOf(stage.child)
    const [mine] = stage.child.dsRecords()
    stage.publishCds([mine!, stage.ds(rogueKey())])
    await stage.probe([stage.child, honest])
    stage.publishCds(undefined)
    stage.delegate(mine!, stage.ds(rogueKey()))
    await stage.seen()
    await expectAfter(15 * MINUTE, 'R6 HIGH raised')
  })
})

describe('a registry takes the DS away', () => {
  test('and then swaps the name servers', async () => {
    stage = await Stage.set(home)
    await stage.probe()
    stage.delegate()
    await stage.seen()
    await stage.wait(30 * MINUTE)
    expect(await stage.alerts()).toEqual(['R2 HIGH raised'])
    await stage.wait(DAY)
    stage.servers = ['ns1.rogue.example.']
    await stage.probe()
    await expectAfter(0, 'R2 raised', 'R2 CRITICAL risen')
  })

  test('against pins', async () => {
    stage = await Stage.set(home)
    await pinned()
    stage.delegate()
    await stage.seen()
    await expectAfter(10 * MINUTE, 'R2 CRITICAL raised')
  })

  test('in other words: one that no resolver can use', async () => {
    stage = await Stage.set(home)
    const strange = stage.ds(rogueKey())
    strange[2] = 253
    stage.delegate(strange)
    await stage.seen()
    await expectAfter(10 * MINUTE, 'R2 HIGH raised')
  })

  test('for some days, and then puts up another', async () => {
    stage = await Stage.set(home)
    stage.delegate()
    await stage.seen()
    await stage.wait(3 * DAY)
    stage.delegate(stage.ds(rogueKey()))
    await stage.seen()
    await stage.wait(20 * MINUTE)
    await expectAfter(0, 'R2 HIGH raised', 'R7 HIGH raised')
  })
})

describe('there and back: a hijack that is over before anybody looks twice', () => {
  test.each([
    ['another DS', () => [stage.ds(rogueKey())]],
    ['one more DS', () => [...stage.child.dsRecords(), stage.ds(rogueKey())]],
    ['no DS', () => []],
  ])('%s for five minutes', async (_, meanwhile) => {
    stage = await Stage.set(home)
    stage.delegate(...meanwhile())
    await stage.seen()
    stage.delegate(...stage.child.dsRecords())
    await stage.seen()
    await expectAfter(0, 'R10 CRITICAL raised')
  })

  test('told again when it happens again', async () => {
    stage = await Stage.set(home)
    for (let i = 0; i < 2; i++) {
      stage.delegate(stage.ds(rogueKey()))
      await stage.seen()
      stage.delegate(...stage.child.dsRecords())
      await stage.seen()
      await stage.wait(20 * DAY)
    }
    await expectAfter(0, 'R10 CRITICAL raised', 'R10 CRITICAL raised')
  })

  test('for two days, told when it came and when it went', async () => {
    stage = await Stage.set(home)
    stage.delegate(stage.ds(rogueKey()))
    await stage.seen()
    await stage.wait(2 * DAY)
    stage.delegate(...stage.child.dsRecords())
    await stage.seen()
    await expectAfter(0, 'R7 HIGH raised', 'R10 CRITICAL raised')
  })
})

describe('a registry dates a signature back', () => {
  const backdate = async (days: number): Promise<void> => {
    await stage.wait(3 * DAY)
    stage.fi.sign()
    const { inception, expiration } = stage.fi.window()
    stage.delegate(stage.ds(rogueKey()))
    const window = { inception: inception - (days * DAY) / 1000, expiration }
    stage.fi.makeOdd(stage.name, TYPE.DS, { window })
    await stage.seen()
  }

  test('to before the state in force, without pins', async () => {
    stage = await Stage.set(home)
    stage.delegate(...stage.child.dsRecords(), stage.ds(stage.child.entryKeys()[0]!, 4))
    await stage.probe()
    await stage.wait(DAY)
    await stage.seen()
    await backdate(3.5)
    await expectAfter(0, 'R13 HIGH raised')
  })

  test('to before everything that was logged of the name: a notice', async () => {
    stage = await Stage.set(home)
    await backdate(10)
    await expectAfter(0, 'R13 NOTICE raised')
  })

  test('against pins', async () => {
    stage = await Stage.set(home)
    await pinned()
    await backdate(10)
    await expectAfter(0, 'R13 CRITICAL raised')
  })
})

describe('a parent takes the name over', () => {
  test('it answers for the name itself, which is no delegation any more', async () => {
    stage = await Stage.set(home)
    stage.fi.undelegate(stage.name)
    stage.fi.add(record(stage.name, 'A', '192.0.2.1'))
    await stage.seen()
    await expectAfter(0, 'R4b CRITICAL raised')
  })

  test('it puts up a wildcard, and takes the delegation away: no other name has shown that wildcard', async () => {
    stage = await Stage.set(home)
    stage.fi.undelegate(stage.name)
    stage.fi.add(record(nameFromText('*.fi.'), 'A', '192.0.2.1'))
    await stage.seen()
    await expectAfter(0, 'R4b CRITICAL raised')
  })

  test.each(['nsec', { nsec3: {} }] as const)(
    'the same, with a wildcard that it has had for six days (%j)',
    async (denial) => {
      stage = await Stage.set(home, { parent: { denial } })
      await stage.lapses('other.fi.', '*.fi.')
      await stage.wait(6 * DAY)
      stage.fi.undelegate(stage.name)
      await stage.seen()
      await expectAfter(0, 'R4b CRITICAL raised')
    },
  )

  test('the same, with a wildcard that it had long ago, and that was gone in between', async () => {
    stage = await Stage.set(home)
    await stage.lapses('other.fi.', '*.fi.')
    await stage.wait(30 * DAY)
    stage.fi.remove(nameFromText('*.fi.'), TYPE.A)
    await stage.lapses('another.fi.')
    await stage.wait(30 * DAY)
    stage.fi.undelegate(stage.name)
    stage.fi.add(record(nameFromText('*.fi.'), 'A', '192.0.2.1'))
    await stage.seen()
    await expectAfter(0, 'R4b CRITICAL raised')
  })

  test('it has a wildcard closer to the name than the one that all others have shown', async () => {
    stage = await Stage.set(home, { watched: 'www.example.fi.' })
    await stage.lapses('other.fi.', '*.fi.')
    await stage.wait(8 * DAY)
    stage.fi.undelegate(stage.name)
    stage.fi.add(record(nameFromText('*.example.fi.'), 'A', '192.0.2.1'))
    await stage.seen()
    await expectAfter(0, 'R4b CRITICAL raised')
  })

  test('it has only names below it', async () => {
    stage = await Stage.set(home)
    stage.fi.undelegate(stage.name)
    stage.fi.add(record(nameFromText('mail.example.fi.'), 'A', '192.0.2.1'))
    await stage.seen()
    await expectAfter(0, 'R4b CRITICAL raised')
  })

  test('it delegates a name below, past the servers of the owner', async () => {
    stage = await Stage.set(home)
    const below = nameFromText('mail.example.fi.')
    stage.fi.undelegate(stage.name)
    stage.fi.delegate(below, [dsOf(below, rogueKey())])
    const shownToOne = [...stage.fi.zone.dsOrDenial(below), ...stage.net.chain(stage.fi.name)]
    stage.fi.undelegate(below)
    stage.delegate(...stage.child.dsRecords())
    await stage.seen(below, shownToOne)
    await expectAfter(0, 'R4b CRITICAL raised')
  })
})

describe('keys of the zone above', () => {
  test('are others from one moment to the next: whoever has them can sign anything', async () => {
    stage = await Stage.set(home)
    stage.net.rekey(stage.fi, 9, ALGORITHM.ECDSAP256SHA256)
    await stage.seen()
    await expectAfter(15 * MINUTE, 'R14 NOTICE raised')
  })

  test('the same, for an owner with pins', async () => {
    stage = await Stage.set(home)
    await pinned()
    stage.net.rekey(stage.fi, 9, ALGORITHM.ECDSAP256SHA256)
    await stage.seen()
    await expectAfter(15 * MINUTE, 'R14 HIGH raised')
  })

  test('the DS of the zone above is swapped', async () => {
    stage = await Stage.set(home)
    const fi = nameFromText('fi.')
    stage.net.root.delegate(fi, [...stage.fi.dsRecords(), dsOf(fi, rogueKey())])
    await stage.seen(fi)
    await expectAfter(15 * MINUTE, 'R6 NOTICE raised')
  })
})

test('a change that the owner acknowledges is over', async () => {
  stage = await Stage.set(home)
  const key = rogueKey('the owner’s after all')
  stage.delegate(stage.ds(key))
  await stage.seen()
  await stage.wait(HOUR)
  await stage.pin([{ kind: 'ds', rdata: stage.ds(key) }], { signed: false })
  await expectAfter(0, 'R7 HIGH raised', 'R7 HIGH resolved')
})

test('a window explains no change from before it was announced', async () => {
  stage = await Stage.set(home)
  stage.delegate(stage.ds(rogueKey()))
  await stage.seen()
  await stage.announce(DAY, true)
  await expectAfter(15 * MINUTE, 'R7 HIGH raised')
})
