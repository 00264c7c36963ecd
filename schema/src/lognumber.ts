/**
 * Logs have numbers in the database of a monitor, from 1 in the order in which they were first followed.
 * The first has the tables of its name map under their plain names, the others each under names of their
 * own, which are there from the start: the role of a running monitor makes no tables.
 */

/** Logs that one database can ever follow; there are a handful in the world. */
export const MAX_LOGS = 4

/** What the names of the tables of a log's name map end in. */
export function suffixOf(log: number): string {
  return log === 1 ? '' : `_${log}`
}

/** Of all logs. */
export const LOG_SUFFIXES: readonly string[] = Array.from({ length: MAX_LOGS }, (_, i) =>
  suffixOf(i + 1),
)
