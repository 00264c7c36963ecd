/**
 * Who is asked how often: the tiers of a name, what follows a first sighting, and how long to leave
 * alone who failed. Pure: time and chance are parameters.
 *
 * Intervals are longest ones. Chance makes them shorter, so that polling shows no pattern and no name
 * waits longer than its tier promises; watched names alone are spread to both sides.
 */
import { DAY, HOUR, MINUTE, SECOND } from '@dslog/schema/time'

/** What a task does. Numbers from `look` on are looks after a first sighting, one row each. */
export const TaskKind = { poll: 0, keys: 1, look: 2 } as const

/** How urgent a name is. */
export const Tier = { watched: 0, signed: 1, other: 2, keys: 3 } as const
export type Tier = (typeof Tier)[keyof typeof Tier]

/** Who wants a name asked: bits of `task.sources`. A name is forgotten when nobody does. */
export const Source = { file: 1, log: 2, zone: 4, watch: 8, decoy: 16 } as const
export type Source = (typeof Source)[keyof typeof Source]

/** From one question to the next, ms. */
export const INTERVAL: Readonly<Record<Tier, number>> = {
  [Tier.watched]: 10 * MINUTE,
  [Tier.signed]: DAY,
  [Tier.other]: 7 * DAY,
  [Tier.keys]: HOUR,
}

/** Share of an interval that chance takes away, or, for watched names, also adds. */
const JITTER = 0.3

/** How soon every server of the parent of a watched name has been asked, ms. */
export const ALL_SERVERS_MS: number = 2 * HOUR

/** First and longest wait after a failure, ms. */
export const BACKOFF: { readonly first: number; readonly longest: number } = {
  first: 5 * MINUTE,
  longest: DAY,
}

/** A look at a name after a state was seen there for the first time. */
export interface Look {
  readonly kind: number
  /** How long after the sighting, ms. */
  readonly after: number
}

/** How many servers a look asks: those at the beginning one or two others, later ones all. */
export function serversOfLook(kind: number): 'other' | 'others' | 'all' {
  if (kind === TaskKind.look) return 'other'
  return kind === TaskKind.look + 1 ? 'others' : 'all'
}

/** When a name of a tier is asked next. @param random from 0 up to but not including 1 */
export function nextDue(tier: Tier, now: number, random: number): number {
  const share = tier === Tier.watched ? 2 * random - 1 : -random
  return Math.round(now + INTERVAL[tier] * (1 + JITTER * share))
}

/** When a name is asked again that could not be asked; never later than an ordinary question. */
export function retryDue(tier: Tier, failures: number, now: number, random: number): number {
  return Math.min(nextDue(tier, now, random), Math.round(now + backoff(failures, random)))
}

/** How long to wait after so many failures in a row, ms: from 5 minutes to a day. */
export function backoff(failures: number, random: number): number {
  const doubled = BACKOFF.first * 2 ** Math.min(failures - 1, 16)
  return Math.min(BACKOFF.longest, doubled * (1 + JITTER * random))
}

/**
 * What follows a first sighting: one other server within two minutes; for a watched name two others, and
 * then all of them after 10 minutes, 1, 6 and 24 hours.
 */
export function looksAfter(tier: Tier, random: () => number): Look[] {
  const soon = 30 * SECOND + random() * 90 * SECOND
  if (tier !== Tier.watched) return [{ kind: TaskKind.look, after: soon }]
  const later = [10 * MINUTE, HOUR, 6 * HOUR, DAY]
  const first = TaskKind.look + 1
  return [soon, ...later].map((after, i) => ({ kind: first + i, after }))
}
