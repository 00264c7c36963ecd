/**
 * An older tree after a newer one, from a log that may have done nothing wrong: a cache, or a server that reads what another
 * one writes, is behind for a while. Nobody can tell one such answer from that of a log which wants something forgotten, so
 * it is evidence of nothing: look again later. Who has looked for long enough, and for whom it is long enough, may call it
 * a rollback (misbehaviour.ts); until when a tree was alive, the timestamps of its witnesses say.
 */
import { TlogError } from './error.ts'
import type { TrustedCheckpoint } from './policy.ts'

/** Thrown for an older tree; code `late`. What was seen before stays what is known. */
export class LateError extends TlogError {
  /** The larger, seen first. */
  readonly seen: TrustedCheckpoint
  /** The smaller, served now. */
  readonly served: TrustedCheckpoint

  /** @param options `cause` where it could not be checked that the larger tree begins with the smaller */
  constructor(
    seen: TrustedCheckpoint,
    served: TrustedCheckpoint,
    options: { cause?: unknown } = {},
  ) {
    const { origin, size } = seen.checkpoint
    const shown = `${origin} shows ${served.checkpoint.size} entries, and has shown ${size}`
    super('late', `${shown}: an older copy, as a cache may serve it`, options)
    this.name = 'LateError'
    this.seen = seen
    this.served = served
  }
}
