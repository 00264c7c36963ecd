/**
 * The states that one name has had in the log, and whether an observed state is a new one:
 * admission rules 3, 4 and the historical half of 7 (docs/spec/entry.md). Pure: the log decides
 * with it what to append, and every auditor decides with it whether the log was right to.
 *
 * Time has two clocks here. `time` says when evidence was checked; the *order key* says when the
 * registry signed it (inception of the deciding RRSIG). States are ordered by the second, since a
 * coerced registry can sign with any date, and a slow server can show yesterday's zone today.
 */
import { equal } from '@dslog/tlog/bytes'
import type { Hash } from '@dslog/tlog/hash'
import { DAY } from '@dslog/schema/time'

/** A state seen in DNS: what an observation claims, once its evidence has been verified. */
export interface ObservedState {
  readonly stateId: Hash
  /** False for proven absence. */
  readonly present: boolean
  /** Seconds since the Unix epoch: inception of the deciding RRSIG. */
  readonly orderKey: number
  /** Milliseconds since the Unix epoch: when the evidence was checked. */
  readonly time: number
  readonly historical: boolean
}

/** One entry of a name. */
export interface LoggedState extends ObservedState {
  readonly index: number
  readonly outOfOrder: boolean
}

/** All entries of a name, in log order. */
export type History = readonly LoggedState[]

/** `new`: append it. `known`: it is in force. `stale`: an old state, shown again. */
export type Decision =
  | { readonly status: 'new'; readonly outOfOrder: boolean }
  | { readonly status: 'known' }
  | { readonly status: 'stale' }

/**
 * A state whose replacement is older than this may come back with an old signature: registries
 * that sign for weeks ahead re-publish one, and a month and a half is longer than any such window.
 */
export const RETURN_AFTER_MS: number = 45 * DAY

/** How many entries a name may have in a while, before states that it has had are turned away. */
export interface FloodRule {
  readonly entries: number
  /** ms */
  readonly window: number
}

/** Admission rule 6: a dozen changes a day is more than any registry makes, and less than a flood. */
export const FLOOD_RULE: FloodRule = { entries: 12, window: DAY }

const FIRST = { status: 'new', outOfOrder: false } as const
const KNOWN = { status: 'known' } as const
const STALE = { status: 'stale' } as const

/** The state in force: the newest entry that is not out of order. */
export function latestOf(history: History): LoggedState | undefined {
  return history.findLast((past) => !past.outOfOrder)
}

/** The state that was in force at `time` (ms), as far as the log knows. */
export function inForceAt(history: History, time: number): LoggedState | undefined {
  return history.findLast((past) => !past.outOfOrder && past.time <= time)
}

/**
 * Decides what an observed state is to a name with this history.
 *
 * @param history every entry of the name, in log order
 */
export function decideState(history: History, seen: ObservedState): Decision {
  const newest = history.at(-1)
  // Most names of a first import: what follows says the same of them, in more words.
  if (newest === undefined) return seen.present ? FIRST : KNOWN
  if (seen.historical) {
    const late = seen.time <= newest.time || history.some((past) => !past.historical)
    if (late) return sameState(inForceAt(history, seen.time), seen) ? KNOWN : STALE
  }
  const latest = latestOf(history)
  if (sameState(latest, seen)) return KNOWN
  const outOfOrder = latest !== undefined && seen.orderKey < latest.orderKey

  const earlier = history.filter((past) => equal(past.stateId, seen.stateId))
  const last = earlier.at(-1)
  if (last === undefined) return { status: 'new', outOfOrder }

  const successor = replacementOf(history, last)
  if (seen.orderKey > successor.orderKey) return { status: 'new', outOfOrder }
  const longAgo = seen.time - successor.time > RETURN_AFTER_MS
  const signedAnew = earlier.every((past) => seen.orderKey > past.orderKey)
  return longAgo && signedAnew ? { status: 'new', outOfOrder } : STALE
}

/** Absence is one state, whichever zone proves it, and a name never logged is in it already. */
function sameState(past: LoggedState | undefined, seen: ObservedState): boolean {
  if (past === undefined || !past.present) return !seen.present
  return equal(past.stateId, seen.stateId)
}

/**
 * The entry that took the place of `past`: the next one in force after it, or, for an entry that
 * came out of order and so never was in force, the one it lost to.
 */
function replacementOf(history: History, past: LoggedState): LoggedState {
  const after = past.outOfOrder
    ? history.findLast((other) => !other.outOfOrder && other.index < past.index)
    : history.find((other) => !other.outOfOrder && other.index > past.index)
  if (after === undefined) throw new Error('a state that is not in force has been replaced')
  return after
}

/**
 * Whether a new live state is one change too many. A state never seen is always let in, or a flood
 * could hide it.
 */
export function isFlood(history: History, seen: ObservedState, rule: FloodRule): boolean {
  if (seen.historical || !history.some(({ stateId }) => equal(stateId, seen.stateId))) return false
  const since = seen.time - rule.window
  const recent = history.filter((past) => !past.historical && past.time > since)
  return recent.length >= rule.entries
}
