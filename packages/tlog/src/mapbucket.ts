/**
 * Buckets: the keys of a map (map.ts) that begin with the same `depth` bits, as one array of bytes, which is how a map is
 * stored:
 *
 *   bucket = n × (key[32] ‖ value[32]), sorted by key, no key twice
 *
 * Pure functions on those bytes. A bucket's root is that of the map of its keys alone, which is what stands for them in the
 * root of the whole map, whatever the depth: it never shows in a hash. maptree.ts joins the roots.
 *
 * Stored bytes may be damaged: what is not such an array is TlogError `bad-map`.
 */
import { backend } from './backend.ts'
import { compare, equal } from './bytes.ts'
import { TlogError } from './error.ts'
import { HASH_SIZE, sha256, type Hash } from './hash.ts'
import { keyBit, mapInnerHash, mapInnerHashInto, PAIR_SIZE, type MapPair } from './map.ts'

/** Largest depth: 2^20 buckets, whose upper tree is 64 MiB. Maps of a billion keys have 1,000 in a bucket there. */
export const MAX_DEPTH = 20

/** A bucket to be stored, with its place and its root. */
export interface Bucket {
  readonly prefix: number
  readonly bytes: Uint8Array
  readonly root: Hash
}

/** One step from a bucket's root down to a leaf: the node's bit and the hash on the other side. */
export interface MapStep {
  readonly bit: number
  readonly sibling: Hash
}

/** Throws RangeError unless `depth` is an integer from 0 to 20. */
export function assertDepth(depth: number): void {
  if (!Number.isInteger(depth) || depth < 0 || depth > MAX_DEPTH) {
    throw new RangeError(`not a depth of buckets: ${depth}`)
  }
}

/** The bucket a key belongs to: its first `depth` bits as a number. */
export function prefixOf(key: Uint8Array, depth: number): number {
  const first = key[0]! * 0x10000 + key[1]! * 0x100 + key[2]!
  return Math.floor(first / 2 ** (24 - depth))
}

/**
 * A bucket with the hashes of its tree, which are most of the work of a proof from it. A node other than a leaf is known by
 * the pair that its right side begins with: there is exactly one for each pair but the first.
 */
export interface HashedBucket {
  readonly bytes: Uint8Array
  /** Hash of the leaf of pair i at slot i, of the node that splits before pair i at slot count + i. */
  readonly hashes: Uint8Array
}

/** Root of a bucket's keys, null if it has none; what it is known by in the tree above. */
export function rootOf(bucket: HashedBucket): Hash | null {
  const count = pairsOf(bucket.bytes)
  return count === 0 ? null : (hashOf(bucket, 0, count).slice() as Hash)
}

// The right edge of the tree being built: for each subtree still open the slot of its hash, the pair it begins with and the
// bit where it branches off from the one before it. Those bits increase, so 257 always do.
const OPEN_MAX = 8 * HASH_SIZE + 1
const openSlots = new Uint32Array(OPEN_MAX)
const openFirst = new Uint32Array(OPEN_MAX)
const openBits = new Uint16Array(OPEN_MAX)

/** Hashes every node of a bucket once, from left to right. */
export function hashBucket(bytes: Uint8Array): HashedBucket {
  return hashBucketInto(bytes, new Uint8Array(hashesSize(bytes)))
}

// Room for the hashes of the bucket that is being changed, which nobody needs afterwards: with an array for each, a change of
// a bucket of 15 keys took an eighth longer.
let room = new Uint8Array(64 * 2 * HASH_SIZE)

/** As {@link hashBucket}, for use before the next call. */
function hashBucketForNow(bytes: Uint8Array): HashedBucket {
  const size = hashesSize(bytes)
  if (size > room.length) room = new Uint8Array(2 * size)
  return hashBucketInto(bytes, room)
}

function hashesSize(bytes: Uint8Array): number {
  return 2 * pairsOf(bytes) * HASH_SIZE
}

function hashBucketInto(bytes: Uint8Array, hashes: Uint8Array): HashedBucket {
  const count = pairsOf(bytes)
  const primitives = backend()
  let top = -1
  const close = (): void => {
    const slot = count + openFirst[top]!
    const [left, right] = [at(hashes, openSlots[top - 1]!), at(hashes, openSlots[top]!)]
    mapInnerHashInto(left, right, openBits[top]!, hashes, slot * HASH_SIZE)
    top--
    openSlots[top] = slot
  }
  for (let i = 0; i < count; i++) {
    const pair = i * PAIR_SIZE
    const bit = i === 0 ? 0 : branch(bytes, pair - PAIR_SIZE, pair)
    while (top > 0 && openBits[top]! > bit) close()
    top++
    openSlots[top] = i
    openFirst[top] = i
    openBits[top] = bit
    primitives.sha256Into(bytes.subarray(pair, pair + PAIR_SIZE), hashes, i * HASH_SIZE)
  }
  while (top > 0) close()
  return { bytes, hashes }
}

