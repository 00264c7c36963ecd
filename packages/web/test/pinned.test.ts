import { describe, expect, it } from 'vitest'
import { notAllowed } from '../src/pinned.ts'

/** States one after the other, each record a letter; `!` before them is out of order. */
function marked(steps: string, allowed: string): string {
  const states = steps.split(' ').map((records, index) => ({
    index,
    time: index,
    records: Array.from(records.replace(/[!-]/, '')),
    outOfOrder: records.startsWith('!'),
  }))
  return [...notAllowed(states, Array.from(allowed))].join('')
}

describe('what the owner does not allow', () => {
  it('is none of what he allows', () => {
    expect(marked('a', 'a')).toBe('')
    expect(marked('a ab b', 'ab')).toBe('')
    expect(marked('-', 'a')).toBe('')
  })

  it('is what is in force beside it, or in its place', () => {
    expect(marked('a ax', 'a')).toBe('x')
    expect(marked('a x', 'a')).toBe('x')
    expect(marked('a xy', 'ab')).toBe('xy')
    expect(marked('x', 'a')).toBe('x')
  })

  it('is what was there for a while, and what was shown out of order', () => {
    expect(marked('a x a', 'a')).toBe('x')
    expect(marked('a - x -', 'a')).toBe('x')
    expect(marked('a !x', 'a')).toBe('x')
  })

  it('is nothing that was rolled before', () => {
    expect(marked('o oa a', 'a')).toBe('')
    expect(marked('o a', 'a')).toBe('')
    expect(marked('!o a', 'a')).toBe('')
    // An old key that is back is in force now.
    expect(marked('o a o', 'a')).toBe('o')
    expect(marked('o a o a', 'a')).toBe('')
  })

  it('is told of a swap with all keys rolled since', () => {
    expect(marked('o oa a x a b', 'ab')).toBe('x')
  })
})
