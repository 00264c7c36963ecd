import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compare, concat, equal, fromHex, toHex } from '../src/bytes.ts'
import { asHash, type Hash } from '../src/hash.ts'
import { mapLeafHash, type MapPair } from '../src/map.ts'
import {
  BucketBuilder,
  bucketPath,
  bucketRoot,
  bucketUpdate,
  MAX_DEPTH,
  prefixOf,
  type Bucket,
} from '../src/mapbucket.ts'
import { codeOf } from './codes.ts'
import { hashOf, key, mapRoot, pairs } from './mapreference.ts'

const NONE = new Uint8Array(0)
const sorted = (all: readonly MapPair[]): MapPair[] => all.toSorted((a, b) => compare(a.key, b.key))
const bytesOf = (all: readonly MapPair[]): Uint8Array =>
  concat(...sorted(all).flatMap((pair) => [pair.key, pair.value]))
const rootOf = (all: readonly MapPair[]): Hash | null => (all.length === 0 ? null : mapRoot(all))

describe('a bucket', () => {
  test('has the root of its map', () => {
    expect(bucketRoot(NONE)).toBeNull()
    fc.assert(
      fc.property(pairs(60), (all) => {
        expect(bucketRoot(bytesOf(all))).toEqual(rootOf(all))
      }),
    )
  })

  test('keys that branch at each of the 256 bits', () => {
    const all = [{ key: asHash(new Uint8Array(32)), value: hashOf('zero') }]
    for (let bit = 0; bit < 256; bit++) {
      const bytes = new Uint8Array(32)
      bytes[bit >> 3] = 0x80 >> (bit & 7)
      all.push({ key: asHash(bytes), value: hashOf(bit) })
    }
    expect(bucketRoot(bytesOf(all))).toEqual(mapRoot(all))
    const ones = Array.from({ length: 257 }, (_, n) => {
      const bytes = new Uint8Array(32)
      for (let bit = 0; bit < n; bit++) bytes[bit >> 3]! |= 0x80 >> (bit & 7)
      return { key: asHash(bytes), value: hashOf(n) }
    })
    expect(bucketRoot(bytesOf(ones))).toEqual(mapRoot(ones))
  })

  test('a changed one is what it would be if made anew, whatever the order of changes', () => {
    fc.assert(
      fc.property(pairs(40), pairs(12), fc.nat(), (old, changes, seed) => {
        if (changes.length === 0) return
        // Some changes meet keys that are there.
        const mixed = changes.map((pair, i) =>
          i % 2 === 0 && old.length > i
            ? { ...pair, key: old[(seed + i) % old.length]!.key }
            : pair,
        )
        const unique = mixed.filter(
          (pair, i) => mixed.findIndex((other) => equal(other.key, pair.key)) === i,
        )
        const kept = old.filter((pair) => !unique.some((other) => equal(other.key, pair.key)))
        const bytes = bytesOf(old)
        const before = bytes.slice()
        const result = bucketUpdate(bytes, unique)
        expect(result).toEqual({
          before: rootOf(old),
          bytes: bytesOf([...kept, ...unique]),
          root: rootOf([...kept, ...unique]),
        })
        expect(bucketUpdate(bytes, unique.toReversed())).toEqual(result)
        expect(bytes).toEqual(before)
      }),
      { numRuns: 300 },
    )
  })

  test('the same values again change nothing', () => {
    const all = Array.from({ length: 20 }, (_, i) => ({ key: hashOf(i), value: hashOf(-i) }))
    const { before, bytes, root } = bucketUpdate(bytesOf(all), all)
    expect(bytes).toEqual(bytesOf(all))
    expect(root).toEqual(before)
  })

  test('a key twice, or no change at all, is a bug', () => {
    const pair = { key: hashOf(1), value: hashOf(2) }
    expect(() => bucketUpdate(NONE, [pair, { ...pair, value: hashOf(3) }])).toThrow(RangeError)
    expect(() => bucketUpdate(bytesOf([pair]), [])).toThrow(RangeError)
  })

  test('the way down ends at the key, or at the leaf that takes its place', () => {
    fc.assert(
      fc.property(pairs(40), key, (all, stranger) => {
        if (all.length === 0) return
        for (const k of [stranger, ...all.map((pair) => pair.key)]) {
          const { pair, steps, root } = bucketPath(bytesOf(all), k)
          const there = all.some((other) => equal(other.key, k))
          expect(equal(pair.subarray(0, 32), k)).toBe(there)
          expect(root).toEqual(mapRoot(all))
          const bits = steps.map(({ bit }) => bit)
          expect(bits).toEqual(bits.toSorted((a, b) => a - b))
          expect(new Set(bits).size).toBe(bits.length)
        }
      }),
    )
    const only = { key: hashOf(1), value: hashOf(2) }
    expect(bucketPath(bytesOf([only]), hashOf(9))).toEqual({
      pair: concat(only.key, only.value),
      steps: [],
      root: mapLeafHash(only.key, only.value),
    })
    expect(codeOf(() => bucketPath(NONE, hashOf(1)))).toBe('bad-map')
  })

  test('damaged bytes are refused: no whole pairs, no order, a key twice', () => {
    const all = sorted(Array.from({ length: 9 }, (_, i) => ({ key: hashOf(i), value: hashOf(i) })))
    const good = bytesOf(all)
    const chunks = all.map((pair) => concat(pair.key, pair.value))
    const wrong: Uint8Array[] = []
    for (let n = 1; n < 64; n++) wrong.push(good.subarray(n), good.subarray(0, -n))
    for (let i = 1; i < chunks.length; i++) {
      wrong.push(concat(...chunks.with(i, chunks[i - 1]!)))
      wrong.push(concat(...chunks.with(i, chunks[i - 1]!).with(i - 1, chunks[i]!)))
    }
    wrong.push(concat(...chunks.toReversed()))
    for (const bytes of wrong) {
      expect(codeOf(() => bucketRoot(bytes))).toBe('bad-map')
      expect(codeOf(() => bucketPath(bytes, hashOf(0)))).toBe('bad-map')
      const change = { key: hashOf('new'), value: hashOf('new') }
      expect(codeOf(() => bucketUpdate(bytes, [change]))).toBe('bad-map')
    }
  })
})

