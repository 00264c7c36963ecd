/**
 * The Merkle Patricia map of rsc.io/tmp/mpt (also torchwood/mpt; vindex uses it): from keys to values,
 * both 32 bytes, with one root for one content. A node exists only where keys branch, at the first bit they differ in,
 * bits counted from the most significant of the first byte.
 *
 *   empty map   SHA-256("")
 *   leaf        SHA-256(key ‖ value)                  64 bytes
 *   inner       SHA-256(left ‖ right ‖ u8 bit)        65 bytes
 *
 *   proof that key has a value   n × (u8 bit ‖ sibling hash), from the leaf up, bits decreasing
 *   proof that key is absent     other key ‖ other value ‖ the same, of the one leaf the key's bits lead to
 *   … of an empty map            nothing
 *
 * Each inner hash holds its bit, so a root fixes one answer for each key: both proofs cannot exist.
 *
 * This file verifies; mapbucket.ts and maptree.ts hold a map and prove.
 */
import { backend } from './backend.ts'
import { concat, equal } from './bytes.ts'
import { TlogError } from './error.ts'
import { EMPTY_ROOT, HASH_SIZE, sha256, type Hash } from './hash.ts'

/** Bytes of a key ‖ value pair. */
export const PAIR_SIZE: number = 2 * HASH_SIZE

/** Bytes of one step of a proof: u8 bit ‖ sibling hash. */
export const STEP_SIZE: number = 1 + HASH_SIZE

/** A key and its value. */
export interface MapPair {
  readonly key: Hash
  readonly value: Hash
}

/** Hash of the leaf of a key and its value. */
export function mapLeafHash(key: Hash, value: Hash): Hash {
  return sha256(concat(key, value))
}

const innerInput = new Uint8Array(PAIR_SIZE + 1)

/** Hash of the node above `left` and `right`, whose keys first differ at `bit`. */
export function mapInnerHash(left: Hash, right: Hash, bit: number): Hash {
  const out = new Uint8Array(HASH_SIZE)
  mapInnerHashInto(left, right, bit, out, 0)
  return out as Hash
}

/** The same, written to `out` at byte `offset`; `left` and `right` may be parts of it. */
export function mapInnerHashInto(
  left: Hash,
  right: Hash,
  bit: number,
  out: Uint8Array,
  offset: number,
): void {
  innerInput.set(left)
  innerInput.set(right, HASH_SIZE)
  innerInput[PAIR_SIZE] = bit
  backend().sha256Into(innerInput, out, offset)
}

/** Bit `bit` of the key that begins at byte `offset`. */
export function keyBit(bytes: Uint8Array, offset: number, bit: number): number {
  return (bytes[offset + (bit >> 3)]! >> (7 - (bit & 7))) & 1
}

/**
 * Verifies that in the map with that root `key` has `value`, or, for null, that it has none. Otherwise TlogError
 * `bad-map`. What the proof says beyond that (the other key of an absence) is of no interest and of no authority.
 */
export function verifyMap(root: Hash, key: Hash, value: Hash | null, proof: Uint8Array): void {
  let hash: Hash
  let steps = proof
  if (value !== null) {
    hash = mapLeafHash(key, value)
  } else if (proof.length === 0) {
    hash = EMPTY_ROOT
  } else {
    if (proof.length < PAIR_SIZE) throw bad('no other leaf in a proof of absence')
    if (equal(proof.subarray(0, HASH_SIZE), key)) throw bad('the other key is the key itself')
    hash = sha256(proof.subarray(0, PAIR_SIZE))
    steps = proof.subarray(PAIR_SIZE)
  }
  if (steps.length % STEP_SIZE !== 0) throw bad('a step of the proof is not whole')
  let below = 8 * HASH_SIZE
  for (let at = 0; at < steps.length; at += STEP_SIZE) {
    const bit = steps[at]!
    if (bit >= below) throw bad('bits of the proof do not decrease')
    below = bit
    const side = keyBit(key, 0, bit)
    // The key must lead to the other leaf at every node above it: then there is no other place it could be.
    if (value === null && keyBit(proof, 0, bit) !== side) throw bad('the other key branches off')
    const sibling = steps.subarray(at + 1, at + STEP_SIZE) as Hash
    hash = side === 1 ? mapInnerHash(sibling, hash, bit) : mapInnerHash(hash, sibling, bit)
  }
  if (!equal(hash, root)) throw bad('the proof leads to another root')
}

function bad(message: string): TlogError {
  return new TlogError('bad-map', message)
}
