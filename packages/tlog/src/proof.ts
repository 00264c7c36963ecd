/**
 * Proofs about a Merkle tree, RFC 6962 sections 2.1.1 and 2.1.2 and, for subtrees, C2SP tlog-mirror and sign-subtree:
 *
 *   inclusion             leaf `index` is in the tree of `size` leaves
 *   consistency           the tree of `from` leaves is a prefix of the tree of `to` leaves
 *   subtree consistency   the subtree [start, end) is part of the tree of `size` leaves
 *
 * In pairs: `…Nodes` names the nodes of a proof, lowest first, for whoever holds the tree (reader.ts) to look up, and
 * `verify…` checks the hashes. A consistency proof is the proof of the subtree [0, from), an inclusion proof that of
 * [index, index+1); one walk up the tree gives them all.
 *
 * What a verify function is given is not trusted: it throws TlogError `bad-proof` or `range`. What a `…Nodes` function
 * is given is the caller's own arithmetic: it throws RangeError.
 */
import { equal } from './bytes.ts'
import { TlogError } from './error.ts'
import { EMPTY_ROOT, nodeHash, type Hash } from './hash.ts'
import { assertSize, type TreeNode } from './tree.ts'

/**
 * Whether [start, end) can be proven to be a subtree: not empty, and its start is a multiple of the smallest power of
 * two that is not below its length. The caller sees to it that both are safe integers.
 */
export function isSubtree(start: number, end: number): boolean {
  if (start < 0 || start >= end) return false
  let width = 1
  while (width < end - start) width *= 2
  return start % width === 0
}

/** The nodes of the inclusion proof of leaf `index` in the tree of `size` leaves. */
export function inclusionNodes(index: number, size: number): TreeNode[] {
  assertSize(index)
  assertSize(size)
  if (index >= size) throw new RangeError(`leaf ${index} of a tree of ${size}`)
  return nodesAbove(index, index, size)
}

/** The nodes of the consistency proof between the trees of `from` and `to` leaves; none from the empty tree. */
export function consistencyNodes(from: number, to: number): TreeNode[] {
  assertSize(from)
  assertSize(to)
  if (from > to) throw new RangeError(`consistency from ${from} back to ${to}`)
  return from === 0 ? [] : nodesAbove(0, from - 1, to)
}

/** The nodes of the proof that the subtree [start, end) is part of the tree of `size` leaves. */
export function subtreeNodes(start: number, end: number, size: number): TreeNode[] {
  assertSize(start)
  assertSize(end)
  assertSize(size)
  if (!isSubtree(start, end) || end > size) {
    throw new RangeError(`subtree [${start}, ${end}) of a tree of ${size}`)
  }
  return nodesAbove(start, end - 1, size)
}

/**
 * Up from the last leaf of [first, last]: first to the largest node both ends at `last` and lies within the subtree,
 * which is the proof's first hash unless it is the whole subtree, then its sibling at each level that has one.
 */
function nodesAbove(first: number, last: number, size: number): TreeNode[] {
  const nodes: TreeNode[] = []
  let [left, at, edge] = [first, last, size - 1]
  let level = 0
  const up = (): void => {
    left = Math.floor(left / 2)
    at = Math.floor(at / 2)
    edge = Math.floor(edge / 2)
    level++
  }
  const atEdge = at === edge
  while (left !== at && (atEdge || at % 2 === 1)) up()
  if (left !== at) nodes.push({ level, index: at })
  for (; edge > 0; up()) {
    if (at % 2 === 1) nodes.push({ level, index: at - 1 })
    else if (at < edge) nodes.push({ level, index: at + 1 })
  }
  return nodes
}

/**
 * The root that an inclusion proof leads to, from the hash of leaf `index` in a tree of `size` leaves. Fails only for a
 * proof of the wrong length or an index beyond the tree.
 */
export function rootFromInclusion(
  leaf: Hash,
  index: number,
  size: number,
  proof: readonly Hash[],
): Hash {
  checkNumbers(index, size)
  if (index >= size) throw bad(`leaf ${index} of a tree of ${size}`)
  return climb(index, index, size, leaf, proof).root
}

/** Verifies that leaf `index` of the tree of `size` leaves with that `root` has this hash. */
export function verifyInclusion(
  leaf: Hash,
  index: number,
  size: number,
  proof: readonly Hash[],
  root: Hash,
): void {
  if (!equal(rootFromInclusion(leaf, index, size, proof), root)) {
    throw bad(`leaf ${index} is not in the tree of ${size}`)
  }
}

