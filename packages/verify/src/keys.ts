/**
 * Which keys of a zone the log vouches for at a given time: chains of ZONE_KEYS entries up to a
 * trust anchor (admission rule 2), and whether an observed key set belongs in the log (rule 5).
 * docs/spec/entry.md, "Admission". The signatures inside each entry have been verified before an
 * entry becomes {@link ZoneKeys}; what is left to decide here is only time.
 */
import { equal, toHex } from '@dslog/tlog/bytes'
import type { Hash } from '@dslog/tlog/hash'
import { type Anchor, anchorsAt } from '@dslog/dnssec/anchors'
import {
  type AnchorLink,
  isParentLink,
  type ParentLink,
  type ZoneKeysEntry,
} from '@dslog/schema/entry'
import { DAY } from '@dslog/schema/time'

/** A time span in milliseconds since the Unix epoch, both ends included. */
export interface Window {
  readonly notBefore: number
  readonly notAfter: number
}

/** A ZONE_KEYS entry whose signatures verify, with the time in which all of them are valid. */
export interface ZoneKeys extends Window {
  readonly index: number
  readonly keysId: Hash
  readonly entry: ZoneKeysEntry
}

/** Finds what the log held of a key set before the entry in question, newest first. */
export type KeysLookup = (keysId: Hash) => Promise<readonly ZoneKeys[]>

/** Keys of a zone and of every zone above it, nearest first, and the span all of it is valid in. */
export interface Chain extends Window {
  readonly links: readonly ZoneKeys[]
}

/** A key set is logged anew when nothing logged outlives the present by this much… */
export const REFRESH_BEFORE_MS: number = 2 * DAY
/** …or by this part of the new chain's validity, whichever is less: some zones sign for a day. */
export const REFRESH_BEFORE_PART: number = 1 / 4
/** A renewal must buy at least this part of its validity, or each re-signing would add an entry. */
export const REFRESH_GAIN_PART: number = 1 / 2

/** The anchor that a root key set names, if it is one of `anchors` and in force at `at` (ms). */
export function anchorOf(
  link: AnchorLink,
  anchors: readonly Anchor[],
  at: number,
): Anchor | undefined {
  return anchorsAt(anchors, at).find(
    ({ digest, tag }) => tag === link.tag && equal(digest, link.digest),
  )
}

/**
 * The chain of a key set at a time: the newest entry of that key set that is valid then and hangs
 * from a chain valid then.
 *
 * @param at milliseconds since the Unix epoch
 * @returns `undefined` where the log does not vouch for these keys at that time
 */
export async function chainAt(
  keysId: Hash,
  at: number,
  lookup: KeysLookup,
  anchors: readonly Anchor[],
): Promise<Chain | undefined> {
  return new Search(at, lookup, anchors).newest(await lookup(keysId))
}

/** As {@link chainAt}, starting from one entry. */
export async function chainFrom(
  keys: ZoneKeys,
  at: number,
  lookup: KeysLookup,
  anchors: readonly Anchor[],
): Promise<Chain | undefined> {
  return new Search(at, lookup, anchors).from(keys)
}

/** What is above a key set: its parent's chain, or, for the root, the span of its anchor. */
export async function chainAbove(
  link: ParentLink | AnchorLink,
  at: number,
  lookup: KeysLookup,
  anchors: readonly Anchor[],
): Promise<Chain | undefined> {
  return new Search(at, lookup, anchors).above(link)
}

/**
 * The way up at one time. A proof file brings entries that only its log vouches for, so the way must
 * end whatever they say: it goes from a zone to one strictly above (the codec refuses other links, and
 * keys of another zone than the link names are not followed), and looks at each key set once.
 */
class Search {
  readonly #at: number
  readonly #lookup: KeysLookup
  readonly #anchors: readonly Anchor[]
  readonly #found = new Map<string, Chain | undefined>()

  constructor(at: number, lookup: KeysLookup, anchors: readonly Anchor[]) {
    this.#at = at
    this.#lookup = lookup
    this.#anchors = anchors
  }

  /** The first chain among entries of one key set, newest first. */
  async newest(sets: readonly ZoneKeys[]): Promise<Chain | undefined> {
    for (const keys of sets) {
      const chain = await this.from(keys)
      if (chain !== undefined) return chain
    }
    return undefined
  }

  async from(keys: ZoneKeys): Promise<Chain | undefined> {
    if (this.#at < keys.notBefore || this.#at > keys.notAfter) return undefined
    const above = await this.above(keys.entry.link)
    return above === undefined
      ? undefined
      : { ...intersect(keys, above), links: [keys, ...above.links] }
  }

  async above(link: ParentLink | AnchorLink): Promise<Chain | undefined> {
    if (isParentLink(link)) return this.#parent(link)
    const anchor = anchorOf(link, this.#anchors, this.#at)
    if (anchor === undefined) return undefined
    const notAfter = anchor.until === undefined ? Number.MAX_SAFE_INTEGER : anchor.until - 1
    return { notBefore: anchor.from, notAfter, links: [] }
  }

  async #parent({ keysId, zone }: ParentLink): Promise<Chain | undefined> {
    const sets = await this.#lookup(keysId)
    if (!sets.every(({ entry }) => equal(entry.zone, zone))) return undefined
    const id = toHex(keysId)
    if (!this.#found.has(id)) this.#found.set(id, await this.newest(sets))
    return this.#found.get(id)
  }
}

/** The span in which both are valid. */
export function intersect(a: Window, b: Window): Window {
  return {
    notBefore: Math.max(a.notBefore, b.notBefore),
    notAfter: Math.min(a.notAfter, b.notAfter),
  }
}

/**
 * Rule 5: whether a key set that was observed, with everything above it valid at `at`, is logged.
 *
 * @param link how it hangs from its parent; key sets under another DS set of the parent are others
 * @param window the span of the whole observed chain
 */
export async function keysAreNew(
  keysId: Hash,
  link: ParentLink | AnchorLink,
  window: Window,
  at: number,
  lookup: KeysLookup,
  anchors: readonly Anchor[],
): Promise<boolean> {
  const search = new Search(at, lookup, anchors)
  let end = -Infinity
  for (const logged of await lookup(keysId)) {
    if (!sameParentSet(logged.entry.link, link)) continue
    const chain = await search.from(logged)
    if (chain !== undefined) end = Math.max(end, chain.notAfter)
  }
  if (end === -Infinity) return true
  const validity = window.notAfter - window.notBefore
  const outlives = end > at + Math.min(REFRESH_BEFORE_MS, validity * REFRESH_BEFORE_PART)
  return !outlives && window.notAfter >= end + validity * REFRESH_GAIN_PART
}

/** Whether two links name the same DS records, or the same anchor. The parent's keys may differ. */
function sameParentSet(a: ParentLink | AnchorLink, b: ParentLink | AnchorLink): boolean {
  if (!isParentLink(a) || !isParentLink(b)) {
    return !isParentLink(a) && !isParentLink(b) && a.tag === b.tag && equal(a.digest, b.digest)
  }
  if (!equal(a.zone, b.zone)) return false
  return a.ds.length === b.ds.length && a.ds.every((rdata, i) => equal(rdata, b.ds[i]!))
}
