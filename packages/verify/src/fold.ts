/**
 * The fold over a log's entries: what the log is allowed to append next, and what the name map is
 * after it (docs/spec/entry.md, "Admission" and "The name map").
 *
 * The log runs it forward to build a tree, an auditor runs the very same code to check one: a
 * candidate goes in at a moment, and either an entry comes out or the reason why none may. Every
 * tree ends with a MAP_HEAD. What the fold must remember beyond one tree lives behind
 * {@link FoldStore}; what it adds is collected in {@link FoldChanges}, to be stored in the same
 * transaction as the entries.
 */
import { equal, toHex } from '@dslog/tlog/bytes'
import type { Hash } from '@dslog/tlog/hash'
import { type BucketChange, bucketOf, type UpperTree, updateBucket } from '@dslog/tlog/map'
import type { Anchor } from '@dslog/dnssec/anchors'
import type { Name } from '@dslog/dnssec/name'
import { encodeEntry, type MapHeadEntry, type ZoneKeysEntry } from '@dslog/schema/entry'
import { mapKey, MapKind, mapValue } from '@dslog/schema/identity'
import { type Candidate, entryOf, isPresent, type Moment } from './candidate.ts'
import { decideState, type History, type LoggedState } from './history.ts'
import { chainAbove, chainAt, intersect, keysAreNew, type Window, type ZoneKeys } from './keys.ts'

/** What a fold looks up of earlier trees. Never asked for anything newer than {@link FoldHead.size}. */
export interface FoldStore {
  /** Histories of those map keys that have entries, by {@link keyText}. */
  histories(keys: readonly Hash[]): Promise<ReadonlyMap<string, History>>
  /** Entries of a key set, newest first. */
  zoneKeys(keysId: Hash): Promise<readonly ZoneKeys[]>
  /** Buckets of the name map: sorted key ‖ value pairs; those that are empty may be left out. */
  buckets(prefixes: readonly number[]): Promise<ReadonlyMap<number, Uint8Array>>
}

/** Where a log stands after its newest entry. */
export interface FoldHead {
  readonly size: number
  /** Index of the newest MAP_HEAD; `undefined` before leaf 0. */
  readonly mapHead: number | undefined
  /** Its time; 0 before leaf 0. */
  readonly mapTime: number
  /** Number of keys in the name map. */
  readonly keyCount: number
  /** Largest time of a live entry since then, which the next MAP_HEAD may not precede. */
  readonly liveTime: number
}

/** A log without any entry. */
export const EMPTY_HEAD: FoldHead = { size: 0, mapHead: undefined, mapTime: 0, keyCount: 0, liveTime: 0 }

/** What became of a candidate. */
export type Admission =
  | { readonly status: 'logged'; readonly index: number; readonly bytes: Uint8Array }
  | { readonly status: 'known' }
  | { readonly status: 'stale' }
  | { readonly status: 'refused'; readonly reason: 'expired' | 'not-yet-valid' | 'unproven' | 'time' }

/** A name with entries in this fold. */
export interface NameChange {
  readonly key: Hash
  readonly kind: MapKind
  readonly name: Name
  /** The zone that signs the state in force. */
  readonly zone: Name
  /** The DS set in force; empty for absence and for keys of a zone. */
  readonly latest: readonly Uint8Array[]
  readonly history: History
  /** Whether the key has no entry in any earlier tree. */
  readonly fresh: boolean
}

/** Everything a fold adds to its store. */
export interface FoldChanges {
  readonly names: readonly NameChange[]
  readonly zoneKeys: readonly ZoneKeys[]
  /** New contents of buckets, by prefix. */
  readonly buckets: ReadonlyMap<number, Uint8Array>
}

export interface FoldOptions {
  readonly store: FoldStore
  readonly anchors: readonly Anchor[]
}

/** Text form of a map key, for Maps. */
export function keyText(key: Uint8Array): string {
  return toHex(key)
}

interface OpenName {
  readonly key: Hash
  readonly history: LoggedState[]
  readonly logged: number
  change?: Omit<NameChange, 'history' | 'fresh'>
}

const KNOWN = { status: 'known' } as const

/** One tree's worth of entries on top of a store. Not safe for concurrent calls. */
export class Fold {
  readonly #store: FoldStore
  readonly #anchors: readonly Anchor[]
  readonly #names = new Map<string, OpenName>()
  readonly #zoneKeys = new Map<string, readonly ZoneKeys[]>()
  readonly #addedKeys: ZoneKeys[] = []
  readonly #buckets = new Map<number, Uint8Array>()
  #dirty = new Set<OpenName>()
  #head: FoldHead
  #upper: UpperTree

  /** @param upper the upper tree of the name map as of `head`; it is not changed */
  constructor(head: FoldHead, upper: UpperTree, options: FoldOptions) {
    this.#head = head
    this.#upper = upper
    this.#store = options.store
    this.#anchors = options.anchors
  }

  get head(): FoldHead {
    return this.#head
  }

  /** The upper tree after the newest MAP_HEAD. */
  get upper(): UpperTree {
    return this.#upper
  }

