import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ByteReader, ByteWriter } from '../src/binary.ts'
import {
  compare,
  concat,
  equal,
  fromBase64,
  fromHex,
  fromUtf8,
  parseDecimal,
  toBase64,
  toBase64Each,
  toHex,
  u64be,
  utf8,
} from '../src/bytes.ts'
import { TlogError } from '../src/error.ts'
import { codeOf } from './codes.ts'

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values)
const MAX = Number.MAX_SAFE_INTEGER

describe('decimals', () => {
  test('have one spelling', () => {
    for (const [text, value] of [
      ['0', 0],
      ['10', 10],
      ['9007199254740991', Number.MAX_SAFE_INTEGER],
      ['9007199254740992', undefined],
      ['00', undefined],
      ['', undefined],
      ['-0', undefined],
      ['1\n', undefined],
    ] as const) {
      expect(parseDecimal(text)).toBe(value)
    }
  })
})

describe('errors', () => {
  test('carry code, cause and status', () => {
    const cause = new Error('below')
    const error = new TlogError('http', 'no', { cause, status: 503 })
    expect(error).toBeInstanceOf(Error)
    expect([error.name, error.code, error.message, error.cause, error.status]).toEqual([
      'TlogError',
      'http',
      'no',
      cause,
      503,
    ])
    const plain = new TlogError('encoding', 'no')
    expect('cause' in plain).toBe(false)
    expect(plain.status).toBeUndefined()
  })
})

describe('arrays', () => {
  test('concat joins and copies', () => {
    const a = bytes(1, 2)
    const joined = concat(a, bytes(), bytes(3))
    a[0] = 9
    expect(joined).toEqual(bytes(1, 2, 3))
    expect(concat()).toEqual(bytes())
  })

  test('equal and compare agree, and order as hexadecimal does', () => {
    const array = fc.uint8Array({ maxLength: 6, max: 2 })
    fc.assert(
      fc.property(array, array, (a, b) => {
        expect(equal(a, b)).toBe(compare(a, b) === 0)
        expect(Math.sign(compare(a, b))).toBe(
          toHex(a) < toHex(b) ? -1 : toHex(a) > toHex(b) ? 1 : 0,
        )
        expect(Math.sign(compare(b, a))).toBe(0 - Math.sign(compare(a, b)))
      }),
    )
    expect(compare(bytes(1), bytes(1, 0))).toBeLessThan(0)
    expect(compare(bytes(0xff), bytes(0x7f))).toBeGreaterThan(0)
  })
})

describe('hexadecimal', () => {
  test('round trip', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (a) => {
        expect(fromHex(toHex(a))).toEqual(a)
      }),
    )
    expect(toHex(bytes(0, 0x0f, 0xa0, 0xff))).toBe('000fa0ff')
  })

  test.each(['0', 'AB', '0g', ' 00', '0x', 'é0', '0\u0130'])('refuses %j', (text) => {
    expect(codeOf(() => fromHex(text))).toBe('encoding')
  })
})

describe('base64', () => {
  test('RFC 4648 section 10', () => {
    const vectors: Record<string, string> = {
      '': '',
      f: 'Zg==',
      fo: 'Zm8=',
      foo: 'Zm9v',
      foob: 'Zm9vYg==',
      fooba: 'Zm9vYmE=',
      foobar: 'Zm9vYmFy',
    }
    for (const [text, encoded] of Object.entries(vectors)) {
      expect(toBase64(utf8(text))).toBe(encoded)
      expect(fromBase64(encoded)).toEqual(utf8(text))
    }
  })

  test('round trip, and agrees with the platform', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (a) => {
        const text = toBase64(a)
        expect(text).toBe(btoa(String.fromCharCode(...a)))
        expect(fromBase64(text)).toEqual(a)
      }),
    )
  })

  test('many at once are each as it is alone', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 70 })), (many) => {
        expect(toBase64Each(many)).toEqual(many.map(toBase64))
      }),
    )
  })

  test('whatever decodes is what encoding gives: every change of one character is refused or other bytes', () => {
    const characters = 'AQgw/+=-_ \n\u00e9\u0141'
    for (const source of ['Zg==', 'Zm8=', 'Zm9v', 'Zm9vYg==']) {
      for (let i = 0; i < source.length; i++) {
        for (const c of characters) {
          const changed = source.slice(0, i) + c + source.slice(i + 1)
          let decoded: Uint8Array
          try {
            decoded = fromBase64(changed)
          } catch (error) {
            expect((error as TlogError).code).toBe('encoding')
            continue
          }
          expect(toBase64(decoded)).toBe(changed)
        }
      }
    }
  })

  test.each(['Zg', 'Zg=', 'Zh==', 'Zm9=', '====', 'A===', '=', 'Zg==Zg==', 'Zm9v\n', 'Zm-_'])(
    'refuses %j',
    (text) => {
      expect(codeOf(() => fromBase64(text))).toBe('encoding')
    },
  )
})

describe('UTF-8', () => {
  test('round trip, byte-order mark kept', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(fromUtf8(utf8(text))).toBe(text)
      }),
    )
    expect(fromUtf8(bytes(0xef, 0xbb, 0xbf, 0x61))).toBe('\ufeffa')
  })

  test.each([
    bytes(0xc0, 0x80),
    bytes(0xed, 0xa0, 0x80),
    bytes(0xf4, 0x90, 0x80, 0x80),
    bytes(0x80),
    bytes(0xe2, 0x80),
  ])('refuses malformed bytes %#', (malformed) => {
    expect(codeOf(() => fromUtf8(malformed))).toBe('encoding')
  })

  test('refuses lone surrogates', () => {
    expect(codeOf(() => utf8('a\ud800'))).toBe('encoding')
    expect(codeOf(() => utf8('\udc00\ud800'))).toBe('encoding')
    expect(utf8('\u{1f600}')).toEqual(bytes(0xf0, 0x9f, 0x98, 0x80))
  })
})

