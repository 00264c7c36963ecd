/** Names: text and wire, compression, limits, order. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { concat } from '@dslog/tlog/bytes'
import { DnssecError } from '../src/error.ts'
import {
  commonAncestor,
  compareCanonical,
  expandName,
  firstLabel,
  isAtOrBelow,
  isBelow,
  isLowerCase,
  isWildcard,
  labelCount,
  lastLabels,
  nameFromText,
  nameEnd,
  nameFromWire,
  nameKey,
  nameToText,
  nextCloser,
  parentOf,
  readName,
  ROOT,
  sameName,
  wildcardOf,
  type Name,
} from '../src/name.ts'

const bytes = (...values: number[]): Uint8Array => new Uint8Array(values)
const bad = { name: 'DnssecError', code: 'bad-name' }

/** Any labels of any bytes that fit in a name. */
const anyLabels = fc
  .array(fc.uint8Array({ minLength: 1, maxLength: 63 }), { maxLength: 12 })
  .filter((labels) => labels.reduce((sum, label) => sum + 1 + label.length, 1) <= 255)

function wireOf(labels: readonly Uint8Array[]): Uint8Array {
  return concat(...labels.flatMap((label) => [bytes(label.length), label]), bytes(0))
}

const anyName = anyLabels.map((labels) => nameFromWire(wireOf(labels)))

/** Names that often share labels, so that relations between them are seen. */
const closeName = fc
  .array(fc.constantFrom('a', 'b', '*', 'ab', '\\000'), { maxLength: 4 })
  .map((labels) => (labels.length === 0 ? ROOT : nameFromText(labels.join('.'))))

describe('text', () => {
  test('plain names, with and without the final dot', () => {
    const wire = bytes(7, ...new TextEncoder().encode('example'), 3, 0x6f, 0x72, 0x67, 0)
    expect(nameFromText('example.org.')).toEqual(wire)
    expect(nameFromText('example.org')).toEqual(wire)
    expect(nameFromText('ExAmPlE.ORG')).toEqual(wire)
    expect(nameToText(nameFromText('example.org'))).toBe('example.org.')
    expect(nameFromText('.')).toEqual(bytes(0))
    expect(nameToText(ROOT)).toBe('.')
  })

  test('relative names are completed with the origin, absolute ones are not', () => {
    const origin = nameFromText('example.org.')
    expect(nameToText(nameFromText('www', origin))).toBe('www.example.org.')
    expect(nameToText(nameFromText('www.', origin))).toBe('www.')
    expect(nameToText(nameFromText('.', origin))).toBe('.')
  })

  test('dots, specials and bytes of all kinds inside labels', () => {
    expect(nameFromText('a\\.b.c')).toEqual(bytes(3, 0x61, 0x2e, 0x62, 1, 0x63, 0))
    expect(nameFromText('\\000\\255\\046')).toEqual(bytes(3, 0, 255, 0x2e, 0))
    expect(nameFromText('\\065\\066')).toEqual(nameFromText('ab'))
    expect(nameToText(nameFromWire(bytes(6, 0x2e, 0x22, 0x5c, 0x20, 0x80, 0x40, 0)))).toBe(
      '\\.\\"\\\\\\032\\128\\@.',
    )
    for (let byte = 0; byte < 256; byte++) {
      const name = nameFromWire(bytes(1, byte, 0))
      expect(nameFromText(nameToText(name))).toEqual(name)
      expect(nameToText(name)).toMatch(/^[\x21-\x7e]+$/)
    }
  })

  test('what is not a name', () => {
    const texts = ['', '..', '.a', 'a..b', 'a..', 'a b', 'a\tb', 'a\n', 'é.org', '💥', 'a\\', '\\0']
    texts.push('\\00', '\\256', '\\999', '\\00a', '\\1a2', 'a\\ b', 'a'.repeat(64), '\u{e9}')
    texts.push('a'.repeat(63) + 'b.', '\\é', '\\\u0000', '\u007f')
    for (const text of texts) {
      expect(() => nameFromText(text), JSON.stringify(text)).toThrow(expect.objectContaining(bad))
    }
  })

  test('63 bytes a label, 255 a name', () => {
    const label = 'a'.repeat(63)
    expect(nameFromText(label)).toHaveLength(65)
    const longest = `${label}.${label}.${label}.${'b'.repeat(61)}`
    expect(nameFromText(longest)).toHaveLength(255)
    expect(nameFromText(`${longest}.`)).toHaveLength(255)
    for (const text of [`${longest}b`, `${longest}b.`, `x.${longest}`, `${longest}.x.`]) {
      expect(() => nameFromText(text)).toThrow(expect.objectContaining(bad))
    }
    const many = nameFromText('a.'.repeat(127))
    expect(labelCount(many)).toBe(127)
    expect(() => nameFromText('a.'.repeat(128))).toThrow(expect.objectContaining(bad))
    expect(nameFromText('a.'.repeat(100).slice(0, -1), nameFromText('a.'.repeat(27)))).toEqual(many)
    expect(() => nameFromText('a', many)).toThrow(expect.objectContaining(bad))
  })

  test('any name comes back from its text', () => {
    fc.assert(
      fc.property(anyName, (name) => {
        expect(nameFromText(nameToText(name))).toEqual(name)
      }),
    )
  })

  test('any text is a name or this one error', () => {
    const alphabet = fc.constantFrom('a', '.', '\\', '0', '9', ' ', '@', 'Z', '*', 'ÿ')
    fc.assert(
      fc.property(fc.string({ unit: alphabet, maxLength: 80 }), (text) => {
        let name: Name
        try {
          name = nameFromText(text)
        } catch (error) {
          expect(error).toBeInstanceOf(DnssecError)
          return
        }
        expect(nameFromText(nameToText(name))).toEqual(name)
      }),
    )
  })
})

