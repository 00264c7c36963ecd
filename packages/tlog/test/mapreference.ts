/**
 * The Merkle Patricia map by its definition, over lists of pairs: slow and plain, to compare with. And keys that branch in
 * all kinds of places.
 */
import fc from 'fast-check'
import { concat, utf8 } from '../src/bytes.ts'
import { asHash, EMPTY_ROOT, sha256, type Hash } from '../src/hash.ts'
import { keyBit, type MapPair } from '../src/map.ts'

/** Root of the map of these pairs, no key twice. */
export function mapRoot(pairs: readonly MapPair[], bit = 0): Hash {
  if (pairs.length === 0) return EMPTY_ROOT
  if (pairs.length === 1) return sha256(concat(pairs[0]!.key, pairs[0]!.value))
  const left = pairs.filter(({ key }) => keyBit(key, 0, bit) === 0)
  const right = pairs.filter(({ key }) => keyBit(key, 0, bit) === 1)
  if (left.length === 0 || right.length === 0) return mapRoot(pairs, bit + 1)
  return sha256(concat(mapRoot(left, bit + 1), mapRoot(right, bit + 1), Uint8Array.of(bit)))
}

/** The 32 bytes of a hash of something. */
export function hashOf(what: unknown): Hash {
  return sha256(utf8(String(what)))
}

/** Keys with few bits set, so that they share long beginnings, or a hash's. */
export const key: fc.Arbitrary<Hash> = fc.oneof(
  fc.nat(1000).map(hashOf),
  fc
    .array(fc.oneof(fc.nat(255), fc.nat(24), fc.integer({ min: 240, max: 255 })), { maxLength: 5 })
    .map((bits) => {
      const bytes = new Uint8Array(32)
      for (const bit of bits) bytes[bit >> 3]! |= 0x80 >> (bit & 7)
      return asHash(bytes)
    }),
)

/** Pairs whose keys differ. */
export const pairs = (maxLength: number): fc.Arbitrary<MapPair[]> =>
  fc
    .uniqueArray(key, { maxLength, selector: (k) => k.join() })
    .map((keys) => keys.map((k, i) => ({ key: k, value: hashOf(`value ${i}`) })))
