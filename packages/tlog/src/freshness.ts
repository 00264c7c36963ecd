/**
 * How fresh a checkpoint is shown to be. The log's own word counts for nothing: an Ed25519 signature states no time, and
 * the time in the log's ML-DSA-44 signature is what the log says. A cosignature's timestamp says that the witness had
 * seen no larger tree by then, so the time at which a quorum said so bounds how old the tree can be for whoever trusts
 * that quorum. Without witnesses there is no such time, and only that the log answers can be observed.
 */
import { isQuorum } from './policy.ts'
import type { Policy, Witnessing } from './policy.ts'

/** The latest time, seconds since the Unix epoch, at or after which a quorum cosigned; `undefined` without a quorum. */
export function vouchedAt(policy: Policy, witnesses: readonly Witnessing[]): number | undefined {
  if (policy.quorum === undefined) return undefined
  const times = witnesses.map(({ timestamp }) => timestamp).sort((a, b) => b - a)
  return times.find((time) => {
    const since = witnesses.filter(({ timestamp }) => timestamp >= time)
    return isQuorum(policy, new Set(since.map(({ name }) => name)))
  })
}
