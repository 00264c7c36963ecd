import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compare, concat, equal, utf8 } from '@dslog/tlog/bytes'
import { DENIAL } from '@dslog/dnssec/denial'
import { nameFromText, ROOT } from '@dslog/dnssec/name'
import {
  decodeEntry,
  encodeEntry,
  type Entry,
  isParentLink,
  MAX_ENTRY_BYTES,
} from '../src/entry.ts'
import { EntryError } from '../src/error.ts'
import { keysId } from '../src/identity.ts'
import {
  ds,
  filler,
  firstMapHead,
  mapHead,
  noDs,
  orgZoneKeys,
  rootZoneKeys,
  samples,
} from './samples.ts'

/** The code of the EntryError that `run` throws; anything else fails the test. */
function codeOf(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    if (error instanceof EntryError) return error.code
    throw error
  }
  return 'accepted'
}

describe.each(samples)('%s', (_, entry) => {
  const bytes = encodeEntry(entry)

  test('decodes to what was encoded', () => {
    expect(decodeEntry(bytes)).toEqual(entry)
    expect(bytes[0]).toBe(1)
    expect(bytes.length).toBeLessThanOrEqual(MAX_ENTRY_BYTES)
  })

  test('every proper prefix and every trailing byte is refused', () => {
    for (let n = 0; n < bytes.length; n++) {
      const code = codeOf(() => decodeEntry(bytes.subarray(0, n)))
      expect(code, `prefix of ${n} bytes`).not.toBe('accepted')
    }
    expect(codeOf(() => decodeEntry(concat(bytes, Uint8Array.of(0))))).toBe('trailing')
  })

  test('every changed byte is refused or decodes to a different entry that encodes to it', () => {
    for (let i = 0; i < bytes.length; i++) {
      for (const by of [1, 0x20, 0x80, 0xff]) {
        const mangled = bytes.slice()
        mangled[i] = (mangled[i]! + by) % 256
        let read: Entry
        try {
          read = decodeEntry(mangled)
        } catch (error) {
          expect(error).toBeInstanceOf(EntryError)
          continue
        }
        expect(read, `byte ${i} + ${by}`).not.toEqual(entry)
        expect(equal(encodeEntry(read), mangled)).toBe(true)
      }
    }
  })
})

describe('one state has one encoding', () => {
  test('records out of canonical order', () => {
    expect(codeOf(() => encodeEntry({ ...ds, ds: ds.ds.toReversed() }))).toBe('order')
    expect(codeOf(() => encodeEntry({ ...noDs, records: noDs.records.toReversed() }))).toBe('order')
    expect(
      codeOf(() => encodeEntry({ ...rootZoneKeys, keys: rootZoneKeys.keys.toReversed() })),
    ).toBe('order')
  })

  test('repeated records', () => {
    expect(codeOf(() => encodeEntry({ ...ds, ds: [ds.ds[0]!, ds.ds[0]!] }))).toBe('order')
    const [record] = noDs.records
    expect(codeOf(() => encodeEntry({ ...noDs, records: [record!, record!] }))).toBe('order')
  })

  test('reversed records on the wire', () => {
    const bytes = encodeEntry(ds)
    const [first, second] = ds.ds
    const at = bytes.findIndex((_, i) => equal(bytes.subarray(i, i + first!.length), first!))
    const swapped = bytes.slice()
    swapped.set(second!, at)
    swapped.set(first!, at + second!.length + 2)
    expect(codeOf(() => decodeEntry(swapped))).toBe('order')
  })

  test('upper-case letters in the owner or the signer', () => {
    const bytes = encodeEntry(ds)
    const name = nameFromText('example.org.')
    for (let at = 0; at < bytes.length; at++) {
      const isLetter = bytes[at]! >= 0x61 && bytes[at]! <= 0x7a
      const inOwner = at >= 11 && at < 11 + name.length
      if (!isLetter || !inOwner) continue
      const upper = bytes.slice()
      upper[at] = upper[at]! - 0x20
      expect(codeOf(() => decodeEntry(upper))).toBe('name')
    }
    const rrsig = ds.rrsig.slice()
    rrsig[19] = rrsig[19]! - 0x20 // the o of org.
    expect(codeOf(() => encodeEntry({ ...ds, rrsig }))).toBe('name')
  })

  test('reserved flag bits', () => {
    for (const sample of [ds, noDs, rootZoneKeys, orgZoneKeys]) {
      const bytes = encodeEntry(sample)
      for (let bit = sample.type === 'zone-keys' ? 1 : 2; bit < 8; bit++) {
        const mangled = bytes.slice()
        mangled[10] = mangled[10]! ^ (1 << bit)
        expect(codeOf(() => decodeEntry(mangled))).toBe('reserved')
      }
    }
  })
})

describe('what a name may stand under', () => {
  test('the owner is strictly below the signing zone', () => {
    expect(codeOf(() => encodeEntry({ ...ds, zone: ds.owner }))).toBe('name')
    expect(codeOf(() => encodeEntry({ ...ds, zone: nameFromText('net.') }))).toBe('name')
    expect(codeOf(() => encodeEntry({ ...ds, owner: ROOT }))).toBe('name')
  })

  test('only the root hangs from an anchor, and the root from nothing else', () => {
    expect(codeOf(() => encodeEntry({ ...orgZoneKeys, link: rootZoneKeys.link }))).toBe('name')
    expect(codeOf(() => encodeEntry({ ...rootZoneKeys, link: orgZoneKeys.link }))).toBe('name')
    expect(isParentLink(orgZoneKeys.link)).toBe(true)
    expect(isParentLink(rootZoneKeys.link)).toBe(false)
  })
})

