import { utf8 } from '@dslog/tlog/bytes'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { DnssecError } from '../src/error.ts'
import { readEscape, Words } from '../src/presentation/words.ts'

interface Scanned {
  readonly words: string[]
  readonly lines: number
  readonly indented: boolean
  readonly rest: string
}

/** The first record of a text that ends there. */
function scan(text: string): Scanned {
  const bytes = utf8(text)
  const words = new Words()
  const end = words.scan(bytes, 0, bytes.length, true)
  const found = Array.from({ length: words.count }, (_, i) => {
    return words.quoted(i) ? `"${words.text(i)}"` : words.text(i)
  })
  const { lines, indented } = words
  return { words: found, lines, indented, rest: new TextDecoder().decode(bytes.slice(end)) }
}

/** All records of a text, as their words. */
function scanAll(text: string): string[][] {
  const records: string[][] = []
  for (let rest = text; rest !== '';) {
    const found = scan(rest)
    if (found.words.length > 0) records.push(found.words)
    rest = found.rest
  }
  return records
}

describe('words of a record', () => {
  test.each([
    ['', []],
    ['\n', []],
    [' \t\r\n', []],
    ['; nothing but a comment\n', []],
    ['a', ['a']],
    ['a b\tc\r\n', ['a', 'b', 'c']],
    ['a;b\n', ['a']],
    ['a\\;b\n', ['a\\;b']],
    ['a ; ( " \\ \n', ['a']],
    ['a (b\nc)d\n', ['a', 'b', 'c', 'd']],
    ['(a\n(b\n)\nc) d\n', ['a', 'b', 'c', 'd']],
    ['()\n', []],
    ['a ( ; x )\n b )\n', ['a', 'b']],
    ['"a b" "" c\n', ['"a b"', '""', 'c']],
    ['"a;b(c)"\n', ['"a;b(c)"']],
    ['"a\\"b\\\\"\n', ['"a\\"b\\\\"']],
    ['("a")\n', ['"a"']],
    ['a\\ b\\(c\\"d\n', ['a\\ b\\(c\\"d']],
    ['\u00e4\n', ['\u00c3\u00a4']],
  ])('%j', (text, words) => {
    expect(scan(text).words).toEqual(words)
    expect(scan(text).rest).toBe('')
  })

  test('end with the line, or with the line of the last parenthesis', () => {
    expect(scan('a b\nc\n')).toEqual({ words: ['a', 'b'], lines: 1, indented: false, rest: 'c\n' })
    expect(scan('a (\n\n b ; x\n) c\nd')).toEqual({
      words: ['a', 'b', 'c'],
      lines: 4,
      indented: false,
      rest: 'd',
    })
    expect(scan('\na')).toMatchObject({ words: [], lines: 1, rest: 'a' })
    expect(scanAll('a\n\n b (\n)\n; x\nc "d\\"\\;"')).toEqual([['a'], ['b'], ['c', '"d\\"\\;"']])
  })

  test('know whether the line began with a blank', () => {
    expect(scan(' a\n').indented).toBe(true)
    expect(scan('\ta\n').indented).toBe(true)
    expect(scan('a\n').indented).toBe(false)
    expect(scan('(a\n b)\n').indented).toBe(false)
    expect(scan('').indented).toBe(false)
  })

  test('are taken one by one, and missed by name', () => {
    const words = new Words()
    const bytes = utf8('a b')
    words.scan(bytes, 0, bytes.length, true)
    expect([words.left, words.take('the first'), words.take('the second')]).toEqual([2, 0, 1])
    expect(words.left).toBe(0)
    expect(() => words.take('the third')).toThrow('the third is missing')
  })

  test('are shown short, and in printable characters', () => {
    const words = new Words()
    const bytes = utf8(`${'x'.repeat(50)} a\\\u0007\u00e4`)
    words.scan(bytes, 0, bytes.length, true)
    expect(words.shown(0)).toBe(`"${'x'.repeat(40)}…"`)
    expect(words.shown(1)).toBe('"a\\\\007\\195\\164"')
  })

  test('may be many', () => {
    const many = Array.from({ length: 5000 }, (_, i) => String(i))
    expect(scan(many.join(' ')).words).toEqual(many)
  })
})

describe('a record that is not all there', () => {
  const piece = fc.constantFrom('a', ' ', '\n', '(', ')', ';', '"', '\\', '1', '\t', '\r', 'bc')
  const texts = fc.array(piece, { maxLength: 30 }).map((pieces) => pieces.join(''))

  test('is asked for again; what is found is what a whole scan finds', () => {
    fc.assert(
      fc.property(texts, (text) => {
        const bytes = utf8(text)
        let whole: Scanned | undefined
        try {
          whole = scan(text)
        } catch (error) {
          expect(error).toBeInstanceOf(DnssecError)
        }
        for (let n = 0; n < bytes.length; n++) {
          const words = new Words()
          let end: number
          try {
            end = words.scan(bytes, 0, n, false)
          } catch (error) {
            // What a part of a text breaks, the whole text breaks.
            expect(error).toBeInstanceOf(DnssecError)
            expect(whole).toBeUndefined()
            break
          }
          if (end < 0) continue
          expect(end).toBeLessThanOrEqual(n)
          expect(bytes.length - end).toBe(utf8(whole!.rest).length)
          expect(words.count).toBe(whole!.words.length)
        }
      }),
      { numRuns: 2000 },
    )
  })
})

describe('escapes', () => {
  const read = (text: string): [value: number, length: number] => {
    const escape = readEscape(utf8(text), 0, text.length)
    return [escape & 0xff, escape >>> 8]
  }

  test('of a character and of a number', () => {
    expect(read('\\.')).toEqual([0x2e, 2])
    expect(read('\\\\x')).toEqual([0x5c, 2])
    expect(read('\\a')).toEqual([0x61, 2])
    expect(read('\\0001')).toEqual([0, 4])
    expect(read('\\255')).toEqual([255, 4])
  })

  test.each(['\\', '\\1', '\\12', '\\12x', '\\256', '\\999'])('%j is none', (text) => {
    expect(() => read(text)).toThrow(DnssecError)
  })
})
