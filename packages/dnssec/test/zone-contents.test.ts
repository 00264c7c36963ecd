import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { DnssecError } from '../src/error.ts'
import {
  compareCanonical,
  isAtOrBelow,
  nameFromText,
  nameFromWire,
  nameToText,
  parentOf,
  ROOT,
  type Name,
} from '../src/name.ts'
import { TYPE } from '../src/records.ts'
import {
  bitmapFault,
  bitmapTypes,
  collectZone,
  ownTypes,
  singleRdata,
  type ZoneContents,
  type ZoneNode,
} from '../src/zone/contents.ts'
import { compareKeys, lastNotAbove, orderKey, parentKey } from '../src/zone/order.ts'
import { parseZoneFile } from '../src/zonefile.ts'
import { refusalOf } from './codes.ts'

const label = fc
  .oneof(
    fc.constantFrom([97], [98], [97, 97], [0], [255], [42], [97, 0], [1]),
    fc.array(fc.integer({ min: 0, max: 255 }), { minLength: 1, maxLength: 3 }),
  )
  .map((bytes) => [bytes.length, ...bytes])
const anyName: fc.Arbitrary<Name> = fc
  .array(label, { maxLength: 4 })
  .map((labels) => nameFromWire(Uint8Array.from([...labels.flat(), 0])))

describe('keys in canonical order', () => {
  test('of RFC 4034 §6.1', () => {
    const sorted = [
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
    const keys = sorted.map(orderKey)
    expect([...keys].reverse().sort(compareKeys)).toEqual(keys)
    expect(keys[0]).toBe('fybnqmf\0')
    expect(orderKey(ROOT)).toBe('')
  })

  test('compare as names do', () => {
    fc.assert(
      fc.property(anyName, anyName, (a, b) => {
        const order = compareKeys(orderKey(a), orderKey(b))
        expect(order).toBe(Math.sign(compareCanonical(a, b)))
        expect(orderKey(a).startsWith(orderKey(b))).toBe(isAtOrBelow(a, b))
      }),
      { numRuns: 2000 },
    )
  })

  test('lead up to the root', () => {
    fc.assert(
      fc.property(anyName, (name) => {
        if (name.length === 1) expect(() => parentKey(orderKey(name))).toThrow(RangeError)
        else expect(parentKey(orderKey(name))).toBe(orderKey(parentOf(name)))
      }),
    )
  })

  test('are found where they are, or would be', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.string({ maxLength: 3 })),
        fc.string({ maxLength: 3 }),
        (all, key) => {
          const keys = [...all].sort(compareKeys)
          expect(lastNotAbove(keys, key)).toBe(keys.findLastIndex((other) => other <= key))
        },
      ),
    )
  })
})

const ZONE = `$ORIGIN example.
$TTL 5
@       SOA   ns admin 9 1 2 3 4
@       NS    ns
@       NSEC  a A
@       TYPE46 \\# 4 00060000
a       NS    ns.a
a       DS    1 8 2 00
a       TXT   "the child's"
a       NSEC  b NS
a       TYPE46 \\# 4 002b0000
ns.a    A     192.0.2.1
a.a     NS    ns.a
b       NS    ns.a
d       DNAME example.org.
x.d     A     192.0.2.1
ns      A     192.0.2.1
0p9mhaveqvm6t7vbl5lop2u3t2rp3tom NSEC3 1 0 0 - 2t7b4g4vsa5smi47k61mv5bv1a22bojr A
0p9mhaveqvm6t7vbl5lop2u3t2rp3tom TYPE46 \\# 4 00320000
`

async function collect(text: string, zone?: string): Promise<ZoneContents> {
  return collectZone(parseZoneFile(text), zone === undefined ? undefined : nameFromText(zone))
}

function names(nodes: readonly ZoneNode[]): string[] {
  return nodes.map(({ name }) => nameToText(name))
}

