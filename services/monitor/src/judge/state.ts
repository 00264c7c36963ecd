/**
 * What is judged: the states that a name has been in, each proven by a signature of its parent, and what
 * was seen of the child at the same time. Everything about keys is compared as DS RDATA: a key is the set
 * of DS that name it, computed from the key itself, so that a tag and an algorithm alone never make two
 * keys one. Where it comes from, and how it is kept, is left to others.
 */
import { equal } from '@dslog/tlog/bytes'
import { DENIAL } from '@dslog/dnssec/denial'
import { isInsecureDsSet } from '@dslog/dnssec/ds'
import { labelCount, type Name, sameName } from '@dslog/dnssec/name'
import { parseNsec, parseNsec3, TYPE } from '@dslog/dnssec/records'
import type { DelegationEntry, NoDsEntry } from '@dslog/schema/entry'
import { inceptionOf } from '@dslog/schema/inception'

/**
 * What stands where there is no DS:
 *
 *   delegated   a delegation that is not signed
 *   gone        nothing: the name does not exist
 *   wildcard    nothing, but that the parent has a wildcard for all names that do not exist
 *   parent      the parent itself answers: for the name, for names below it, or by a wildcard closer to it
 *   unknown     NSEC3 with opt-out does not tell
 */
export type Absence = 'delegated' | 'gone' | 'wildcard' | 'parent' | 'unknown'

/** A set of DS, RDATA in canonical order; empty where there is provably none. */
export type DsSet = readonly Uint8Array[]

/** A state of a delegation, proven by its parent. */
export interface State {
  /** Entry of the log; undefined for what was seen in DNS and is not logged. */
  readonly index: number | undefined
  /** When the evidence was checked, ms. */
  readonly time: number
  /** When the parent signed it: inception of the deciding signature, s; undefined if it is not known. */
  readonly inception: number | undefined
  /** The zone that signed. */
  readonly zone: Name
  readonly ds: DsSet
  /** Where there is no DS. */
  readonly absence: Absence | undefined
  /** Signed before what was in force already. */
  readonly outOfOrder: boolean
}

/** A key of the child: the RDATA of every DS that names it. */
export type ChildKey = DsSet

/** What the keys of the child said, at a time when a DS set vouched for them. */
export interface Sighting {
  /** The DS set through which the keys were validated. */
  readonly under: DsSet
  /** When it was first and last seen so, ms. */
  readonly first: number
  readonly last: number
  /** The DNSKEY RRset. */
  readonly keys: readonly ChildKey[]
  /** The keys that its CDS or CDNSKEY RRset asks the parent for, equal on all servers; none if it has none. */
  readonly wanted: readonly ChildKey[] | undefined
  /** Whether they ask for all DS to be taken away (RFC 8078 §4). */
  readonly deletes: boolean
}

/** What the servers of the child gave as its keys, whoever signed it: good to raise a level, no more. */
export interface Served {
  readonly at: number
  readonly keys: readonly ChildKey[]
}

/** The names of the child's servers, as the parent refers to them: unsigned, likewise. */
export interface Servers {
  readonly first: number
  readonly last: number
  /** Sorted, in presentation form. */
  readonly ns: readonly string[]
}

/** Everything that was seen of the child, each list oldest first. */
export interface Child {
  readonly sightings: readonly Sighting[]
  readonly served: readonly Served[]
  readonly servers: readonly Servers[]
}

/** Of a child that nobody looked at. */
export const UNSEEN: Child = { sightings: [], served: [], servers: [] }

/** The state that an entry records. */
export function stateOf(index: number, entry: DelegationEntry): State {
  const { outOfOrder, time, zone } = entry
  const head = { index, time, zone, outOfOrder, inception: inceptionOf(entry) }
  return entry.type === 'ds'
    ? { ...head, ds: entry.ds, absence: undefined }
    : { ...head, ds: [], absence: absenceOf(entry) }
}

type Denial = Pick<NoDsEntry, 'owner' | 'proof' | 'records' | 'zone'>

/** What a proof of absence says about the name. */
export function absenceOf({ owner, proof, records, zone }: Denial): Absence {
  switch (proof) {
    case DENIAL.NSEC_MATCH:
      return matched(parseNsec(records[0]!.rdata).types)
    case DENIAL.NSEC3_MATCH:
      return matched(parseNsec3(records[0]!.rdata).types)
    case DENIAL.NSEC_NAME_ERROR:
    case DENIAL.NSEC3_NAME_ERROR:
      return 'gone'
    case DENIAL.NSEC3_OPT_OUT:
      return 'unknown'
    case DENIAL.NSEC_WILDCARD:
    case DENIAL.NSEC3_WILDCARD:
      // Only of a child's wildcard is it known that it stands directly below the zone, for all names there.
      return labelCount(owner) === labelCount(zone) + 1 ? 'wildcard' : 'parent'
    case DENIAL.NSEC_EMPTY_NON_TERMINAL:
      return 'parent'
  }
}

/** A record matches the name: it exists, as a delegation or as a name of the parent's own. */
function matched(types: ReadonlySet<number>): Absence {
  return types.has(TYPE.NS) ? 'delegated' : 'parent'
}

/** Whether resolvers treat the delegation as signed. */
export function isSecure({ ds }: Pick<State, 'ds'>): boolean {
  return ds.length > 0 && !isInsecureDsSet(ds)
}

/** The states that were in force, one after the other. */
export function inForce(history: readonly State[]): State[] {
  return history.filter(({ outOfOrder }) => !outOfOrder)
}

/** Whether two sets hold the same records. */
export function sameSet(a: DsSet, b: DsSet): boolean {
  return a.length === b.length && a.every((ds) => has(b, ds))
}

/** Whether two states are one: absence is, whichever zone proves it. */
export function sameState(a: State, b: State): boolean {
  return sameSet(a.ds, b.ds) && (a.ds.length === 0 || sameName(a.zone, b.zone))
}

/** Whether a set holds a record. */
export function has(set: DsSet, ds: Uint8Array): boolean {
  return set.some((other) => equal(other, ds))
}

/** Whether a DS names one of these keys. */
export function names(ds: Uint8Array, keys: readonly ChildKey[]): boolean {
  return keys.some((key) => has(key, ds))
}
