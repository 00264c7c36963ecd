import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { concat, fromHex, toHex } from '../src/bytes.ts'
import { TlogError } from '../src/error.ts'
import { asHash, EMPTY_ROOT, sha256, type Hash } from '../src/hash.ts'
import {
  keyBit,
  mapInnerHash,
  mapInnerHashInto,
  mapLeafHash,
  verifyMap,
  type MapPair,
} from '../src/map.ts'
import { bucketUpdate } from '../src/mapbucket.ts'
import { proveMap, updateBuckets, UpperTree } from '../src/maptree.ts'
import { hashOf, key, mapRoot, pairs } from './mapreference.ts'
import { present, readJson } from './vectors.ts'

const holds = (root: Hash, k: Hash, value: Hash | null, proof: Uint8Array): boolean => {
  try {
    verifyMap(root, k, value, proof)
    return true
  } catch (error) {
    if (error instanceof TlogError && error.code === 'bad-map') return false
    throw error
  }
}

/** Proof from a map in a single bucket. */
const prove = async (all: readonly MapPair[], k: Hash) => {
  const tree = new UpperTree(0)
  if (all.length === 0) return proveMap(tree, k, () => Promise.reject(new Error('no bucket')))
  const bytes = bucketUpdate(new Uint8Array(0), all).bytes
  updateBuckets(tree, new Map(), all)
  return proveMap(tree, k, () => Promise.resolve(bytes))
}

describe('hashes', () => {
  test('leaf and inner node are plain SHA-256 of 64 and 65 bytes', () => {
    const [a, b] = [hashOf('a'), hashOf('b')]
    expect(mapLeafHash(a, b)).toEqual(sha256(concat(a, b)))
    expect(mapInnerHash(a, b, 200)).toEqual(sha256(concat(a, b, Uint8Array.of(200))))
    const out = concat(new Uint8Array(1), a, b)
    mapInnerHashInto(asHash(out.subarray(1, 33)), asHash(out.subarray(33)), 7, out, 1)
    expect(out.subarray(1, 33)).toEqual(mapInnerHash(a, b, 7))
    expect(out.subarray(33)).toEqual(b)
  })

  test('bits are counted from the most significant', () => {
    const bytes = fromHex('ff' + '80' + '01' + '00'.repeat(29))
    expect(Array.from({ length: 24 }, (_, bit) => keyBit(bytes, 0, bit)).join('')).toBe(
      '111111111000000000000001',
    )
    expect(keyBit(bytes, 1, 0)).toBe(1)
    expect(keyBit(bytes, 1, 1)).toBe(0)
  })
})

