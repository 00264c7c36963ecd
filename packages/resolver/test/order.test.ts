/** Whom of a zone's servers is asked first. */
import { describe, expect, it } from 'vitest'
import { nameFromText } from '@dslog/dnssec/name'
import { MINUTE } from '@dslog/schema/time'
import { ServerOrder, shuffled } from '@dslog/resolver/order'
import { TestClock } from '@dslog/testbed/clock'
import { randomFrom } from '@dslog/testbed/random'

const ZONE = nameFromText('test.')
const OTHER = nameFromText('example.')
const SERVERS = ['192.0.2.1', '192.0.2.2', '192.0.2.3', '192.0.2.4'].map((address) => ({ address }))

describe('servers', () => {
  it('are asked in any order, each of them first about as often', () => {
    const order = new ServerOrder(() => 0, randomFrom(1))
    const first = new Map<string, number>()
    for (let i = 0; i < 4_000; i++) {
      const servers = order.of(ZONE, SERVERS)
      expect(new Set(servers)).toEqual(new Set(SERVERS))
      const { address } = servers[0]!
      first.set(address, (first.get(address) ?? 0) + 1)
    }
    for (const count of first.values()) expect(Math.abs(count - 1_000)).toBeLessThan(150)
    expect(first.size).toBe(4)
  })

  it.each([
    ['timeout', 1],
    ['servfail', 1],
    ['lame', 15],
    ['refused', 15],
  ] as const)('that failed (%s) come last for %i min, for that zone', (code, minutes) => {
    const clock = new TestClock()
    const order = new ServerOrder(clock.now, randomFrom(1))
    const [bad] = SERVERS
    const isLast = (zone: typeof ZONE): boolean[] =>
      Array.from({ length: 50 }, () => order.of(zone, SERVERS).at(-1) === bad)
    order.failed(ZONE, bad!, code)
    expect(isLast(ZONE)).not.toContain(false)
    expect(isLast(OTHER)).toContain(false)
    clock.advance(minutes * MINUTE - 1)
    expect(isLast(ZONE)).not.toContain(false)
    clock.advance(1)
    expect(isLast(ZONE)).toContain(false)
  })

  it('are shuffled in a copy', () => {
    const items = Object.freeze([1, 2, 3, 4, 5])
    const out = shuffled(items, () => 0)
    expect(out).not.toEqual(items)
    expect(out.toSorted((a, b) => a - b)).toEqual(items)
    expect(shuffled([], () => 0)).toEqual([])
  })
})
