/** How it stands with a followed log: the states that a look at it can leave it in, and what is shown of it. */
import type { Hash } from '@dslog/tlog/hash'
import type { Policy } from '@dslog/tlog/policy'
import type { MonitorStatus } from '@dslog/schema/api'
import { DAY } from '@dslog/schema/time'
import { counted } from '@dslog/verify/counted'
import type { FindingKind } from './evidence.ts'

/** Not known to be fresh for so long, ms, what is verified is old: witnesses are asked every ten minutes. */
export const STALE_AFTER_MS: number = DAY

/** What a look at a log came to. */
export interface Outcome {
  readonly state: MonitorStatus['logs'][number]['state']
  readonly detail: string | undefined
}

/** How it stands with a log. Times are ms since the Unix epoch. */
export interface FollowStatus extends Outcome {
  /** Everything below has been verified, and the root of that tree. */
  readonly size: number
  readonly root: Hash
  /** Size of the newest checkpoint that satisfied the policy. */
  readonly published: number
  readonly backlog: number
  /**
   * Until when the log is known to be alive: when a quorum of witnesses last vouched for its tree. Under a
   * policy without witnesses, when it last answered with a good checkpoint: more cannot be known.
   */
  readonly freshAt: number | undefined
  /** When all of the newest checkpoint was last found right. */
  readonly verifiedAt: number | undefined
  readonly mapRoot: Hash
  readonly mapKeys: number
  /** Time of the newest verified MAP_HEAD, by the log's clock, ms; 0 before there is one. */
  readonly mapTime: number
  /** Pieces of evidence kept, by kind. */
  readonly findings: ReadonlyMap<FindingKind, number>
}

/** What a log that is followed is: also behind it, or shown nothing new for a day. */
export function outcomeOfFollowing(
  { quorum }: Policy,
  { backlog, freshAt }: Pick<FollowStatus, 'backlog' | 'freshAt'>,
  now: number,
): Outcome {
  if (backlog > 0) {
    return { state: 'behind', detail: `${counted(backlog, 'entry', 'entries')} to verify` }
  }
  if (freshAt === undefined || now - freshAt < STALE_AFTER_MS) {
    return { state: 'following', detail: undefined }
  }
  const who = quorum === undefined ? 'the log has not answered' : 'no quorum has cosigned'
  return { state: 'stale', detail: `${who} for a day` }
}
