import { describe, expect, test } from 'vitest'
import { Generations } from '../src/generations.ts'

describe('generations', () => {
  test('keep what is used, within their limit', () => {
    const kept = new Generations<string, number>(10)
    for (let i = 0; i < 100; i++) {
      kept.set(String(i), i)
      expect(kept.get('0')).toBe(0)
    }
    const held = Array.from({ length: 100 }, (_, i) => kept.get(String(i))).filter(
      (value) => value !== undefined,
    )
    expect(held.length).toBeGreaterThanOrEqual(5)
    expect(held.length).toBeLessThanOrEqual(10)
    expect(held).toContain(99)
  })

  test('count what things weigh', () => {
    const kept = new Generations<string, string>(10, ({ length }) => length)
    kept.set('a', '1234')
    kept.set('b', '1234')
    kept.set('c', '1234')
    expect([kept.get('a'), kept.get('c')]).toEqual([undefined, '1234'])
    kept.set('large', 'x'.repeat(100))
    expect(kept.get('large')).toBe('x'.repeat(100))
  })

  test('forget what is taken out, young or old', () => {
    const kept = new Generations<string, string>(10, ({ length }) => length)
    kept.set('a', '1234')
    kept.set('b', '1234')
    kept.delete('a')
    kept.delete('b')
    kept.delete('none')
    expect([kept.get('a'), kept.get('b')]).toEqual([undefined, undefined])
    kept.set('a', '5678')
    expect(kept.get('a')).toBe('5678')
  })
})
