/**
 * The definitions of RFC 6962 section 2.1 and of the C2SP subtrees, written down as they are defined: recursively, over
 * lists of leaf hashes. Plain; what the package computes is compared with these.
 */
import { toHex, utf8 } from '../src/bytes.ts'
import { EMPTY_ROOT, leafHash, nodeHash, type Hash } from '../src/hash.ts'

/** Hashes of `n` different leaves. */
export function leaves(n: number): Hash[] {
  return Array.from({ length: n }, (_, i) => leafHash(utf8(`leaf ${i}`)))
}

/** Hashes of the complete trees whose leaves are all this one, by level: every tree of such leaves is made of them. */
export function alike(leaf: Hash): Hash[] {
  const full = [leaf]
  for (let level = 0; level < 53; level++) full.push(nodeHash(full[level]!, full[level]!))
  return full
}

/** The peaks of a tree of so many of those leaves, from left to right. */
export function peaksAlike(full: readonly Hash[], size: number): Hash[] {
  const peaks: Hash[] = []
  for (let n = size, level = 0; n > 0; n = Math.floor(n / 2), level++) {
    if (n % 2 === 1) peaks.unshift(full[level]!)
  }
  return peaks
}

/** The largest power of two below `n`. */
export function split(n: number): number {
  let k = 1
  while (2 * k < n) k *= 2
  return k
}

/** Hashes in one text: many of them are compared much faster than arrays of bytes are. */
export function text(hashes: readonly Hash[]): string {
  return hashes.map(toHex).join(' ')
}

/** Nodes that were hashed before, by their children: a definition asks for each again and again. */
const nodes = new WeakMap<Hash, WeakMap<Hash, Hash>>()

function node(left: Hash, right: Hash): Hash {
  let known = nodes.get(left)
  if (known === undefined) nodes.set(left, (known = new WeakMap()))
  let hash = known.get(right)
  if (hash === undefined) known.set(right, (hash = nodeHash(left, right)))
  return hash
}

/** MTH(D). */
export function mth(d: readonly Hash[]): Hash {
  if (d.length === 0) return EMPTY_ROOT
  if (d.length === 1) return d[0]!
  const k = split(d.length)
  return node(mth(d.slice(0, k)), mth(d.slice(k)))
}

/** PATH(m, D). */
export function path(m: number, d: readonly Hash[]): Hash[] {
  if (d.length === 1) return []
  const k = split(d.length)
  return m < k
    ? [...path(m, d.slice(0, k)), mth(d.slice(k))]
    : [...path(m - k, d.slice(k)), mth(d.slice(0, k))]
}

/** PROOF(m, D), and for any start the SUBTREE_PROOF(start, end, D) of C2SP. */
export function proof(start: number, end: number, d: readonly Hash[], known = true): Hash[] {
  if (start === 0 && end === d.length) return known ? [] : [mth(d)]
  const k = split(d.length)
  if (end <= k) return [...proof(start, end, d.slice(0, k), known), mth(d.slice(k))]
  if (start >= k) return [...proof(start - k, end - k, d.slice(k), known), mth(d.slice(0, k))]
  return [...proof(0, end - k, d.slice(k), false), mth(d.slice(0, k))]
}
