/**
 * The rules R1 to R10, R12, R13 and R16: what a change of a delegation is to its owner. Pure: from the
 * states of the name, what was seen of the child, and what the owner meant, to at most one verdict on the
 * change and one on the strength of what came of it.
 *
 * ```
 *       condition                                       without pins            with pins     hold
 * R1    a DS added that no pin allows                   -                       CRITICAL      0
 * R2    all DS gone, not announced                      HIGH, CRITICAL (NS)     CRITICAL      10 min
 * R3    all DS gone, announced                          NOTICE                  INFO          60 min
 * R4a   the name is gone, also under an old wildcard    NOTICE                  HIGH          60 min
 * R4b   the parent answers for the name itself          CRITICAL                CRITICAL      0
 * R5    a DS added that is explained                    INFO                    R1            60 min
 * R6    a DS added that the child serves no key for     HIGH, CRITICAL          R1            15 min
 * R7    the whole set replaced                          HIGH                    R1            15 min
 * R8    the whole set replaced, and the NS              HIGH, CRITICAL (back)   R1            15 min
 * R9    only an old DS withdrawn                        INFO                    INFO          60 min
 * R10   A, X, A within 72 h, X unexplained              CRITICAL                CRITICAL      0
 * R12   only SHA-1, or algorithms 5 and 7               WARNING                 WARNING       24 h
 * R13   an entry out of order                           HIGH, NOTICE (oldest)   CRITICAL      0
 * R16   the same keys in other words                    nothing                 nothing       -
 * ```
 *
 * What hangs from no signature, as NS records and keys that only vouch for themselves, may raise a level
 * and never lower or delay one: whoever can swap a DS can serve both. A set that resolvers cannot use is
 * judged as none.
 */
import { ALGORITHM, DIGEST } from '@dslog/dnssec/backend/backend'
import { parseDsSet } from '@dslog/dnssec/ds'
import { nameToText, sameName } from '@dslog/dnssec/name'
import type { AlertLevel, AlertRule } from '@dslog/schema/alert'
import { DAY, HOUR, MINUTE } from '@dslog/schema/time'
import { explain, explainRemoval, type Intent, sightingsUnder } from './intent.ts'
import type { Child, DsSet, Servers, State } from './state.ts'
import { has, inForce, isSecure, names, sameState } from './state.ts'

/** Two changes within this time, ms, are looked at as one act: caches have forgotten what was before. */
export const ONE_ACT_MS: number = 72 * HOUR

/** A DS that stays without its key for so long, ms, was never meant to have one. */
export const STILL_ABSENT_MS: number = 7 * DAY

/** A set that comes this soon, ms, after the one before was taken away is in its place. */
export const REPLACES_MS: number = 7 * DAY

/**
 * A wildcard that the zone above has had for so long, ms, was not put there for this name. Whoever signs in
 * that zone can add one; for a week it shows in the log, and answers for everybody's mistyped names.
 */
export const WILDCARD_SETTLED_MS: number = 7 * DAY

/** A change, and all that is known of it. */
export interface Question {
  /** Every state of the name before this one, in the order of the log. */
  readonly history: readonly State[]
  readonly state: State
  /** Those after it; none unless told. */
  readonly later?: readonly State[]
  readonly child: Child
  /**
   * Since when the log has had proof, by other names, that the zone of the state has a wildcard for names
   * that do not exist, ms; undefined where it has none.
   */
  readonly wildcardSince?: number | undefined
  /** ms. */
  readonly now: number
}

/** What a change is to the owner. */
export interface Verdict {
  readonly rule: AlertRule
  readonly level: AlertLevel
  /** How long to wait, after the change was seen, before telling, ms. */
  readonly hold: number
  /** Why it has this level, in a sentence for the owner. */
  readonly why: string
  /** Other entries that it is about. */
  readonly others?: readonly number[]
}

/**
 * Judges a change. The first verdict, if there is any, is about the change, a second about what came of
 * it. It holds at `now`: more may be seen, and told, later.
 */
