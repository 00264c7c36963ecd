/**
 * The upper part of a map (map.ts): the tree above the roots of its 2^depth buckets (mapbucket.ts), in memory, 64 bytes a
 * bucket. With it a change of k keys reads, writes and hashes k buckets, and a proof reads one.
 *
 * Versions share what they have in common: the tree of the published log answers proofs while a fork of it takes the next
 * changes, which becomes the published one by taking its place.
 *
 *   const next = published.fork()
 *   const buckets = updateBuckets(next, await load(prefixes), changes)   // store them; next.root() goes into the log
 *   … committed: published = next
 */
import { concat, equal } from './bytes.ts'
import { TlogError } from './error.ts'
import { EMPTY_ROOT, HASH_SIZE, type Hash } from './hash.ts'
import { keyBit, mapInnerHashInto, PAIR_SIZE, type MapPair } from './map.ts'
import {
  assertDepth,
  bucketPath,
  bucketUpdate,
  prefixOf,
  type Bucket,
  type HashedBucket,
  type MapStep,
} from './mapbucket.ts'

// Nodes are kept in pages, the unit that versions share: small, since a change of one key copies `depth` of them at most.
const PAGE_NODES = 64
/** Nodes that are hashed without a pause, a millisecond or two, where somebody wants pauses. */
const JOINED_AT_ONCE = 500
const EMPTY_PAGE = new Uint8Array(PAGE_NODES * HASH_SIZE)

/**
 * The tree above the buckets. Nodes are numbered as in a heap: 1 is the root, 2n and 2n+1 are below n, and the bucket of
 * prefix p is 2^depth + p. Where only one side has keys there is no node in the map, and the number stands for what is
 * below it. Where no side has any, the hash is 32 zero bytes, which no one knows an input of.
 */
export class UpperTree {
  readonly depth: number
  #pages: Uint8Array[]
  /** 1 for the pages that no other version shares. */
  #own: Uint8Array
  #changed = new Set<number>()

  constructor(depth: number) {
    assertDepth(depth)
    this.depth = depth
    const count = Math.ceil(2 ** (depth + 1) / PAGE_NODES)
    this.#pages = Array.from({ length: count }, () => EMPTY_PAGE)
    this.#own = new Uint8Array(count)
  }

  /** Sets the root of a bucket, or with null takes it out. The nodes above follow when they are next looked at. */
  set(prefix: number, root: Hash | null): void {
    const node = this.#bucket(prefix)
    const page = this.#write(node)
    if (root === null) page.fill(0, at(node), at(node) + HASH_SIZE)
    else page.set(root, at(node))
    this.#changed.add(node)
  }

  /** Root of a bucket, null if it is empty. */
  get(prefix: number): Hash | null {
    return this.#hash(this.#bucket(prefix))
  }

  /** Root of the map. */
  root(): Hash {
    this.#settle()
    return this.#hash(1) ?? EMPTY_ROOT
  }

  /**
   * Hashes what {@link root} would have to, with a pause now and then: thousands of changes take some tens of milliseconds,
   * and who has others to answer does so then. Nothing may be set before it is done.
   */
  async settle(pause: () => Promise<unknown>): Promise<void> {
    for (const _ of this.#settling()) await pause()
  }

  /** A version of its own: what is set in one does not show in the other. */
  fork(): UpperTree {
    this.#settle()
    const fork = new UpperTree(this.depth)
    fork.#pages = [...this.#pages]
    this.#own.fill(0)
    return fork
  }

  /**
   * The way down to a bucket that is not empty, along the key's bits wherever there is a choice. That is the key's own
   * bucket, or if the map has no key there, the one whose leaf proves it. Undefined in an empty map.
   */
  path(key: Hash): { readonly prefix: number; readonly steps: MapStep[] } | undefined {
    this.#settle()
    if (this.#hash(1) === null) return undefined
    const steps: MapStep[] = []
    let node = 1
    for (let bit = 0; bit < this.depth; bit++) {
      const [left, right] = [this.#hash(2 * node), this.#hash(2 * node + 1)]
      let side = left === null ? 1 : 0
      if (left !== null && right !== null) {
        side = keyBit(key, 0, bit)
        steps.push({ bit, sibling: side === 1 ? left : right })
      }
      node = 2 * node + side
    }
    return { prefix: node - 2 ** this.depth, steps }
  }

  #settle(): void {
    for (const _ of this.#settling());
  }

  /** Brings the nodes above changed buckets up to date, level by level, each once; stops for pauses. */
  *#settling(): Generator<void> {
    let level = this.#changed
    if (level.size === 0) return
    let joined = 0
    for (let bit = this.depth - 1; bit >= 0; bit--) {
      const above = new Set<number>()
      for (const node of level) above.add(Math.floor(node / 2))
      for (const node of above) {
        this.#join(node, bit)
        if (++joined % JOINED_AT_ONCE === 0) yield
      }
      level = above
    }
    // Only now: whoever asks for the root in a pause hashes all of it.
    this.#changed = new Set()
  }

  #join(node: number, bit: number): void {
    const below = this.#pages[pageOf(2 * node)]!
    const page = this.#write(node)
    const [left, right] = [view(below, 2 * node), view(below, 2 * node + 1)]
    if (isSet(left) && isSet(right)) mapInnerHashInto(left, right, bit, page, at(node))
    // What there is, or zeros if neither side has keys.
    else page.set(isSet(left) ? left : right, at(node))
  }

  #bucket(prefix: number): number {
    if (!Number.isInteger(prefix) || prefix < 0 || prefix >= 2 ** this.depth) {
      throw new RangeError(`no bucket ${prefix} at depth ${this.depth}`)
    }
    return 2 ** this.depth + prefix
  }

