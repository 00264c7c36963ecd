/**
 * Whether a log knows a state of a delegation: the one rule of enforcement, pure. A state is good while it is
 * in force, and for the grace time after it was replaced, since caches and secondary servers hold it for
 * a while. What was logged out of order, or replaced long ago, is not: it is a signature played again.
 *
 * Absence is a state, too: without a DS a name is not protected, so taking one away unseen is as good as
 * swapping it. A name never logged is in it.
 */
import { equal } from '@dslog/tlog/bytes'
import type { History, LoggedState } from '@dslog/verify/history'

/** A state as a resolver shows it. */
export type SeenState = Pick<LoggedState, 'stateId' | 'present'>

/** `logged`: in force, or until just now. `replaced`: it was, once. `unlogged`: never. */
export type Standing = 'logged' | 'replaced' | 'unlogged'

/**
 * How a state stands with a log.
 *
 * @param history every entry of the name, in log order
 * @param now ms since the Unix epoch
 * @param grace ms for which a state is good after it was replaced
 */
export function standingOf(
  history: History,
  seen: SeenState,
  now: number,
  grace: number,
): Standing {
  const inOrder = history.filter(({ outOfOrder }) => !outOfOrder)
  // Before its first entry a name had no DS.
  const isInForce = (state: LoggedState | undefined): boolean =>
    state === undefined || !state.present
      ? !seen.present
      : seen.present && equal(state.stateId, seen.stateId)
  for (let i = -1; i < inOrder.length; i++) {
    const next = inOrder[i + 1]
    const isGood = next === undefined || now - next.time < grace
    if (isGood && isInForce(inOrder[i])) return 'logged'
  }
  const isKnown = (state: LoggedState): boolean =>
    state.present === seen.present && (!seen.present || equal(state.stateId, seen.stateId))
  return history.some(isKnown) ? 'replaced' : 'unlogged'
}