export function judge(question: Question, intent: Intent): Verdict[] {
  const { history, state } = question
  if (state.outOfOrder) return [outOfOrder(question, intent)]
  const before = inForce(history).at(-1)
  if (before !== undefined && sameState(before, state)) return []
  const change = judgeChange(question, intent)
  const weak = judgeStrength(state, before)
  return [change, weak].filter((verdict) => verdict !== undefined)
}

function judgeChange(question: Question, intent: Intent): Verdict | undefined {
  const { history, state } = question
  const past = inForce(history)
  const before = past.at(-1)
  if (before !== undefined && before.ds.length > 0 && !sameName(before.zone, state.zone)) {
    const why = `${nameToText(state.zone)} now signs for this name, no longer ${nameToText(before.zone)}`
    return { rule: 'R4b', level: 'CRITICAL', hold: 0, why }
  }
  return isSecure(state) ? judgePresence(question, intent, past) : judgeLoss(question, intent, past)
}

// --- all DS gone ---

function judgeLoss(
  { child, state, wildcardSince }: Question,
  intent: Intent,
  past: readonly State[],
): Verdict | undefined {
  const before = past.at(-1)
  const pinned = intent.pins !== undefined
  if (state.ds.some((ds) => pinned && !has(intent.pins, ds) && !has(before?.ds ?? [], ds))) {
    return notPinned('a DS that no pin allows was added, of a kind that resolvers cannot use')
  }
  if (before === undefined || !isSecure(before)) {
    if (state.ds.length === 0) return undefined
    return info('R5', 'DS were added that resolvers cannot use: the name stays unsigned')
  }
  const what =
    state.ds.length === 0
      ? 'all DS are gone, so resolvers accept unsigned answers for this name'
      : 'no DS is left that resolvers can use, so they accept unsigned answers for this name'
  if (state.absence === 'parent') {
    const why = 'the zone above answers for this name itself: it is no longer delegated'
    return { rule: 'R4b', level: 'CRITICAL', hold: 0, why }
  }
  const gone = { rule: 'R4a', level: pinned ? 'HIGH' : 'NOTICE', hold: HOUR } as const
  if (state.absence === 'gone') {
    return { ...gone, why: 'the name does not exist any more, as the zone above proves' }
  }
  if (state.absence === 'wildcard') {
    const why = 'the name is no longer delegated: a wildcard of the zone above answers for it'
    if (wildcardSince !== undefined && state.time - wildcardSince >= WILDCARD_SETTLED_MS) {
      return { ...gone, why: `${why}, as it has for all names that do not exist for over a week` }
    }
    const unknown = `${why}, and no other name has shown for a week that it has one`
    return { rule: 'R4b', level: 'CRITICAL', hold: 0, why: unknown }
  }
  const announced = explainRemoval(before.ds, state, child, intent)
  if (announced !== undefined) {
    const level = pinned ? 'INFO' : 'NOTICE'
    return { rule: 'R3', level, hold: HOUR, why: `${what}; ${announced}` }
  }
  const hold = 10 * MINUTE
  if (pinned) return { rule: 'R2', level: 'CRITICAL', hold, why: `${what}, against the pins` }
  if (serversChanged(child, state)) {
    const why = `${what}, unannounced, and the name servers have changed too`
    return { rule: 'R2', level: 'CRITICAL', hold, why }
  }
  return { rule: 'R2', level: 'HIGH', hold, why: `${what}, unannounced` }
}

// --- a set that resolvers use ---

function judgePresence(
  question: Question,
  intent: Intent,
  past: readonly State[],
): Verdict | undefined {
  const { child, state } = question
  const transient = thereAndBack(question, intent, past)
  if (transient !== undefined) return transient

  const base = baseOf(past, state)
  const added = state.ds.filter((ds) => !has(base, ds) && !isSameKey(ds, base, base, child))
  if (added.length === 0) {
    const gone = base.filter((ds) => !has(state.ds, ds) && !isSameKey(ds, state.ds, base, child))
    if (!isSecure(past.at(-1) ?? state)) return info('R5', 'signed again, with the keys it had')
    return gone.length === 0 ? undefined : info('R9', 'an old DS was withdrawn, none was added')
  }
  if (intent.pins !== undefined && added.some((ds) => !has(intent.pins!, ds))) {
    return notPinned('a DS that no pin allows was added')
  }
  const reasons = added.map((ds) => explain(ds, base, state, child, intent))
  if (reasons.every((reason) => reason !== undefined)) {
    return info('R5', `a DS was added: ${[...new Set(reasons)].join('; ')}`)
  }
  const unexplained = added.filter((_, i) => reasons[i] === undefined)
  const replaced = base.length > 0 && added.length === state.ds.length
  return judgeSurprise({ ...question, base, unexplained, replaced })
}

