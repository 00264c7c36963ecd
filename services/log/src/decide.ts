/**
 * Deciding about candidates, one after another, without waiting for the tables more than need be: histories are read a
 * piece ahead of what is decided, buckets of the map a piece behind it. Nothing is durable yet.
 */
import { setImmediate as immediate } from 'node:timers/promises'
import type { Candidate, Moment } from '@dslog/verify/candidate'
import type { Admission, Fold, Logged } from '@dslog/verify/fold'
import { type Appended, appendedOf } from './step.ts'

/** Candidates that are decided about without a pause, some milliseconds: requests and tables wait no longer. */
const DECIDED_AT_ONCE = 500
/** Candidates that the tables are asked about at a time: while some are decided about the next are read. */
const READ_AT_ONCE = 1_000

/** Candidates of one observation, in the order in which they build on one another. */
export interface Batch {
  readonly candidates: readonly Candidate[]
  /** When historical evidence is judged; live evidence is judged when it is sequenced. */
  readonly historicalAt?: number
}

/**
 * What became of the last candidate of a batch, the one that the observation was made for; of a batch without any, `known`.
 * What was logged is told without its entry: who submits millions of names waits for the last one with all of these.
 */
export type Outcome =
  | Exclude<Admission, Logged>
  | { readonly status: 'logged'; readonly index: number; readonly outOfOrder: boolean }

const KNOWN: Outcome = { status: 'known' }

/** What became of batches. */
export interface Decided {
  /** For each batch. */
  readonly outcomes: Outcome[]
  /** Those that were logged. */
  readonly appended: readonly Appended[]
}

/**
 * Decides about each candidate, in order.
 *
 * @param fold what is logged is appended to it
 * @param time when live evidence is judged, ms
 * @param readsMap buckets of the map are read as well, of what has been decided
 */
export async function decide(
  fold: Fold,
  batches: readonly Batch[],
  time: number,
  readsMap: boolean,
): Promise<Decided> {
  const all = batches.flatMap(({ candidates }) => candidates)
  const readAt = (from: number): Promise<void> => {
    const reading = fold.prefetch(all.slice(from, from + READ_AT_ONCE))
    // If deciding fails first, nobody waits for it.
    reading.catch(() => {})
    return reading
  }
  let reading = readAt(0)
  const appended: Appended[] = []
  const outcomes: Outcome[] = []
  let decided = 0
  const live: Moment = { time, historical: false }
  for (const { candidates, historicalAt } of batches) {
    const moment = historicalAt === undefined ? live : { time: historicalAt, historical: true }
    let outcome = KNOWN
    for (const candidate of candidates) {
      if (decided % READ_AT_ONCE === 0) {
        await reading
        reading = readAt(decided + READ_AT_ONCE)
      }
      const admission = fold.admitAtOnce(candidate, moment) ?? (await fold.admit(candidate, moment))
      if (admission.status === 'logged') {
        const { index, outOfOrder, status } = admission
        appended.push(appendedOf(admission))
        outcome = { status, index, outOfOrder }
      } else {
        outcome = admission
      }
      if (++decided % DECIDED_AT_ONCE !== 0) continue
      // Whoever needs the map waits for it, and gets the error.
      if (readsMap) fold.prefetchMap().catch(() => {})
      await immediate()
    }
    outcomes.push(outcome)
  }
  return { outcomes, appended }
}
