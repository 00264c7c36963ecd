/** Whether what was seen is news to the log. Pure. */
import { concat, equal, u64be } from '@dslog/tlog/bytes'
import type { Name } from '@dslog/dnssec/name'
import type { Hash } from '@dslog/tlog/hash'
import type { LoggedState } from './logged.ts'

/** A state that was seen, and verified. */
export interface SeenState {
  readonly owner: Name
  /** The zone that signed. */
  readonly zone: Name
  readonly stateId: Hash
  readonly signed: boolean
  /** Inception of the deciding signature, seconds since the epoch. */
  readonly inception: number
}

/** `same`: what is in force; `unsigned`: never signed, which no log records; `settled`: the log has judged this. */
export type Comparison = 'new' | 'same' | 'unsigned' | 'settled'

/**
 * Compares what was seen with what the log holds. Whether a new state is also out of order or stale is
 * for the log to say, which has the history; what it has said is not asked again for the same signature.
 *
 * @param answered mark of the state that it was last asked about, see {@link markOf}
 */
export function compareWithLog(
  seen: SeenState,
  logged: LoggedState | undefined,
  answered: Uint8Array | undefined,
): Comparison {
  if (logged === undefined && !seen.signed) return 'unsigned'
  if (logged !== undefined && equal(logged.state, seen.stateId)) return 'same'
  if (answered !== undefined && equal(answered, markOf(seen))) return 'settled'
  return 'new'
}

/** What the log's answer was about: a state, as of one signature. */
export function markOf({ inception, stateId }: SeenState): Uint8Array {
  return concat(stateId, u64be(inception))
}