  #hash(node: number): Hash | null {
    const hash = view(this.#pages[pageOf(node)]!, node)
    return isSet(hash) ? (hash.slice() as Hash) : null
  }

  /** The page of a node, copied first if another version may look at it. */
  #write(node: number): Uint8Array {
    const i = pageOf(node)
    if (this.#own[i] === 0) {
      this.#pages[i] = this.#pages[i]!.slice()
      this.#own[i] = 1
    }
    return this.#pages[i]!
  }
}

function pageOf(node: number): number {
  return Math.floor(node / PAGE_NODES)
}

/** Where a node's hash begins in its page. */
function at(node: number): number {
  return (node % PAGE_NODES) * HASH_SIZE
}

function view(page: Uint8Array, node: number): Hash {
  return page.subarray(at(node), at(node) + HASH_SIZE) as Hash
}

function isSet(hash: Hash): boolean {
  for (let i = 0; i < HASH_SIZE; i++) if (hash[i] !== 0) return true
  return false
}

/**
 * Adds pairs to a map, or gives keys another value: sets the new roots in `tree` and returns the changed buckets, to be
 * stored, by prefix. `stored` has the bytes of those buckets (see `prefixOf`) as they are, where there are any. They are
 * checked first, since a root over damaged bytes would be signed for ever: a bucket that is not the one `tree` has the
 * root of is TlogError `bad-map`, and then nothing is set.
 */
export function updateBuckets(
  tree: UpperTree,
  stored: ReadonlyMap<number, Uint8Array>,
  changes: readonly MapPair[],
): Bucket[] {
  const byPrefix = new Map<number, MapPair[]>()
  for (const change of changes) {
    const prefix = prefixOf(change.key, tree.depth)
    const others = byPrefix.get(prefix)
    if (others === undefined) byPrefix.set(prefix, [change])
    else others.push(change)
  }
  const buckets: Bucket[] = []
  for (const [prefix, pairs] of byPrefix) {
    const old = stored.get(prefix) ?? new Uint8Array(0)
    const { before, bytes, root } = bucketUpdate(old, pairs)
    checkBucket(tree, prefix, before)
    buckets.push({ prefix, bytes, root })
  }
  for (const { prefix, root } of buckets) tree.set(prefix, root)
  return buckets.sort((a, b) => a.prefix - b.prefix)
}

function checkBucket(tree: UpperTree, prefix: number, root: Hash | null): void {
  const known = tree.get(prefix)
  if (known === null || root === null ? known !== root : !equal(known, root)) {
    throw new TlogError('bad-map', `bucket ${prefix} is not of this version of the map`)
  }
}

/**
 * Proves a key's value, or null for its absence, in the map whose upper tree is given; `load` reads the one bucket of that version that
 * is needed, its bytes or what was made of them, and may know it by its root. The proof is for `verifyMap`. If the bytes are not that bucket's, of that
 * version, it is TlogError `bad-map`: no wrong proof is ever made.
 */
export async function proveMap(
  tree: UpperTree,
  key: Hash,
  load: (prefix: number, root: Hash) => Promise<Uint8Array | HashedBucket>,
): Promise<{ value: Hash | null; proof: Uint8Array }> {
  const upper = tree.path(key)
  if (upper === undefined) return { value: null, proof: new Uint8Array(0) }
  const root = tree.get(upper.prefix)!
  const lower = bucketPath(await load(upper.prefix, root), key)
  checkBucket(tree, upper.prefix, lower.root)
  const present = equal(lower.pair.subarray(0, HASH_SIZE), key)
  const steps = [...upper.steps, ...lower.steps].reverse()
  const proof = concat(
    present ? new Uint8Array(0) : lower.pair,
    ...steps.flatMap(({ bit, sibling }) => [Uint8Array.of(bit), sibling]),
  )
  const value = new Uint8Array(lower.pair.subarray(HASH_SIZE, PAIR_SIZE)) as Hash
  return { value: present ? value : null, proof }
}
