import { toHex, utf8 } from '@dslog/tlog/bytes'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { DnssecError } from '../src/error.ts'
import { nameFromText, nameToText } from '../src/name.ts'
import { MAX_RECORD_BYTES, MAX_RECORD_WORDS } from '../src/presentation/words.ts'
import { rdataToText, typeToText } from '../src/rdata.ts'
import type { RR } from '../src/records.ts'
import { parseZoneFile, readZoneFile, type ZoneFileOptions } from '../src/zonefile.ts'
import { badZoneFile } from './codes.ts'
import { present, readBytes } from './vectors.ts'

/** Records as lines, for comparing. */
function show(records: Iterable<RR>): string[] {
  return [...records].map(({ owner, type, ttl, rdata }) =>
    [nameToText(owner), ttl, typeToText(type), rdataToText(type, rdata)].join(' '),
  )
}

async function readAll(chunks: Iterable<Uint8Array>, options?: ZoneFileOptions): Promise<RR[]> {
  const records: RR[] = []
  for await (const record of readZoneFile(chunks, options)) records.push(record)
  return records
}

function* chunked(bytes: Uint8Array, size: number): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

async function gzip(bytes: Uint8Array): Promise<Uint8Array> {
  const body = new Blob([new Uint8Array(bytes)]).stream()
  const packed = body.pipeThrough(new CompressionStream('gzip'))
  return new Uint8Array(await new Response(packed).arrayBuffer())
}

const EXAMPLE = `; a zone
$ORIGIN Example.
$TTL 1h
@   IN  SOA ns1 admin.mail ( 2024071900 ; serial
            1800 900       ; refresh, "retry"
            604800 86400 )
    NS ns1
    300 NS ns2.example.org.
ns1 A 192.0.2.1
\tIN 60 AAAA 2001:db8::1
NS1 60 IN AAAA 2001:db8::2

$ORIGIN sub
@ CLASS1 TXT "a;b" c\\;d ; comment
*.x\\.y MX 10 @
$TTL 5
z TYPE65400 \\# 2 ( 0a
  0b )
w \\# 1 ff
`

const EXAMPLE_RECORDS = [
  'example. 3600 SOA ns1.Example. admin.mail.Example. 2024071900 1800 900 604800 86400',
  'example. 3600 NS ns1.Example.',
  'example. 300 NS ns2.example.org.',
  'ns1.example. 3600 A 192.0.2.1',
  'ns1.example. 60 AAAA 2001:db8::1',
  'ns1.example. 60 AAAA 2001:db8::2',
  'sub.example. 3600 TXT "a;b" "c;d"',
  '*.x\\.y.sub.example. 3600 MX 10 sub.Example.',
  'z.sub.example. 5 TYPE65400 \\# 2 0A0B',
]

const WHOLE_EXAMPLE = EXAMPLE.replace(/^w .*\n/m, '')

