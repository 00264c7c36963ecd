/**
 * A database that is away for a while, or too slow to answer in time, is no reason for a service to end: what it was about
 * to do is done again when the database is back. That is for work which stands in the database alone, so that a piece of
 * it, done again, does no harm; whoever holds more than that in memory has to read it anew.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { DatabaseError } from './database-error.ts'

/** From one attempt to the next, ms: doubled each time, up to the longest, and spread by half. */
const FIRST_PAUSE = 1_000
const LONGEST_PAUSE = 30_000

/** Waits, or rejects when the signal comes. */
export type Pause = (ms: number, signal?: AbortSignal) => Promise<void>

/** By the machine's clock. */
export const pause: Pause = async (ms, signal) => {
  await sleep(ms, undefined, signal === undefined ? {} : { signal })
}

/** How long to wait after so many failures in a row, ms. */
export function pauseAfter(failures: number, random: () => number = Math.random): number {
  const longest = Math.min(FIRST_PAUSE * 2 ** (failures - 1), LONGEST_PAUSE)
  return longest * (0.5 + random() / 2)
}

/** Whether an error says no more than that the database does not answer now. */
export function isOutage(error: unknown): error is DatabaseError {
  return error instanceof DatabaseError && (error.code === 'away' || error.code === 'busy')
}

/**
 * Does something again and again until the database lets it come to its end. What else it throws is thrown, and the outage
 * itself when the signal comes.
 */
export async function rideOut<T>(
  work: () => Promise<T>,
  signal: AbortSignal,
  wait: Pause = pause,
): Promise<T> {
  for (let failures = 1; ; failures++) {
    try {
      return await work()
    } catch (error) {
      if (!isOutage(error) || signal.aborted) throw error
      await wait(pauseAfter(failures), signal).catch(() => {})
      if (signal.aborted) throw error
    }
  }
}

/**
 * Waits for all of them, also when one fails: what is done again must not run beside what is left of it. Then throws what
 * one of them threw, an outage only if that is all there was.
 */
export async function allOf(work: readonly Promise<unknown>[]): Promise<void> {
  const ended = await Promise.allSettled(work)
  const reasons = ended.flatMap((each): unknown[] =>
    each.status === 'rejected' ? [each.reason] : [],
  )
  if (reasons.length > 0) throw reasons.find((reason) => !isOutage(reason)) ?? reasons[0]
}