  /** Loads, in one go, what deciding about these candidates takes. Optional, but much faster. */
  async prefetch(candidates: readonly Candidate[]): Promise<void> {
    await this.#load(candidates.map(mapKeyOfCandidate))
  }

  /** Entries of a key set, newest first, those of this fold included. */
  readonly lookup = async (keysId: Hash): Promise<readonly ZoneKeys[]> => {
    const text = keyText(keysId)
    const held = this.#zoneKeys.get(text)
    if (held !== undefined) return held
    const stored = await this.#store.zoneKeys(keysId)
    this.#zoneKeys.set(text, stored)
    return stored
  }

  /** Every entry of a name or zone so far. */
  async history(key: Hash): Promise<History> {
    return (await this.#open(key)).history
  }

  /**
   * Decides about a candidate and, where the rules allow it, appends its entry.
   *
   * @param outOfOrder for an auditor: what the entry says of itself; a difference throws nothing
   *   here, it shows in the bytes
   */
  async admit(candidate: Candidate, moment: Moment): Promise<Admission> {
    const { time, historical } = moment
    if (!historical && time < this.#head.mapTime) return { status: 'refused', reason: 'time' }
    if (time < candidate.window.notBefore) return { status: 'refused', reason: 'not-yet-valid' }
    if (time > candidate.window.notAfter) return { status: 'refused', reason: 'expired' }
    return candidate.kind === 'keys'
      ? this.#admitKeys(candidate, moment)
      : this.#admitState(candidate, moment)
  }

  async #admitKeys(
    candidate: Extract<Candidate, { kind: 'keys' }>,
    moment: Moment,
  ): Promise<Admission> {
    const { keysId, link, window, zone } = candidate
    const above = await chainAbove(link, moment.time, this.lookup, this.#anchors)
    if (above === undefined) return { status: 'refused', reason: 'unproven' }
    const whole = intersect(window, above)
    const fresh = await keysAreNew(keysId, link, whole, moment.time, this.lookup, this.#anchors)
    if (!fresh) return KNOWN
    const open = await this.#open(mapKeyOfCandidate(candidate))
    const entry = entryOf(candidate, moment, false) as ZoneKeysEntry
    const logged = this.#append(encodeEntry(entry), moment)
    const added = { index: logged.index, keysId, entry, ...window }
    this.#zoneKeys.set(keyText(keysId), [added, ...(await this.lookup(keysId))])
    this.#addedKeys.push(added)
    const { orderKey } = candidate
    const state = { stateId: keysId, present: true, orderKey, outOfOrder: false }
    open.history.push({ ...state, ...moment, index: logged.index })
    this.#change(open, { kind: MapKind.zoneKeys, name: zone, zone, latest: [] })
    return logged
  }

  async #admitState(
    candidate: Extract<Candidate, { kind: 'state' }>,
    moment: Moment,
  ): Promise<Admission> {
    const { evidence, orderKey, owner, stateId, zone } = candidate
    const chain = await chainAt(candidate.keysId, moment.time, this.lookup, this.#anchors)
    if (chain === undefined) return { status: 'refused', reason: 'unproven' }
    const open = await this.#open(mapKeyOfCandidate(candidate))
    const seen = { stateId, present: isPresent(evidence), orderKey, ...moment }
    const decision = decideState(open.history, seen)
    if (decision.status !== 'new') return decision
    const { outOfOrder } = decision
    const logged = this.#append(encodeEntry(entryOf(candidate, moment, outOfOrder)), moment)
    open.history.push({ ...seen, outOfOrder, index: logged.index })
    if (outOfOrder) this.#touch(open)
    else {
      const latest = isPresent(evidence) ? evidence.ds : []
      this.#change(open, { kind: MapKind.delegation, name: owner, zone, latest })
    }
    return logged
  }

  /** Appends an entry that has no key in the map and no rules of its own: an unknown type. */
  appendUnknown(): void {
    this.#head = { ...this.#head, size: this.#head.size + 1 }
  }

  /** Appends the MAP_HEAD that ends a tree: the root of the map over everything before it. */
  async appendMapHead(time: number): Promise<MapHeadEntry> {
    const { mapHead: previous, size: covers } = this.#head
    if (covers > 0 && time <= this.#head.mapTime) {
      throw new Error('the time of a MAP_HEAD must grow')
    }
    if (time < this.#head.liveTime) throw new Error('a MAP_HEAD cannot precede an entry it covers')
    const keyCount = await this.#updateMap()
    this.#head = { size: covers + 1, mapHead: covers, mapTime: time, keyCount, liveTime: 0 }
    return { type: 'map-head', covers, mapRoot: this.#upper.root(), keyCount, previous, time }
  }

  /** What to store, once the fold ends with a MAP_HEAD. */
  changes(): FoldChanges {
    const names: NameChange[] = []
    for (const { change, history, logged } of this.#names.values()) {
      if (change !== undefined) names.push({ ...change, history, fresh: logged === 0 })
    }
    return { names, zoneKeys: this.#addedKeys, buckets: this.#buckets }
  }
