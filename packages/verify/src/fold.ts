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
import type { Hash } from '@dslog/tlog/hash'
import type { UpperTree } from '@dslog/tlog/maptree'
import type { Anchor } from '@dslog/dnssec/anchors'
import { encodeEntry, type Entry, type MapHeadEntry, type ZoneKeysEntry } from '@dslog/schema/entry'
import { mapKey, MapKind } from '@dslog/schema/identity'
import {
  type Candidate,
  entryOf,
  isPresent,
  type KeysCandidate,
  type Moment,
  type StateCandidate,
} from './candidate.ts'
import { FoldMap } from './foldmap.ts'
import { type FoldChanges, type FoldStore, keyText, type NameChange } from './foldstore.ts'
import {
  decideState,
  type FloodRule,
  type History,
  isFlood,
  type ObservedState,
} from './history.ts'
import {
  type Chain,
  chainAbove,
  chainAt,
  intersect,
  keysAreNew,
  type KeysLookup,
  type ZoneKeys,
} from './keys.ts'

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
export const EMPTY_HEAD: FoldHead = {
  size: 0,
  mapHead: undefined,
  mapTime: 0,
  keyCount: 0,
  liveTime: 0,
}

/** A candidate that was appended. */
export interface Logged {
  readonly status: 'logged'
  readonly index: number
  readonly outOfOrder: boolean
  readonly entry: Entry
  readonly bytes: Uint8Array
}

/**
 * What became of a candidate. `time`: a live entry older than the tree before it; `rate-limited`: a
 * return beyond the rate of {@link FloodRule}.
 */
export type Admission =
  | Logged
  | { readonly status: 'known' }
  | { readonly status: 'stale' }
  | {
      readonly status: 'refused'
      readonly reason: 'expired' | 'not-yet-valid' | 'unproven' | 'time' | 'rate-limited'
    }

export interface FoldOptions {
  readonly store: FoldStore
  readonly anchors: readonly Anchor[]
  /** What a fold that ended at this one's head found of chains. */
  readonly chains?: Chains | undefined
  /** Admission rule 6, of the log alone: auditors take whatever the other rules allow. */
  readonly flood?: FloodRule
  /** Called now and then while the map is made: who has others to answer does so then. */
  readonly pause?: () => Promise<unknown>
}

/**
 * A chain for each key set that was found to have one, by {@link keyText}: thousands of names in a row hang from the same
 * keys. No entry ever leaves the log, so it proves at every moment in its window what it proved at the first.
 */
export type Chains = ReadonlyMap<string, Chain>

/** Of so many the next fold begins anew: keys that have been replaced are never asked for again. */
const MOST_CHAINS = 5_000

const NO_HISTORY: History = []

/** The key of the name map that a candidate's entry would belong to. */
export function mapKeyOfCandidate(candidate: Candidate): Hash {
  return candidate.kind === 'keys'
    ? mapKey(MapKind.zoneKeys, candidate.zone)
    : mapKey(MapKind.delegation, candidate.owner)
}

/** A name that is decided about: at once what is told of it, for of thousands of names nothing is kept twice. */
interface OpenName extends NameChange {
  /** Another array with each entry: most names have one, and an array that grows has room for seventeen. */
  history: History
  fresh: boolean
  inForce: NameChange['inForce']
  /** Entries it had before this fold. */
  before: number
}

type Refusal = Extract<Admission, { status: 'refused' }>['reason']
const refused = (reason: Refusal): Admission => ({ status: 'refused', reason })

/** Some trees' worth of entries on top of a store. Not safe for concurrent calls. */
export class Fold {
  readonly #store: FoldStore
  readonly #anchors: readonly Anchor[]
  readonly #flood: FloodRule | undefined
  readonly #names = new Map<string, OpenName>()
  /** Names of the candidates that were prefetched last, so that a key is hashed once, and of those before. */
  #prefetched: readonly ReadonlyMap<Candidate, OpenName>[] = []
  readonly #zoneKeys = new Map<string, readonly ZoneKeys[]>()
  readonly #chains: Map<string, Chain>
  /** When a key set was found to have none; new keys may give it one. */
  readonly #unproven = new Map<string, number>()
  readonly #addedKeys: ZoneKeys[] = []
  /**
   * When keys were found to be in the log, or were put there: then they are known again at that moment, whatever else comes.
   * Each observation of a submission brings the keys that it hangs from, the same ones.
   */
  readonly #knownKeys = new Map<KeysCandidate, number>()
  readonly #map: FoldMap
  /** Size of the tree that it begins with. */
  readonly #from: number
  readonly #head: { -readonly [Field in keyof FoldHead]: FoldHead[Field] }

