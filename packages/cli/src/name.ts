/** Domain names as people type them. */
import { DnssecError } from '@dslog/dnssec/error'
import { nameFromTyped } from '@dslog/dnssec/idn'
import type { Name } from '@dslog/dnssec/name'
import { EXIT, Failure } from './failure.ts'

/**
 * Reads a name.
 *
 * @throws Failure `usage`
 */
export function readName(text: string): Name {
  try {
    return nameFromTyped(text)
  } catch (cause) {
    if (!(cause instanceof DnssecError)) throw cause
    throw new Failure(EXIT.usage, `not a domain name: ${cause.message}`, { cause })
  }
}
