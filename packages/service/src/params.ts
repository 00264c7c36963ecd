/** How the services read names and cursors out of paths and queries, and how long what they answer may be kept. */
import { parseDecimal } from '@dslog/tlog/bytes'
import { DnssecError } from '@dslog/dnssec/error'
import type { Name } from '@dslog/dnssec/name'
import { nameOfPath } from '@dslog/schema/path'
import { Problem } from './problem.ts'

/** `cache-control` of what never changes: a week, as the public logs of Certificate Transparency say it. */
export const IMMUTABLE = 'public, max-age=604800, immutable'

/** `cache-control` of what may be different at the next look. */
export const VOLATILE = 'no-store'

/** A domain name; `@` is the root. Throws Problem `validation`. */
export function nameOf(text: string): Name {
  try {
    return nameOfPath(text)
  } catch (cause) {
    if (!(cause instanceof DnssecError)) throw cause
    throw new Problem('validation', cause.message, { cause })
  }
}

/** A cursor that a service handed out: a decimal number; 0 where there is none. Throws Problem `validation`. */
export function cursorOf(text: string | undefined): number {
  const cursor = text === undefined || text === '' ? 0 : parseDecimal(text)
  if (cursor === undefined) throw new Problem('validation', 'The cursor is not one of this service')
  return cursor
}