describe('ranges', () => {
  test('an empty set is no set', () => {
    expect(codeOf(() => encodeEntry({ ...ds, ds: [] }))).toBe('range')
    expect(codeOf(() => encodeEntry({ ...rootZoneKeys, keys: [] }))).toBe('range')
    expect(codeOf(() => encodeEntry({ ...noDs, records: [] }))).toBe('range')
  })

  test('a proof has at most three records, of types NSEC and NSEC3', () => {
    const record = noDs.records[0]!
    const four = ['a.', 'b.', 'c.', 'd.'].map((name) => ({ ...record, owner: nameFromText(name) }))
    expect(codeOf(() => encodeEntry({ ...noDs, records: four }))).toBe('range')
    expect(codeOf(() => encodeEntry({ ...noDs, records: four.slice(1) }))).toBe('accepted')
    expect(codeOf(() => encodeEntry({ ...noDs, records: [{ ...record, type: 43 }] }))).toBe('range')
  })

  test('every kind of proof of the table and no other', () => {
    for (const proof of Object.values(DENIAL)) {
      expect(decodeEntry(encodeEntry({ ...noDs, proof }))).toEqual({ ...noDs, proof })
    }
    const bytes = encodeEntry(noDs)
    const at = 11 + noDs.owner.length + 1 + 32
    for (const kind of [0, 9, 255]) {
      const mangled = bytes.slice()
      mangled[at] = kind
      expect(codeOf(() => decodeEntry(mangled))).toBe('range')
    }
  })

  test('a MAP_HEAD follows the previous one', () => {
    expect(codeOf(() => encodeEntry({ ...mapHead, previous: mapHead.covers }))).toBe('range')
    expect(codeOf(() => encodeEntry({ ...mapHead, previous: undefined }))).toBe('range')
    expect(codeOf(() => encodeEntry({ ...firstMapHead, previous: 0 }))).toBe('range')
  })

  test('numbers above 2^53-1 are refused, 2^64-1 means none', () => {
    const bytes = encodeEntry(mapHead)
    for (const at of [2, 42, 50, 58]) {
      const mangled = bytes.slice()
      mangled.fill(0xff, at, at + 8)
      expect(
        codeOf(() => decodeEntry(mangled)),
        `u64 at ${at}`,
      ).toBe('range')
      mangled.set([0x00, 0x20, 0, 0, 0, 0, 0, 0], at)
      expect(
        codeOf(() => decodeEntry(mangled)),
        `2^53 at ${at}`,
      ).toBe('range')
    }
  })

  test('what does not fit in a bundle is too large', () => {
    const many = Array.from({ length: 2000 }, (_, i) => filler(`ds ${i}`, 36)).sort(compare)
    expect(codeOf(() => encodeEntry({ ...ds, ds: many }))).toBe('too-large')
    expect(codeOf(() => encodeEntry({ ...ds, ds: [filler('big', 65_536)] }))).toBe('too-large')
    expect(codeOf(() => decodeEntry(new Uint8Array(MAX_ENTRY_BYTES + 1)))).toBe('too-large')
  })

  test('a set that only just fits is loggable', () => {
    const many = Array.from({ length: 1700 }, (_, i) => filler(`ds ${i}`, 36)).sort(compare)
    expect(decodeEntry(encodeEntry({ ...ds, ds: many }))).toEqual({ ...ds, ds: many })
  })
})

describe('unknown entries', () => {
  test('another version or type is kept as it is', () => {
    for (const bytes of [Uint8Array.of(2, 1, 9), Uint8Array.of(1, 5), Uint8Array.of(1, 0, 0, 0)]) {
      const entry = decodeEntry(bytes)
      expect(entry).toEqual({ type: 'unknown', bytes })
      expect(encodeEntry(entry)).toEqual(bytes)
    }
  })

  test('fewer than two bytes are nothing', () => {
    expect(codeOf(() => decodeEntry(new Uint8Array(0)))).toBe('truncated')
    expect(codeOf(() => decodeEntry(Uint8Array.of(1)))).toBe('truncated')
  })
})

test('arbitrary bytes never throw anything but EntryError', () => {
  const body = fc.uint8Array({ maxLength: 400 })
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 6 }), body, (type, rest) => {
      const bytes = concat(Uint8Array.of(1, type), rest)
      try {
        expect(equal(encodeEntry(decodeEntry(bytes)), bytes)).toBe(true)
      } catch (error) {
        expect(error).toBeInstanceOf(EntryError)
      }
    }),
    { numRuns: 3000 },
  )
})

test('names with any bytes in their labels survive', () => {
  const label = fc.uint8Array({ minLength: 1, maxLength: 20 })
  fc.assert(
    fc.property(fc.array(label, { minLength: 1, maxLength: 5 }), (labels) => {
      const text = labels.map((l) => [...l].map((b) => `\\${String(b).padStart(3, '0')}`).join(''))
      const owner = nameFromText(`${text.join('.')}.org.`)
      const entry = { ...ds, owner, keysId: keysId(ds.zone, [utf8('key')]) }
      expect(decodeEntry(encodeEntry(entry))).toEqual(entry)
    }),
  )
})