describe('wire', () => {
  test('exactly one uncompressed name, lower-cased, as a copy', () => {
    fc.assert(
      fc.property(anyLabels, (labels) => {
        const wire = wireOf(labels)
        const name = nameFromWire(wire)
        expect(name).toEqual(
          wireOf(labels.map((label) => label.map((b) => (b >= 65 && b <= 90 ? b + 32 : b)))),
        )
        expect(nameFromWire(name)).toEqual(name)
        for (let end = 0; end < wire.length; end++) {
          expect(() => nameFromWire(wire.subarray(0, end))).toThrow(expect.objectContaining(bad))
        }
        expect(() => nameFromWire(concat(wire, bytes(0)))).toThrow(expect.objectContaining(bad))
      }),
      { numRuns: 50 },
    )
    const wire = bytes(1, 0x41, 0)
    nameFromWire(wire)[1] = 0
    expect(wire).toEqual(bytes(1, 0x41, 0))
  })

  test('a lower-case name is one that reading leaves as it is', () => {
    const byte = fc.oneof(fc.constantFrom(0, 1, 2, 0xc0, 0x3f, 0x40, 0x41, 0x5a, 0x5b), fc.nat(255))
    const noise = fc.uint8Array({ maxLength: 40 })
    const close = fc.array(byte, { maxLength: 40 }).map((values) => bytes(...values))
    const named = anyLabels.map(wireOf)
    fc.assert(
      fc.property(fc.nat(3), fc.oneof(noise, close, named), (pos, data) => {
        const whole = concat(new Uint8Array(pos), data)
        const expected = (): boolean => {
          try {
            const { end, name } = readName(whole, pos, { compressed: false })
            return name.every((b, i) => b === whole[pos + i]) && end <= whole.length
          } catch {
            return false
          }
        }
        expect(isLowerCase(whole, pos)).toBe(expected())
      }),
      { numRuns: 500 },
    )
    const label = bytes(63, ...new Uint8Array(63).fill(0x61))
    const longest = concat(label, label, label, bytes(61), label.subarray(1, 62), bytes(0))
    expect([longest.length, isLowerCase(longest, 0)]).toEqual([255, true])
    const over = concat(label, label, label, bytes(62), label.subarray(1, 63), bytes(0))
    expect([over.length, isLowerCase(over, 0)]).toEqual([256, false])
  })

  test('the end of a name is where reading it ends', () => {
    const byte = fc.oneof(fc.constantFrom(0, 1, 2, 0x3f, 0x40, 0xc0), fc.nat(255))
    const close = fc.array(byte, { maxLength: 40 }).map((values) => bytes(...values))
    const outcomeOf = (read: () => number): unknown => {
      try {
        return read()
      } catch (error) {
        return String(error)
      }
    }
    const same = (whole: Uint8Array, pos: number): void => {
      const read = (): number => expandName(whole, pos, { compressed: false }).end
      expect(outcomeOf(() => nameEnd(whole, pos))).toEqual(outcomeOf(read))
    }
    fc.assert(
      fc.property(fc.nat(3), fc.oneof(close, anyLabels.map(wireOf)), (pos, data) => {
        same(concat(new Uint8Array(pos), data), pos)
      }),
      { numRuns: 500 },
    )
    const label = bytes(63, ...new Uint8Array(63))
    for (const last of [60, 61, 62]) {
      same(concat(label, label, label, bytes(last), label.subarray(1, 1 + last), bytes(0)), 0)
    }
  })

  test('bytes from 0x80 on and those beside the letters keep their value', () => {
    const label = Array.from({ length: 63 }, (_, i) => i + 0x41)
    const high = Array.from({ length: 63 }, (_, i) => i + 0xc1)
    const name = nameFromWire(bytes(63, ...label, 63, ...high, 0))
    expect(firstLabel(name)).toEqual(bytes(...label.map((b) => (b <= 0x5a ? b + 32 : b))))
    expect(firstLabel(parentOf(name))).toEqual(bytes(...high))
  })

  test('compression', () => {
    //                   0              2  3              6  7  8
    const message = bytes(1, 0x61, 0, 9, 1, 0x42, 0xc0, 0x00, 0xc0, 0x04, 0xff)
    expect(readName(message, 0)).toEqual({ name: nameFromText('a'), end: 3 })
    expect(readName(message, 4)).toEqual({ name: nameFromText('b.a'), end: 8 })
    expect(readName(message, 8)).toEqual({ name: nameFromText('b.a'), end: 10 })
    expect(expandName(message, 4)).toEqual({ wire: bytes(1, 0x42, 1, 0x61, 0), end: 8 })
    expect(() => readName(message, 4, { compressed: false })).toThrow(expect.objectContaining(bad))
    expect(() => nameFromWire(bytes(0xc0, 0x00))).toThrow(expect.objectContaining(bad))
  })

  test('loops, forward pointers and chains that never end', () => {
    const cases = [
      [bytes(0xc0, 0x00), 0], // itself
      [bytes(0xc0, 0x02, 0xc0, 0x00), 2], // each other, by a forward pointer
      [bytes(1, 0x61, 0xc0, 0x00), 0], // a label and back to it
      [bytes(0xc0, 0x02, 0), 0], // forward
      [bytes(0xc0), 0], // half a pointer
      [bytes(0xc0, 0xff), 0], // outside
      [bytes(0x40, 0), 0], // reserved label types
      [bytes(0x80, 0), 0],
      [bytes(0x3f, 0), 0],
      [bytes(), 0],
      [bytes(0), 1],
    ] as const
    for (const [message, pos] of cases) {
      expect(() => readName(message, pos)).toThrow(expect.objectContaining(bad))
    }
    // A long ladder of pointers, each to the one before: bounded, though every step goes back.
    const ladder = bytes(0, ...Array.from({ length: 300 }, () => [0xc0, 0]).flat())
    for (let i = 1; i < 300; i++) {
      const target = i === 1 ? 0 : 1 + 2 * (i - 2)
      ladder.set([0xc0 | (target >> 8), target & 255], 1 + 2 * (i - 1))
    }
    expect(readName(ladder, 1 + 2 * 100).name).toEqual(ROOT)
    expect(() => readName(ladder, 1 + 2 * 298)).toThrow(expect.objectContaining(bad))
  })

  test('255 bytes also where they come by pointers', () => {
    const label = bytes(63, ...new Uint8Array(63).fill(0x61))
    const base = concat(label, label, label, bytes(0)) // 193 bytes
    const fits = concat(base, bytes(61, ...new Uint8Array(61).fill(0x62), 0xc0, 0))
    expect(readName(fits, base.length).name).toHaveLength(255)
    const over = concat(base, bytes(62, ...new Uint8Array(62).fill(0x62), 0xc0, 0))
    expect(() => readName(over, base.length)).toThrow(expect.objectContaining(bad))
  })

  test('any bytes are a name or this one error', () => {
    const byte = fc.oneof(fc.constantFrom(0, 1, 2, 0xc0, 0x3f), fc.nat(255))
    fc.assert(
      fc.property(fc.array(byte, { maxLength: 60 }), fc.nat(60), (values, pos) => {
        try {
          const { name, end } = readName(bytes(...values), pos)
          expect(name.length).toBeLessThanOrEqual(255)
          expect(end).toBeLessThanOrEqual(values.length)
          expect(nameFromWire(name)).toEqual(name)
        } catch (error) {
          expect(error).toBeInstanceOf(DnssecError)
        }
      }),
      { numRuns: 500 },
    )
  })
})