describe('what a zone holds', () => {
  test('is sorted out', async () => {
    const { apex, names: own, hashes, serial } = await collect(ZONE)
    expect(nameToText(apex.name)).toBe('example.')
    expect(serial).toBe(9)
    expect(names(own)).toEqual([
      'example.',
      'a.example.',
      'b.example.',
      'd.example.',
      'ns.example.',
    ])
    expect(names(own.filter(({ isCut }) => isCut))).toEqual(['a.example.', 'b.example.'])
    expect(names(hashes)).toEqual(['0p9mhaveqvm6t7vbl5lop2u3t2rp3tom.example.'])
  })

  test('at a cut is the DS, its denial, and that it is one', async () => {
    const { apex, names: own, hashes } = await collect(ZONE)
    const [, a, b] = own
    expect(ownTypes(a!)).toEqual([TYPE.DS, TYPE.NSEC])
    expect(bitmapTypes(a!)).toEqual(new Set([TYPE.NS, TYPE.DS, TYPE.RRSIG, TYPE.NSEC]))
    expect(ownTypes(b!)).toEqual([])
    expect([...bitmapTypes(b!)]).toEqual([TYPE.NS])
    expect(ownTypes(apex)).toEqual([TYPE.SOA, TYPE.NS, TYPE.NSEC])
    expect(bitmapTypes(apex).has(TYPE.RRSIG)).toBe(true)
    expect([...bitmapTypes(hashes[0]!)]).toEqual([])
  })

  test('does not depend on the order of its records', async () => {
    const records = parseZoneFile(ZONE)
    const sorted = names((await collectZone(records)).names)
    await fc.assert(
      fc.asyncProperty(
        fc.shuffledSubarray(records, { minLength: records.length }),
        async (mixed) => {
          expect(names((await collectZone(mixed)).names)).toEqual(sorted)
        },
      ),
      { numRuns: 50 },
    )
  })

  test.each([
    ['', undefined, 'the zone holds no records'],
    ['a. 5 A 192.0.2.1', undefined, 'no SOA: not a whole zone'],
    [ZONE, 'org.', 'example. SOA: another zone than org.'],
    [
      `${ZONE}@ SOA ns admin 8 1 2 3 4`,
      undefined,
      'example. SOA: the SOA stands twice, and differs',
    ],
    [`${ZONE}b SOA ns admin 8 1 2 3 4`, undefined, 'b.example. SOA: a second SOA'],
    [`${ZONE}org. A 192.0.2.1`, undefined, 'org.: not in the zone example.'],
    [`${ZONE}@ DS 1 8 2 00`, undefined, 'example. DS: at the apex'],
    [`${ZONE}ns DS 1 8 2 00`, undefined, 'ns.example. DS: without a delegation (NS)'],
    [`${ZONE}ns.a DS 1 8 2 00`, undefined, 'ns.a.example. DS: present below the delegation a'],
    [`${ZONE}ns.a NSEC b A`, undefined, 'ns.a.example. NSEC: present below the delegation a'],
    [
      `${ZONE}x.d TYPE46 \\# 2 0001`,
      undefined,
      'x.d.example. A: signed below the DNAME d.example.',
    ],
    [`${ZONE}a TYPE46 \\# 2 0002`, undefined, 'a.example. NS: signed at a delegation'],
    [`${ZONE}ns TYPE46 \\# 2 0010`, undefined, 'ns.example. TXT: a signature, but the records it'],
    [`${ZONE}ns TYPE46 \\# 1 00`, undefined, 'ns.example. RRSIG: a signature of nothing'],
  ])('is refused where it is no zone: %#', async (text, zone, message) => {
    const error = await refusalOf(() => collect(text, zone))
    expect(error.code).toBe('bad-zone')
    expect(error.message).toContain(message)
  })

  test('an SOA that is no SOA is a bad record', async () => {
    for (const hex of ['00', '0000', `0000${'00'.repeat(19)}`, `0000${'00'.repeat(21)}`]) {
      const bytes = hex.length / 2
      await expect(collect(`a. 5 SOA \\# ${bytes} ${hex}`)).rejects.toBeInstanceOf(DnssecError)
    }
    expect((await collect(`a. 5 SOA \\# 22 0000ffffffff${'00'.repeat(16)}`)).serial).toBe(
      0xffffffff,
    )
  })

  test('one name has one of some records', async () => {
    const { apex } = await collect(ZONE)
    expect(singleRdata(apex, TYPE.NSEC)).toBeDefined()
    expect(singleRdata(apex, TYPE.TXT)).toBeUndefined()
    const twice = await collect(`${ZONE}@ NSEC a A\n`)
    expect(singleRdata(twice.apex, TYPE.NSEC)).toEqual(singleRdata(apex, TYPE.NSEC))
    const other = await collect(`${ZONE}@ NSEC a TXT\n`)
    expect(() => singleRdata(other.apex, TYPE.NSEC)).toThrow('example. NSEC: more than one')
  })

  test('and a bitmap agree, or part', () => {
    expect(bitmapFault(new Set([1, 2]), new Set([2, 1]))).toBeUndefined()
    expect(bitmapFault(new Set([1, 43, 6]), new Set([1]))).toBe(
      'says there is DS SOA, which the zone does not hold',
    )
    expect(bitmapFault(new Set([1]), new Set([1, 65_400]))).toBe(
      'does not say there is TYPE65400, which the zone holds',
    )
  })
})