describe('a master file', () => {
  test('with everything RFC 1035 allows', () => {
    expect(show(parseZoneFile(WHOLE_EXAMPLE))).toEqual(EXAMPLE_RECORDS)
    expect(show(parseZoneFile(utf8(WHOLE_EXAMPLE.replaceAll('\n', '\r\n'))))).toEqual(
      EXAMPLE_RECORDS,
    )
    expect(show(parseZoneFile(WHOLE_EXAMPLE.trimEnd()))).toEqual(EXAMPLE_RECORDS)
  })

  test('in chunks of every size, packed or not', async () => {
    const bytes = utf8(WHOLE_EXAMPLE)
    const packed = await gzip(bytes)
    for (let size = 1; size <= bytes.length; size++) {
      expect(show(await readAll(chunked(bytes, size)))).toEqual(EXAMPLE_RECORDS)
    }
    for (const size of [1, 2, 3, 7, packed.length]) {
      expect(show(await readAll(chunked(packed, size)))).toEqual(EXAMPLE_RECORDS)
    }
  })

  test('that is larger than what is gathered at once', async () => {
    const lines = Array.from(
      { length: 20_000 },
      (_, i) => `n${i}.example. 5 IN A 192.0.2.${i % 256}`,
    )
    const bytes = utf8(lines.join('\n') + '\n')
    expect(bytes.length).toBeGreaterThan(500_000)
    const whole = show(parseZoneFile(bytes))
    expect(whole).toHaveLength(20_000)
    expect(whole[19_999]).toBe(`n19999.example. 5 A 192.0.2.${19_999 % 256}`)
    for (const size of [1000, 65_536, 100_003, bytes.length]) {
      expect(show(await readAll(chunked(bytes, size)))).toEqual(whole)
    }
    expect(show(await readAll(chunked(await gzip(bytes), 4096)))).toEqual(whole)
  })

  test('with a record longer than what is gathered at once', async () => {
    const text = Array.from({ length: 250 }, () => `"${'\\120'.repeat(255)}"`).join(' ')
    const bytes = utf8(`a. 1 IN TXT ( ${text} )\nb. 1 IN A 192.0.2.1\n`)
    expect(bytes.length).toBeGreaterThan(250_000)
    const records = await readAll(chunked(bytes, 999))
    expect(records.map(({ rdata }) => rdata.length)).toEqual([250 * 256, 4])
    expect(records[0]!.rdata.subarray(0, 3)).toEqual(new Uint8Array([255, 120, 120]))
  })

  test('that is empty, or holds comments only', async () => {
    for (const text of ['', '\n', '; nothing', ' \t ; nothing\n\n', '$TTL 5\n']) {
      expect(parseZoneFile(text)).toEqual([])
      expect(await readAll([utf8(text)])).toEqual([])
    }
    expect(await readAll([])).toEqual([])
  })

  test('relative to an origin that the caller knows', () => {
    const origin = nameFromText('example.')
    expect(show(parseZoneFile('a 1 NS @\n@ 1 NS b', { origin }))).toEqual([
      'a.example. 1 NS example.',
      'example. 1 NS b.example.',
    ])
  })

  test('owners are lower-case, names in data as they were written', () => {
    const [record] = parseZoneFile('A.B. 1 IN NSEC C.b. A RRSIG')
    expect(nameToText(record!.owner)).toBe('a.b.')
    expect(toHex(record!.rdata.subarray(0, 5))).toBe('0143016200')
  })

  test('neighbours of one owner share the name', () => {
    const [a, b, c] = parseZoneFile('a. 1 A 192.0.2.1\nA. 1 A 192.0.2.2\nb. 1 A 192.0.2.2\n')
    expect(b!.owner).toBe(a!.owner)
    expect(c!.owner).not.toBe(a!.owner)
  })

  test('written by us is read back as it was', () => {
    const label = fc
      .uint8Array({ minLength: 1, maxLength: 20 })
      .map((bytes) => [bytes.length, ...bytes])
    const name = fc
      .array(label, { maxLength: 5 })
      .map((labels) => new Uint8Array([...labels.flat(), 0]))
    const record = fc.tuple(
      name,
      fc.integer({ min: 0, max: 0x7fff_ffff }),
      fc.constantFrom(1, 2, 6, 15, 16, 28, 43, 46, 47, 48, 50, 257, 65_400),
      fc.uint8Array({ maxLength: 60 }),
    )
    fc.assert(
      fc.property(fc.array(record, { maxLength: 20 }), (records) => {
        const text = records
          .map(
            ([owner, ttl, type, rdata]) =>
              `${rdataToText(2, owner)} ${ttl} IN ${typeToText(type)} ${rdataToText(type, rdata)}\n`,
          )
          .join('')
        const read = parseZoneFile(text)
        expect(read.map(({ rdata }) => toHex(rdata))).toEqual(records.map(([, , , r]) => toHex(r)))
        expect(read.map(({ ttl, type }) => [ttl, type])).toEqual(records.map(([, t, y]) => [t, y]))
        expect(read.map(({ owner }) => nameToText(owner))).toEqual(
          records.map(([owner]) =>
            rdataToText(2, owner).replace(/\\\d{3}|[A-Z]/g, (c) => c.toLowerCase()),
          ),
        )
      }),
    )
  })
})

