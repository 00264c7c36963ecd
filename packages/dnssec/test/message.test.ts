/** DNS messages: read whole or not at all, and only the reply to our question counts. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ByteWriter } from '@dslog/tlog/binary'
import { concat, toHex } from '@dslog/tlog/bytes'
import { DnssecError } from '../src/error.ts'
import { parseMessage } from '../src/message.ts'
import { nameFromText, nameToText } from '../src/name.ts'
import { rdataFromText } from '../src/rdata.ts'
import { TYPE } from '../src/records.ts'

const bad = { name: 'DnssecError', code: 'bad-message' }
const bytes = (...values: number[]): Uint8Array => new Uint8Array(values)
const QUESTION = { name: nameFromText('example.org.'), type: TYPE.DS }
const question = concat(QUESTION.name, bytes(0, 43, 0, 1))

function header(counts: readonly number[], flags = 0x8400): Uint8Array {
  const writer = new ByteWriter().u16(0x1234).u16(flags)
  for (const count of counts) writer.u16(count)
  return writer.finish()
}

/** A record whose owner is the question's name, by pointer. */
function rr(type: number, rdata: Uint8Array, owner: Uint8Array = bytes(0xc0, 12)): Uint8Array {
  return new ByteWriter()
    .bytes(owner)
    .u16(type)
    .u16(1)
    .u32(3600)
    .u16(rdata.length)
    .bytes(rdata)
    .finish()
}

const DS = rdataFromText(TYPE.DS, `1 13 2 ${'ab'.repeat(32)}`)
const reply = (...answers: Uint8Array[]): Uint8Array =>
  concat(header([1, answers.length, 0, 0]), question, ...answers)

describe('reading', () => {
  test('header, sections and raw RDATA', () => {
    const soa = rdataFromText(TYPE.SOA, 'M.example.org. r.example.org. 1 2 3 4 5')
    const opt = new ByteWriter().u8(0).u16(41).u16(1232).u32(0x01008000).u16(0).finish()
    const wire = concat(
      header([1, 1, 1, 1], 0x8735),
      question,
      rr(TYPE.DS, DS),
      rr(TYPE.SOA, soa, bytes(0xc0, 20)),
      opt,
    )
    const message = parseMessage(wire)
    expect(message).toMatchObject({
      id: 0x1234,
      qr: true,
      opcode: 0,
      aa: true,
      tc: true,
      rd: true,
      ra: false,
      ad: true,
      cd: true,
      rcode: 16 + 5,
    })
    expect(message.question).toEqual([{ ...QUESTION, class: 1 }])
    expect(message.answer).toEqual([
      { owner: QUESTION.name, type: TYPE.DS, class: 1, ttl: 3600, rdata: DS },
    ])
    expect(message.authority[0]).toMatchObject({ owner: nameFromText('org.'), rdata: soa })
    expect(message.additional[0]).toMatchObject({ type: TYPE.OPT, class: 1232 })
  })

  test('names in RDATA are written out, in their case, where they may be compressed', () => {
    const mx = bytes(0, 10, 2, 0x4d, 0x58, 0xc0, 12)
    const soa = concat(bytes(0xc0, 12, 1, 0x72, 0xc0, 20), new Uint8Array(20))
    const message = parseMessage(
      reply(rr(TYPE.MX, mx), rr(TYPE.SOA, soa), rr(TYPE.NS, bytes(0xc0, 12))),
    )
    expect(message.answer.map((r) => toHex(r.rdata))).toEqual([
      toHex(concat(bytes(0, 10, 2, 0x4d, 0x58), QUESTION.name)),
      toHex(concat(QUESTION.name, bytes(1, 0x72), nameFromText('org.'), new Uint8Array(20))),
      toHex(QUESTION.name),
    ])
  })

  test('names in RDATA of the types of DNSSEC are never compressed', () => {
    const rrsig = concat(new Uint8Array(18), bytes(0xc0, 12, 1, 2, 3))
    expect(() => parseMessage(reply(rr(TYPE.RRSIG, rrsig)))).toThrow(expect.objectContaining(bad))
    // NSEC stays raw; reading the record will refuse the pointer.
    const nsec = bytes(0xc0, 12, 0, 1, 0x40)
    expect(parseMessage(reply(rr(TYPE.NSEC, nsec))).answer[0]!.rdata).toEqual(nsec)
  })

  test('labels of any bytes survive', () => {
    const odd = nameFromText('\\200\\.\\000 x'.replace(' ', '\\032') + '.org.')
    const message = parseMessage(concat(header([1, 0, 0, 0]), odd, bytes(0, 43, 0, 1)))
    expect(nameToText(message.question[0]!.name)).toBe('\\200\\.\\000\\032x.org.')
  })
})

