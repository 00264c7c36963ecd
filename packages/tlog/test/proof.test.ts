import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { fromBase64, utf8 } from '../src/bytes.ts'
import { asHash, EMPTY_ROOT, hashFromBase64, nodeHash, sha256, type Hash } from '../src/hash.ts'
import {
  consistencyNodes,
  inclusionNodes,
  isSubtree,
  rootFromInclusion,
  subtreeNodes,
  verifyConsistency,
  verifyInclusion,
  verifySubtreeConsistency,
  verifySubtreeInclusion,
} from '../src/proof.ts'
import { CompactRange, type TreeNode } from '../src/tree.ts'
import { codeOf } from './codes.ts'
import { alike, leaves, mth, path, proof, text } from './reference.ts'
import { listFiles, present, readJson } from './vectors.ts'

const MAX = Number.MAX_SAFE_INTEGER
const N = 100
const LEAVES = leaves(N)
const ROOTS = Array.from({ length: N + 1 }, (_, n) => mth(LEAVES.slice(0, n)))
const STRANGER = sha256(utf8('not in any tree'))

const hashOf = ({ level, index }: TreeNode, size: number): Hash =>
  mth(LEAVES.slice(index * 2 ** level, Math.min((index + 1) * 2 ** level, size)))

function rejected(verify: () => void): boolean {
  return codeOf(verify) !== undefined
}

/** Every way to damage a list of hashes a little. */
function* mangled(hashes: readonly Hash[]): Generator<Hash[]> {
  yield [...hashes, STRANGER]
  yield [STRANGER, ...hashes]
  for (let i = 0; i < hashes.length; i++) {
    yield hashes.slice(0, i)
    yield hashes.slice(i + 1)
    yield hashes.toSpliced(i, 0, hashes[i]!)
    yield hashes.with(i, STRANGER)
    const bit = hashes[i]!.slice() as Hash
    bit[i]! ^= 1
    yield hashes.with(i, bit)
    if (i > 0) yield hashes.with(i, hashes[i - 1]!).with(i - 1, hashes[i]!)
  }
}

describe('inclusion', () => {
  test(`every proof of every tree up to ${N}`, () => {
    for (let size = 1; size <= N; size++) {
      for (let index = 0; index < size; index++) {
        const hashes = inclusionNodes(index, size).map((node) => hashOf(node, size))
        expect(text(hashes)).toBe(text(path(index, LEAVES.slice(0, size))))
        verifyInclusion(LEAVES[index]!, index, size, hashes, ROOTS[size]!)
      }
    }
  })

  test('no proof holds for another leaf, index, size or root, or after any damage', () => {
    for (let size = 1; size <= 34; size++) {
      for (let index = 0; index < size; index++) {
        const good = path(index, LEAVES.slice(0, size))
        const [leaf, root] = [LEAVES[index]!, ROOTS[size]!]
        const holds = (l: Hash, i: number, n: number, p: readonly Hash[], r: Hash): boolean =>
          !rejected(() => verifyInclusion(l, i, n, p, r))
        expect(holds(leaf, index, size, good, root)).toBe(true)
        expect(holds(STRANGER, index, size, good, root)).toBe(false)
        expect(holds(leaf, index, size, good, STRANGER)).toBe(false)
        expect(holds(leaf, index, size, good, EMPTY_ROOT)).toBe(false)
        const others = [...Array(size + 2).keys()]
        expect(others.filter((other) => holds(leaf, other, size, good, root))).toEqual([index])
        const damaged = [...mangled(good)]
        expect(damaged.filter((list) => holds(leaf, index, size, list, root))).toEqual([])
      }
    }
  })

  test('the last proof of a tree holds the peaks of the tree before it', () => {
    for (let size = 1; size <= N; size++) {
      const range = CompactRange.from(size - 1, path(size - 1, LEAVES.slice(0, size)).reverse())
      expect(range.root()).toEqual(ROOTS[size - 1])
    }
  })
})

