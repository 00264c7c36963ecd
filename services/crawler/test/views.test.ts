/** Sightings: the newest of each place, in the order in which they were written, and where places differ. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { toBase64 } from '@dslog/tlog/bytes'
import { nameFromText } from '@dslog/dnssec/name'
import { stateId } from '@dslog/schema/identity'
import { DAY, HOUR } from '@dslog/schema/time'
import { TestClock } from '@dslog/testbed/clock'
import { type Sighting, Views } from '../src/views.ts'
import { openPlace, type Place } from './place.ts'

const ORG = nameFromText('org.')
const clock = new TestClock()

function sighting(text: string, ds: number | undefined, more: Partial<Sighting> = {}): Sighting {
  const owner = nameFromText(text)
  const set = ds === undefined ? [] : [Uint8Array.of(0, ds)]
  return {
    owner,
    zone: ORG,
    stateId: stateId(owner, ORG, set),
    signed: ds !== undefined,
    inception: 1000,
    vantage: 'direct',
    server: '192.0.2.1',
    transport: 'udp',
    at: clock.now(),
    ...more,
  }
}

let place: Place
let views: Views
beforeAll(async () => {
  place = await openPlace()
  views = new Views(place.db)
})
beforeEach(() => place.empty())
afterAll(() => place.close())

describe('views', () => {
  test('hold the newest of each place', async () => {
    await views.write([sighting('a.org.', 1), sighting('a.org.', 1, { server: '192.0.2.2' })])
    await views.write([sighting('a.org.', 2, { at: clock.now() + 9, transport: 'tcp' })])
    const { next, views: found } = await views.after(0, 10)
    expect(found).toEqual([
      expect.objectContaining({ server: '192.0.2.2', time: clock.now(), name: 'a.org.' }),
      {
        name: 'a.org.',
        zone: 'org.',
        vantage: 'direct',
        server: '192.0.2.1',
        transport: 'tcp',
        state_id: toBase64(sighting('a.org.', 2).stateId),
        inception: 1000,
        time: clock.now() + 9,
        differs: true,
      },
    ])
    expect(await views.after(next, 10)).toEqual({ views: [], next })
  })

  test('are followed page by page', async () => {
    await views.write(Array.from({ length: 25 }, (_, i) => sighting(`n${i}.org.`, i)))
    const names: string[] = []
    for (let at = 0; ;) {
      const page = await views.after(at, 10)
      if (page.views.length === 0) break
      names.push(...page.views.map(({ name }) => name))
      at = page.next
    }
    expect(new Set(names).size).toBe(25)
    expect(names).toHaveLength(25)
  })

  test('of one place in one go: the last counts', async () => {
    await views.write([sighting('a.org.', 1), sighting('a.org.', 2)])
    const found = (await views.after(0, 10)).views
    expect(found.map(({ state_id }) => state_id)).toEqual([toBase64(sighting('a.org.', 2).stateId)])
  })

  test('that differ from another of the last two hours are marked, and counted', async () => {
    expect(await views.write([sighting('a.org.', 1), sighting('b.org.', 1)])).toBe(0)
    const other = { server: '192.0.2.9', vantage: 'tor' }
    expect(await views.write([sighting('a.org.', 2, other), sighting('b.org.', 1, other)])).toBe(1)
    // The same place may change its mind: that is a change, not a difference.
    await place.empty()
    await views.write([sighting('a.org.', 1)])
    expect(await views.write([sighting('a.org.', 2)])).toBe(0)
    // What was seen long ago is no difference either.
    const later = { ...other, at: clock.now() + 3 * HOUR }
    expect(await views.write([sighting('a.org.', 3, later)])).toBe(0)
  })

  test('say when a server was last asked for a name', async () => {
    await views.write([sighting('a.org.', 1), sighting('a.org.', 1, { server: 'x', at: 5 })])
    expect(await views.serversOf(nameFromText('a.org.'))).toEqual(
      new Map([
        ['192.0.2.1', clock.now()],
        ['x', 5],
      ]),
    )
    expect((await views.serversOf(nameFromText('b.org.'))).size).toBe(0)
  })

  test('are forgotten after a month', async () => {
    await views.write([sighting('a.org.', 1), sighting('b.org.', 1, { at: clock.now() + HOUR })])
    await views.prune(clock.now() + 30 * DAY + 1)
    expect((await views.after(0, 9)).views.map(({ name }) => name)).toEqual(['b.org.'])
  })

  test('written by several at once leave no gap that a reader has passed', async () => {
    const writer = async (vantage: string): Promise<void> => {
      for (let i = 0; i < 20; i++) await views.write([sighting(`n${i}.org.`, 1, { vantage })])
    }
    const read = new Map<string, number>()
    let at = 0
    let writing = true
    const reader = async (): Promise<void> => {
      for (;;) {
        const isAll = !writing
        const page = await views.after(at, 7)
        if (isAll && page.views.length === 0) return
        for (const { name, vantage } of page.views) read.set(`${name} ${vantage}`, 1)
        at = page.next
      }
    }
    const reading = reader()
    await Promise.all(['a', 'b', 'c'].map(writer))
    writing = false
    await reading
    expect(read.size).toBe(60)
  })
})
