/** What the proven entries of a name amount to. */
import type { EntryModel } from './protocol.ts'
import type { State } from './timeline.ts'

/** DNSKEY flag: secure entry point (RFC 4034 section 2.1.1). */
const FLAG_SEP = 1

/** The state in force: of the newest entry that is not out of order. */
export function inForce(entries: readonly EntryModel[]): EntryModel | undefined {
  return entries.findLast(({ outOfOrder }) => outOfOrder !== true)
}

/** The states that the entries of a name tell of, for its picture. */
export function statesOf(entries: readonly EntryModel[]): State[] {
  return entries.flatMap(({ ds = [], index, outOfOrder, time }) =>
    time === undefined ? [] : [{ index, time, records: ds, outOfOrder: outOfOrder === true }],
  )
}

/** Whether a key with these flags signs the keys of its zone. */
export function signsKeys(flags: number): boolean {
  return (flags & FLAG_SEP) !== 0
}
