import { toHex } from '@dslog/tlog/bytes'
import { DnssecError } from '../src/error.ts'
import { nameFromText } from '../src/name.ts'
import { putBitmap, rdataFromText, rdataToText, typeFromText, typeToText } from '../src/rdata.ts'
import { RdataBuffer } from '../src/presentation/field.ts'
import { parseNsec } from '../src/records.ts'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { badZoneFile } from './codes.ts'

const T = (text: string): number => {
  const type = typeFromText(text)
  if (type === undefined) throw new Error(`no type ${text}`)
  return type
}

describe('types', () => {
  test('by name in any case, and by number', () => {
    expect(typeFromText('DS')).toBe(43)
    expect(typeFromText('nsec3param')).toBe(51)
    expect(typeFromText('TYPE43')).toBe(43)
    expect(typeFromText('type65535')).toBe(65_535)
    expect(typeFromText('TYPE0')).toBe(0)
  })

  test.each([
    '',
    'TYPE',
    'TYPE65536',
    'TYPE043',
    'TYPE-1',
    'TYPE1x',
    'nosuch',
    'constructor',
    '43',
  ])('%j is no type', (text) => {
    expect(typeFromText(text)).toBeUndefined()
  })

  test('every number has a name that leads back to it', () => {
    for (let type = 0; type <= 0xffff; type++) {
      expect(typeFromText(typeToText(type))).toBe(type)
    }
    expect(typeToText(46)).toBe('RRSIG')
    expect(typeToText(65_400)).toBe('TYPE65400')
  })
})

/**
 * Presentation form; the wire form that ldns 1.8.3 gives it (`ldns-read-zone -u TYPE`); and the
 * presentation form it comes back as, where that is another.
 */