describe('a master file is refused, with the line', () => {
  test.each([
    ['a. 1 IN A 192.0.2.1\na. 1 IN A 192.0.2\n', 'line 2: "192.0.2" is not an IPv4 address'],
    ['a. 1 IN TXT (\n x\n y )\n\n; z\nb. 1 FOO x\n', 'line 6: unknown record type "FOO"'],
    ['a. 1 IN TXT (\n x\n y\n', 'line 1: the file ends inside parentheses: it is cut off'],
    ['a. 1 IN TXT "x', 'line 1: the file ends inside a quoted string: it is cut off'],
    ['a. 1 IN TXT "x\n"', 'line 1: a quoted string that does not end on its line'],
    ['a. 1 IN TXT x )\n', 'line 1: a closing parenthesis that was never opened'],
    ['a. 1 IN TXT x\\\n', 'line 1: a line that ends in a backslash'],
    ['a. 1 IN TXT \u0000\n', 'line 1: a control character (0x00)'],
    ['\n\n$INCLUDE other.zone\n', 'line 3: $INCLUDE is not supported'],
    ['$GENERATE 1-9 a$ A 192.0.2.$\n', 'line 1: $GENERATE is not supported'],
    ['$DATE 1\n', 'line 1: unknown directive "$DATE"'],
    ['$ORIGIN\n', 'line 1: the name of $ORIGIN is missing'],
    ['$ORIGIN a. b.\n', 'line 1: "b." stands behind $ORIGIN'],
    ['$ORIGIN a\n', 'line 1: "a" is relative, and no $ORIGIN says to what'],
    ['$TTL x\n', 'line 1: "x" is not a TTL'],
    ['$TTL 2147483648\n', 'line 1: "2147483648" is not a TTL'],
    ['a 1 IN A 192.0.2.1\n', 'line 1: "a" is relative, and no $ORIGIN says to what'],
    ['a. 1 IN NS b\n', 'line 1: "b" is relative, and no $ORIGIN says to what'],
    ['@ 1 IN NS b.\n', 'line 1: "@" is relative, and no $ORIGIN says to what'],
    [' 1 IN A 192.0.2.1\n', 'line 1: the first record has no owner'],
    ['a. IN A 192.0.2.1\n', 'line 1: the first record has no TTL, and there is no $TTL'],
    ['a. 1 CH A 192.0.2.1\n', 'line 1: class CH: the Internet class (IN) only'],
    ['a. 1 CLASS3 A 192.0.2.1\n', 'line 1: class CLASS3: the Internet class (IN) only'],
    ['a. 1 2 A 192.0.2.1\n', 'line 1: a number, "2", where the record type should be'],
    ['a. 1 IN IN A 192.0.2.1\n', 'line 1: unknown record type "IN"'],
    ['a. 1 IN\n', 'line 1: the record type is missing'],
    ['a.\n', 'line 1: the record type is missing'],
    ['a. 1x IN A 192.0.2.1\n', 'line 1: "1x" is not a TTL'],
    ['a. 1 IN ANY \\# 0\n', 'line 1: unknown record type "ANY"'],
    ['a. 1 IN TYPE255 \\# 0\n', 'line 1: TYPE255 cannot stand in a zone'],
    ['a. 1 IN TYPE41 \\# 0\n', 'line 1: TYPE41 cannot stand in a zone'],
    ['a. 1 IN TYPE0 \\# 0\n', 'line 1: TYPE0 cannot stand in a zone'],
    [`${'a'.repeat(64)}. 1 IN A 192.0.2.1\n`, 'line 1: a label of over 63 bytes'],
    ['{"success":false,"errors":[]}\n', 'line 1: a quote inside a word: "{""; this is JSON'],
    ['\n  [1, 2]', 'line 2: the first record has no owner; this is JSON'],
    ['<!DOCTYPE html>\n', 'and no $ORIGIN says to what; this is HTML'],
  ])('%j', async (text, message) => {
    expect(await badZoneFile(() => parseZoneFile(text))).toContain(message)
    expect(await badZoneFile(() => readAll(chunked(utf8(text), 5)))).toContain(message)
  })

  test('each prefix of a file parses, or fails with the typed error, as a stream does too', async () => {
    const bytes = utf8(EXAMPLE)
    for (let n = 0; n <= bytes.length; n++) {
      const prefix = bytes.subarray(0, n)
      let whole: string[] | undefined
      try {
        whole = show(parseZoneFile(prefix))
      } catch (error) {
        expect(error).toBeInstanceOf(DnssecError)
      }
      if (whole === undefined) await badZoneFile(() => readAll([prefix]))
      else expect(show(await readAll([prefix]))).toEqual(whole)
    }
  })

  test('nothing but the typed error comes of any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          parseZoneFile(bytes)
        } catch (error) {
          expect(error).toBeInstanceOf(DnssecError)
        }
      }),
      { numRuns: 1000 },
    )
  })

  test('above its limits', async () => {
    const long = utf8(`a. 1 IN TXT (${' '.repeat(MAX_RECORD_BYTES)}) x\n`)
    expect(await badZoneFile(() => parseZoneFile(long))).toContain(`over ${MAX_RECORD_BYTES} bytes`)
    expect(await badZoneFile(() => readAll(chunked(long, 1 << 16)))).toContain(
      'line 1: a record of over',
    )
    const words = utf8(`a. 1 IN TXT ${'x '.repeat(MAX_RECORD_WORDS)}\n`)
    expect(await badZoneFile(() => parseZoneFile(words))).toContain(
      `over ${MAX_RECORD_WORDS} words`,
    )
    const file = utf8(WHOLE_EXAMPLE)
    expect(parseZoneFile(file, { maxBytes: file.length })).toHaveLength(9)
    const tooLong = { maxBytes: file.length - 1 }
    expect(await badZoneFile(() => parseZoneFile(file, tooLong))).toContain('a zone file of over')
    expect(await badZoneFile(() => readAll([file], tooLong))).toContain('a zone file of over')
    // A bomb: the limit counts what comes out.
    const bomb = await gzip(utf8(`; ${'x'.repeat(1000)}\n`.repeat(5000)))
    expect(bomb.length).toBeLessThan(50_000)
    expect(await badZoneFile(() => readAll([bomb], { maxBytes: 100_000 }))).toContain(
      'over 100000 bytes',
    )
  })
})

