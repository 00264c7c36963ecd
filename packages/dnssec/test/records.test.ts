/** Fields of records, canonical form, key tags, serial time. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { concat, fromHex, toHex } from '@dslog/tlog/bytes'
import { DnssecError } from '../src/error.ts'
import { nameFromText, nameToText } from '../src/name.ts'
import { rdataFromText } from '../src/rdata.ts'
import {
  dsToText,
  keyTag,
  parseDnskey,
  parseDs,
  parseNsec,
  parseNsec3,
  parseRrsig,
  signedRrsigFields,
  TYPE,
  unfoldTime,
  type RR,
} from '../src/records.ts'
import { canonicalRdata, expandRdata, rrset, selectRRset, selectRrsigs } from '../src/rrset.ts'
import { present, readText } from './vectors.ts'

const bad = { name: 'DnssecError', code: 'bad-record' }
const bytes = (...values: number[]): Uint8Array => new Uint8Array(values)

describe('fields', () => {
  test('DNSKEY and its tag (RFC 4034 §5.4)', () => {
    const rdata = rdataFromText(
      TYPE.DNSKEY,
      '256 3 5 AQOeiiR0GOMYkDshWoSKz9Xz fwJr1AYtsmx3TGkJaNXVbfi/ 2pHm822aJ5iI9BMzNXxeYCmZ' +
        ' DRD99WYwYqUSdjMmmAphXdvx egXd/M5+X7OrzKBaMbCVdFLU Uh6DhweJBjEVv5f2wwjM9Xzc' +
        ' nOf+EPbtG9DMBmADjFDc2w/r ljwvFw==',
    )
    const key = parseDnskey(rdata)
    expect(key).toMatchObject({ flags: 256, protocol: 3, algorithm: 5, tag: 60485 })
    expect(key.publicKey).toEqual(rdata.subarray(4))
    expect(key.rdata).toBe(rdata)
  })

  test.skipIf(!present)('the tags of the root keys', () => {
    const keys = readText('data/keys/root-ksk-all.key').split('\n').filter(Boolean)
    const tags = keys.map((line) => {
      const text = line.replace(/;.*/, '').replace(/^.*DNSKEY\s+/, '')
      return keyTag(rdataFromText(TYPE.DNSKEY, text.trim()))
    })
    expect(tags).toEqual([19036, 20326, 38696])
  })

  test('DS', () => {
    const text = '60485 5 1 2BB183AF5F22588179A53B0A98631FAD1A292118'
    const rdata = rdataFromText(TYPE.DS, text)
    expect(parseDs(rdata)).toMatchObject({ tag: 60485, algorithm: 5, digestType: 1 })
    expect(toHex(parseDs(rdata).digest)).toBe('2bb183af5f22588179a53b0a98631fad1a292118')
    expect(dsToText(rdata)).toBe(text)
  })

  test('what should be a DS and is too short to be one is still shown', () => {
    const text = [0, 1, 3, 4, 5].map((n) => dsToText(bytes(1, 2, 13, 2, 255).subarray(0, n)))
    expect(text).toEqual(['\\# 0', '\\# 1 01', '\\# 3 01020D', '\\# 4 01020D02', '258 13 2 FF'])
  })

  test('RRSIG, its signer lower-cased in a copy', () => {
    const rdata = concat(
      fromHex('002b0d020000003c668e8b00668200ff1234'),
      bytes(2, 0x41, 0x62, 0, 9),
    )
    const rrsig = parseRrsig(rdata)
    expect(rrsig).toMatchObject({
      typeCovered: 43,
      algorithm: 13,
      labels: 2,
      originalTtl: 60,
      expiration: 0x668e8b00,
      inception: 0x668200ff,
      tag: 0x1234,
    })
    expect(nameToText(rrsig.signer)).toBe('ab.')
    expect(rrsig.signature).toEqual(bytes(9))
    expect(rrsig.rdata).toEqual(rdata.with(19, 0x61))
    expect(signedRrsigFields(rrsig)).toEqual(rrsig.rdata.subarray(0, -1))
    expect(rdata[19]).toBe(0x41)
    const compressed = concat(rdata.subarray(0, 18), bytes(0xc0, 0, 9))
    expect(() => parseRrsig(compressed)).toThrow(expect.objectContaining(bad))
  })

  test('NSEC (RFC 4034 §4.3)', () => {
    const rdata = fromHex(
      '04686f7374076578616d706c6503636f6d000006400100000003041b' +
        '000000000000000000000000000000000000000000000000000020',
    )
    const nsec = parseNsec(rdata)
    expect(nameToText(nsec.next)).toBe('host.example.com.')
    expect([...nsec.types]).toEqual([1, 15, 46, 47, 1234])
  })

  test('NSEC3', () => {
    const rdata = rdataFromText(
      TYPE.NSEC3,
      '1 1 12 AABBCCDD 2t7b4g4vsa5smi47k61mv5bv1a22bojr MX DNSKEY NS SOA NSEC3PARAM RRSIG',
    )
    const nsec3 = parseNsec3(rdata)
    expect(nsec3).toMatchObject({ algorithm: 1, flags: 1, iterations: 12 })
    expect(toHex(nsec3.salt)).toBe('aabbccdd')
    expect(nsec3.nextHash).toHaveLength(20)
    expect([...nsec3.types]).toEqual([2, 6, 15, 46, 48, 51])
  })

  test('each truncation is this one error', () => {
    const whole: [(rdata: Uint8Array) => unknown, Uint8Array, number][] = [
      [parseDnskey, bytes(1, 0, 3, 8), 4],
      [parseDs, bytes(0, 1, 8, 2), 4],
      [parseRrsig, concat(new Uint8Array(18), bytes(1, 0x61, 0)), 21],
      [parseNsec, concat(bytes(1, 0x61, 0), bytes(0, 1, 0x40)), 3],
      [parseNsec3, concat(bytes(1, 0, 0, 0, 1, 7, 2, 8, 9), bytes(0, 1, 0x40)), 9],
    ]
    for (const [parse, rdata, shortest] of whole) {
      parse(rdata)
      for (let end = 0; end < rdata.length; end++) {
        if (end === shortest) continue
        expect(() => parse(rdata.subarray(0, end)), `${parse.name} ${end}`).toThrow(
          expect.objectContaining(bad),
        )
      }
    }
  })
})