const FORMS: readonly [type: string, text: string, hex: string, again?: string][] = [
  ['A', '192.0.2.1', 'c0000201'],
  ['A', '255.255.255.0', 'ffffff00'],
  ['AAAA', '2001:db8::1', '20010db8000000000000000000000001'],
  ['AAAA', '::', '00000000000000000000000000000000'],
  ['AAAA', '::1', '00000000000000000000000000000001'],
  ['AAAA', '1::', '00010000000000000000000000000000'],
  ['AAAA', '2001:DB8:0:0:1:0:0:1', '20010db8000000000001000000000001', '2001:db8::1:0:0:1'],
  ['AAAA', '::ffff:192.0.2.1', '00000000000000000000ffffc0000201', '::ffff:c000:201'],
  ['AAAA', '1:2:3:4:5:6:7:8', '00010002000300040005000600070008'],
  ['AAAA', '1:0:3:4:5:6:7:8', '00010000000300040005000600070008'],
  ['AAAA', '1:2:3:4:5:6:192.0.2.1', '000100020003000400050006c0000201', '1:2:3:4:5:6:c000:201'],
  ['NS', 'a.Example.', '0161074578616d706c6500'],
  ['NS', 'a\\.b\\032c\\255.x.', '06612e622063ff017800'],
  ['CNAME', '.', '00'],
  ['PTR', 'Host.example.', '04486f7374076578616d706c6500'],
  ['DNAME', 'd.', '016400'],
  ['MX', '10 mx.', '000a026d7800'],
  [
    'SOA',
    'a. b. 2024071900 1800 900 604800 86400',
    '01610001620078a4e2dc000007080000038400093a8000015180',
  ],
  [
    'SOA',
    'a. b. 1 30m 15M 1w 1d',
    '01610001620000000001000007080000038400093a8000015180',
    'a. b. 1 1800 900 604800 86400',
  ],
  ['TXT', '"a b" c "" "\\"\\\\\\007"', '0361206201630003225c07', '"a b" "c" "" "\\"\\\\\\007"'],
  ['HINFO', '"x" y', '01780179', '"x" "y"'],
  ['RP', 'a.b. c.', '0161016200016300'],
  ['AFSDB', '1 a.', '0001016100'],
  ['KX', '1 a.', '0001016100'],
  ['SRV', '0 5 53 ns.', '000000050035026e7300'],
  ['NAPTR', '1 2 "u" "E2U" "" .', '000100020175034532550000'],
  [
    'DS',
    '20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D',
    '4f660802e06d44b80b8f1d39a95c0b0d7c65d08458e880409bbc683457104237c7f8ec8d',
  ],
  [
    'DS',
    '20326 RSASHA256 2 e06d44b8 0b8f1d39a95c0b0d7c65d08458e880409bbc683457104237c7f8ec8 d',
    '4f660802e06d44b80b8f1d39a95c0b0d7c65d08458e880409bbc683457104237c7f8ec8d',
    '20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D',
  ],
  ['CDS', '0 0 0 00', '0000000000'],
  ['DNSKEY', '257 3 13 AAEC AwQ=', '0101030d0001020304', '257 3 13 AAECAwQ='],
  ['CDNSKEY', '0 3 0 AA==', '0000030000'],
  [
    'RRSIG',
    'DS 8 1 86400 20240801050000 20240719040000 20038 . AAEC',
    '002b08010001518066ab16506699e4c04e4600000102',
  ],
  [
    'RRSIG',
    'TYPE65400 13 0 5 7 4294967295 1 x. AA==',
    'ff780d000000000500000007ffffffff000101780000',
    'TYPE65400 13 0 5 19700101000007 21060207062815 1 x. AA==',
  ],
  ['NSEC', 'aaa. NS SOA RRSIG NSEC DNSKEY ZONEMD', '036161610000082200000000038001'],
  [
    'NSEC',
    'Host. A MX RRSIG NSEC TYPE1234',
    '04486f7374000006400100000003041b000000000000000000000000000000000000000000000000000020',
  ],
  ['NSEC', 'a. ZONEMD NS', '01610000082000000000000001', 'a. NS ZONEMD'],
  [
    'NSEC3',
    '1 1 12 aabbccdd 2t7b4g4vsa5smi47k61mv5bv1a22bojr NS DS',
    '0101000c04aabbccdd14174eb2409fe28bcb4887a1836f957f0a8425e27b0006200000000010',
    '1 1 12 AABBCCDD 2T7B4G4VSA5SMI47K61MV5BV1A22BOJR NS DS',
  ],
  [
    'NSEC3',
    '1 0 0 - 2T7B4G4VSA5SMI47K61MV5BV1A22BOJR',
    '010000000014174eb2409fe28bcb4887a1836f957f0a8425e27b',
  ],
  ['NSEC3PARAM', '1 0 0 -', '0100000000'],
  ['NSEC3PARAM', '1 0 5 AABB', '0100000502aabb'],
  ['TLSA', '3 1 1 00ff', '03010100ff', '3 1 1 00FF'],
  ['SMIMEA', '3 1 1 00ff', '03010100ff', '3 1 1 00FF'],
  ['CAA', '128 issue "le.example; a=b"', '800569737375656c652e6578616d706c653b20613d62'],
  ['CAA', '0 iodef ""', '0005696f646566'],
  [
    'ZONEMD',
    '1 1 1 C5483E96D52F8FC46643B4B95C7CD70F 57BF06B1',
    '000000010101c5483e96d52f8fc46643b4b95c7cd70f57bf06b1',
    '1 1 1 C5483E96D52F8FC46643B4B95C7CD70F57BF06B1',
  ],
  ['CSYNC', '7 3 A NS', '000000070003000160'],
  ['SSHFP', '4 2 00010203040506070809', '040200010203040506070809'],
  ['URI', '1 2 "https://x/"', '0001000268747470733a2f2f782f'],
  ['OPENPGPKEY', 'AAECAwQ=', '0001020304'],
  ['SPF', '"v=spf1 -all"', '0b763d73706631202d616c6c'],
  ['A', '\\# 4 0A 000 001', '0a000001', '10.0.0.1'],
  ['SVCB', '\\# 3 000100', '000100'],
  ['TYPE65400', '\\# 0', ''],
]

