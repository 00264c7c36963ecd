import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { concat, fromHex, toHex, u64be, utf8 } from '../src/bytes.ts'
import { EMPTY_ROOT, leafHash, nodeHash, sha256, type Hash } from '../src/hash.ts'
import { CompactRange, peakCount, peakNodes, rangeRoot, rootOf } from '../src/tree.ts'
import { leaves, mth } from './reference.ts'
import { present, readJson } from './vectors.ts'

const MAX = Number.MAX_SAFE_INTEGER
const LEAVES = leaves(130)

/** Sizes where 32-bit or floating arithmetic would go wrong, and any others. */
const size = fc.oneof(
  fc.nat(MAX),
  fc.nat(300),
  ...[2 ** 31, 2 ** 32, 2 ** 52].map((n) => fc.integer({ min: n - 300, max: n + 300 })),
  fc.integer({ min: MAX - 300, max: MAX }),
)

describe.skipIf(!present)('RFC 6962 reference tree', () => {
  test('roots of sizes 0 to 8', () => {
    const vectors = readJson<{ leaf_inputs_hex: string[]; roots_by_size_hex: string[] }>(
      'merkle/rfc6962-reference-tree.json',
    )
    const range = new CompactRange()
    expect(toHex(range.root())).toBe(vectors.roots_by_size_hex[0])
    vectors.leaf_inputs_hex.forEach((input, i) => {
      range.append(leafHash(fromHex(input)))
      expect(toHex(range.root())).toBe(vectors.roots_by_size_hex[i + 1])
    })
    expect(range.size).toBe(8)
  })
})

describe('compact range', () => {
  test('equals the recursive definition for every small tree', () => {
    const range = new CompactRange()
    expect(range.root()).toEqual(EMPTY_ROOT)
    for (let n = 1; n <= LEAVES.length; n++) {
      range.append(LEAVES[n - 1]!)
      expect(range.size).toBe(n)
      expect(range.root()).toEqual(mth(LEAVES.slice(0, n)))
      expect(rootOf(LEAVES.slice(0, n))).toEqual(range.root())
    }
  })

  test('peaks are the nodes that peakNodes names', () => {
    const range = new CompactRange()
    for (const leaf of LEAVES) {
      range.append(leaf)
      const nodes = peakNodes(range.size)
      expect(range.peaks()).toEqual(
        nodes.map(({ level, index }) =>
          mth(LEAVES.slice(index * 2 ** level, (index + 1) * 2 ** level)),
        ),
      )
      expect(rangeRoot(range.peaks())).toEqual(range.root())
    }
  })

  test('continued from its peaks anywhere', () => {
    for (const cut of [0, 1, 2, 3, 63, 64, 65, 100]) {
      const before = new CompactRange()
      LEAVES.slice(0, cut).forEach((leaf) => before.append(leaf))
      const range = CompactRange.from(cut, before.peaks())
      LEAVES.slice(cut).forEach((leaf) => range.append(leaf))
      expect(range.root()).toEqual(mth(LEAVES))
      expect(before.root()).toEqual(mth(LEAVES.slice(0, cut)))
    }
  })

  test('refuses a wrong number of peaks', () => {
    const hash = sha256(utf8('x'))
    for (const [n, peaks] of [
      [0, [hash]],
      [3, [hash]],
      [4, [hash, hash]],
      [MAX, [hash]],
    ] as const) {
      expect(() => CompactRange.from(n, peaks)).toThrow(
        expect.objectContaining({ code: 'bad-proof' }),
      )
    }
    for (const n of [-1, 1.5, MAX + 1, Number.NaN]) {
      expect(() => CompactRange.from(n, [])).toThrow(RangeError)
    }
  })

  test('whole subtrees go in where they can begin', () => {
    const range = new CompactRange()
    range.append(mth(LEAVES.slice(0, 64)), 6)
    range.append(mth(LEAVES.slice(64, 96)), 5)
    LEAVES.slice(96, 100).forEach((leaf) => range.append(leaf))
    range.append(mth(LEAVES.slice(100, 104)), 2)
    range.append(mth(LEAVES.slice(104, 112)), 3)
    range.append(mth(LEAVES.slice(112, 128)), 4)
    expect(range.size).toBe(128)
    expect(range.peaks()).toEqual([mth(LEAVES.slice(0, 128))])
    for (const level of [8, 9, 53, -1, 0.5]) {
      expect(() => range.append(LEAVES[0]!, level)).toThrow(RangeError)
    }
    expect(range.size).toBe(128)
    range.append(mth(LEAVES.slice(0, 128)), 7)
    expect(range.size).toBe(256)
  })

  test('grows to 2^53-1 leaves and no further', () => {
    const hash = sha256(utf8('x'))
    const peaks = Array.from({ length: 52 }, () => hash)
    const range = CompactRange.from(MAX - 1, peaks)
    range.append(hash)
    expect(range.size).toBe(MAX)
    expect(range.peaks()).toHaveLength(53)
    expect(() => range.append(hash)).toThrow(RangeError)
    expect(range.size).toBe(MAX)
    expect(range.root()).toEqual(rangeRoot(range.peaks()))
  })

  test('carries as counting does, near 2^31, 2^32 and 2^52', () => {
    for (const power of [31, 32, 52]) {
      const peaks = Array.from({ length: power }, (_, i) => sha256(u64be(i)))
      const range = CompactRange.from(2 ** power - 1, peaks)
      range.append(sha256(utf8('last')))
      let expected: Hash = sha256(utf8('last'))
      for (const peak of peaks.reverse()) expected = nodeHash(peak, expected)
      expect(range.peaks()).toEqual([expected])
    }
  })

  test('a list of indices has the tree hash of entry.md', () => {
    const indices = [0, 5, 2 ** 40]
    const [a, b, c] = indices.map((index) => sha256(concat(Uint8Array.of(0), u64be(index))))
    expect(rootOf(indices.map((index) => leafHash(u64be(index))))).toEqual(
      nodeHash(nodeHash(a!, b!), c!),
    )
    expect(rootOf([])).toEqual(EMPTY_ROOT)
  })
})

describe('peaks', () => {
  test('tile the tree from left to right, each smaller than the one before', () => {
    fc.assert(
      fc.property(size, (n) => {
        let end = 0
        let last = 54
        const peaks = peakNodes(n)
        for (const { level, index } of peaks) {
          expect(level).toBeLessThan(last)
          expect(index * 2 ** level).toBe(end)
          end += 2 ** level
          last = level
        }
        expect(end).toBe(n)
        expect(peakCount(n)).toBe(peaks.length)
        expect(peaks.length).toBe(n.toString(2).replaceAll('0', '').length)
      }),
    )
  })
})