/** Hash of the pairs [low, high), which are all that a node of the bucket's tree holds; a view. */
function hashOf({ bytes, hashes }: HashedBucket, low: number, high: number): Hash {
  const slot = high - low === 1 ? low : pairsOf(bytes) + splitOf(bytes, low, high).split
  return at(hashes, slot)
}

function at(hashes: Uint8Array, slot: number): Hash {
  return hashes.subarray(slot * HASH_SIZE, (slot + 1) * HASH_SIZE) as Hash
}

/** Where the node over the pairs [low, high), at least two, branches: its bit, and the first pair that has it set. */
function splitOf(bytes: Uint8Array, low: number, high: number): { bit: number; split: number } {
  const bit = branch(bytes, low * PAIR_SIZE, (high - 1) * PAIR_SIZE)
  let left = low
  let split = high - 1
  while (split - left > 1) {
    const middle = Math.floor((left + split) / 2)
    if (keyBit(bytes, middle * PAIR_SIZE, bit) === 1) split = middle
    else left = middle
  }
  return { bit, split }
}

/** First bit in which two keys of a bucket differ; the first of them must be the smaller. */
function branch(bytes: Uint8Array, smaller: number, larger: number): number {
  for (let i = 0; i < HASH_SIZE; i++) {
    const difference = bytes[smaller + i]! ^ bytes[larger + i]!
    if (difference === 0) continue
    if (bytes[smaller + i]! > bytes[larger + i]!) break
    return 8 * i + Math.clz32(difference) - 24
  }
  throw new TlogError('bad-map', 'keys of a bucket are not in order')
}

/** Root of a bucket's keys, null if it has none. */
export function bucketRoot(bytes: Uint8Array): Hash | null {
  return rootOf(hashBucket(bytes))
}

/** A bucket after a change, and the root it had before. */
export interface BucketChange {
  readonly before: Hash | null
  readonly bytes: Uint8Array
  readonly root: Hash
}

// Room for a changed bucket, and for each of its pairs where it was in the old one, or -1 if it is new or has a new value.
let mergedRoom = new Uint8Array(64 * PAIR_SIZE)
let originRoom = new Int32Array(64)

/**
 * Adds pairs, at least one, to a bucket, or where it has their keys puts their values in place of the old. In any order; a
 * key given twice is RangeError. Keys are not removed: no map of a log forgets one.
 */
export function bucketUpdate(bytes: Uint8Array, changes: readonly MapPair[]): BucketChange {
  if (changes.length === 0) throw new RangeError('no change of a bucket')
  const old = hashBucketForNow(bytes)
  const count = pairsOf(bytes)
  const sorted = changes.length === 1 ? changes : changes.toSorted(byKey)
  const most = count + sorted.length
  if (most > originRoom.length) {
    mergedRoom = new Uint8Array(2 * most * PAIR_SIZE)
    originRoom = new Int32Array(2 * most)
  }
  const [merged, origin] = [mergedRoom, originRoom]
  let [from, to] = [0, 0]
  const keepTo = (end: number): void => {
    if (from < end) merged.set(bytes.subarray(from * PAIR_SIZE, end * PAIR_SIZE), to * PAIR_SIZE)
    while (from < end) origin[to++] = from++
  }
  for (const [i, { key, value }] of sorted.entries()) {
    if (i > 0 && equal(sorted[i - 1]!.key, key)) throw new RangeError('a key changed twice')
    let at = from
    while (at < count && compareAt(bytes, at * PAIR_SIZE, key) < 0) at++
    keepTo(at)
    if (at < count && compareAt(bytes, at * PAIR_SIZE, key) === 0) from++
    merged.set(key, to * PAIR_SIZE)
    merged.set(value, to * PAIR_SIZE + HASH_SIZE)
    origin[to++] = -1
  }
  keepTo(count)
  const result = merged.slice(0, to * PAIR_SIZE)
  const root = hashAfter(old, result, origin, 0, to)
  return { before: rootOf(old), bytes: result, root }
}

function byKey(a: MapPair, b: MapPair): number {
  return compare(a.key, b.key)
}