  /** @param upper upper tree of the name map as of `head`; the fold works on a version of its own */
  constructor(head: FoldHead, upper: UpperTree, options: FoldOptions) {
    this.#head = { ...head }
    this.#from = head.size
    this.#map = new FoldMap(upper, options.store, options.pause)
    this.#store = options.store
    this.#anchors = options.anchors
    const { chains } = options
    this.#chains = new Map(chains !== undefined && chains.size < MOST_CHAINS ? chains : [])
    this.#flood = options.flood
  }

  get head(): FoldHead {
    return { ...this.#head }
  }

  /** For the fold that begins where this one ends. */
  get chains(): Chains {
    return this.#chains
  }

  /** The upper tree as of the newest MAP_HEAD. */
  get upper(): UpperTree {
    return this.#map.upper
  }

  /**
   * Loads in one go what deciding about these candidates takes. Optional, but much faster. The next may be loaded while
   * these are decided about.
   */
  async prefetch(candidates: readonly Candidate[]): Promise<void> {
    const prefetched = new Map<Candidate, OpenName>()
    const unread = new Map<string, OpenName>()
    for (const candidate of candidates) {
      if (prefetched.has(candidate)) continue
      const key = mapKeyOfCandidate(candidate)
      const text = keyText(key)
      let open = this.#names.get(text) ?? unread.get(text)
      if (open === undefined) {
        open = openName(candidate, key, text)
        unread.set(text, open)
      }
      prefetched.set(candidate, open)
    }
    if (unread.size > 0) await this.#readHistories([...unread.values()])
    for (const [candidate, open] of prefetched) {
      const known = this.#names.get(open.text)
      if (known === undefined) this.#names.set(open.text, open)
      else if (known !== open) prefetched.set(candidate, known)
    }
    this.#prefetched = [prefetched, ...this.#prefetched.slice(0, 1)]
  }

  async #readHistories(opened: readonly OpenName[]): Promise<void> {
    const histories = await this.#store.histories(opened.map(({ key }) => key))
    for (const open of opened) {
      open.history = histories.get(open.text) ?? open.history
      open.before = open.history.length
      open.fresh = open.before === 0
    }
  }

