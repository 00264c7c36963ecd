import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { utf8 } from '@dslog/tlog/bytes'
import { sha256 } from '@dslog/tlog/hash'
import { DAY, HOUR } from '@dslog/schema/time'
import {
  decideState,
  type Decision,
  type History,
  inForceAt,
  latestOf,
  type LoggedState,
  type ObservedState,
  RETURN_AFTER_MS,
} from '../src/history.ts'

/** A state named by a letter; `-` is proven absence. `signed` is its order key, in days. */
function seen(letter: string, signed: number, options: Partial<ObservedState> = {}): ObservedState {
  return {
    stateId: sha256(utf8(`state ${letter}`)),
    present: letter !== '-',
    orderKey: (signed * DAY) / 1000,
    time: signed * DAY + 2 * HOUR,
    historical: false,
    ...options,
  }
}

/** Feeds observations to the rules as the log does; returns the history and each decision. */
function play(...observations: readonly ObservedState[]): { history: History; said: string[] } {
  const history: LoggedState[] = []
  const said: string[] = []
  for (const observed of observations) {
    const decision = decideState(history, observed)
    said.push(spell(decision))
    if (decision.status !== 'new') continue
    history.push({ ...observed, outOfOrder: decision.outOfOrder, index: history.length })
  }
  return { history, said }
}

function spell(decision: Decision): string {
  if (decision.status !== 'new') return decision.status
  return decision.outOfOrder ? 'out-of-order' : 'new'
}

describe('live states', () => {
  test('a first DS is new, absence of what never was is known', () => {
    expect(play(seen('A', 1)).said).toEqual(['new'])
    expect(play(seen('-', 1)).said).toEqual(['known'])
  })

  test('re-signing changes no state', () => {
    expect(play(seen('A', 1), seen('A', 2), seen('A', 30)).said).toEqual(['new', 'known', 'known'])
  })

  test('added, replaced, removed, and signed again', () => {
    const { said } = play(seen('A', 1), seen('B', 10), seen('-', 20), seen('-', 21), seen('A', 30))
    expect(said).toEqual(['new', 'new', 'new', 'known', 'new'])
  })

  test('an old state shown again is stale', () => {
    expect(play(seen('A', 1), seen('B', 10), seen('A', 2)).said[2]).toBe('stale')
    expect(play(seen('A', 1), seen('B', 10), seen('A', 10)).said[2]).toBe('stale')
    expect(play(seen('A', 1), seen('-', 10), seen('A', 9)).said[2]).toBe('stale')
  })

  test('a state signed after the one that replaced it has come back', () => {
    const { history, said } = play(seen('A', 1), seen('B', 10), seen('A', 11))
    expect(said[2]).toBe('new')
    expect(latestOf(history)?.index).toBe(2)
  })

  test('a back-dated state never seen before is logged, and never in force', () => {
    const { history, said } = play(seen('A', 10), seen('X', 5), seen('A', 12))
    expect(said).toEqual(['new', 'out-of-order', 'known'])
    expect(latestOf(history)?.index).toBe(0)
  })

  test('absence signed before the first DS is logged once, out of order', () => {
    const late = seen('-', 5, { time: 11 * DAY })
    const { said } = play(seen('A', 10), late, late, seen('A', 12), late)
    expect(said).toEqual(['new', 'out-of-order', 'stale', 'known', 'stale'])
  })

  test('what was signed between two newer states shows a flip that was hidden', () => {
    const { history, said } = play(seen('A', 1), seen('B', 10), seen('C', 20), seen('A', 15))
    expect(said[3]).toBe('out-of-order')
    expect(latestOf(history)?.index).toBe(2)
  })

  test('such a flip is logged once, however often it is signed again', () => {
    const flips = [15, 16, 17, 18].map((day) => seen('A', day))
    const { said } = play(seen('A', 1), seen('B', 10), seen('C', 20), ...flips)
    expect(said.slice(3)).toEqual(['out-of-order', 'stale', 'stale', 'stale'])
  })

  test('an out-of-order state signed after the one it lost to is new', () => {
    const { history, said } = play(seen('A', 10), seen('X', 5), seen('X', 11))
    expect(said[2]).toBe('new')
    expect(latestOf(history)?.index).toBe(2)
  })

  test('45 days after its replacement a state may come back with an older signature', () => {
    const replaced = seen('B', 10)
    const soon = { time: replaced.time + RETURN_AFTER_MS }
    const later = { time: replaced.time + RETURN_AFTER_MS + 1 }
    expect(play(seen('A', 1), replaced, seen('A', 9, soon)).said[2]).toBe('stale')
    expect(play(seen('A', 1), replaced, seen('A', 9, later)).said[2]).toBe('out-of-order')
    expect(play(seen('A', 1), replaced, seen('A', 1, later)).said[2]).toBe('stale')
  })

  test('absence proven by another zone is still absence', () => {
    const elsewhere = seen('-', 30, { stateId: sha256(utf8('absent at another zone')) })
    expect(play(seen('A', 1), seen('-', 20), elsewhere).said[2]).toBe('known')
  })
})

