/** What the tests of the rules tell their tales with: keys of a name, states of it, days. */
import { concat } from '@dslog/tlog/bytes'
import { ALGORITHM } from '@dslog/dnssec/backend/backend'
import { nameFromText } from '@dslog/dnssec/name'
import { DAY } from '@dslog/schema/time'
import { TEST_EPOCH } from '@dslog/testbed/clock'
import { dsOf } from '@dslog/testbed/key'
import { ownerKey } from '@dslog/testbed/stories'
import { type Intent, SILENT } from '../../src/judge/intent.ts'
import { judge, type Verdict } from '../../src/judge/rules.ts'
import {
  type Child,
  type ChildKey,
  type DsSet,
  type Sighting,
  type State,
  UNSEEN,
} from '../../src/judge/state.ts'

export const OWNER = nameFromText('example.fi.')
const FI = nameFromText('fi.')

/** A key of the owner: every DS that names it. */
export function key(generation: number, algorithm: number = ALGORITHM.ECDSAP256SHA256): ChildKey {
  const made = ownerKey(OWNER, generation, algorithm)
  return ([1, 2, 4] as const).map((digest) => dsOf(OWNER, made, digest))
}

/** The DS of a key, by SHA-256 unless told. */
export function ds(generation: number, digest: 1 | 2 | 4 = 2): Uint8Array {
  return dsOf(OWNER, ownerKey(OWNER, generation), digest)
}

/** Keys by their usual names. */
export const A = ds(1)
export const B = ds(2)
/** Of a stranger. */
export const X = ds(666)

/** A time, in days after the beginning. */
export function at(days: number): number {
  return TEST_EPOCH + days * DAY
}

let index = 0

/** A state that was logged on a day. */
export function state(days: number, set: DsSet, change: Partial<State> = {}): State {
  return {
    index: index++,
    time: at(days),
    inception: at(days) / 1000 - 3600,
    zone: FI,
    ds: [...set],
    absence: set.length === 0 ? 'delegated' : undefined,
    outOfOrder: false,
    ...change,
  }
}

/** What a child said, whose keys a set vouched for. */
export function sighting(
  under: DsSet,
  keys: readonly ChildKey[],
  change: Partial<Sighting> = {},
): Sighting {
  return { under, first: at(0), last: at(0), keys, wanted: undefined, deletes: false, ...change }
}

/** What is known besides the states. */
export interface Known {
  readonly child?: Partial<Child>
  readonly intent?: Partial<Intent>
  /** Days. */
  readonly now?: number
  /** States after the last. */
  readonly later?: readonly State[]
  readonly wildcardSince?: number
}

/** All verdicts on the last of these states. */
export function verdicts(states: readonly State[], known: Known = {}): Verdict[] {
  const last = states.at(-1)!
  const now = known.now === undefined ? last.time : at(known.now)
  const child = { ...UNSEEN, ...known.child }
  const wildcardSince = known.wildcardSince === undefined ? undefined : at(known.wildcardSince)
  const { later = [] } = known
  const question = { history: states.slice(0, -1), state: last, later, child, wildcardSince, now }
  return judge(question, { ...SILENT, ...known.intent })
}

/** The same in short: `R7 HIGH`. */
export function said(states: readonly State[], known: Known = {}): string[] {
  return verdicts(states, known).map(({ level, rule }) => `${rule} ${level}`)
}

/** A DS of an algorithm that nobody knows. */
export function unusable(of: Uint8Array): Uint8Array {
  return concat(of.subarray(0, 2), Uint8Array.of(253), of.subarray(3))
}