  #prefetchedFor(candidate: Candidate): OpenName | undefined {
    for (const names of this.#prefetched) {
      const open = names.get(candidate)
      if (open !== undefined) return open
    }
    return undefined
  }

  /** Entries of a key set, newest first, those of this fold included. */
  readonly lookup: KeysLookup = async (keysId) => {
    const text = keyText(keysId)
    const held = this.#zoneKeys.get(text)
    if (held !== undefined) return held
    const stored = await this.#store.zoneKeys(keysId)
    this.#zoneKeys.set(text, stored)
    return stored
  }

  /** Decides about a candidate and, where the rules allow it, appends its entry. */
  async admit(candidate: Candidate, moment: Moment): Promise<Admission> {
    const atOnce = this.admitAtOnce(candidate, moment)
    if (atOnce !== undefined) return atOnce
    if (candidate.kind === 'keys') return this.#admitKeys(candidate, moment)
    if (!(await this.#findChain(candidate.keysId, moment.time))) return refused('unproven')
    return this.#admitState(candidate, moment, await this.#openFor(candidate))
  }

  /**
   * As {@link admit}, but `undefined`, and nothing done, where something has to be looked up: a promise a
   * candidate costs as much as deciding about it.
   */
  admitAtOnce(candidate: Candidate, moment: Moment): Admission | undefined {
    const { historical, time } = moment
    if (!historical && time < this.#head.mapTime) return refused('time')
    if (time < candidate.window.notBefore) return refused('not-yet-valid')
    if (time > candidate.window.notAfter) return refused('expired')
    if (candidate.kind === 'keys') {
      return this.#knownKeys.get(candidate) === time ? { status: 'known' } : undefined
    }
    const isProven = this.#isProven(candidate.keysId, time)
    const open = this.#prefetchedFor(candidate)
    if (isProven === undefined || open === undefined) return undefined
    return isProven ? this.#admitState(candidate, moment, open) : refused('unproven')
  }

  /** Whether keys hang from an anchor at a time; `undefined` where that is to be found out. */
  #isProven(keysId: Hash, at: number): boolean | undefined {
    const text = keyText(keysId)
    const chain = this.#chains.get(text)
    if (chain !== undefined && chain.notBefore <= at && at <= chain.notAfter) return true
    return this.#unproven.get(text) === at ? false : undefined
  }

  async #findChain(keysId: Hash, at: number): Promise<boolean> {
    const chain = await chainAt(keysId, at, this.lookup, this.#anchors)
    if (chain === undefined) this.#unproven.set(keyText(keysId), at)
    else this.#chains.set(keyText(keysId), chain)
    return chain !== undefined
  }

  async #admitKeys(candidate: KeysCandidate, { historical, time }: Moment): Promise<Admission> {
    const { keysId, link, orderKey, window, zone } = candidate
    const above = await chainAbove(link, time, this.lookup, this.#anchors)
    if (above === undefined) return refused('unproven')
    const whole = intersect(window, above)
    const fresh = await keysAreNew(keysId, link, whole, time, this.lookup, this.#anchors)
    this.#knownKeys.set(candidate, time)
    if (!fresh) return { status: 'known' }
    const open = await this.#openFor(candidate)
    const seen = { stateId: keysId, present: true, orderKey, historical, time }
    const logged = this.#append(open, candidate, seen, false)
    open.inForce = { zone, ds: [] }
    const added: ZoneKeys = {
      index: logged.index,
      keysId,
      entry: logged.entry as ZoneKeysEntry,
      ...window,
    }
    this.#addedKeys.push(added)
    this.#zoneKeys.set(keyText(keysId), [added, ...(await this.lookup(keysId))])
    this.#unproven.clear()
    return logged
  }

  #admitState(candidate: StateCandidate, moment: Moment, open: OpenName): Admission {
    const { evidence, orderKey, stateId, zone } = candidate
    // An auditor's moment is a whole entry: histories keep no more of it than this.
    const { historical, time } = moment
    const seen = { stateId, present: isPresent(evidence), orderKey, historical, time }
    const decision = decideState(open.history, seen)
    if (decision.status !== 'new') return decision
    if (this.#flood !== undefined && isFlood(open.history, seen, this.#flood)) {
      return refused('rate-limited')
    }
    const { outOfOrder } = decision
    const logged = this.#append(open, candidate, seen, outOfOrder)
    if (!outOfOrder) open.inForce = { zone, ds: isPresent(evidence) ? evidence.ds : [] }
    return logged
  }

  #append(open: OpenName, candidate: Candidate, seen: ObservedState, outOfOrder: boolean): Logged {
    const entry = entryOf(candidate, seen, outOfOrder)
    const bytes = encodeEntry(entry)
    const { historical, orderKey, present, stateId, time } = seen
    const head = this.#head
    const index = head.size++
    if (open.history.length === 0) head.keyCount++
    if (!historical) head.liveTime = Math.max(head.liveTime, time)
    // Its newest entry is older than this fold, or covered by a MAP_HEAD of it.
    const newest = open.history.at(-1)?.index ?? -1
    if (newest < Math.max(this.#from, head.mapHead ?? 0)) this.#map.add(open)
    const state = { index, stateId, present, orderKey, time, historical, outOfOrder }
    open.history = open.history.length === 0 ? [state] : [...open.history, state]
    return { status: 'logged', index, outOfOrder, entry, bytes }
  }

  /** Counts an entry of a type that is not known here: it has no key and no rules. */
  appendUnknown(): void {
    this.#head.size++
  }

  /**
   * Appends the MAP_HEAD that ends a tree: the root of the map over everything before it.
   *
   * @param time later than that of the MAP_HEAD before, and not before any live entry it covers
   */
  async appendMapHead(time: number): Promise<MapHeadEntry> {
    const { keyCount, liveTime, mapHead: previous, mapTime, size: covers } = this.#head
    if (covers > 0 && time <= mapTime) throw new RangeError('the time of a MAP_HEAD must grow')
    if (time < liveTime) throw new RangeError('a MAP_HEAD cannot precede an entry it covers')
    await this.#map.update()
    const after = { size: covers + 1, mapHead: covers, mapTime: time, liveTime: 0 }
    Object.assign(this.#head, after)
    return { type: 'map-head', covers, mapRoot: this.#map.upper.root(), keyCount, previous, time }
  }

  /**
   * Reads the buckets that a MAP_HEAD would change now, as far as nobody has begun to: {@link appendMapHead} waits for
   * what is on its way, and asks for the rest. Optional, for who has something else to do meanwhile.
   */
  async prefetchMap(): Promise<void> {
    await this.#map.prefetch()
  }

  /** What to store so that the next fold can start where this one ended; what is admitted later may show in it. */
  changes(): FoldChanges {
    const names: NameChange[] = []
    for (const open of this.#names.values()) if (open.history.length > open.before) names.push(open)
    return { names, zoneKeys: this.#addedKeys, buckets: this.#map.changed }
  }

  async #openFor(candidate: Candidate): Promise<OpenName> {
    const held = this.#prefetchedFor(candidate)
    if (held !== undefined) return held
    const key = mapKeyOfCandidate(candidate)
    const text = keyText(key)
    const known = this.#names.get(text)
    if (known !== undefined) return known
    const open = openName(candidate, key, text)
    await this.#readHistories([open])
    this.#names.set(text, open)
    return open
  }
}

/** A name without any entry, as far as is known. */
function openName(candidate: Candidate, key: Hash, text: string): OpenName {
  const isKeys = candidate.kind === 'keys'
  return {
    key,
    text,
    kind: isKeys ? MapKind.zoneKeys : MapKind.delegation,
    name: isKeys ? candidate.zone : candidate.owner,
    history: NO_HISTORY,
    fresh: true,
    inForce: undefined,
    before: 0,
  }
}
