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

/** Levels of a page: 31 nodes, so that the numbers of those that changed fit into a word. */
const PAGE_LEVELS = 5
/** In bytes; the place of node 0, which does not exist, stays empty. */
const PAGE_SIZE = 2 ** PAGE_LEVELS * HASH_SIZE
/** Nodes that are hashed without a pause, a millisecond or two, where somebody wants pauses. */
const JOINED_AT_ONCE = 500
const EMPTY_PAGE = new Uint8Array(PAGE_SIZE)

/**
 * The tree above the buckets. Nodes are numbered as in a heap: 1 is the root, 2n and 2n+1 are below n, and the bucket of
 * prefix p is 2^depth + p. Where only one side has keys there is no node in the map, and the number stands for what is
 * below it. Where neither side has keys, the hash is 32 zero bytes, which no one knows an input of.
 *
 * Nodes are kept in pages, the unit that versions share: subtrees of five levels, numbered as in a heap again, so that a
 * change of one key copies a page for each five levels. Pages of the same levels are a tier; the upmost may have fewer levels.
 */
export class UpperTree {
  readonly depth: number
  readonly #tiers: readonly Tier[]
  #pages: Uint8Array[]
  /** 1 for the pages that no other version shares. */
  #own: Uint8Array
  /** For each page a bit for each of its nodes: a bucket that was set, or a node below which something changed. */
  #changed: Uint32Array
  /** Numbers of the pages that have any, by tier. */
  readonly #open: number[][]

  constructor(depth: number) {
    assertDepth(depth)
    this.depth = depth
    this.#tiers = tiersOf(depth)
    const { first, top } = this.#tiers.at(-1)!
    const count = first + 2 ** top
    this.#pages = Array.from({ length: count }, () => EMPTY_PAGE)
    this.#own = new Uint8Array(count)
    this.#changed = new Uint32Array(count)
    this.#open = this.#tiers.map(() => [])
  }