describe('historical states', () => {
  const historical = true

  test('in time order they make a history, and a second time none', () => {
    const past = [seen('A', 1), seen('B', 10), seen('-', 20), seen('A', 30)].map((s) => ({
      ...s,
      historical,
    }))
    const { history, said } = play(...past)
    expect(said).toEqual(['new', 'new', 'new', 'new'])
    for (const again of past) expect(decideState(history, again)).toEqual({ status: 'known' })
  })

  test('nothing is logged behind the newest entry', () => {
    const { history } = play({ ...seen('A', 10), historical })
    expect(decideState(history, { ...seen('Z', 5), historical })).toEqual({ status: 'stale' })
    expect(decideState(history, { ...seen('-', 5), historical })).toEqual({ status: 'known' })
    expect(decideState(history, { ...seen('Z', 10), historical })).toEqual({ status: 'stale' })
  })

  test('nothing is logged once there is a live entry', () => {
    const { history } = play({ ...seen('A', 1), historical }, seen('B', 10))
    expect(decideState(history, { ...seen('Z', 20), historical })).toEqual({ status: 'stale' })
    expect(decideState(history, { ...seen('B', 20), historical })).toEqual({ status: 'known' })
  })

  test('live states follow historical ones', () => {
    expect(play({ ...seen('A', 1), historical }, seen('A', 2), seen('B', 3)).said).toEqual([
      'new',
      'known',
      'new',
    ])
  })
})

describe('whatever is observed', () => {
  const observation = fc.record({
    letter: fc.constantFrom('A', 'B', 'C', '-'),
    signed: fc.integer({ min: 1, max: 200 }),
    delay: fc.integer({ min: 0, max: 100 }),
  })
  const story = fc.array(observation, { maxLength: 40 }).map((list) => {
    let now = 0
    return list.map(({ letter, signed, delay }) => {
      now += delay
      return seen(letter, signed, { time: now * DAY })
    })
  })

  test('a present state never seen before is always logged', () => {
    fc.assert(
      fc.property(story, (observations) => {
        const { history } = play(...observations)
        for (const letter of ['A', 'B', 'C']) {
          const was = observations.some((o) => o.stateId.join() === seen(letter, 1).stateId.join())
          const is = history.some((h) => h.stateId.join() === seen(letter, 1).stateId.join())
          expect(is).toBe(was)
        }
      }),
    )
  })

  test('order keys in force never go back, and no state follows itself', () => {
    fc.assert(
      fc.property(story, (observations) => {
        const inForce = play(...observations).history.filter((entry) => !entry.outOfOrder)
        for (const [i, entry] of inForce.entries()) {
          const before = inForce[i - 1]
          if (before === undefined) continue
          expect(entry.orderKey).toBeGreaterThanOrEqual(before.orderKey)
          expect(entry.stateId).not.toEqual(before.stateId)
        }
      }),
    )
  })

  test('the same observation twice in a row adds at most one entry', () => {
    fc.assert(
      fc.property(story, observationAt(), (observations, extra) => {
        const { history } = play(...observations)
        const again = play(...observations, extra, extra).history
        expect(again.length - history.length).toBeLessThanOrEqual(1)
      }),
    )
  })

  function observationAt(): fc.Arbitrary<ObservedState> {
    return observation.map(({ letter, signed }) => seen(letter, signed, { time: 1e12 }))
  }
})

test('what was in force at a time', () => {
  const { history } = play(seen('A', 10), seen('X', 5), seen('B', 20))
  expect(inForceAt(history, 9 * DAY)).toBeUndefined()
  expect(inForceAt(history, 15 * DAY)?.index).toBe(0)
  expect(inForceAt(history, 30 * DAY)?.index).toBe(2)
})
