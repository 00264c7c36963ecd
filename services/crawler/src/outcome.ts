/**
 * What becomes of a task that was asked, could not be asked, or was not to be: when it is due again, and
 * what is remembered of it. Pure: the moment, and chance, are parameters.
 */
import type { Finished, Task } from './frontier.ts'
import { nextDue, retryDue, TaskKind, Tier } from './schedule.ts'

/** When a task ended, ms since the epoch, and a number from 0 up to but not including 1. */
export interface Moment {
  readonly now: number
  readonly random: number
}

/** Provably answered. @param answered what the log has said no to, if it has */
export function done(
  task: Task,
  tier: Tier,
  answered: Uint8Array | undefined,
  { now, random }: Moment,
): Finished {
  const next = task.tier === Tier.watched ? Tier.watched : tier
  return {
    task,
    // A look is over when it is done.
    due: task.kind >= TaskKind.look ? undefined : nextDue(next, now, random),
    tier: next,
    seenAt: now,
    failures: 0,
    reason: undefined,
    answered,
  }
}

/** Asked for nothing. A look that fails is tried some times; the name itself is asked for ever. */
export function failed(task: Task, reason: string, { now, random }: Moment): Finished {
  const failures = task.failures + 1
  const isLost = task.kind >= TaskKind.look && task.failures >= 2
  const due = isLost ? undefined : retryDue(task.tier, failures, now, random)
  return { ...unchanged(task), failures, reason, due }
}

/** Not asked yet: it is nobody's fault. */
export function putOff(task: Task, ms: number, reason: string, { now }: Moment): Finished {
  return { ...unchanged(task), due: Math.round(now + ms), reason }
}

/** Not to be asked: whoever runs the zone wishes so. */
export function leftAlone(task: Task, { now, random }: Moment): Finished {
  return { ...unchanged(task), due: nextDue(Tier.other, now, random), reason: 'opted-out' }
}

function unchanged(task: Task): Omit<Finished, 'due' | 'reason'> {
  const { failures, tier } = task
  return { task, tier, seenAt: undefined, failures, answered: undefined }
}
