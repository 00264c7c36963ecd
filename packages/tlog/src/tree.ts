/**
 * The shape of the Merkle tree of RFC 6962 section 2.1, and the little of it that is needed to append to it.
 *
 * A node is named by its level and its index at that level: it stands over the leaves [index·2^level, (index+1)·2^level).
 * Above the right edge of a tree of `size` leaves the same name stands for what there is of that range, up to `size`:
 *
 *   level 3                 0                 size 7: the root is node (3,0); it is cut off at leaf 7
 *   level 2         0               1         node (2,1) holds the leaves 4, 5, 6
 *   level 1     0       1       2       3     node (1,3) is leaf 6 alone
 *   level 0   0   1   2   3   4   5   6
 *
 * A tree of n leaves is a row of complete subtrees, one for each bit of n, the largest first: its peaks. They fix its root
 * and whatever can be appended, and are all a compact range holds.
 *
 * Sizes are numbers up to 2^53-1: divided and multiplied by powers of two, which is exact, and never shifted.
 */
import { EMPTY_ROOT, nodeHash, type Hash } from './hash.ts'
import { TlogError } from './error.ts'

/** A node of the tree: its leaves are [index·2^level, (index+1)·2^level), cut off at the tree's size. */
export interface TreeNode {
  readonly level: number
  readonly index: number
}

/** Throws RangeError, as for any bug of the caller, unless `n` is an integer from 0 to 2^53-1. */
export function assertSize(n: number): void {
  if (!Number.isSafeInteger(n) || n < 0) throw new RangeError(`not a tree size or index: ${n}`)
}

/** Number of peaks of a tree of `size` leaves: the one bits of the size. */
export function peakCount(size: number): number {
  assertSize(size)
  let count = 0
  for (let n = size; n > 0; n = Math.floor(n / 2)) count += n % 2
  return count
}

/** The peaks of a tree of `size` leaves: its largest complete subtrees, from left to right. */
export function peakNodes(size: number): TreeNode[] {
  assertSize(size)
  const peaks: TreeNode[] = []
  // A peak of level l begins where all larger peaks end: at the bits of the size above l.
  for (let level = 0, n = size; n > 0; level++, n = Math.floor(n / 2)) {
    if (n % 2 === 1) peaks.push({ level, index: n - 1 })
  }
  return peaks.reverse()
}

/** Root above a row of peaks, largest first, or of any row of subtrees that are to be joined right to left. */
export function rangeRoot(peaks: readonly Hash[]): Hash {
  let root = peaks.at(-1)
  if (root === undefined) return EMPTY_ROOT
  for (let i = peaks.length - 2; i >= 0; i--) root = nodeHash(peaks[i]!, root)
  return root
}

/**
 * An append-only tree reduced to its peaks: at most 53 hashes, an append costs one hash on average.
 *
 * It is also the tree hash of a list, as in the value of a dslog map key, RFC 6962's over the leaves u64be(index):
 *
 *   const value = rootOf(indices.map((index) => leafHash(u64be(index))))
 *
 * and, when the list grows, kept as a range: `range.append(leafHash(u64be(index)))`, then `range.root()`.
 */
export class CompactRange {
  #size = 0
  #peaks: Hash[] = []

  /** A tree of known size continued from its peaks, largest first. A wrong number of them is TlogError `bad-proof`. */
  static from(size: number, peaks: readonly Hash[]): CompactRange {
    const want = peakCount(size)
    if (peaks.length !== want) {
      throw new TlogError('bad-proof', `size ${size} has ${want} peaks, not ${peaks.length}`)
    }
    const range = new CompactRange()
    range.#size = size
    range.#peaks = [...peaks]
    return range
  }

  /** Leaves so far. */
  get size(): number {
    return this.#size
  }

  /**
   * Appends a leaf by its hash, or at once a complete subtree of 2^`level` leaves by its root, which is only possible
   * where such a subtree can begin: at a size that is a multiple of 2^level.
   */
  append(hash: Hash, level = 0): void {
    const width = 2 ** level
    const grown = this.#size + width
    if (!Number.isInteger(width) || this.#size % width !== 0) {
      throw new RangeError(`no subtree of level ${level} begins at ${this.#size}`)
    }
    assertSize(grown)
    let node = hash
    // Each one bit above the level is a peak of the same size as what has been joined so far: a carry, as in counting.
    for (let n = this.#size / width; n % 2 === 1; n = Math.floor(n / 2)) {
      node = nodeHash(this.#peaks.pop()!, node)
    }
    this.#peaks.push(node)
    this.#size = grown
  }

  /** Root of the tree so far. */
  root(): Hash {
    return rangeRoot(this.#peaks)
  }

  /** The peaks, largest first; a copy. */
  peaks(): Hash[] {
    return [...this.#peaks]
  }
}

/** Root of the tree of these leaf hashes. */
export function rootOf(leafHashes: Iterable<Hash>): Hash {
  const range = new CompactRange()
  for (const hash of leafHashes) range.append(hash)
  return range.root()
}