describe('presentation form', () => {
  test.each(FORMS)('%s %s', (type, text, hex, again) => {
    const rdata = rdataFromText(T(type), text)
    expect(toHex(rdata)).toBe(hex)
    expect(rdataFromText(T(type), text.split(' '))).toEqual(rdata)
    const back = rdataToText(T(type), rdata)
    expect(back).toBe(again ?? text)
    expect(rdataFromText(T(type), back)).toEqual(rdata)
  })

  test('a record over several lines, with a comment', () => {
    const text = 'a. b. ( 1 ; serial (of many)\n 2 3\t4\r\n 5 )'
    expect(rdataToText(T('SOA'), rdataFromText(T('SOA'), text))).toBe('a. b. 1 2 3 4 5')
  })

  test('names are completed with the origin, which `@` stands for', () => {
    const origin = nameFromText('example.org.')
    const ns = (text: string): string => rdataToText(T('NS'), rdataFromText(T('NS'), text, origin))
    expect(ns('A.b')).toBe('A.b.example.org.')
    expect(ns('@')).toBe('example.org.')
    expect(ns('\\@')).toBe('\\@.example.org.')
    expect(ns('a.')).toBe('a.')
  })

  test('any rdata of any type is shown, and read back', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...new Set(FORMS.map(([type]) => T(type))), 65_400, 65),
        fc.uint8Array({ maxLength: 80 }),
        (type, rdata) => {
          const text = rdataToText(type, rdata)
          expect(toHex(rdataFromText(type, text))).toBe(toHex(rdata))
        },
      ),
      { numRuns: 2000 },
    )
  })

  test('every prefix of a valid rdata is shown in a form that reads back', () => {
    for (const [type, text] of FORMS) {
      const rdata = rdataFromText(T(type), text)
      for (let n = 0; n < rdata.length; n++) {
        const cut = rdata.slice(0, n)
        expect(rdataFromText(T(type), rdataToText(T(type), cut))).toEqual(cut)
      }
    }
  })
})