describe('RDATA', () => {
  const signature = rdataFromText(
    TYPE.RRSIG,
    `DS 13 2 3600 20300101000000 20290101000000 1 org. ${'A'.repeat(86)}==`,
  )
  const ns = new ByteWriter()
    .u8(2)
    .bytes(bytes(0x6e, 0x73))
    .u16(0xc000 + 12)
    .finish()
  const wire = reply(rr(TYPE.DS, DS), rr(TYPE.RRSIG, signature), rr(TYPE.NS, ns))
  const shares = (read: Uint8Array): boolean => read.buffer === wire.buffer

  test('are copies', () => {
    const { answer } = parseMessage(wire)
    expect(answer.map(({ rdata }) => shares(rdata))).toEqual([false, false, false])
    expect(answer.map(({ rdata }) => rdata.buffer.byteLength <= rdata.length)).toEqual([
      true,
      true,
      true,
    ])
  })

  test('are views where that is asked for, and say the same', () => {
    const { answer } = parseMessage(wire, { views: true })
    expect(answer.map(({ rdata }) => shares(rdata))).toEqual([true, true, false])
    expect(answer.map(({ rdata }) => toHex(rdata))).toEqual(
      parseMessage(wire).answer.map(({ rdata }) => toHex(rdata)),
    )
    expect(toHex(answer[1]!.rdata)).toBe(toHex(signature))
  })

  test('with a signer that goes on into the next record are refused', () => {
    const head = signature.subarray(0, 18)
    const next = rr(TYPE.DS, DS, bytes(1, 0x61, 0))
    for (let size = 1; size < 64; size++) {
      const wire = reply(rr(TYPE.RRSIG, concat(head, bytes(size))), next)
      expect(() => parseMessage(wire, { views: true })).toThrow(expect.objectContaining(bad))
    }
  })
})

describe('refusing', () => {
  const whole = concat(
    header([1, 1, 1, 1]),
    question,
    rr(TYPE.DS, DS),
    rr(TYPE.NS, bytes(0xc0, 12)),
    rr(TYPE.A, bytes(192, 0, 2, 1)),
  )

  test('every truncation and every trailing byte', () => {
    parseMessage(whole)
    for (let end = 0; end < whole.length; end++) {
      expect(() => parseMessage(whole.subarray(0, end)), `${end}`).toThrow(
        expect.objectContaining(bad),
      )
    }
    expect(() => parseMessage(concat(whole, bytes(0)))).toThrow(expect.objectContaining(bad))
  })

  test('counts that promise more or less', () => {
    for (let at = 5; at < 12; at += 2) {
      for (const change of [-1, 1]) {
        const wire = whole.with(at, whole[at]! + change)
        expect(() => parseMessage(wire)).toThrow(expect.objectContaining(bad))
      }
    }
    expect(() => parseMessage(whole.with(6, 0xff))).toThrow(expect.objectContaining(bad))
  })

  test('an RDLENGTH that does not fit the names or addresses inside', () => {
    for (const [type, rdata] of [
      [TYPE.NS, bytes(0xc0, 12, 0)],
      [TYPE.NS, bytes(1, 0x61)],
      [TYPE.NS, bytes()],
      [TYPE.MX, bytes(0, 10)],
      [TYPE.A, bytes(1, 2, 3)],
      [TYPE.A, bytes(1, 2, 3, 4, 5)],
      [TYPE.AAAA, new Uint8Array(15)],
      [TYPE.SOA, concat(bytes(0xc0, 12, 0xc0, 12), new Uint8Array(19))],
      [TYPE.SOA, concat(bytes(0xc0, 12, 0xc0, 12), new Uint8Array(21))],
    ] as const) {
      expect(() => parseMessage(reply(rr(type, rdata)))).toThrow(expect.objectContaining(bad))
    }
  })

  test('names that loop, point forward or are too long', () => {
    for (const owner of [bytes(0xc0, 29), bytes(0xc0, 31), bytes(0xcf, 0xff), bytes(0x40, 0x61)]) {
      const wire = reply(rr(TYPE.DS, DS, owner))
      expect(() => parseMessage(wire)).toThrow(expect.objectContaining(bad))
    }
    const long = concat(...Array.from({ length: 4 }, () => concat(bytes(63), new Uint8Array(63))))
    expect(() => parseMessage(reply(rr(TYPE.DS, DS, concat(long, bytes(0)))))).toThrow(
      expect.objectContaining(bad),
    )
  })

  test('a second OPT record', () => {
    const opt = new ByteWriter().u8(0).u16(41).u16(1232).u32(0).u16(0).finish()
    parseMessage(concat(header([1, 0, 0, 1]), question, opt))
    expect(() => parseMessage(concat(header([1, 0, 0, 2]), question, opt, opt))).toThrow(
      expect.objectContaining(bad),
    )
  })

  test('any bytes are a message or this one error', () => {
    const mutated = fc.tuple(fc.nat(whole.length - 1), fc.nat(255))
    fc.assert(
      fc.property(fc.array(mutated, { maxLength: 6 }), (changes) => {
        const wire = whole.slice()
        for (const [at, value] of changes) wire[at] = value
        try {
          parseMessage(wire)
        } catch (error) {
          expect(error).toBeInstanceOf(DnssecError)
          expect(error).toMatchObject(bad)
        }
      }),
      { numRuns: 1000 },
    )
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (wire) => {
        expect(() => {
          try {
            parseMessage(wire)
          } catch (error) {
            if (!(error instanceof DnssecError)) throw error
          }
        }).not.toThrow()
      }),
    )
  })
})

test('an extended error is seen though its lower bits are zero', () => {
  const opt = new ByteWriter().u8(0).u16(41).u16(1232).u32(0x01000000).u16(0).finish()
  expect(parseMessage(concat(header([1, 0, 0, 1]), question, opt)).rcode).toBe(16)
})