  /** Sets the root of a bucket, or with null takes it out. The nodes above follow when they are next looked at. */
  set(prefix: number, root: Hash | null): void {
    const node = this.#bucket(prefix)
    const tier = this.#tiers.length - 1
    const page = this.#pageOf(tier, node)
    const place = placeOf(this.#tiers[tier]!, this.depth, node)
    const nodes = this.#write(page)
    if (root === null) nodes.fill(0, place * HASH_SIZE, (place + 1) * HASH_SIZE)
    else nodes.set(root, place * HASH_SIZE)
    this.#note(tier, page, place)
  }

  /** Root of a bucket, null if it is empty. */
  get(prefix: number): Hash | null {
    return this.#hash(this.depth, this.#bucket(prefix))
  }

  /** Root of the map. */
  root(): Hash {
    this.#settle()
    return this.#hash(0, 1) ?? EMPTY_ROOT
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
    if (this.#hash(0, 1) === null) return undefined
    const steps: MapStep[] = []
    let node = 1
    for (let bit = 0; bit < this.depth; bit++) {
      const [left, right] = [this.#hash(bit + 1, 2 * node), this.#hash(bit + 1, 2 * node + 1)]
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

  /**
   * Brings the nodes above changed buckets up to date, page by page from below, each once; stops for pauses. Between two
   * pages all is in order: whoever asks for the root in a pause does the rest.
   */
  *#settling(): Generator<void> {
    let joined = 0
    for (let tier = this.#tiers.length - 1; tier >= 0; tier--) {
      for (let page = this.#open[tier]!.pop(); page !== undefined; page = this.#open[tier]!.pop()) {
        joined += this.#join(tier, page)
        if (joined < JOINED_AT_ONCE) continue
        joined = 0
        yield
      }
    }
  }

  /** Hashes what changed in a page, and notes the node above it. @returns how many nodes were hashed */
  #join(tier: number, page: number): number {
    const { first, levels, top } = this.#tiers[tier]!
    const nodes = this.#write(page)
    let changed = this.#changed[page]!
    this.#changed[page] = 0
    let joined = 0
    const bottom = 2 ** (levels - 1)
    if (tier < this.#tiers.length - 1) {
      // What is below the lowest level are the first nodes of other pages.
      const below = this.#tiers[tier + 1]!.first + (page - first) * 2 * bottom
      for (let place = bottom; place < 2 * bottom; place++) {
        if ((changed & (1 << place)) === 0) continue
        const at = below + 2 * (place - bottom)
        const [left, right] = [view(this.#pages[at]!, 1), view(this.#pages[at + 1]!, 1)]
        joinInto(left, right, top + levels - 1, nodes, place)
        joined++
      }
    }
    for (let place = bottom - 1; place > 0; place--) {
      if ((changed & (3 << (2 * place))) === 0) continue
      changed |= 1 << place
      const bit = top + 31 - Math.clz32(place)
      joinInto(view(nodes, 2 * place), view(nodes, 2 * place + 1), bit, nodes, place)
      joined++
    }
    if (tier > 0) {
      const above = this.#tiers[tier - 1]!
      const node = Math.floor((page - first + 2 ** top) / 2)
      this.#note(tier - 1, this.#pageOf(tier - 1, node), placeOf(above, top - 1, node))
    }
    return joined
  }

  #note(tier: number, page: number, place: number): void {
    if (this.#changed[page] === 0) this.#open[tier]!.push(page)
    this.#changed[page]! |= 1 << place
  }

  #bucket(prefix: number): number {
    if (!Number.isInteger(prefix) || prefix < 0 || prefix >= 2 ** this.depth) {
      throw new RangeError(`no bucket ${prefix} at depth ${this.depth}`)
    }
    return 2 ** this.depth + prefix
  }

  #hash(level: number, node: number): Hash | null {
    const tier = this.#tiers.findLastIndex(({ top }) => top <= level)
    const hash = view(
      this.#pages[this.#pageOf(tier, node)]!,
      placeOf(this.#tiers[tier]!, level, node),
    )
    return isSet(hash) ? (hash.slice() as Hash) : null
  }

  /** Number of the page of a tier that has a node. */
  #pageOf(tier: number, node: number): number {
    const { first, top } = this.#tiers[tier]!
    const level = 31 - Math.clz32(node)
    return first + (node >> (level - top)) - 2 ** top
  }

  /** A page, copied first if another version may look at it. */
  #write(page: number): Uint8Array {
    if (this.#own[page] === 0) {
      this.#pages[page] = this.#pages[page]!.slice()
      this.#own[page] = 1
    }
    return this.#pages[page]!
  }
}

/** The pages of some levels, one for each node of the first of these. */
interface Tier {
  /** Their first level. */
  readonly top: number
  readonly levels: number
  /** Number of the first page. */
  readonly first: number
}

/** Tiers from above; all but the first have full pages. */
function tiersOf(depth: number): Tier[] {
  const tiers: Tier[] = []
  let first = 0
  let levels = (depth % PAGE_LEVELS) + 1
  for (let top = 0; top <= depth; top += levels, levels = PAGE_LEVELS) {
    tiers.push({ top, levels, first })
    first += 2 ** top
  }
  return tiers
}

/** Number of a node in its page. */
function placeOf({ top }: Tier, level: number, node: number): number {
  const width = 2 ** (level - top)
  return width + (node & (width - 1))
}

/** Sets a node: above two that have keys their hash, above one the same, zeros above none. */
function joinInto(left: Hash, right: Hash, bit: number, nodes: Uint8Array, place: number): void {
  if (isSet(left) && isSet(right)) mapInnerHashInto(left, right, bit, nodes, place * HASH_SIZE)
  else nodes.set(isSet(left) ? left : right, place * HASH_SIZE)
}

function view(nodes: Uint8Array, place: number): Hash {
  return nodes.subarray(place * HASH_SIZE, (place + 1) * HASH_SIZE) as Hash
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
