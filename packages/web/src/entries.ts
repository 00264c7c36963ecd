/** What the proven entries of a name amount to. */
import type { EntryModel } from './protocol.ts'

/** The state in force: of the newest entry that is not out of order. */
export function inForce(entries: readonly EntryModel[]): EntryModel | undefined {
  return entries.findLast(({ outOfOrder }) => outOfOrder !== true)
}
