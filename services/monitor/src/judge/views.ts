/**
 * R11: two signed states of one name at the same time. Pure: from what crawlers saw, at which server and
 * from where. Two things are told apart from servers that are merely behind: states that go on standing
 * side by side for longer than any server takes, and a state that one vantage alone was shown while others
 * asked the same server afterwards. A state that the log had before, under a signature that is no newer
 * than the one in force, is an old one shown again, and counts for nothing.
 */
import { HOUR } from '@dslog/schema/time'
import type { Verdict } from './rules.ts'

/** Longer than a server of a zone is behind the others, ms. */
export const SETTLED_MS: number = 2 * HOUR

/** A view older than this, ms, says nothing about now: tier 0 is asked at every server within two hours. */
export const FRESH_MS: number = 3 * HOUR

/** Looks elsewhere that must not have seen a state, before it counts as shown to one alone. */
const CONTRADICTIONS = 2

/** What one vantage saw at one server, as long as it saw the same. */
export interface View {
  readonly vantage: string
  readonly server: string
  /** The state_id, as text. */
  readonly state: string
  /** Inception of the deciding signature, s. */
  readonly inception: number
  /** ms. */
  readonly first: number
  readonly last: number
}

/** A state that a log has of the name. */
export interface LoggedView {
  readonly state: string
  readonly inception: number
  /** In that log: two that disagree for a while are no split. */
  readonly isInForce: boolean
  /** Whether every DS of it is pinned; undefined for owners without pins. */
  readonly isPinned: boolean | undefined
}

/** A split, and the states that are on its sides. */
export interface Split extends Verdict {
  readonly states: readonly string[]
}

/**
 * Judges what was seen of one name.
 *
 * @param views of each place, oldest first
 * @param pinned whether the owner has pinned keys
 * @param now ms
 */
export function judgeViews(
  views: readonly View[],
  logged: readonly LoggedView[],
  pinned: boolean,
  now: number,
): Split | undefined {
  const counted = views.filter((view) => !isOld(view, logged))
  const split = sideBySide(counted, now) ?? shownToOne(counted)
  if (split === undefined) return undefined
  const allowed = (state: string): boolean =>
    logged.some((known) => known.state === state && known.isPinned === true)
  const isCritical = pinned && !split.states.every(allowed)
  const why = isCritical ? `${split.why}, and not all of it is pinned` : split.why
  return { ...split, rule: 'R11', level: isCritical ? 'CRITICAL' : 'HIGH', hold: 0, why }
}

type Found = Pick<Split, 'states' | 'why'>

function isOld({ inception, state }: View, logged: readonly LoggedView[]): boolean {
  const inForce = logged.filter((known) => known.isInForce)
  if (inForce.some((known) => known.state === state)) return false
  const isBehind = inForce.some((known) => inception <= known.inception)
  return isBehind && logged.some((known) => known.state === state)
}

/** Different states, each seen again after the last of them has been out for two hours. */
function sideBySide(views: readonly View[], now: number): Found | undefined {
  const newest = new Map<string, View>()
  for (const view of views) newest.set(`${view.vantage} ${view.server}`, view)
  const fresh = [...newest.values()].filter(({ last }) => now - last <= FRESH_MS)
  const states = [...new Set(fresh.map(({ state }) => state))]
  if (states.length < 2) return undefined
  const firstSeen = states.map((state) =>
    Math.min(...views.filter((view) => view.state === state).map(({ first }) => first)),
  )
  const settled = Math.max(...firstSeen) + SETTLED_MS
  const standing = states.filter((state) =>
    fresh.some((view) => view.state === state && view.last >= settled),
  )
  if (standing.length < 2) return undefined
  return {
    states: standing,
    why: 'the servers of the zone above have shown different signed states for over two hours',
  }
}

/** A state that one vantage alone saw, while others asked, the same server among them, and did not. */
function shownToOne(views: readonly View[]): Found | undefined {
  for (const view of views) {
    const alike = views.filter(({ state }) => state === view.state)
    if (alike.some(({ vantage }) => vantage !== view.vantage)) continue
    const others = views.filter(
      ({ last, state, vantage }) =>
        vantage !== view.vantage && state !== view.state && last > view.first,
    )
    const sameServer = others.some(({ server }) => server === view.server)
    if (!sameServer || others.length < CONTRADICTIONS) continue
    const seen = `${view.server} showed a signed state to one vantage (${view.vantage}) alone`
    return { states: [view.state], why: seen }
  }
  return undefined
}
