/**
 * Entries as they stand in proof files, with their inclusion paths. Those of keys, and the MAP_HEAD, are in
 * thousands of files of one tree: they are read once for it.
 */
import type { Hash } from '@dslog/tlog/hash'
import { decodeEntry } from '@dslog/schema/entry'
import { chainAbove, chainAt, type KeysLookup } from '@dslog/verify/keys'
import type { ProofItem } from '@dslog/verify/prooffile'
import type { Leaf, ReadableLog } from './reader.ts'
import type { PublishedTree } from './shown.ts'

/** Entries kept for one tree: keys of all top-level domains, and more. */
const KEPT = 10_000

/** An entry with its path in one tree. */
export interface ProvenLeaf extends Leaf {
  readonly path: readonly Hash[]
}

/** Those entries of one tree that many proofs need. */
export class ProvenLeaves {
  readonly #tree: PublishedTree
  readonly #read: (index: number) => Promise<Leaf>
  readonly #kept = new Map<number, ProvenLeaf>()

  constructor(tree: PublishedTree, read: (index: number) => Promise<Leaf>) {
    this.#tree = tree
    this.#read = read
  }

  async leaf(index: number): Promise<ProvenLeaf> {
    const held = this.#kept.get(index)
    if (held !== undefined) return held
    const path = await this.#tree.reader.inclusionProof(index)
    const leaf = { ...(await this.#read(index)), path }
    if (this.#kept.size < KEPT) this.#kept.set(index, leaf)
    return leaf
  }
}

/** The ZONE_KEYS that entries hang from, in the order in which a verifier needs them. */
export class ChainItems {
  readonly items: ProofItem[] = []
  readonly #log: ReadableLog
  readonly #proven: ProvenLeaves
  readonly #have = new Set<number>()

  constructor(log: ReadableLog, proven: ProvenLeaves) {
    this.#log = log
    this.#proven = proven
  }

  async add({ bytes, index }: Leaf): Promise<void> {
    const entry = decodeEntry(bytes)
    if (entry.type === 'map-head' || entry.type === 'unknown') return
    const { anchors, fold } = this.#log
    const lookup: KeysLookup = async (keysId) =>
      (await fold.zoneKeys(keysId)).filter((keys) => keys.index < index)
    const chain =
      entry.type === 'zone-keys'
        ? await chainAbove(entry.link, entry.time, lookup, anchors)
        : await chainAt(entry.keysId, entry.time, lookup, anchors)
    for (const keys of chain?.links ?? []) {
      if (this.#have.has(keys.index)) continue
      this.#have.add(keys.index)
      const leaf = await this.#proven.leaf(keys.index)
      this.items.push(itemOf(leaf, leaf.path))
    }
  }
}

export function itemOf({ bytes, index }: Leaf, path: readonly Hash[]): ProofItem {
  return { index, path, entry: bytes }
}