interface Surprise extends Question {
  readonly base: DsSet
  readonly unexplained: DsSet
  /** Whether nothing of the set before is left. */
  readonly replaced: boolean
}

function judgeSurprise(surprise: Surprise): Verdict {
  const { base, child, later = [], now, replaced, state, unexplained } = surprise
  const hold = 15 * MINUTE
  const moved = serversChanged(child, state)
  const gone = goneAt(unexplained, later)
  const unserved = isUnserved(unexplained, child, state.time, gone)
  if (unserved && replaced) {
    const why = 'the whole DS set was replaced by one that matches no key the name servers have'
    return { rule: 'R6', level: 'CRITICAL', hold, why }
  }
  if (replaced && moved) {
    const back = wentBack(child, state)
    const why = 'the whole DS set and the name servers were replaced, unannounced'
    return {
      rule: 'R8',
      level: back ? 'CRITICAL' : 'HIGH',
      hold,
      why: back ? `${why}, and the name servers went back within 72 hours` : why,
    }
  }
  if (replaced) {
    const why =
      'the whole DS set was replaced, and nothing signed with the keys before announced it'
    return { rule: 'R7', level: 'HIGH', hold, why }
  }
  // A first DS has nothing before it that could have announced it.
  if (base.length === 0 && !unserved) return info('R5', 'the name is signed now')
  const why = unserved
    ? 'a DS was added that matches no key the name servers have'
    : 'a DS was added, and nothing signed with the keys before announced it'
  const level = 'CRITICAL'
  if (moved) return { rule: 'R6', level, hold, why: `${why}; the name servers have changed too` }
  if (unserved && Math.min(now, gone) - state.time >= STILL_ABSENT_MS) {
    return { rule: 'R6', level, hold, why: `${why}, still after 7 days` }
  }
  return { rule: 'R6', level: 'HIGH', hold, why }
}

/**
 * The set that a new one is compared with: that in force before; or, where the name was without one for
 * some days, the one that it had: whoever takes a set away first, and then puts up another, has replaced it.
 */
function baseOf(past: readonly State[], state: State): DsSet {
  const last = past.findLastIndex(isSecure)
  if (last < 0) return []
  const lost = past[last + 1]
  return lost === undefined || state.time - lost.time <= REPLACES_MS ? past[last]!.ds : []
}

/**
 * R16: whether a DS names a key that another set names too, in other words. Keys are known from a look
 * that the set before vouched for.
 */
function isSameKey(ds: Uint8Array, other: DsSet, base: DsSet, child: Child): boolean {
  return sightingsUnder(child, base).some(({ keys }) =>
    keys.some((key) => has(key, ds) && other.some((known) => has(key, known))),
  )
}

/** R10: a state is back that was in force not long ago, and what was there meanwhile has no explanation. */
function thereAndBack(
  question: Question,
  intent: Intent,
  past: readonly State[],
): Verdict | undefined {
  const { history, later = [], state } = question
  const earlier = past.findLastIndex((other) => sameState(other, state))
  if (earlier < 0) return undefined
  const meanwhile = past.slice(earlier + 1)
  const [first] = meanwhile
  if (first === undefined || state.time - first.time > ONE_ACT_MS) return undefined
  const surprising = meanwhile.filter((other) => {
    const at = history.indexOf(other)
    const after = [...history.slice(at + 1), state, ...later]
    const verdict = judgeChange(
      { ...question, history: history.slice(0, at), state: other, later: after },
      intent,
    )
    return verdict !== undefined && isSurprise(verdict)
  })
  if (surprising.length === 0) return undefined
  return {
    rule: 'R10',
    level: 'CRITICAL',
    hold: 0,
    why: 'the DS set was another for less than 72 hours, unexplained, and is what it was again: so looks a hijack that is over',
    others: surprising.flatMap(({ index }) => index ?? []),
  }
}