/**
 * Verifies that the tree of `to` leaves with root `toRoot` begins with the tree of `from` leaves with root `fromRoot`.
 * From the empty tree, whose root is SHA-256(""), the proof is empty and always holds (C2SP tlog-witness).
 */
export function verifyConsistency(
  from: number,
  to: number,
  proof: readonly Hash[],
  fromRoot: Hash,
  toRoot: Hash,
): void {
  checkNumbers(from, to)
  if (from > to) throw bad(`consistency from ${from} back to ${to}`)
  if (from > 0) return checkSubtree(0, from, to, proof, fromRoot, toRoot)
  if (proof.length > 0) throw bad('proof from the empty tree is not empty')
  if (!equal(fromRoot, EMPTY_ROOT) || (to === 0 && !equal(toRoot, EMPTY_ROOT))) {
    throw bad('wrong root of the empty tree')
  }
}

/** Verifies that leaf `index` has this hash, given the hash of the subtree [start, end) it is in. */
export function verifySubtreeInclusion(
  leaf: Hash,
  index: number,
  start: number,
  end: number,
  proof: readonly Hash[],
  subtreeHash: Hash,
): void {
  checkNumbers(index, start, end)
  if (!isSubtree(start, end)) throw bad(`no subtree: [${start}, ${end})`)
  if (index < start || index >= end) throw bad(`leaf ${index} of the subtree [${start}, ${end})`)
  verifyInclusion(leaf, index - start, end - start, proof, subtreeHash)
}

/**
 * Verifies that the subtree [start, end) with that hash is part of the tree of `size` leaves with that `root`. An empty
 * subtree proves nothing and is refused.
 */
export function verifySubtreeConsistency(
  start: number,
  end: number,
  size: number,
  proof: readonly Hash[],
  subtreeHash: Hash,
  root: Hash,
): void {
  checkNumbers(start, end, size)
  if (!isSubtree(start, end)) throw bad(`no subtree: [${start}, ${end})`)
  if (end > size) throw bad(`subtree [${start}, ${end}) of a tree of ${size}`)
  checkSubtree(start, end, size, proof, subtreeHash, root)
}

function checkSubtree(
  start: number,
  end: number,
  size: number,
  proof: readonly Hash[],
  subtreeHash: Hash,
  root: Hash,
): void {
  const reached = climb(start, end - 1, size, subtreeHash, proof)
  if (!equal(reached.subtree, subtreeHash)) throw bad(`not the subtree [${start}, ${end})`)
  if (!equal(reached.root, root)) throw bad(`not in the tree of ${size}`)
}

/**
 * The walk of `nodesAbove` with hashes in hand: rebuilds from the proof the subtree [first, last] (of which it holds the
 * left siblings) and the whole tree. Where the subtree is a single node its hash is taken as given.
 */
function climb(
  first: number,
  last: number,
  size: number,
  subtreeHash: Hash,
  proof: readonly Hash[],
): { subtree: Hash; root: Hash } {
  let [left, at, edge] = [first, last, size - 1]
  let used = 0
  const next = (): Hash => {
    const hash = proof[used++]
    if (hash === undefined) throw bad('proof is too short')
    return hash
  }
  const up = (): void => {
    left = Math.floor(left / 2)
    at = Math.floor(at / 2)
    edge = Math.floor(edge / 2)
  }
  const atEdge = at === edge
  while (left !== at && (atEdge || at % 2 === 1)) up()
  let subtree = left === at ? subtreeHash : next()
  let root = subtree
  for (; edge > 0; up()) {
    if (at % 2 === 1) {
      const sibling = next()
      // Above the subtree's own top (left === at) a left sibling is no longer part of it.
      if (left < at) subtree = nodeHash(sibling, subtree)
      root = nodeHash(sibling, root)
    } else if (at < edge) {
      root = nodeHash(root, next())
    }
  }
  if (used !== proof.length) throw bad('proof is too long')
  return { subtree, root }
}

function checkNumbers(...numbers: readonly number[]): void {
  for (const n of numbers) {
    if (!Number.isSafeInteger(n) || n < 0) throw new TlogError('range', `not a size or index: ${n}`)
  }
}

function bad(message: string): TlogError {
  return new TlogError('bad-proof', message)
}
