/** R11: what several vantages saw at several servers, and when it is more than servers that are behind. */
import { describe, expect, it } from 'vitest'
import { HOUR } from '@dslog/schema/time'
import { judgeViews, type LoggedView, type View } from '../../src/judge/views.ts'

const NOW = 100 * HOUR

/** A view, times in hours before now. */
function view(vantage: string, server: string, state: string, first: number, last: number): View {
  return {
    vantage,
    server,
    state,
    inception: state === 'old' ? 1 : 10,
    first: NOW - first * HOUR,
    last: NOW - last * HOUR,
  }
}

const logged = (state: string, change: Partial<LoggedView> = {}): LoggedView => ({
  state,
  inception: 5,
  isInForce: true,
  isPinned: undefined,
  ...change,
})

function said(
  views: readonly View[],
  known: readonly LoggedView[] = [logged('a')],
  pinned = false,
) {
  const split = judgeViews(views, known, pinned, NOW)
  return split && `${split.rule} ${split.level} ${split.states.join(' ')}`
}

describe('states side by side', () => {
  const both = (since: number) => [view('v', 's1', 'a', 90, 0.1), view('v', 's2', 'b', since, 0.2)]

  it('are servers that are behind, for two hours', () => {
    expect(said(both(2.1))).toBeUndefined()
    expect(said(both(2.3))).toBe('R11 HIGH a b')
  })

  it('are over when the last place shows the same', () => {
    expect(said([...both(5), view('v', 's2', 'a', 0.1, 0.05)])).toBeUndefined()
  })

  it('are not what somebody saw long ago', () => {
    expect(said([view('v', 's1', 'a', 90, 3.1), view('v', 's2', 'b', 20, 0.1)])).toBeUndefined()
  })

  it('are not an old state that is shown again', () => {
    const old = [view('v', 's1', 'a', 90, 0), view('v', 's2', 'old', 90, 0)]
    expect(
      said(old, [logged('old', { isInForce: false, inception: 1 }), logged('a')]),
    ).toBeUndefined()
    expect(said(old)).toBe('R11 HIGH a old')
  })

  it('are CRITICAL unless all are pinned', () => {
    const known = [logged('a', { isPinned: true })]
    expect(said(both(5), known, true)).toBe('R11 CRITICAL a b')
    const all = [...known, logged('b', { isInForce: false, isPinned: true, inception: 4 })]
    expect(said(both(5), all, true)).toBe('R11 HIGH a b')
  })
})

describe('a state at one vantage alone', () => {
  const shown = view('v1', 's1', 'b', 1, 0.9)

  it('counts when others asked the same server afterwards', () => {
    expect(said([shown, view('v2', 's1', 'a', 9, 0.5), view('v3', 's2', 'a', 9, 0.4)])).toBe(
      'R11 HIGH b',
    )
    expect(said([shown, view('v2', 's1', 'a', 9, 0.5)])).toBeUndefined()
    expect(
      said([shown, view('v2', 's2', 'a', 9, 0.5), view('v3', 's2', 'a', 9, 0.4)]),
    ).toBeUndefined()
  })

  it('does not count when others asked before, or saw it too', () => {
    expect(
      said([shown, view('v2', 's1', 'a', 9, 1.5), view('v3', 's1', 'a', 9, 1.1)]),
    ).toBeUndefined()
    const seen = [view('v2', 's1', 'b', 0.5, 0.5), view('v3', 's1', 'a', 9, 0.6)]
    expect(said([shown, ...seen, view('v4', 's1', 'a', 9, 0.6)])).toBeUndefined()
  })

  it('is CRITICAL against pins', () => {
    const others = [view('v2', 's1', 'a', 9, 0.5), view('v3', 's2', 'a', 9, 0.4)]
    expect(said([shown, ...others], [logged('a', { isPinned: true })], true)).toBe('R11 CRITICAL b')
  })
})

it('nothing is said of nothing', () => {
  expect(said([])).toBeUndefined()
  expect(said([view('v', 's', 'a', 1, 0)], [])).toBeUndefined()
})