describe('relations', () => {
  const name = nameFromText('www.example.org.')

  test('labels, parents and ends', () => {
    expect(labelCount(ROOT)).toBe(0)
    expect(labelCount(name)).toBe(3)
    expect(nameToText(parentOf(name))).toBe('example.org.')
    expect(lastLabels(name, 0)).toEqual(ROOT)
    expect(lastLabels(name, 3)).toEqual(name)
    expect(nameToText(lastLabels(name, 1))).toBe('org.')
    expect(() => lastLabels(name, 4)).toThrow(RangeError)
    expect(() => lastLabels(name, -1)).toThrow(RangeError)
    expect(() => parentOf(ROOT)).toThrow(RangeError)
    expect(firstLabel(name)).toEqual(bytes(0x77, 0x77, 0x77))
    expect(firstLabel(ROOT)).toHaveLength(0)
    expect(nameToText(nextCloser(name, nameFromText('org')))).toBe('example.org.')
    expect(nameToText(nextCloser(name, ROOT))).toBe('org.')
  })

  test('wildcards', () => {
    expect(nameToText(wildcardOf(nameFromText('org')))).toBe('*.org.')
    expect(nameToText(wildcardOf(ROOT))).toBe('*.')
    expect(isWildcard(nameFromText('*.org'))).toBe(true)
    expect(isWildcard(nameFromText('a*.org'))).toBe(false)
    expect(isWildcard(nameFromText('**.org'))).toBe(false)
    expect(isWildcard(nameFromText('a.*.org'))).toBe(false)
    expect(isWildcard(ROOT)).toBe(false)
    const long = nameFromText(`${`${'a'.repeat(63)}.`.repeat(3)}${'b'.repeat(60)}.`)
    expect(long).toHaveLength(254)
    expect(() => wildcardOf(long)).toThrow(expect.objectContaining(bad))
  })

  test('below is by labels, not by text', () => {
    expect(isBelow(name, nameFromText('example.org'))).toBe(true)
    expect(isBelow(name, name)).toBe(false)
    expect(isAtOrBelow(name, name)).toBe(true)
    expect(isBelow(name, ROOT)).toBe(true)
    expect(isBelow(ROOT, ROOT)).toBe(false)
    expect(isAtOrBelow(ROOT, name)).toBe(false)
    expect(isBelow(nameFromText('notexample.org'), nameFromText('example.org'))).toBe(false)
    // The bytes of "3org" inside a label look like the name org. but are none.
    const trick = nameFromWire(bytes(5, 0x78, 3, 0x6f, 0x72, 0x67, 0))
    expect(isAtOrBelow(trick, nameFromText('org'))).toBe(false)
    expect(nameToText(commonAncestor(name, nameFromText('mail.example.org')))).toBe('example.org.')
    expect(commonAncestor(name, nameFromText('com'))).toEqual(ROOT)
    expect(commonAncestor(parentOf(name), name)).toEqual(parentOf(name))
  })

  test('relations agree with each other', () => {
    fc.assert(
      fc.property(closeName, closeName, (a, b) => {
        expect(isAtOrBelow(a, b)).toBe(isBelow(a, b) || sameName(a, b))
        expect(sameName(a, b)).toBe(nameKey(a) === nameKey(b))
        const common = commonAncestor(a, b)
        expect(commonAncestor(b, a)).toEqual(common)
        expect(isAtOrBelow(a, common) && isAtOrBelow(b, common)).toBe(true)
        if (labelCount(a) > labelCount(common) && labelCount(b) > labelCount(common)) {
          expect(nextCloser(a, common)).not.toEqual(nextCloser(b, common))
        }
      }),
      { numRuns: 500 },
    )
  })
})

