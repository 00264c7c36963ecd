import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DAY } from '@dslog/schema/time'
import { scaleOf, spaced, type State, timelineOf } from '../src/timeline.ts'

/** States on days, each record a letter; `!` before them is out of order. */
function states(...steps: readonly (readonly [number, string])[]): State[] {
  return steps.map(([day, records], index) => ({
    index,
    time: day * DAY,
    records: Array.from(records.replace('!', '')),
    outOfOrder: records.startsWith('!'),
  }))
}

const spans = (timeline: ReturnType<typeof timelineOf>): string[] =>
  timeline.rows.flatMap(({ bars, record }) =>
    bars.map(({ odd, open, since, until }) => {
      const end = open ? 'now' : odd ? 'odd' : String((until ?? 0) / DAY)
      return `${record} ${since / DAY}-${end}`
    }),
  )

describe('bars', () => {
  it('go from when a record came to when it went', () => {
    const timeline = timelineOf(states([0, 'a'], [1, 'ab'], [2, 'b']), 10 * DAY)
    expect(spans(timeline)).toEqual(['a 0-2', 'b 1-now'])
    expect(timeline.marks.map(({ kind }) => kind)).toEqual(['added', 'replaced', 'replaced'])
  })

  it('of a swap begin where all others end', () => {
    const timeline = timelineOf(states([0, 'ab'], [1, 'bc'], [2, '!a'], [3, 'd']), 4 * DAY)
    expect(timeline.marks.map(({ kind }) => kind)).toEqual(['added', 'replaced', 'odd', 'swapped'])
  })

  it('leave a gap for an absence, and come back in the same lane', () => {
    const timeline = timelineOf(states([0, 'a'], [1, ''], [2, 'a']), 3 * DAY)
    expect(timeline.rows.map(({ record }) => record)).toEqual(['a'])
    expect(spans(timeline)).toEqual(['a 0-1', 'a 2-now'])
    expect(timeline.marks.map(({ kind }) => kind)).toEqual(['added', 'removed', 'added'])
  })

  it('show what came out of order beside what stays in force', () => {
    const timeline = timelineOf(states([0, 'a'], [1, '!b'], [2, '!a']), 3 * DAY)
    expect(spans(timeline)).toEqual(['b 1-odd', 'a 0-now'].sort())
    expect(timeline.marks.map(({ kind }) => kind)).toEqual(['added', 'odd', 'odd'])
  })

  it('of nothing are none', () => {
    expect(timelineOf([], DAY)).toEqual({ rows: [], marks: [], hidden: 0 })
  })

  it('of too many are the last, from when the first of them came', () => {
    const rolls = Array.from(
      { length: 500 },
      (_, day) => [day, String.fromCharCode(256 + day)] as const,
    )
    const whole = states([0, 'z'], ...rolls, [500, 'z'])
    const { hidden, marks, rows } = timelineOf(whole, 501 * DAY, 3)
    expect(hidden).toBe(498)
    // One that came back stands where it came first.
    expect(rows.map(({ record }) => record)).toEqual([
      'z',
      ...rolls.slice(-2).map(([, key]) => key),
    ])
    expect(marks[0]).toMatchObject({ time: 0, at: 0 })
    const later = timelineOf(states(...rolls), 501 * DAY, 3)
    expect(later.marks.map(({ time }) => time / DAY)).toEqual([497, 498, 499])
    expect(later.marks.map(({ kind }) => kind)).toEqual(['swapped', 'swapped', 'swapped'])
    expect(later.rows.map(({ bars }) => bars.length)).toEqual([1, 1, 1])
    expect(later.rows[0]!.bars[0]).toMatchObject({ from: 0 })
    expect(later.rows[2]!.bars[0]).toMatchObject({ open: true, to: 1 })
  })

  it('reach the end also for entries that are later than the clock here', () => {
    const { rows } = timelineOf(states([5, 'a']), DAY)
    expect(rows[0]?.bars).toMatchObject([{ from: 0, to: 1, open: true }])
  })

  it('lie between 0 and 1, left before right, whatever happened', () => {
    const step = fc.tuple(fc.nat(2000), fc.stringMatching(/^!?[abc]{0,3}$/))
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), fc.nat(3000), (steps, now) => {
        const ordered = steps.toSorted(([a], [b]) => a - b)
        const unique = ordered.map(([day, text]) => [day, [...new Set(text)].join('')] as const)
        const { marks, rows } = timelineOf(states(...unique), now * DAY)
        expect(marks).toHaveLength(steps.length)
        for (const { bars } of rows) {
          for (const { from, to } of bars) {
            expect(from).toBeGreaterThanOrEqual(0)
            expect(to).toBeLessThanOrEqual(1)
            expect(to).toBeGreaterThanOrEqual(from)
          }
        }
      }),
    )
  })
})

describe('the scale', () => {
  it('keeps the order, begins at 0 and ends at 1', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(10_000), { minLength: 2, maxLength: 20 }), (times) => {
        const at = scaleOf(times)
        const places = times.toSorted((a, b) => a - b).map(at)
        expect(places[0]).toBe(0)
        expect(places.at(-1)).toBeCloseTo(1, 9)
        for (const [i, place] of places.slice(1).entries()) {
          expect(place).toBeGreaterThan(places[i]!)
        }
      }),
    )
  })

  it('keeps neighbours apart', () => {
    const at = scaleOf([0, 1, 1_000_000])
    expect(at(1)).toBeGreaterThan(0.2)
    expect(at(1)).toBeLessThan(0.5)
  })
})

it('labels keep their distance', () => {
  const boxes = [0, 10, 50, 95, 110, 200].map((left) => [left, left + 40] as const)
  expect(spaced(boxes, 10)).toEqual([true, false, true, false, true, true])
  // Whichever comes first is drawn, wherever it is.
  expect(spaced([boxes[3]!, ...boxes], 10)).toEqual([true, true, false, false, false, false, true])
  // The first may reach further than the others.
  expect(
    spaced(
      [
        [0, 90],
        [60, 140],
        [95, 175],
      ],
      5,
    ),
  ).toEqual([true, false, true])
})