describe('binary fields', () => {
  test('u64be', () => {
    expect(u64be(0)).toEqual(new Uint8Array(8))
    expect(u64be(258)).toEqual(bytes(0, 0, 0, 0, 0, 0, 1, 2))
    expect(toHex(u64be(2 ** 32))).toBe('0000000100000000')
    expect(toHex(u64be(MAX))).toBe('001fffffffffffff')
    for (const n of [-1, 0.5, MAX + 1, Number.NaN, Infinity]) {
      expect(() => u64be(n)).toThrow(RangeError)
    }
  })

  test('what is written is read, at any field boundary and nowhere else', () => {
    const record = fc.record({
      a: fc.nat(0xff),
      b: fc.nat(0xffff),
      c: fc.nat(0xffffffff),
      d: fc.nat(MAX),
      e: fc.bigInt(0n, 2n ** 64n - 1n),
      f: fc.uint8Array({ maxLength: 700 }),
    })
    fc.assert(
      fc.property(record, ({ a, b, c, d, e, f }) => {
        const writer = new ByteWriter().u8(a).u16(b).u32(c).u64(d).u64(e).u16(f.length).bytes(f)
        const out = writer.finish()
        expect(out.length).toBe(writer.length)
        const read = (input: Uint8Array): unknown[] => {
          const reader = new ByteReader(input)
          const got = [reader.u8(), reader.u16(), reader.u32(), reader.u64(), reader.u64big()]
          const tail = reader.bytes(reader.u16())
          reader.done()
          return [...got, tail]
        }
        expect(read(out)).toEqual([a, b, c, d, e, f])
        expect(codeOf(() => read(out.subarray(0, -1)))).toBe('truncated')
        expect(codeOf(() => read(concat(out, bytes(0))))).toBe('trailing')
        for (const cut of [0, 2, 6, 14, 22, 24]) {
          expect(codeOf(() => read(out.subarray(0, cut)))).toBe('truncated')
        }
      }),
    )
  })

  test('a reader looks only at its own part of a buffer', () => {
    const whole = bytes(9, 9, 1, 2, 3, 9)
    const reader = new ByteReader(whole.subarray(2, 5))
    expect([reader.u16(), reader.pos, reader.remaining]).toEqual([0x0102, 2, 1])
    const view = reader.bytes(1)
    whole[4] = 7
    expect(view).toEqual(bytes(7))
    expect(codeOf(() => reader.u8())).toBe('truncated')
    expect(reader.pos).toBe(3)
  })

  test('u64 is refused above 2^53-1 and read whole as a bigint', () => {
    const large = bytes(0, 0x20, 0, 0, 0, 0, 0, 0)
    expect(codeOf(() => new ByteReader(large).u64())).toBe('range')
    expect(new ByteReader(large).u64big()).toBe(2n ** 53n)
    expect(new ByteReader(u64be(MAX)).u64()).toBe(MAX)
  })

  test('a length that is none is a bug', () => {
    const reader = new ByteReader(bytes(1))
    for (const n of [-1, 0.5, Number.NaN]) expect(() => reader.bytes(n)).toThrow(RangeError)
  })

  test('values that do not fit are bugs and write nothing', () => {
    const writer = new ByteWriter()
    for (const n of [-1, 256, 0.5, Number.NaN]) expect(() => writer.u8(n)).toThrow(RangeError)
    expect(() => writer.u16(0x10000)).toThrow(RangeError)
    expect(() => writer.u32(0x100000000)).toThrow(RangeError)
    expect(() => writer.u64(MAX + 1)).toThrow(RangeError)
    expect(() => writer.u64(-1)).toThrow(RangeError)
    expect(() => writer.u64(-1n)).toThrow(RangeError)
    expect(() => writer.u64(2n ** 64n)).toThrow(RangeError)
    expect(writer.finish()).toEqual(bytes())
  })

  test('what was finished no longer changes', () => {
    const writer = new ByteWriter().u8(1)
    const first = writer.finish()
    writer.u8(2)
    expect(first).toEqual(bytes(1))
    expect(writer.finish()).toEqual(bytes(1, 2))
  })

  test('a view keeps what was written, whatever is written afterwards', () => {
    // Writers begin, go on, are looked at and left in any order; all share blocks of memory.
    const step = fc.record({
      which: fc.nat(5),
      what: fc.constantFrom('new', 'write', 'view', 'finish'),
      data: fc.uint8Array({ maxLength: 300 }),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
        const writers = Array.from({ length: 6 }, () => ({
          writer: new ByteWriter(),
          sum: bytes(),
        }))
        const seen: [actual: Uint8Array, expected: Uint8Array][] = []
        for (const { data, what, which } of steps) {
          const open = writers[which]!
          if (what === 'new') writers[which] = { writer: new ByteWriter(), sum: bytes() }
          else if (what === 'view') seen.push([open.writer.view(), open.sum])
          else if (what === 'finish') seen.push([open.writer.finish(), open.sum])
          else {
            open.writer.bytes(data)
            open.sum = concat(open.sum, data)
          }
        }
        for (const [actual, expected] of seen) expect(toHex(actual)).toBe(toHex(expected))
      }),
    )
  })
})