describe('canonical order', () => {
  test('the example of RFC 4034 §6.1', () => {
    const order = [
      'example.',
      'a.example.',
      'yljkjljk.a.example.',
      'Z.a.example.',
      'zABC.a.EXAMPLE.',
      'z.example.',
      '\\001.z.example.',
      '*.z.example.',
      '\\200.z.example.',
    ].map((text) => nameFromText(text))
    for (let i = 0; i < order.length; i++) {
      for (let j = 0; j < order.length; j++) {
        expect(Math.sign(compareCanonical(order[i]!, order[j]!))).toBe(Math.sign(i - j))
      }
    }
  })

  test('is a total order that puts names before what is below them', () => {
    fc.assert(
      fc.property(closeName, closeName, closeName, (a, b, c) => {
        expect(Math.sign(compareCanonical(a, b))).toBe(-Math.sign(compareCanonical(b, a)) + 0)
        expect(compareCanonical(a, b) === 0).toBe(sameName(a, b))
        if (isBelow(a, b)) expect(compareCanonical(b, a)).toBeLessThan(0)
        if (compareCanonical(a, b) <= 0 && compareCanonical(b, c) <= 0) {
          expect(compareCanonical(a, c)).toBeLessThanOrEqual(0)
        }
      }),
      { numRuns: 500 },
    )
  })
})
