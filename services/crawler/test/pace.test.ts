/** Rates as a server sees them: questions in a second, whatever is asked for. */
import { describe, expect, test } from 'vitest'
import { DAY, MINUTE, SECOND } from '@dslog/schema/time'
import { TestClock } from '@dslog/testbed/clock'
import { CEILINGS, DEFAULT_LIMITS, Pace, type PaceLimits } from '../src/pace.ts'

function pace(limits: Partial<PaceLimits> = {}): { clock: TestClock; pace: Pace } {
  const clock = new TestClock()
  return { clock, pace: new Pace({ ...DEFAULT_LIMITS, ...limits }, clock.now) }
}

/** When each of so many questions leaves, ms from now, if all are asked for at once. */
function leave(pace: Pace, count: number, server = 'a'): number[] {
  return Array.from({ length: count }, () => pace.takeServer(server))
}

const addresses = (count: number): string[] => Array.from({ length: count }, (_, i) => `server${i}`)

const within = (times: readonly number[], from: number, ms: number) =>
  times.filter((time) => time >= from && time < from + ms).length

describe('one server', () => {
  test('gets a burst, then ten questions a second', () => {
    const times = leave(pace({ all: 1e6 }).pace, 120)
    expect(within(times, 0, 1)).toBe(20)
    for (let second = 0; second < 10; second++) {
      expect(within(times, second * SECOND + 1, SECOND)).toBe(10)
    }
  })

  test('that was left in peace for long gets no more than a burst', () => {
    const { clock, pace: own } = pace({ all: 1e6 })
    leave(own, 25)
    clock.advance(10 * DAY)
    expect(within(leave(own, 60), 0, 1)).toBe(20)
  })

  test('does not make another wait', () => {
    const { pace: own } = pace({ all: 1e6 })
    leave(own, 500, 'a')
    expect(own.takeServer('b')).toBe(0)
    expect(own.serverWait('a')).toBeGreaterThan(40 * SECOND)
  })

  test('is told how long a wait would be, without taking anything', () => {
    const { pace: own } = pace({ all: 1e6 })
    leave(own, 20)
    expect(own.serverWait('a')).toBe(own.serverWait('a'))
    expect(own.serverWait('a')).toBeCloseTo(100)
    expect(own.serverWait('never asked')).toBe(0)
  })
})

describe('all servers together', () => {
  test('get 500 questions a second', () => {
    const { pace: own } = pace()
    const times = Array.from({ length: 3000 }, (_, i) => own.takeServer(`server ${i}`))
    for (let second = 1; second < 5; second++) {
      expect(within(times, second * SECOND, SECOND)).toBeLessThanOrEqual(501)
      expect(within(times, second * SECOND, SECOND)).toBeGreaterThanOrEqual(499)
    }
  })
})

describe('a zone', () => {
  test.each([
    [1, 10],
    [2, 20],
    [9, 90],
    [26, 100],
  ])('with %i addresses gets ten times that, at most a hundred', (count, rate) => {
    const { pace: own } = pace()
    const servers = addresses(count)
    const times = Array.from({ length: rate * 5 }, () => own.takeZone('com', servers))
    expect(within(times, 0, 1)).toBe(rate)
    expect(within(times, SECOND + 1, SECOND)).toBe(rate)
    expect(own.zoneRate(servers)).toBe(rate)
    expect(own.zoneWait('com', servers)).toBeGreaterThan(3 * SECOND)
    expect(own.takeZone('net', servers)).toBe(0)
  })

  test('gets what its servers bear: less where one of them is asked more slowly', () => {
    const { clock, pace: own } = pace()
    const [slow, ...others] = addresses(3) as [string, ...string[]]
    for (let i = 0; i < 10; i++) own.report(slow, true)
    expect(own.serverRate(slow)).toBe(5)
    expect(own.zoneRate([slow, ...others])).toBe(25)
    for (let i = 0; i < 100; i++) {
      clock.advance(SECOND)
      for (let j = 0; j < 10; j++) own.report(slow, true)
    }
    expect(own.zoneRate([slow])).toBe(0.2)
    expect(own.takeZone('slow', [slow])).toBe(0)
    expect(own.zoneWait('slow', [slow])).toBe(5 * SECOND)
  })
})

describe('processes on one queue', () => {
  test('share the limits', () => {
    const { pace: own } = pace({ all: 1e6 })
    own.share(4)
    const times = leave(own, 60)
    expect(within(times, 0, 1)).toBe(5)
    expect(within(times, 1, 4 * SECOND)).toBe(10)
    expect(own.zoneRate(addresses(10))).toBe(25)
    own.share(0)
    expect(own.zoneRate(addresses(10))).toBe(100)
  })
})

describe('what is lost', () => {
  test('above two in a hundred halves the rate, again and again, down to a trickle', () => {
    const { pace: own } = pace()
    const rates: number[] = []
    for (let i = 0; i < 200; i++) {
      own.report('a', true)
      rates.push(own.serverRate('a'))
    }
    expect(rates.slice(0, 9)).toEqual(Array(9).fill(10))
    expect(rates[9]).toBe(5)
    expect(Math.min(...rates)).toBe(0.2)
    expect(own.slowed).toBe(1)
    expect(own.serverRate('b')).toBe(10)
  })

  test('in one outage halves the rate once, however many questions were under way', () => {
    const { clock, pace: own } = pace({ server: 1_000 })
    const askedAt = clock.now()
    clock.advance(2 * SECOND)
    for (let i = 0; i < 500; i++) own.report('a', true, askedAt)
    expect(own.serverRate('a')).toBe(500)
    // It goes on: those asked since are another reason.
    const again = clock.now()
    clock.advance(2 * SECOND)
    for (let i = 0; i < 500; i++) own.report('a', true, again)
    expect(own.serverRate('a')).toBe(250)
  })

  test('up to two in a hundred does not', () => {
    const { clock, pace: own } = pace()
    for (let i = 0; i < 1000; i++) {
      own.report('a', i % 50 === 49)
      clock.advance(10)
    }
    expect(own.serverRate('a')).toBe(10)
  })

  test('comes back by one a second for each clean minute', () => {
    const { clock, pace: own } = pace()
    for (let i = 0; i < 20; i++) own.report('a', true)
    const slow = own.serverRate('a')
    expect(slow).toBeLessThanOrEqual(5)
    for (let minute = 1; minute < 4; minute++) {
      for (let i = 0; i < 60; i++) {
        own.report('a', false)
        clock.advance(SECOND)
      }
      own.report('a', false)
      expect(own.serverRate('a')).toBe(slow + minute)
    }
    for (let minute = 0; minute < 20; minute++) {
      clock.advance(MINUTE)
      own.report('a', false)
    }
    expect(own.serverRate('a')).toBe(10)
    expect(own.slowed).toBe(0)
  })

  test('makes those wait that come next', () => {
    const { pace: own } = pace({ all: 1e6 })
    for (let i = 0; i < 10; i++) own.report('a', true)
    const times = leave(own, 60)
    expect(within(times, 1, 2 * SECOND)).toBe(10)
  })
})

test('the defaults are below what no configuration exceeds', () => {
  for (const limit of ['server', 'burst', 'zone', 'all'] as const) {
    expect(DEFAULT_LIMITS[limit]).toBeLessThanOrEqual(CEILINGS[limit])
  }
})