describe('consistency', () => {
  test(`every proof between trees up to ${N}`, () => {
    for (let to = 1; to <= N; to++) {
      for (let from = 1; from <= to; from++) {
        const hashes = consistencyNodes(from, to).map((node) => hashOf(node, to))
        expect(text(hashes)).toBe(text(proof(0, from, LEAVES.slice(0, to))))
        verifyConsistency(from, to, hashes, ROOTS[from]!, ROOTS[to]!)
      }
    }
  })

  test('no proof holds for other sizes or roots, or after any damage', () => {
    for (let to = 1; to <= 34; to++) {
      for (let from = 1; from <= to; from++) {
        const good = proof(0, from, LEAVES.slice(0, to))
        const [a, b] = [ROOTS[from]!, ROOTS[to]!]
        expect(rejected(() => verifyConsistency(from, to, good, STRANGER, b))).toBe(true)
        expect(rejected(() => verifyConsistency(from, to, good, a, STRANGER))).toBe(true)
        expect(rejected(() => verifyConsistency(to + 1, to, good, a, b))).toBe(true)
        if (from < to) {
          expect(rejected(() => verifyConsistency(from, to, good, b, a))).toBe(true)
          expect(rejected(() => verifyConsistency(from, to, good, b, b))).toBe(true)
          expect(rejected(() => verifyConsistency(to, to, good, b, b))).toBe(true)
          expect(rejected(() => verifyConsistency(to, from, good, b, a))).toBe(true)
        }
        const damaged = [...mangled(good)]
        expect(
          damaged.filter((list) => !rejected(() => verifyConsistency(from, to, list, a, b))),
        ).toEqual([])
      }
    }
  })

  test('a tree with another history is not consistent', () => {
    const other = LEAVES.with(5, STRANGER)
    for (let from = 6; from < 40; from++) {
      const hashes = proof(0, from, other.slice(0, 40))
      const root = mth(other.slice(0, 40))
      expect(rejected(() => verifyConsistency(from, 40, hashes, ROOTS[from]!, root))).toBe(true)
    }
  })

  test('from the empty tree: an empty proof, whatever comes after, and the one root it can have', () => {
    verifyConsistency(0, 0, [], EMPTY_ROOT, EMPTY_ROOT)
    verifyConsistency(0, 7, [], EMPTY_ROOT, ROOTS[7]!)
    expect(consistencyNodes(0, 7)).toEqual([])
    expect(rejected(() => verifyConsistency(0, 7, [STRANGER], EMPTY_ROOT, ROOTS[7]!))).toBe(true)
    expect(rejected(() => verifyConsistency(0, 7, [], STRANGER, ROOTS[7]!))).toBe(true)
    expect(rejected(() => verifyConsistency(0, 0, [], EMPTY_ROOT, STRANGER))).toBe(true)
    expect(rejected(() => verifyConsistency(0, 0, [], STRANGER, STRANGER))).toBe(true)
  })
})