describe('type bitmaps', () => {
  const bitmap = (...values: number[]): Uint8Array => concat(bytes(0), bytes(...values))

  test('come back from the names of their types', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(0xffff)), (types) => {
        const text = types.map((type) => `TYPE${type}`).join(' ')
        const read = parseNsec(rdataFromText(TYPE.NSEC, `. ${text}`)).types
        expect([...read]).toEqual([...types].sort((a, b) => a - b))
      }),
    )
    expect(parseNsec(bitmap()).types.size).toBe(0)
  })

  test('tolerate trailing zeros and empty windows, as validators do', () => {
    expect([...parseNsec(bitmap(0, 3, 0x40, 0, 0)).types]).toEqual([1])
    expect([...parseNsec(bitmap(0, 1, 0, 1, 1, 0x40)).types]).toEqual([257])
  })

  test('refuse windows out of order, empty, too long or cut off', () => {
    for (const windows of [
      [0, 0],
      [0, 33, ...new Uint8Array(33)],
      [1, 1, 1, 0, 1, 1],
      [0, 1, 1, 0, 1, 1],
      [0],
      [0, 2, 1],
    ]) {
      expect(() => parseNsec(bitmap(...windows))).toThrow(expect.objectContaining(bad))
    }
  })
})

describe('canonical form', () => {
  const cases: [number, string, string][] = [
    [TYPE.NS, 'NS.Example.ORG.', 'ns.example.org.'],
    [TYPE.CNAME, 'A.B.', 'a.b.'],
    [TYPE.MX, '10 Mail.Example.', '10 mail.example.'],
    [TYPE.SOA, 'M.A. R.B. 1 2 3 4 5', 'm.a. r.b. 1 2 3 4 5'],
    [TYPE.SRV, '1 2 3 T.Example.', '1 2 3 t.example.'],
    [TYPE.DNAME, 'D.Example.', 'd.example.'],
    [TYPE.PTR, 'P.Example.', 'p.example.'],
    [TYPE.NAPTR, '1 2 "U" "SIP+D" "!X!Y!" R.Example.', '1 2 "U" "SIP+D" "!X!Y!" r.example.'],
    [TYPE.AFSDB, '1 A.Example.', '1 a.example.'],
    [TYPE.RP, 'A.Example. B.Example.', 'a.example. b.example.'],
    [TYPE.NSEC, 'UPPER.Example. A', 'UPPER.Example. A'],
    [TYPE.TXT, '"Text"', '"Text"'],
    [TYPE.A, '192.0.2.1', '192.0.2.1'],
    [TYPE.AAAA, '2001:db8::A', '2001:db8::A'],
  ]

  test('names of the old types are lower-cased, those of NSEC are not', () => {
    for (const [type, text, canonical] of cases) {
      const rdata = rdataFromText(type, text)
      expect(canonicalRdata(type, rdata), text).toEqual(rdataFromText(type, canonical))
    }
  })

  test('RDATA whose length does not fit its type is refused', () => {
    for (const [type, text] of cases) {
      if (type === TYPE.NSEC || type === TYPE.TXT) continue
      const rdata = rdataFromText(type, text)
      for (let end = 0; end < rdata.length; end++) {
        expect(() => canonicalRdata(type, rdata.subarray(0, end)), `${text} ${end}`).toThrow(
          DnssecError,
        )
      }
      expect(() => canonicalRdata(type, concat(rdata, bytes(0)))).toThrow(DnssecError)
    }
  })

  test('an RRset is sorted by its canonical bytes, duplicates gone', () => {
    const owner = nameFromText('example')
    const set = rrset(owner, TYPE.NS, [
      rdataFromText(TYPE.NS, 'b.example.'),
      rdataFromText(TYPE.NS, 'C.example.'),
      rdataFromText(TYPE.NS, 'a.example.'),
      rdataFromText(TYPE.NS, 'B.EXAMPLE.'),
    ])
    expect(set.rdatas.map((rdata) => toHex(rdata.subarray(1, 2)))).toEqual(['61', '62', '63'])
    const short = rrset(owner, TYPE.DS, [
      bytes(1, 2, 3, 4, 5),
      bytes(1, 2, 3, 4),
      bytes(0, 9, 9, 9),
    ])
    expect(short.rdatas.map(toHex)).toEqual(['00090909', '01020304', '0102030405'])
    expect(() => rrset(owner, TYPE.DS, [])).toThrow(expect.objectContaining(bad))
  })

  test('a bag gives the records of one owner, type and class', () => {
    const owner = nameFromText('example')
    const rr = (type: number, rdata: Uint8Array, cls = 1, name = owner): RR => {
      return { owner: name, type, class: cls, ttl: 0, rdata }
    }
    const sigDs = concat(bytes(0, 43), new Uint8Array(16), bytes(0, 1))
    const bag = [
      rr(TYPE.DS, bytes(0, 2, 8, 2)),
      rr(TYPE.DS, bytes(0, 1, 8, 2)),
      rr(TYPE.DS, bytes(0, 0, 8, 2), 3),
      rr(TYPE.DS, bytes(0, 0, 8, 2), 1, nameFromText('other')),
      rr(TYPE.RRSIG, sigDs),
      rr(TYPE.RRSIG, sigDs.with(1, 48)),
      rr(TYPE.RRSIG, sigDs, 3),
      rr(TYPE.RRSIG, bytes(0)),
    ]
    expect(selectRRset(bag, owner, TYPE.DS)?.rdatas.map(toHex)).toEqual(['00010802', '00020802'])
    expect(selectRRset(bag, owner, TYPE.NS)).toBeUndefined()
    expect(selectRrsigs(bag, owner, TYPE.DS)).toEqual([sigDs])
  })

  test('names are decompressed out of a message, their case kept', () => {
    //                    0                 4  5
    const message = bytes(2, 0x41, 0x62, 0, 0, 10, 1, 0x4d, 0xc0, 0)
    expect(expandRdata(TYPE.MX, message, 4, 10)).toEqual(bytes(0, 10, 1, 0x4d, 2, 0x41, 0x62, 0))
    expect(() => expandRdata(TYPE.MX, message, 4, 9)).toThrow(DnssecError)
    expect(() => expandRdata(TYPE.KX, message, 4, 10)).toThrow(DnssecError)
    // Other types are bytes, whatever they look like.
    expect(expandRdata(TYPE.NSEC, message, 8, 10)).toEqual(bytes(0xc0, 0))
  })
})

