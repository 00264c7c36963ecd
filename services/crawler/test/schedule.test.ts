/** Intervals and back-off, over all that chance may do. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  ALL_SERVERS_MS,
  backoff,
  BACKOFF,
  INTERVAL,
  looksAfter,
  nextDue,
  retryDue,
  serversOfLook,
  TaskKind,
  Tier,
} from '../src/schedule.ts'
import { MINUTE } from '@dslog/schema/time'

const chance = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
const tier = fc.constantFrom(...Object.values(Tier))
const NOW = 1_700_000_000_000

describe('a name', () => {
  test('is asked again within its interval', () => {
    fc.assert(
      fc.property(tier, chance, (tier, random) => {
        const wait = nextDue(tier, NOW, random) - NOW
        expect(Number.isInteger(wait)).toBe(true)
        expect(wait).toBeGreaterThanOrEqual(INTERVAL[tier] * 0.7 - 1)
        const longest = tier === Tier.watched ? 1.3 : 1
        expect(wait).toBeLessThanOrEqual(INTERVAL[tier] * longest + 1)
      }),
    )
  })

  test('is asked as often as its tier says', () => {
    expect(INTERVAL).toEqual({
      0: 10 * MINUTE,
      1: 1440 * MINUTE,
      2: 10_080 * MINUTE,
      3: 60 * MINUTE,
    })
    expect(ALL_SERVERS_MS / INTERVAL[Tier.watched]).toBe(12)
  })

  test('that failed is never asked later than one that did not', () => {
    const failures = fc.integer({ min: 1, max: 1000 })
    fc.assert(
      fc.property(tier, failures, chance, (tier, failures, random) => {
        const due = retryDue(tier, failures, NOW, random)
        expect(due).toBeLessThanOrEqual(nextDue(tier, NOW, random))
        expect(due).toBeGreaterThan(NOW)
      }),
    )
  })
})

describe('back-off', () => {
  test('goes from five minutes to a day, and no further', () => {
    fc.assert(
      fc.property(chance, (random) => {
        const waits = Array.from({ length: 40 }, (_, i) => backoff(i + 1, random))
        expect(waits[0]).toBeGreaterThanOrEqual(BACKOFF.first)
        expect(waits[0]).toBeLessThanOrEqual(BACKOFF.first * 1.3)
        expect(waits.at(-1)).toBe(BACKOFF.longest)
        expect(waits).toEqual(waits.toSorted((a, b) => a - b))
      }),
    )
  })
})

describe('after a first sighting', () => {
  test('another server is asked within two minutes', () => {
    fc.assert(
      fc.property(chance, (random) => {
        const looks = looksAfter(Tier.signed, () => random)
        expect(looks).toHaveLength(1)
        expect(looks[0]!.after).toBeGreaterThanOrEqual(30_000)
        expect(looks[0]!.after).toBeLessThanOrEqual(120_000)
        expect(serversOfLook(looks[0]!.kind)).toBe('other')
      }),
    )
  })

  test('of a watched name two others are, then all, again and again', () => {
    const looks = looksAfter(Tier.watched, () => 0)
    expect(looks.map(({ after }) => after / MINUTE)).toEqual([0.5, 10, 60, 360, 1440])
    expect(looks.map(({ kind }) => serversOfLook(kind))).toEqual([
      'others',
      'all',
      'all',
      'all',
      'all',
    ])
    expect(new Set(looks.map(({ kind }) => kind)).size).toBe(5)
    expect(Math.min(...looks.map(({ kind }) => kind))).toBeGreaterThan(TaskKind.look)
  })
})
