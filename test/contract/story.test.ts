/** How stories are read, and what their patterns match. */
import { describe, expect, test } from 'vitest'
import { Values } from './match.ts'
import { parseStory } from './story.ts'

const STORY = `# About nothing.
service filled

--- It is asked.
POST /a?b=\${c}
content-type: text/plain
x: y: z

one

two
HTTP/1.1 404 Not Found
etag: -
vary: /x/

/one/
!/two/

--- And again.
3 times GET /
HTTP/1.1 200 OK

--- At the same time.
meanwhile GET /b

HTTP/1.1 200 OK
`

describe('a story', () => {
  test('has steps', () => {
    const { service, steps } = parseStory(STORY)
    expect(service).toBe('filled')
    expect(steps).toEqual([
      {
        title: 'It is asked.',
        line: 5,
        times: 1,
        isMeanwhile: false,
        method: 'POST',
        path: `/a?b=\${c}`,
        headers: [
          { name: 'content-type', value: 'text/plain' },
          { name: 'x', value: 'y: z' },
        ],
        body: 'one\n\ntwo',
        status: 404,
        reason: 'Not Found',
        answer: {
          headers: [
            { name: 'etag', value: '-' },
            { name: 'vary', value: '/x/' },
          ],
          body: ['/one/', '!/two/'],
        },
      },
      expect.objectContaining({ line: 20, times: 3, method: 'GET', path: '/', body: undefined }),
      expect.objectContaining({ times: 1, isMeanwhile: true, path: '/b', headers: [] }),
    ])
  })

  test.each([
    ['', 'no `service`'],
    ['service a\n', 'no steps'],
    ['service a\nservice b\n--- x\nGET /\nHTTP/1.1 200 OK\n', 'no `service`'],
    ['service a\n--- x\nget /\nHTTP/1.1 200 OK\n', 'line 3: no request'],
    ['service a\n--- x\n', 'line 3: no request: the end'],
    ['service a\n--- x\nGET /\n', 'a step without an answer'],
    ['service a\n--- x\nGET /\nHTTP/1.1 200\n', 'line 4: no header'],
    ['service a\n--- x\nGET /\nHTTP/1.1 200 OK\nEtag: x\n', 'line 5: no header'],
  ])('is refused: %j', (text, message) => {
    expect(() => parseStory(text)).toThrow(message)
    expect(() => parseStory(text)).toThrow(SyntaxError)
  })
})

describe('a pattern', () => {
  const values = new Values((name) => ({ size: 7, word: 'a.b' })[name])

  test('is what it equals, or an expression', () => {
    expect(values.match('ab', 'ab')).toBeUndefined()
    expect(values.match('ab', 'abc')).toBe('"abc" is not "ab"')
    expect(values.match('/^a.$/', 'ab')).toBeUndefined()
    expect(values.match('/^a.$/', 'abc')).toContain('does not match')
    expect(values.match('7', 7)).toBe('7 is not "7"')
  })

  test('uses values, as they are or with their type', () => {
    expect(values.match(`\${size}`, 7)).toBeUndefined()
    expect(values.match(`\${size}`, '7')).toBe('"7" is not 7')
    expect(values.match(`<\${size}>`, '<7>')).toBeUndefined()
    expect(values.match(`/^\${word}$/`, 'a.b')).toBeUndefined()
    expect(values.match(`/^\${word}$/`, 'axb')).toContain('does not match')
    expect(() => values.match(`\${nothing}`, 'x')).toThrow('nothing is called nothing')
    expect(values.fill(`/\${word}`, () => 'x')).toBe('/x')
  })

  test('finds values', () => {
    expect(values.match('/^(?<first>.)(?<rest>.*)$/', 'abc')).toBeUndefined()
    expect(values.fill(`\${rest}\${first}`)).toBe('bca')
    expect(values.match('/^(?<number>\\d+)$/', 12)).toBeUndefined()
    expect(values.get('number')).toBe(12)
  })
})

describe('JSON', () => {
  const values = new Values(() => undefined)

  test.each<[unknown, unknown]>([
    [
      { a: 1, b: [null, true] },
      { b: [null, true], a: 1 },
    ],
    [{ a: '/^\\d$/' }, { a: 5 }],
    [
      { a: 1, '...': '...' },
      { a: 1, b: 2 },
    ],
    [
      [1, '...'],
      [1, 2, 3],
    ],
    [[1, '...'], [1]],
    [{}, {}],
  ])('%j matches %j', (expected, actual) => {
    expect(values.matchJson(expected, actual)).toBeUndefined()
  })

  test.each<[unknown, unknown, string]>([
    [{ a: 1 }, { a: 2 }, '#/a: 2 is not 1'],
    [{ a: 1 }, {}, '#: no a'],
    [{ a: 1 }, { a: 1, b: 2 }, '#: unexpected b'],
    [{ a: null }, { a: 0 }, '#/a: 0 is not null'],
    [{ a: [] }, { a: {} }, '#/a: {} is not an array'],
    [{ a: {} }, { a: [] }, '#/a: [] is not an object'],
    [[1], [1, 2], '#: 2 items'],
    [[1, 2, '...'], [1], '#: 1 items'],
    [[{ a: 'x' }], [{ a: 'y' }], '#/0/a: "y" is not "x"'],
    [{}, undefined, '#: nothing is not an object'],
  ])('%j does not match %j', (expected, actual, fault) => {
    expect(values.matchJson(expected, actual)).toBe(fault)
  })
})