describe('serial time', () => {
  const TWO_32 = 2 ** 32

  test('stands for the nearest moment', () => {
    const now = 1_720_000_000
    expect(unfoldTime(now, now)).toBe(now)
    expect(unfoldTime(now - 5, now)).toBe(now - 5)
    expect(unfoldTime(0, now)).toBe(0)
    // After 2106 the field has gone round.
    const late = TWO_32 + 100
    expect(unfoldTime(50, late)).toBe(TWO_32 + 50)
    expect(unfoldTime(TWO_32 - 50, late)).toBe(TWO_32 - 50)
    expect(unfoldTime(200, late)).toBe(TWO_32 + 200)
    expect(unfoldTime(100, TWO_32 - 100)).toBe(TWO_32 + 100)
  })

  test('is congruent and within half the circle, for any field and any time', () => {
    fc.assert(
      fc.property(fc.nat(TWO_32 - 1), fc.integer({ min: 0, max: 2 ** 40 }), (t32, around) => {
        const time = unfoldTime(t32, around)
        expect((((time - t32) % TWO_32) + TWO_32) % TWO_32).toBe(0)
        expect(Math.abs(time - around)).toBeLessThanOrEqual(TWO_32 / 2)
      }),
    )
  })
})

test('parsers take any bytes or fail with this one error, and leave them as they are', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (rdata) => {
      const before = rdata.slice()
      for (const parse of [parseDnskey, parseDs, parseRrsig, parseNsec, parseNsec3]) {
        try {
          parse(rdata)
        } catch (error) {
          expect(error).toMatchObject(bad)
        }
      }
      expect(rdata).toEqual(before)
    }),
    { numRuns: 300 },
  )
})