/**
 * Whether a change could be a hijack. A name that was gone, nobody could answer for; and what was back
 * already is not what was put in its place.
 */
function isSurprise({ level, rule }: Verdict): boolean {
  return rule !== 'R4a' && rule !== 'R10' && (level === 'HIGH' || level === 'CRITICAL')
}

// --- what hangs from no signature ---

/** Whether the name servers were others within 72 hours before or after a change. */
function serversChanged({ servers }: Child, { time }: State): boolean {
  return changesAround(servers, time).length > 0
}

/** Whether they changed, and were what they had been again within 72 hours. */
function wentBack({ servers }: Child, { time }: State): boolean {
  return changesAround(servers, time).some((at) =>
    servers.some(({ first, ns }, later) => {
      if (later <= at || first - servers[at]!.first > ONE_ACT_MS) return false
      return servers.slice(0, at).some((earlier) => sameServers(earlier.ns, ns))
    }),
  )
}

/** Where in the list servers are others than before, within 72 hours of a time. */
function changesAround(servers: readonly Servers[], time: number): number[] {
  return servers.flatMap(({ first, ns }, i) => {
    const before = servers[i - 1]
    if (before === undefined || sameServers(before.ns, ns)) return []
    return Math.abs(first - time) <= ONE_ACT_MS ? [i] : []
  })
}

function sameServers(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((name, i) => name === b[i])
}

/** When none of these DS was in force any more, ms. */
function goneAt(set: DsSet, later: readonly State[]): number {
  const without = inForce(later).find(({ ds }) => !set.some((each) => has(ds, each)))
  return without?.time ?? Infinity
}

/**
 * Whether the child was looked at while there were these DS, and never had a key for any. A key that was
 * there once may go: so each is rolled, some time before its DS is withdrawn.
 */
function isUnserved(set: DsSet, { served }: Child, from: number, until: number): boolean {
  const looks = served.filter(({ at }) => at >= from && at < until)
  return looks.length > 0 && !looks.some(({ keys }) => set.some((ds) => names(ds, keys)))
}

// --- beside the change ---

function judgeStrength(state: State, before: State | undefined): Verdict | undefined {
  if (!isSecure(state) || !isWeak(state.ds) || (before !== undefined && isWeak(before.ds))) {
    return undefined
  }
  const why =
    'the DS set has SHA-1 digests or SHA-1 algorithms alone: resolvers stop accepting them'
  return { rule: 'R12', level: 'WARNING', hold: DAY, why }
}

/** Whether all of a set is SHA-1 (RFC 9905): by digest, or by algorithm. */
function isWeak(set: DsSet): boolean {
  const ds = parseDsSet(set)
  if (ds.length === 0) return false
  const old: readonly number[] = [ALGORITHM.RSASHA1, ALGORITHM.RSASHA1_NSEC3_SHA1]
  return (
    ds.every(({ digestType }) => digestType === DIGEST.SHA1) ||
    ds.every(({ algorithm }) => old.includes(algorithm))
  )
}

function outOfOrder({ history, state }: Question, { pins }: Intent): Verdict {
  const why = 'a state was logged whose signature is older than that of the one in force'
  const verdict = { rule: 'R13', hold: 0 } as const
  if (pins !== undefined) {
    const isAllowed = isSecure(state) && state.ds.every((ds) => has(pins, ds))
    if (!isAllowed) return { ...verdict, level: 'CRITICAL', why: `${why}, and no pin allows it` }
    return { ...verdict, level: 'NOTICE', why: `${why}; the pins allow it` }
  }
  const first = history[0]?.inception
  if (first !== undefined && state.inception !== undefined && state.inception < first) {
    return { ...verdict, level: 'NOTICE', why: `${why}, and than all that was logged of the name` }
  }
  return { ...verdict, level: 'HIGH', why }
}

function info(rule: 'R5' | 'R9', why: string): Verdict {
  return { rule, level: 'INFO', hold: HOUR, why }
}

function notPinned(why: string): Verdict {
  return { rule: 'R1', level: 'CRITICAL', hold: 0, why }
}