describe('subtrees', () => {
  test('validity is the rule of C2SP', () => {
    const valid = (start: number, end: number): boolean => {
      const width = 2 ** Math.ceil(Math.log2(end - start))
      return start < end && (start === 0 || start % width === 0)
    }
    for (let start = 0; start < 40; start++) {
      const ends = [...Array(80).keys()]
      expect(ends.map((end) => isSubtree(start, end))).toEqual(ends.map((end) => valid(start, end)))
    }
    expect(isSubtree(2 ** 52, MAX)).toBe(true)
    expect(isSubtree(2 ** 51, MAX)).toBe(false)
    expect(isSubtree(0, MAX)).toBe(true)
  })

  test('every subtree of every tree up to 40: consistency, and inclusion of its leaves', () => {
    const COUNT = 40
    for (let size = 1; size <= COUNT; size++) {
      for (let start = 0; start < size; start++) {
        for (let end = start + 1; end <= size; end++) {
          if (!isSubtree(start, end)) {
            expect(() => subtreeNodes(start, end, size)).toThrow(RangeError)
            continue
          }
          const subtree = LEAVES.slice(start, end)
          const hash = mth(subtree)
          const hashes = subtreeNodes(start, end, size).map((node) => hashOf(node, size))
          expect(text(hashes)).toBe(text(proof(start, end, LEAVES.slice(0, size))))
          verifySubtreeConsistency(start, end, size, hashes, hash, ROOTS[size]!)
          if (size < COUNT) continue
          for (let index = start; index < end; index++) {
            const inclusion = path(index - start, subtree)
            verifySubtreeInclusion(LEAVES[index]!, index, start, end, inclusion, hash)
          }
        }
      }
    }
  })

  test('no proof holds for another subtree, size or hash, or after any damage', () => {
    const size = 21
    const root = ROOTS[size]!
    for (let start = 0; start < size; start++) {
      for (let end = start + 1; end <= size; end++) {
        if (!isSubtree(start, end)) continue
        const hash = mth(LEAVES.slice(start, end))
        const good = proof(start, end, LEAVES.slice(0, size))
        const fails = (s: number, e: number, n: number, p: readonly Hash[], h: Hash, r: Hash) =>
          expect(rejected(() => verifySubtreeConsistency(s, e, n, p, h, r))).toBe(true)
        fails(start, end, size, good, STRANGER, root)
        fails(start, end, size, good, hash, STRANGER)
        fails(start, end, end - 1, good, hash, root)
        for (const damaged of mangled(good)) fails(start, end, size, damaged, hash, root)
        for (let s = 0; s < size; s++) {
          if (s !== start && isSubtree(s, s + end - start)) {
            fails(s, s + end - start, size, good, hash, root)
          }
        }
        const first = path(0, LEAVES.slice(start, end))
        for (const index of [start - 1, end, MAX]) {
          expect(
            rejected(() => verifySubtreeInclusion(LEAVES[start]!, index, start, end, first, hash)),
          ).toBe(true)
        }
      }
    }
  })

  test('an empty or misaligned subtree is refused', () => {
    for (const [start, end] of [
      [0, 0],
      [4, 4],
      [5, 4],
      [1, 3],
      [2, 7],
    ] as const) {
      expect(
        rejected(() => verifySubtreeConsistency(start, end, 8, [], EMPTY_ROOT, ROOTS[8]!)),
      ).toBe(true)
      expect(
        rejected(() => verifySubtreeInclusion(LEAVES[4]!, start, start, end, [], LEAVES[4]!)),
      ).toBe(true)
    }
  })
})

describe('large trees', () => {
  // A tree of any size whose leaves are all alike has only one node per level, and its proofs can be looked up there.
  const full = alike(LEAVES[0]!)
  const range = (start: number, end: number): Hash => {
    const length = end - start
    const level = Math.floor(Math.log2(length))
    const width = 2 ** (2 ** level > length ? level - 1 : level)
    if (width === length) return full[Math.round(Math.log2(length))]!
    return nodeHash(range(start, start + width), range(start + width, end))
  }
  const lookUp = (nodes: TreeNode[], size: number): Hash[] =>
    nodes.map(({ level, index }) => {
      const start = BigInt(index) * 2n ** BigInt(level)
      const end = start + 2n ** BigInt(level)
      expect(start < BigInt(size)).toBe(true)
      return range(Number(start), end > BigInt(size) ? size : Number(end))
    })

  const near = (n: number): fc.Arbitrary<number> =>
    fc.integer({ min: Math.max(1, n - 70), max: Math.min(MAX, n + 70) })
  const size = fc.oneof(
    ...[2 ** 31, 2 ** 32, 2 ** 33, 2 ** 52, MAX].map(near),
    fc.integer({ min: 1, max: MAX }),
  )
  const below = fc.oneof(fc.double({ min: 0, max: 1, noNaN: true }), fc.constantFrom(0, 1))
  const pick = (ratio: number, max: number): number => Math.min(max, Math.floor(ratio * max))

  test('inclusion and consistency near 2^31, 2^32 and 2^53', () => {
    fc.assert(
      fc.property(size, below, (n, ratio) => {
        const root = range(0, n)
        const index = pick(ratio, n - 1)
        const inclusion = lookUp(inclusionNodes(index, n), n)
        verifyInclusion(full[0]!, index, n, inclusion, root)
        expect(rootFromInclusion(full[0]!, index, n, inclusion)).toEqual(root)
        expect(inclusion.length).toBeLessThanOrEqual(53)
        const from = 1 + index
        const consistency = lookUp(consistencyNodes(from, n), n)
        verifyConsistency(from, n, consistency, range(0, from), root)
        expect(consistency.length).toBeLessThanOrEqual(54)
        expect(
          rejected(() =>
            verifyConsistency(from, n, [...consistency, STRANGER], range(0, from), root),
          ),
        ).toBe(true)
      }),
      { numRuns: 500 },
    )
  })

  test('subtrees near 2^31, 2^32 and 2^53', () => {
    fc.assert(
      fc.property(size, below, fc.nat(52), below, (n, ratio, level, part) => {
        const width = 2 ** level
        const start = Math.floor(pick(ratio, n - 1) / width) * width
        const end = Math.min(n, start + 1 + pick(part, width - 1))
        const hashes = lookUp(subtreeNodes(start, end, n), n)
        verifySubtreeConsistency(start, end, n, hashes, range(start, end), range(0, n))
        const index = start + pick(part, end - start - 1)
        const inclusion = lookUp(inclusionNodes(index - start, end - start), end - start)
        verifySubtreeInclusion(full[0]!, index, start, end, inclusion, range(start, end))
      }),
      { numRuns: 500 },
    )
  })
})