describe('streams', () => {
  test('gzip that is cut off or damaged', async () => {
    const packed = await gzip(utf8(WHOLE_EXAMPLE))
    for (let n = 2; n < packed.length; n += 7) {
      expect(await badZoneFile(() => readAll([packed.subarray(0, n)]))).toBe(
        'broken or truncated gzip data',
      )
    }
    for (let i = 10; i < packed.length; i += 7) {
      const damaged = packed.slice()
      damaged[i]! ^= 0x55
      await badZoneFile(() => readAll(chunked(damaged, 50)))
    }
  })

  test.each([false, true])('a source that fails says so itself (gzip: %s)', async (isPacked) => {
    const bytes = isPacked ? await gzip(utf8(WHOLE_EXAMPLE)) : utf8(WHOLE_EXAMPLE)
    const failing = async function* (): AsyncGenerator<Uint8Array> {
      yield bytes.subarray(0, 20)
      await Promise.resolve()
      throw new Error('the disk is gone')
    }
    const reading = (async () => {
      for await (const record of readZoneFile(failing())) void record
    })()
    await expect(reading).rejects.toThrow(/^the disk is gone$/)
  })

  test.each([false, true])('a reader that stops closes the source (gzip: %s)', async (isPacked) => {
    const bytes = utf8('a. 1 IN A 192.0.2.1\n'.repeat(50_000))
    const file = isPacked ? await gzip(bytes) : bytes
    let closed = false
    const source = async function* (): AsyncGenerator<Uint8Array> {
      try {
        for (;;) {
          yield* chunked(file, 1000)
          await Promise.resolve()
        }
      } finally {
        closed = true
      }
    }
    for await (const record of readZoneFile(source())) {
      expect(record.ttl).toBe(1)
      break
    }
    expect(closed).toBe(true)
  })
})

describe.skipIf(!present)('files as published', () => {
  test('an error page served as a zone', async () => {
    const page = readBytes('data/gov/gov-2026-07-27-broken.txt')
    expect(await badZoneFile(() => readAll([page]))).toBe(
      'line 1: a quote inside a word: "{""; this is JSON, not a zone file',
    )
  })

  test('a whole registry', async () => {
    const records = await readAll([readBytes('data/gov/gov-2026-08-22.txt.gz')])
    const delegated = new Set(records.filter((r) => r.type === 2).map((r) => nameToText(r.owner)))
    const signed = new Set(records.filter((r) => r.type === 43).map((r) => nameToText(r.owner)))
    // The counts of the data's own README.
    expect(signed.size).toBe(2069)
    expect(delegated.size).toBe(16_537)
  })
})