describe('proofs', () => {
  test('of the empty map: every key is absent, by an empty proof', () => {
    expect(holds(EMPTY_ROOT, hashOf(1), null, new Uint8Array(0))).toBe(true)
    expect(holds(EMPTY_ROOT, hashOf(1), hashOf(2), new Uint8Array(0))).toBe(false)
    expect(holds(hashOf(3), hashOf(1), null, new Uint8Array(0))).toBe(false)
  })

  test('of a single pair: nothing beside it', async () => {
    const pair = { key: hashOf('k'), value: hashOf('v') }
    const root = mapLeafHash(pair.key, pair.value)
    expect(await prove([pair], pair.key)).toEqual({ value: pair.value, proof: new Uint8Array(0) })
    expect(holds(root, pair.key, pair.value, new Uint8Array(0))).toBe(true)
    expect(holds(root, pair.key, null, new Uint8Array(0))).toBe(false)
    const other = await prove([pair], hashOf('other'))
    expect(other).toEqual({ value: null, proof: concat(pair.key, pair.value) })
    expect(holds(root, hashOf('other'), null, other.proof)).toBe(true)
    expect(holds(root, pair.key, null, other.proof)).toBe(false)
  })

  test('verify in maps of any shape, and only for the one answer', async () => {
    await fc.assert(
      fc.asyncProperty(pairs(40), key, async (all, stranger) => {
        const root = mapRoot(all)
        for (const k of [stranger, ...all.map((pair) => pair.key)]) {
          const wanted = all.find((pair) => toHex(pair.key) === toHex(k))?.value ?? null
          const { value, proof } = await prove(all, k)
          expect(value).toEqual(wanted)
          expect(holds(root, k, value, proof)).toBe(true)
          expect(holds(root, k, value === null ? hashOf('any') : null, proof)).toBe(false)
          expect(holds(root, k, hashOf('another value'), proof)).toBe(false)
          expect(holds(hashOf('another root'), k, value, proof)).toBe(false)
          expect(holds(EMPTY_ROOT, k, value, proof)).toBe(all.length === 0)
        }
      }),
      { numRuns: 60 },
    )
  })

  test('a proof holds for no other key of the map', async () => {
    const all = Array.from({ length: 30 }, (_, i) => ({ key: hashOf(i), value: hashOf(-i) }))
    const root = mapRoot(all)
    for (const { key: k, value } of all) {
      const { proof } = await prove(all, k)
      for (const other of all) {
        const same = other.key === k
        expect(holds(root, other.key, value, proof)).toBe(same)
        expect(holds(root, other.key, other.value, proof)).toBe(same)
        expect(holds(root, other.key, null, proof)).toBe(false)
        expect(holds(root, other.key, null, concat(k, value, proof))).toBe(false)
      }
    }
  })

  test('every damage is found: each byte, each prefix, each step left out, doubled or swapped', async () => {
    const all = Array.from({ length: 40 }, (_, i) => ({ key: hashOf(i), value: hashOf(-i) }))
    const root = mapRoot(all)
    for (const k of [hashOf(0), hashOf(17), hashOf('absent'), hashOf('absent too')]) {
      const { value, proof } = await prove(all, k)
      expect(holds(root, k, value, proof)).toBe(true)
      for (let i = 0; i < proof.length; i++) {
        expect(holds(root, k, value, proof.subarray(0, i))).toBe(false)
        for (const change of [1, 2, 0x40, 0x80, 0xff]) {
          const damaged = proof.slice()
          damaged[i]! ^= change
          expect(holds(root, k, value, damaged)).toBe(false)
          expect(holds(root, k, value === null ? hashOf(0) : null, damaged)).toBe(false)
        }
      }
      const head = value === null ? 64 : 0
      for (let at = head; at < proof.length; at += 33) {
        const [before, step, after] = [
          proof.subarray(0, at),
          proof.subarray(at, at + 33),
          proof.subarray(at + 33),
        ]
        expect(holds(root, k, value, concat(before, after))).toBe(false)
        expect(holds(root, k, value, concat(before, step, step, after))).toBe(false)
        const swapped = concat(before, after.subarray(0, 33), step, after.subarray(33))
        if (after.length > 0) expect(holds(root, k, value, swapped)).toBe(false)
      }
      for (const extra of [1, 32, 33, 64]) {
        expect(holds(root, k, value, concat(proof, new Uint8Array(extra)))).toBe(false)
        expect(holds(root, k, value, concat(new Uint8Array(extra), proof))).toBe(false)
      }
    }
  })

  test('absence needs another key, and one the bits of this one lead to', () => {
    const k = asHash(new Uint8Array(32))
    const left = asHash(fromHex('01' + '00'.repeat(31)))
    const right = asHash(fromHex('80' + '00'.repeat(31)))
    const value = hashOf('v')
    const [l, r] = [mapLeafHash(left, value), mapLeafHash(right, value)]
    const root = mapInnerHash(l, r, 0)
    const step = (sibling: Hash): Uint8Array => concat(Uint8Array.of(0), sibling)
    expect(holds(root, k, null, concat(left, value, step(r)))).toBe(true)
    // A true path to a leaf of the map, but the key would not be there.
    expect(holds(root, k, null, concat(right, value, step(l)))).toBe(false)
    expect(holds(root, left, null, concat(left, value, step(r)))).toBe(false)
    expect(holds(root, left, value, step(r))).toBe(true)
    // A map that was built wrong, with the leaf on the side where it does not belong.
    expect(holds(mapInnerHash(r, l, 0), k, null, concat(right, value, step(l)))).toBe(false)
  })

  test('bits must decrease, from 255 down', () => {
    const k = asHash(new Uint8Array(32))
    const [a, b] = [hashOf('a'), hashOf('b')]
    const build = (bits: number[]): { root: Hash; proof: Uint8Array } => {
      let root = mapLeafHash(k, a)
      for (const bit of bits) root = mapInnerHash(root, b, bit)
      return { root, proof: concat(...bits.flatMap((bit) => [Uint8Array.of(bit), b])) }
    }
    for (const [bits, good] of [
      [[255, 254, 0], true],
      [[7, 7], false],
      [[3, 4], false],
      [[0, 255], false],
      [Array.from({ length: 256 }, (_, i) => 255 - i), true],
    ] as const) {
      const { root, proof } = build([...bits])
      expect(holds(root, k, a, proof)).toBe(good)
    }
  })
})

describe.skipIf(!present)('rsc.io/tmp/mpt', () => {
  interface Lookup {
    key: string
    found: boolean
    val?: string
    proof: string
  }
  interface Snapshot {
    desc: string
    sets: [string, string][] | null
    root: string
    lookups: Lookup[]
  }
  const { snapshots } = present
    ? readJson<{ snapshots: Snapshot[] }>('mpt/rsc-mpt.json')
    : { snapshots: [] }

  test('160 lookups of 8 snapshots verify, and in no other snapshot that differs', () => {
    expect(snapshots).toHaveLength(8)
    let count = 0
    for (const { root, lookups } of snapshots) {
      for (const { key: k, val, found, proof } of lookups) {
        const answer = found ? asHash(fromHex(val!)) : null
        const check = (r: string): boolean =>
          holds(asHash(fromHex(r)), asHash(fromHex(k)), answer, fromHex(proof))
        expect(check(root)).toBe(true)
        for (const other of snapshots) {
          if (other.root !== root) expect(check(other.root)).toBe(false)
        }
        count++
      }
    }
    expect(count).toBe(160)
  })

  test.each([0, 1, 2, 3, 5, 8, 9, 12, 16, 17, 20])(
    'roots and proofs byte for byte from buckets of depth %d',
    async (depth) => {
      const rows = new Map<number, Uint8Array>()
      let tree = new UpperTree(depth)
      for (const { root, sets, lookups } of snapshots) {
        const changes = (sets ?? []).map(([k, v]) => ({
          key: asHash(fromHex(k)),
          value: asHash(fromHex(v)),
        }))
        tree = tree.fork()
        for (const { prefix, bytes } of updateBuckets(tree, rows, changes)) rows.set(prefix, bytes)
        expect(toHex(tree.root())).toBe(root)
        for (const { key: k, val, found, proof } of lookups) {
          const got = await proveMap(tree, asHash(fromHex(k)), (p) => Promise.resolve(rows.get(p)!))
          expect([got.value && toHex(got.value), toHex(got.proof)]).toEqual([
            found ? val : null,
            proof,
          ])
        }
      }
    },
  )
})
