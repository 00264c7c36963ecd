/**
 * Attempts to mint entries: what a stranger can have signed or sent without end must add nothing beyond the rules of
 * docs/spec/entry.md (4: absence only after a DS, 5: keys once for as long as they last).
 */
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { ALGORITHM } from '@dslog/dnssec/backend/backend'
import { type Name, nameFromText } from '@dslog/dnssec/name'
import type { Observation, SubmitResult } from '@dslog/schema/api'
import { DAY, HOUR } from '@dslog/schema/time'
import { REFRESH_BEFORE_MS } from '@dslog/verify/keys'
import { Internet } from '@dslog/testbed/internet'
import { ownerDs } from '@dslog/testbed/stories'
import { Places } from '../../../test/place.ts'
import { complaints, observe, TestLog, wire } from '../../../test/testlog.ts'
import { emptyEachTime } from './emptied.ts'

const algorithm = ALGORITHM.ED25519
const places = await Places.open()
afterAll(() => places.close())
const emptyFor = emptyEachTime(places)

let net: Internet
let log: TestLog

beforeEach(async () => {
  net = new Internet()
  net.addZone('uk.', { algorithm, denial: { nsec3: { optOut: true } } })
  net.addZone('fi.', { algorithm })
  const options = await emptyFor(net)
  log = await TestLog.over(options, { clock: net.clock.now })
  return () => log.log.close()
})

function submit(...observations: Observation[]): Promise<SubmitResult[]> {
  return log.submit(...observations)
}

/** Records of the keys of a zone and of those above, in this order or another. */
function keys(zone: string, order: (records: string[]) => string[] = (all) => all): Observation {
  return {
    owner: zone,
    kind: 'keys',
    records: order(wire(net.evidence(nameFromText(`any.${zone}`)))),
  }
}

describe('labels below opt-out', () => {
  /** Signed, so that the registry has something to deny by. */
  function signed(text: string): Name {
    const owner = nameFromText(text)
    net.parentOf(owner).delegate(owner, [ownerDs(owner)])
    return owner
  }

  test('that were never signed add nothing, however many and however deep', async () => {
    for (let i = 0; i < 5; i++) signed(`signed${i}.uk.`)
    const owners = Array.from({ length: 60 }, (_, i) => {
      return nameFromText(i % 3 === 0 ? `a.b.label${i}.uk.` : `label${i}.uk.`)
    })
    // Some of them are delegations without a DS: that is what opt-out leaves out.
    for (const owner of owners.filter((_, i) => i % 3 === 1)) {
      net.parentOf(owner).delegate(owner, [])
    }
    await submit(keys('uk.'))
    const { size } = log.log
    const results = await submit(...owners.map((owner) => observe(net, owner)))
    expect(new Set(results.map(({ status }) => status))).toEqual(new Set(['known']))
    // The same again, one by one, and signed anew.
    net.clock.advance(DAY)
    for (const zone of net.zones) zone.sign()
    for (const owner of owners.slice(0, 5)) {
      expect(await submit(observe(net, owner))).toMatchObject([{ status: 'known' }])
    }
    expect(log.log.size).toBe(size)
    expect(log.log.tree.key_count).toBe(2)
  })

  test('add one entry where a DS is gone, and none for what is shown of it again', async () => {
    const owner = signed('gone.uk.')
    signed('stays.uk.')
    await submit(observe(net, owner))
    net.clock.advance(HOUR)
    net.parentOf(owner).delegate(owner, [])
    expect(await submit(observe(net, owner))).toMatchObject([{ status: 'logged' }])
    const { size } = log.log
    const again = Array.from({ length: 20 }, () => observe(net, owner))
    expect(await submit(...again)).toEqual(
      again.map(() => expect.objectContaining({ status: 'known' })),
    )
    expect(log.log.size).toBe(size)
    expect(await complaints(log)).toEqual([])
  })
})

describe('keys of a zone', () => {
  test('add nothing when they come again, in any order, doubled, or with more beside them', async () => {
    expect(await submit(keys('fi.'))).toMatchObject([{ status: 'logged' }])
    const { size } = log.log
    const other = wire(net.evidence(nameFromText('any.uk.')))
    const ways = [
      keys('fi.'),
      keys('fi.', (all) => all.toReversed()),
      keys('fi.', (all) => [...all, ...all]),
      keys('fi.', (all) => [...other, ...all]),
    ]
    const many = Array.from({ length: 40 }, (_, i) => ways[i % ways.length]!)
    const results = await submit(...many)
    expect(new Set(results.map(({ status }) => status))).toEqual(new Set(['known']))
    expect(log.log.size).toBe(size)
  })

  test('in one submission, before the log has them, are one entry', async () => {
    const many = Array.from({ length: 40 }, (_, i) => {
      return keys('fi.', (all) => (i % 2 === 0 ? all : all.toReversed()))
    })
    const results = await submit(...many)
    expect(new Set(results.map(({ status }) => status))).toEqual(new Set(['logged', 'known']))
    // The MAP_HEAD of creation, root and fi. once each, a MAP_HEAD.
    expect(log.log.size).toBe(4)
    expect(await complaints(log)).toEqual([])
  })

  test('signed anew twice a day add an entry each when the old one is about to end', async () => {
    const days = 28
    let logged = 0
    let last = -Infinity
    for (let at = 0; at < days * DAY; at += DAY / 2) {
      for (const zone of net.zones) zone.sign()
      const [result] = await submit(keys('fi.'))
      if (result!.status === 'logged') {
        logged++
        // What was logged is to be of use until shortly before it ends.
        expect(at - last).toBeGreaterThan(REFRESH_BEFORE_MS)
        last = at
      }
      net.clock.advance(DAY / 2)
    }
    expect(logged).toBeGreaterThan(1)
    expect(logged).toBeLessThanOrEqual(4)
    expect(await complaints(log)).toEqual([])
  })
})
