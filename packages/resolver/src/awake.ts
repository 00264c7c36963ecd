/**
 * Time by which an answer is late: only such as this process has listened in. While it computes, or is not
 * let run on a busy machine, answers wait in its sockets; a clock on the wall would blame the server for that,
 * and a crawler would leave alone servers that are well, the busier it is the more of them.
 *
 * So time goes on in ticks, and each counts for little, however long it took. Between two of them every
 * socket is read (up to 32 datagrams of each, as libuv has it): what was there is found before anybody is
 * given up, and who was connected to meanwhile gets the question before the time for its answer is over.
 */

/** How often, in ms. A timer for each question would cost more than sending it. */
const TICK_MS = 25
/** What a tick counts for at most, in ms. */
const LONGEST_TICK_MS = 2 * TICK_MS

/** Called at each tick. */
type OnTick = () => void

const waiting = new Set<OnTick>()
let ticker: NodeJS.Timeout | undefined
let tickedAt = 0
let awake = 0

/** Ms in which this process has listened, as of the last tick; they stand still while nobody waits. */
export function awakeMs(): number {
  return awake
}

/** Has `work` called at each tick; what it gives back ends that. */
export function onTick(work: OnTick): () => void {
  waiting.add(work)
  if (ticker === undefined) {
    tickedAt = performance.now()
    ticker = setInterval(tick, TICK_MS)
  }
  return () => {
    waiting.delete(work)
    if (waiting.size > 0) return
    clearInterval(ticker)
    ticker = undefined
  }
}

/** When, by {@link awakeMs}, so much time will have gone by from now on, whenever the last tick was. */
export function deadlineIn(ms: number): number {
  return awake + ms + LONGEST_TICK_MS
}

/** Calls `work`, once, when a deadline is over; what it gives back takes that back. */
export function whenOver(deadline: number, work: () => void): () => void {
  const end = onTick(() => {
    if (awake < deadline) return
    end()
    work()
  })
  return end
}

function tick(): void {
  const now = performance.now()
  awake += Math.min(now - tickedAt, LONGEST_TICK_MS)
  tickedAt = now
  for (const work of waiting) work()
}