/** Compares the key of the pair that begins at byte `offset` with another. */
function compareAt(bytes: Uint8Array, offset: number, key: Hash): number {
  for (let i = 0; i < HASH_SIZE; i++) {
    const difference = bytes[offset + i]! - key[i]!
    if (difference !== 0) return difference
  }
  return 0
}

/**
 * Hash of the node over the pairs [low, high) of a changed bucket; perhaps a view. A node none of whose pairs are new holds
 * the same pairs as a node of the old bucket, since what is below a node is all that begins with its bits: its hash is
 * known, and only the ways to new pairs are hashed.
 */
function hashAfter(
  old: HashedBucket,
  bytes: Uint8Array,
  origin: Int32Array,
  low: number,
  high: number,
): Hash {
  if (!isChanged(origin, low, high)) {
    const from = origin[low]!
    return hashOf(old, from, from + high - low)
  }
  if (high - low === 1) return sha256(bytes.subarray(low * PAIR_SIZE, high * PAIR_SIZE))
  const { bit, split } = splitOf(bytes, low, high)
  const left = hashAfter(old, bytes, origin, low, split)
  return mapInnerHash(left, hashAfter(old, bytes, origin, split, high), bit)
}

function isChanged(origin: Int32Array, low: number, high: number): boolean {
  for (let i = low; i < high; i++) if (origin[i]! < 0) return true
  return false
}

/** The way down a bucket: the pair it ends at, the node hashes beside it from the top, and the bucket's root. */
export interface BucketPath {
  readonly pair: Uint8Array
  readonly steps: MapStep[]
  readonly root: Hash
}

/**
 * The way down a bucket that is not empty, along the key's bits, to the one leaf they lead to: that of the key if it is
 * there, else the one that proves it is not.
 */
export function bucketPath(bucket: Uint8Array | HashedBucket, key: Hash): BucketPath {
  const nodes = 'hashes' in bucket ? bucket : hashBucket(bucket)
  const { bytes } = nodes
  const root = rootOf(nodes)
  if (root === null) throw new TlogError('bad-map', 'no path in an empty bucket')
  let low = 0
  let high = pairsOf(bytes)
  const steps: MapStep[] = []
  while (high - low > 1) {
    const { bit, split } = splitOf(bytes, low, high)
    if (keyBit(key, 0, bit) === 1) {
      steps.push({ bit, sibling: hashOf(nodes, low, split) })
      low = split
    } else {
      steps.push({ bit, sibling: hashOf(nodes, split, high) })
      high = split
    }
  }
  return { pair: bytes.subarray(low * PAIR_SIZE, high * PAIR_SIZE), steps, root }
}

function pairsOf(bytes: Uint8Array): number {
  if (bytes.length % PAIR_SIZE !== 0) {
    throw new TlogError('bad-map', `a bucket of ${bytes.length} bytes`)
  }
  return bytes.length / PAIR_SIZE
}

// Pairs a builder has room for before it grows; buckets of 16 to 1,000 are usual.
const BUILDER_START = 256

/**
 * Makes the buckets of a whole map in one pass over its pairs in the order of their keys, as a first import does:
 *
 *   for await (const { key, value } of sorted) store(builder.push(key, value))
 *   store(builder.finish())
 */
export class BucketBuilder {
  readonly #depth: number
  #prefix = 0
  #bytes: Uint8Array = new Uint8Array(BUILDER_START * PAIR_SIZE)
  #length = 0

  constructor(depth: number) {
    assertDepth(depth)
    this.#depth = depth
  }

  /** Adds a pair; answers the bucket before, once it is complete. A key out of order is RangeError. */
  push(key: Hash, value: Hash): Bucket | undefined {
    const prefix = prefixOf(key, this.#depth)
    let done: Bucket | undefined
    if (this.#length > 0) {
      const last = this.#length - PAIR_SIZE
      if (compare(this.#bytes.subarray(last, last + HASH_SIZE), key) >= 0) {
        throw new RangeError('keys are not in order')
      }
      if (prefix !== this.#prefix) done = this.finish()
    }
    this.#prefix = prefix
    if (this.#length === this.#bytes.length) {
      const grown = new Uint8Array(2 * this.#length)
      grown.set(this.#bytes)
      this.#bytes = grown
    }
    this.#bytes.set(key, this.#length)
    this.#bytes.set(value, this.#length + HASH_SIZE)
    this.#length += PAIR_SIZE
    return done
  }

  /** The last bucket, if a pair came since the one before. */
  finish(): Bucket | undefined {
    const bytes = this.#bytes.slice(0, this.#length)
    this.#length = 0
    const root = bucketRoot(bytes)
    return root === null ? undefined : { prefix: this.#prefix, bytes, root }
  }
}
