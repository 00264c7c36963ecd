import { describe, expect, test } from 'vitest'
import { Secret } from '../src/config.ts'
import { bearerOf, isToken, newToken } from '../src/http/bearer.ts'

describe('a bearer token', () => {
  test.each([
    ['Bearer abc', 'abc'],
    // RFC 9110 section 11.1: the scheme in any case.
    ['bearer abc', 'abc'],
    ['BEARER  a=b ', 'a=b '],
    ['Bearer ', undefined],
    ['Bearer', undefined],
    ['Basic abc', undefined],
    ['xBearer abc', undefined],
    [undefined, undefined],
  ])('in %j is %j', (header, token) => {
    expect(bearerOf(header)).toBe(token)
  })

  test('is the one that is kept, or not', () => {
    const kept = new Secret('abc')
    expect([isToken('abc', kept), isToken('abd', kept), isToken('', kept)]).toEqual([
      true,
      false,
      false,
    ])
    expect(isToken('abc', undefined)).toBe(false)
  })

  test('that is new is another one each time, and as long as 32 bytes', () => {
    const tokens = new Set(Array.from({ length: 100 }, newToken))
    expect(tokens.size).toBe(100)
    for (const token of tokens) expect(token).toMatch(/^[\w-]{43}$/)
  })
})
