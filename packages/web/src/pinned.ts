/** The keys of a name held against those that its owner allows. */
import type { State } from './timeline.ts'

/**
 * The records that the owner does not allow, of those that came when one was in force that he allows, or
 * that are in force now. What came before may have been rolled long before he pinned anything.
 *
 * @param states oldest first, in log order
 * @param allowed all that the owner allows now
 */
export function notAllowed(
  states: readonly State[],
  allowed: readonly string[],
): ReadonlySet<string> {
  const found = new Set<string>()
  const seen = new Set<string>()
  let isPast = true
  for (const { outOfOrder, records } of states) {
    for (const record of records) {
      if (!isPast && !seen.has(record) && !allowed.includes(record)) found.add(record)
      seen.add(record)
    }
    if (!outOfOrder && records.some((record) => allowed.includes(record))) isPast = false
  }
  const now = states.findLast(({ outOfOrder }) => !outOfOrder)?.records ?? []
  for (const record of now) if (!allowed.includes(record)) found.add(record)
  return found
}