describe('what is refused', () => {
  test.each([
    ['A', '', 'A without data'],
    ['A', '192.0.2', 'is not an IPv4 address'],
    ['A', '192.0.2.256', 'is not an IPv4 address'],
    ['A', '192.0.2.01', 'is not an IPv4 address'],
    ['A', '192.0.2.1.1', 'is not an IPv4 address'],
    ['A', '192.0..1', 'is not an IPv4 address'],
    ['A', '192.0.2.1 x', '"x" stands behind the data of A'],
    ['AAAA', '1:2:3:4:5:6:7', 'is not an IPv6 address'],
    ['AAAA', '1:2:3:4:5:6:7:8:9', 'is not an IPv6 address'],
    ['AAAA', '1:2:3:4:5:6:7::8', 'is not an IPv6 address'],
    ['AAAA', '1::2::3', 'is not an IPv6 address'],
    ['AAAA', ':1', 'is not an IPv6 address'],
    ['AAAA', '1:', 'is not an IPv6 address'],
    ['AAAA', ':::', 'is not an IPv6 address'],
    ['AAAA', '12345::', 'is not an IPv6 address'],
    ['AAAA', '::1.2.3', 'is not an IPv6 address'],
    ['AAAA', '1:2:3:4:5:6:7:1.2.3.4', 'is not an IPv6 address'],
    ['NS', 'a..b.', 'an empty label in "a..b."'],
    ['NS', '.a', 'an empty label'],
    ['NS', `${'a'.repeat(64)}.`, 'a label of over 63 bytes'],
    ['NS', 'a.'.repeat(128), 'a name of over 255 bytes'],
    ['NS', `${'a.'.repeat(127)}b`, 'a name of over 255 bytes'],
    ['NS', '"a."', 'a name in quotes'],
    ['NS', 'a\\25.', 'without two more digits'],
    ['NS', 'a\\256.', 'is not a byte'],
    ['NS', 'a\\', 'ends in a backslash'],
    ['MX', '65536 a.', 'is not a number from 0 to 65535'],
    ['MX', '-1 a.', 'is not a number from 0 to 65535'],
    ['MX', '1', 'the name is missing'],
    ['SOA', 'a. b. 4294967296 2 3 4 5', 'is not a number from 0 to 4294967295'],
    ['SOA', 'a. b. 1 2 3 4 5x', 'is not a number of seconds'],
    ['SOA', 'a. b. 1 2 3 4 w', 'is not a number of seconds'],
    ['SOA', 'a. b. 1 2 3 4 9999w', 'is not a number of seconds'],
    ['TXT', `"${'x'.repeat(256)}"`, 'a string of over 255 bytes'],
    ['TXT', '"x', 'ends inside a quoted string'],
    ['TXT', '"x"y', 'must be followed by a blank'],
    ['TXT', 'x"y"', 'a quote inside a word'],
    ['TXT', '(x', 'ends inside parentheses'],
    ['TXT', 'x)', 'a closing parenthesis that was never opened'],
    ['TXT', 'x\ny', 'a line break'],
    ['TXT', 'x\u0000', 'a control character (0x00)'],
    ['DS', '20326 8 2', 'the digest is missing'],
    ['DS', '20326 8 2 E06', 'an odd number of hexadecimal digits'],
    ['DS', '20326 8 2 E0 6G', '"6G" is not hexadecimal'],
    ['DS', '65536 8 2 E0', 'the key tag: "65536"'],
    ['DS', '1 NOSUCH 2 E0', 'unknown algorithm "NOSUCH"'],
    ['DS', '1 256 2 E0', 'unknown algorithm "256"'],
    ['DNSKEY', '257 3 8', 'the public key is missing'],
    ['DNSKEY', '257 3 8 AAA', 'is cut off'],
    ['DNSKEY', '257 3 8 AA=A', 'is not base64'],
    ['DNSKEY', '257 3 8 AB==', 'is not canonical base64'],
    ['DNSKEY', '257 3 8 AAB=', 'is not canonical base64'],
    ['DNSKEY', '257 3 8 A===', 'is cut off'],
    ['DNSKEY', '257 3 8 AA_A', 'is not base64'],
    [
      'RRSIG',
      'DS 8 1 0 20240230000000 20240101000000 1 . AAAA',
      'the expiration: "20240230000000"',
    ],
    ['RRSIG', 'DS 8 1 0 20240201000060 20240101000000 1 . AAAA', 'the expiration'],
    ['RRSIG', 'DS 8 1 0 20240201000000 2024010100000 1 . AAAA', 'the inception'],
    ['RRSIG', 'NOSUCH 8 1 0 1 1 1 . AAAA', 'unknown record type "NOSUCH"'],
    ['NSEC', 'a. NS TYPE70000', 'unknown record type "TYPE70000"'],
    ['NSEC3', '1 0 0 - 2T7B4G4VSA5SMI47K61MV5BV1A22BOJX', 'is not base32hex'],
    ['NSEC3', '1 0 0 - 2T7', 'is not whole base32hex'],
    ['NSEC3', '1 0 0 ABC 2T7B4G4VSA5SMI47K61MV5BV1A22BOJR', 'odd number'],
    ['NSEC3PARAM', `1 0 0 ${'00'.repeat(256)}`, 'a salt of over 255 bytes'],
    ['CAA', '0 is_sue "x"', 'letters and digits'],
    ['HTTPS', '1 . alpn=h2', 'HTTPS can be read in the form "\\# length hex" only'],
    ['A', '\\# 4 0A0000', 'the data has 3 bytes, not the 4 it says'],
    ['A', '\\# 65536 00', 'is not a length of data'],
    ['A', '\\#', 'the length of the data is missing'],
    ['A', '"\\#" 4 0A000001', 'is not an IPv4 address'],
  ])('%s %s', async (type, text, message) => {
    expect(await badZoneFile(() => rdataFromText(T(type), text))).toContain(message)
  })

  test('data over 65,535 bytes', async () => {
    const ok = 'AAAA'.repeat(21_843) // and 4 bytes of flags, protocol and algorithm
    expect(rdataFromText(T('DNSKEY'), `257 3 8 ${ok}`)).toHaveLength(65_533)
    expect(await badZoneFile(() => rdataFromText(T('DNSKEY'), `257 3 8 ${ok}AAAA`))).toContain(
      '65535 bytes',
    )
    expect(await badZoneFile(() => rdataFromText(T('TXT'), 'x '.repeat(32_768)))).toContain(
      '65535 bytes',
    )
  })

  test('nothing but the typed error, whatever the text', () => {
    const word = fc.oneof(
      fc.constantFrom(
        'a.',
        '1',
        '20326',
        '\\#',
        '"',
        '(',
        ')',
        '-',
        '2024',
        'NS',
        'AA==',
        '::',
        ';',
      ),
      fc.string({ unit: 'binary', maxLength: 12 }),
    )
    fc.assert(
      fc.property(
        fc.constantFrom(...FORMS.map(([type]) => T(type))),
        fc.array(word, { maxLength: 10 }),
        (type, words) => {
          try {
            const rdata = rdataFromText(type, words)
            expect(rdataFromText(type, rdataToText(type, rdata))).toEqual(rdata)
          } catch (error) {
            expect(error).toBeInstanceOf(DnssecError)
          }
        },
      ),
      { numRuns: 2000 },
    )
  })
})

test('type bitmaps hold exactly the types put in', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 0xffff }), { maxLength: 40 }), (types) => {
      const out = new RdataBuffer()
      out.u8(0)
      putBitmap(types, out)
      const read = [...parseNsec(out.finish()).types]
      expect(read).toEqual([...new Set(types)].sort((a, b) => a - b))
    }),
  )
})