describe('numbers that are none', () => {
  const WRONG = [-1, 0.5, MAX + 1, Number.NaN, Infinity]

  test('are bugs where a proof is made', () => {
    for (const n of WRONG) {
      expect(() => inclusionNodes(n, 5)).toThrow(RangeError)
      expect(() => inclusionNodes(0, n)).toThrow(RangeError)
      expect(() => consistencyNodes(n, 5)).toThrow(RangeError)
      expect(() => consistencyNodes(1, n)).toThrow(RangeError)
      expect(() => subtreeNodes(0, n, 5)).toThrow(RangeError)
    }
    expect(() => inclusionNodes(5, 5)).toThrow(RangeError)
    expect(() => consistencyNodes(6, 5)).toThrow(RangeError)
    expect(() => subtreeNodes(0, 6, 5)).toThrow(RangeError)
  })

  test('are bad input where one is verified', () => {
    const h = LEAVES[0]!
    for (const n of WRONG) {
      expect(codeOf(() => verifyInclusion(h, n, 5, [], h))).toBe('range')
      expect(codeOf(() => verifyInclusion(h, 0, n, [], h))).toBe('range')
      expect(codeOf(() => verifyConsistency(n, 5, [], h, h))).toBe('range')
      expect(codeOf(() => verifyConsistency(1, n, [], h, h))).toBe('range')
      expect(codeOf(() => verifySubtreeInclusion(h, n, 0, 1, [], h))).toBe('range')
      expect(codeOf(() => verifySubtreeConsistency(0, n, 5, [], h, h))).toBe('range')
    }
    expect(codeOf(() => rootFromInclusion(h, 5, 5, []))).toBe('bad-proof')
  })
})