describe('prefixes', () => {
  test('are the first bits of the key', () => {
    const k = fromHex('a5f0c3' + '00'.repeat(29))
    const bits = '101001011111000011000011'
    expect(prefixOf(k, 0)).toBe(0)
    for (let depth = 1; depth <= MAX_DEPTH; depth++) {
      expect(prefixOf(k, depth)).toBe(Number.parseInt(bits.slice(0, depth), 2))
    }
  })
})

describe('the builder of a whole map', () => {
  test.each([0, 1, 4, 8, 20])('makes every bucket of depth %d once, in order', (depth) => {
    const all = Array.from({ length: 1500 }, (_, i) => ({ key: hashOf(i), value: hashOf(-i) }))
    const builder = new BucketBuilder(depth)
    const buckets: Bucket[] = []
    for (const { key: k, value } of sorted(all)) {
      const done = builder.push(k, value)
      if (done) buckets.push(done)
    }
    const last = builder.finish()
    if (last) buckets.push(last)
    expect(builder.finish()).toBeUndefined()
    const prefixes = buckets.map(({ prefix }) => prefix)
    expect(prefixes).toEqual([...new Set(prefixes)].toSorted((a, b) => a - b))
    expect(concat(...buckets.map(({ bytes }) => bytes))).toEqual(bytesOf(all))
    for (const { prefix, bytes, root } of buckets) {
      expect(bucketRoot(bytes)).toEqual(root)
      for (let i = 0; i < bytes.length; i += 64) {
        expect(prefixOf(bytes.subarray(i), depth)).toBe(prefix)
      }
    }
  })

  test('of no pairs makes nothing', () => {
    expect(new BucketBuilder(4).finish()).toBeUndefined()
  })

  test('refuses keys out of order or twice, and depths that are none', () => {
    const [a, b] = sorted([1, 2].map((i) => ({ key: hashOf(i), value: hashOf(i) })))
    for (const depth of [0, 20]) {
      const builder = new BucketBuilder(depth)
      builder.push(b!.key, b!.value)
      expect(() => builder.push(a!.key, a!.value)).toThrow(RangeError)
      expect(() => builder.push(b!.key, b!.value)).toThrow(RangeError)
      expect(toHex(builder.finish()!.bytes)).toBe(toHex(bytesOf([b!])))
    }
    for (const depth of [-1, 0.5, 21, Number.NaN]) {
      expect(() => new BucketBuilder(depth)).toThrow(RangeError)
    }
  })
})
