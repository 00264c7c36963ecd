import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { concat, toHex, u64be, utf8 } from '@dslog/tlog/bytes'
import { EMPTY_ROOT, leafHash, nodeHash, sha256 } from '@dslog/tlog/hash'
import { nameFromText, ROOT } from '@dslog/dnssec/name'
import { keysId, mapKey, MapKind, mapKeyOf, mapValue, stateId, stateOf } from '../src/identity.ts'
import { ds, dsRdata, filler, mapHead, noDs, orgZoneKeys } from './samples.ts'

const org = nameFromText('org.')
const example = nameFromText('example.org.')

describe('keys_id', () => {
  test('hashes what the specification says, byte for byte', () => {
    const input = concat(
      utf8('dslog/keys/v1\0'),
      Uint8Array.of(3, 0x6f, 0x72, 0x67, 0),
      Uint8Array.of(0, 2),
      Uint8Array.of(0, 1, 7),
      Uint8Array.of(0, 2, 8, 9),
    )
    expect(keysId(org, [Uint8Array.of(8, 9), Uint8Array.of(7)])).toEqual(sha256(input))
  })

  test('depends on the zone and on every key, not on their order', () => {
    const keys = [filler('a', 68), filler('b', 68), filler('c', 68)]
    const id = toHex(keysId(org, keys))
    expect(toHex(keysId(org, keys.toReversed()))).toBe(id)
    expect(toHex(keysId(ROOT, keys))).not.toBe(id)
    expect(toHex(keysId(org, keys.slice(1)))).not.toBe(id)
  })
})

describe('state_id', () => {
  test('hashes what the specification says, byte for byte', () => {
    const input = concat(
      utf8('dslog/state/v1\0'),
      example,
      org,
      Uint8Array.of(1),
      Uint8Array.of(0, 36),
      dsRdata(5),
    )
    expect(stateId(example, org, [dsRdata(5)])).toEqual(sha256(input))
    expect(stateId(example, org, [])).toEqual(
      sha256(concat(utf8('dslog/state/v1\0'), example, org, Uint8Array.of(0))),
    )
  })

  test('signature, time and flags are no part of it', () => {
    const other = {
      ...ds,
      time: 1,
      historical: true,
      outOfOrder: false,
      rrsig: noDs.records[0]!.rrsig,
    }
    expect(stateOf(other)).toEqual(stateOf(ds))
    expect(stateOf(noDs)).toEqual(stateId(noDs.owner, noDs.zone, []))
    expect(stateOf(noDs)).not.toEqual(stateOf(ds))
  })
})

describe('the name map', () => {
  test('keys of names and of zones are apart', () => {
    expect(mapKey(MapKind.delegation, org)).toEqual(sha256(concat(Uint8Array.of(1), org)))
    expect(mapKey(MapKind.zoneKeys, org)).toEqual(sha256(concat(Uint8Array.of(2), org)))
  })

  test('which entries have a key', () => {
    expect(mapKeyOf(ds)).toEqual(mapKey(MapKind.delegation, ds.owner))
    expect(mapKeyOf(noDs)).toEqual(mapKey(MapKind.delegation, noDs.owner))
    expect(mapKeyOf(orgZoneKeys)).toEqual(mapKey(MapKind.zoneKeys, org))
    expect(mapKeyOf(mapHead)).toBeUndefined()
    expect(mapKeyOf({ type: 'unknown', bytes: utf8('xx') })).toBeUndefined()
  })

  test('a value is the tree hash over the indices', () => {
    expect(mapValue([])).toEqual(EMPTY_ROOT)
    expect(mapValue([7])).toEqual(leafHash(u64be(7)))
    expect(mapValue([7, 9])).toEqual(nodeHash(leafHash(u64be(7)), leafHash(u64be(9))))
  })

  test('no two lists of indices share a value', () => {
    const indices = fc.uniqueArray(fc.nat(2 ** 31 - 1), { maxLength: 12 })
    fc.assert(
      fc.property(indices, indices, (a, b) => {
        expect(toHex(mapValue(a)) === toHex(mapValue(b))).toBe(a.join() === b.join())
      }),
    )
  })
})
