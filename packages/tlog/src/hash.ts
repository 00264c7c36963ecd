/**
 * Hashes of the Merkle tree, RFC 6962 section 2.1:
 *
 *   leaf hash = SHA-256(0x00 ‖ entry)
 *   node hash = SHA-256(0x01 ‖ left ‖ right)
 *   root of the empty tree = SHA-256("")
 *
 * The `…Into` forms write to a given place and allocate nothing; the tree is built from them.
 */
import { backend } from './backend.ts'
import { concat, fromBase64 } from './bytes.ts'
import { TlogError } from './error.ts'

declare const hashBrand: unique symbol

/** 32 bytes that are a SHA-256 hash. */
export type Hash = Uint8Array & { readonly [hashBrand]: true }

/** Bytes of a hash. */
export const HASH_SIZE = 32

const LEAF_PREFIX = 0x00
const NODE_PREFIX = 0x01

/** Root of the tree without leaves: SHA-256(""). */
export const EMPTY_ROOT: Hash = sha256(new Uint8Array(0))

/** SHA-256. */
export function sha256(data: Uint8Array): Hash {
  return backend().sha256(data) as Hash
}

// One buffer each, reused: an input never outlives the call that fills it. The leaf's holds the largest entry a bundle
// can carry, 65,535 bytes.
const nodeInput = new Uint8Array(1 + 2 * HASH_SIZE)
nodeInput[0] = NODE_PREFIX
const leafInput = new Uint8Array(1 + 0xffff)
leafInput[0] = LEAF_PREFIX
// Its beginnings by their length: entries have few, and a view takes as long to make and to collect as a short hash.
const leafInputs: Uint8Array[] = []
const KEPT_INPUTS = 1_024

/** Hash of the leaf that holds `entry`. */
export function leafHash(entry: Uint8Array): Hash {
  const out = new Uint8Array(HASH_SIZE)
  leafHashInto(entry, out, 0)
  return out as Hash
}

/** Hash of the node above `left` and `right`. */
export function nodeHash(left: Hash, right: Hash): Hash {
  const out = new Uint8Array(HASH_SIZE)
  nodeInput.set(left, 1)
  nodeInput.set(right, 1 + HASH_SIZE)
  backend().sha256Into(nodeInput, out, 0)
  return out as Hash
}

/** Writes the leaf hash of `entry` to `out` at byte `offset`. */
export function leafHashInto(entry: Uint8Array, out: Uint8Array, offset: number): void {
  const length = 1 + entry.length
  if (length > leafInput.length) {
    return backend().sha256Into(concat(Uint8Array.of(LEAF_PREFIX), entry), out, offset)
  }
  leafInput.set(entry, 1)
  backend().sha256Into(leafInputOf(length), out, offset)
}

function leafInputOf(length: number): Uint8Array {
  return length < KEPT_INPUTS
    ? (leafInputs[length] ??= leafInput.subarray(0, length))
    : leafInput.subarray(0, length)
}

/**
 * Writes to `out` at byte `offset` the hash of the node whose two children lie side by side in `pair`, from byte
 * `pairOffset` on, 64 bytes. `out` and `pair` may be the same array.
 */
export function nodeHashInto(
  pair: Uint8Array,
  pairOffset: number,
  out: Uint8Array,
  offset: number,
): void {
  nodeInput.set(pair.subarray(pairOffset, pairOffset + 2 * HASH_SIZE), 1)
  backend().sha256Into(nodeInput, out, offset)
}

/** The bytes as a hash, not copied; a length other than 32 is TlogError `bad-hash`. */
export function asHash(bytes: Uint8Array): Hash {
  if (bytes.length !== HASH_SIZE) throw new TlogError('bad-hash', `hash of ${bytes.length} bytes`)
  return bytes as Hash
}

/** The hash a canonical base64 text of 44 characters stands for. */
export function hashFromBase64(text: string): Hash {
  return asHash(fromBase64(text))
}