describe.skipIf(!present)('foreign vectors', () => {
  interface Probe {
    leafIdx: number
    treeSize: number
    size1: number
    size2: number
    start: number
    end: number
    size: number
    root: string
    root1: string
    root2: string
    leafHash: string
    proof: string[] | null
    desc: string
    wantErr: boolean
  }

  const probes = (folder: string): Probe[] => {
    const files = listFiles(`merkle/${folder}`).filter((file) => file.endsWith('.json'))
    return files.map((file) => readJson<Probe>(file))
  }
  const hashes = (proofs: string[] | null): Hash[] => (proofs ?? []).map(hashFromBase64)
  // Some roots that are meant not to matter read "don't care 1"; a hash of its own stands in for each.
  const anyRoot = (text: string): Hash => {
    const bytes = fromBase64(text)
    return bytes.length === 32 ? asHash(bytes) : sha256(bytes)
  }

  test('98 inclusion probes', () => {
    const all = probes('inclusion')
    expect(all).toHaveLength(98)
    for (const p of all) {
      const verify = (): void =>
        verifyInclusion(
          hashFromBase64(p.leafHash),
          p.leafIdx,
          p.treeSize,
          hashes(p.proof),
          hashFromBase64(p.root),
        )
      expect([p.desc, rejected(verify)]).toEqual([p.desc, p.wantErr])
    }
  })

  // C2SP tlog-witness: from the empty tree the empty proof is valid. Their library calls it useless; of their three probes
  // about it the two others give the empty tree a root it cannot have.
  test('98 consistency probes, one of them differing by the rule of C2SP', () => {
    const all = probes('consistency')
    expect(all).toHaveLength(98)
    const differing: string[] = []
    for (const p of all) {
      const failed = rejected(() =>
        verifyConsistency(p.size1, p.size2, hashes(p.proof), anyRoot(p.root1), anyRoot(p.root2)),
      )
      if (failed !== p.wantErr) differing.push(p.desc)
    }
    expect(differing).toEqual(['size1 is zero and size2 is not zero'])
  })

  test('204 subtree inclusion probes', () => {
    const all = probes('subtreeinclusion')
    expect(all).toHaveLength(204)
    for (const p of all) {
      const verify = (): void =>
        verifySubtreeInclusion(
          hashFromBase64(p.leafHash),
          p.leafIdx,
          p.start,
          p.end,
          hashes(p.proof),
          hashFromBase64(p.root),
        )
      expect([p.desc, rejected(verify)]).toEqual([p.desc, p.wantErr])
    }
  })

  test('118 subtree consistency probes; empty subtrees are refused', () => {
    const all = probes('subtreeconsistency')
    expect(all).toHaveLength(118)
    let empty = 0
    for (const p of all) {
      const verify = (): void =>
        verifySubtreeConsistency(
          p.start,
          p.end,
          p.size,
          hashes(p.proof),
          anyRoot(p.root1),
          anyRoot(p.root2),
        )
      if (p.start === p.end && !p.wantErr) empty++
      expect([p.desc, rejected(verify)]).toEqual([p.desc, p.start === p.end || p.wantErr])
    }
    expect(empty).toBe(6)
  })

  test('every proof of x/mod sumdb/tlog between sizes 1 and 33', () => {
    interface Proofs {
      roots_by_size: string[]
      inclusion: { Size: number; Index: number; Root: string; Proof: string[] }[]
      consistency: { Old: number; New: number; OldRoot: string; NewRoot: string; Proof: string[] }[]
    }
    const vectors = readJson<Proofs>('merkle/xmod-proofs-1-33.json')
    expect(vectors.roots_by_size.map(hashFromBase64)).toEqual(ROOTS.slice(0, 34))
    expect([vectors.inclusion.length, vectors.consistency.length]).toEqual([561, 561])
    for (const v of vectors.inclusion) {
      const nodes = inclusionNodes(v.Index, v.Size)
      expect(text(nodes.map((node) => hashOf(node, v.Size)))).toBe(text(hashes(v.Proof)))
      verifyInclusion(LEAVES[v.Index]!, v.Index, v.Size, hashes(v.Proof), hashFromBase64(v.Root))
    }
    for (const v of vectors.consistency) {
      const nodes = consistencyNodes(v.Old, v.New)
      expect(text(nodes.map((node) => hashOf(node, v.New)))).toBe(text(hashes(v.Proof)))
      const [from, to] = [hashFromBase64(v.OldRoot), hashFromBase64(v.NewRoot)]
      verifyConsistency(v.Old, v.New, hashes(v.Proof), from, to)
    }
  })

  test('the inclusion proofs of sigsum-rs', () => {
    interface Sigsum {
      leaf_hash: string
      leaf_index: number
      tree_size: number
      root_hash: string
      inclusion_path: string[]
      comment?: string
    }
    const holds = (v: Sigsum): boolean =>
      !rejected(() =>
        verifyInclusion(
          hashFromBase64(v.leaf_hash),
          v.leaf_index,
          v.tree_size,
          hashes(v.inclusion_path),
          hashFromBase64(v.root_hash),
        ),
      )
    const valid = readJson<Sigsum[]>('merkle/sigsum-rs-inclusion-valid.json')
    const invalid = readJson<Sigsum[]>('merkle/sigsum-rs-inclusion-invalid.json')
    expect([valid.length, invalid.length]).toEqual([4, 4])
    expect(valid.map(holds)).toEqual([true, true, true, true])
    expect(invalid.map(holds)).toEqual([false, false, false, false])
  })
})
