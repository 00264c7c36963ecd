/** Domain names as people type them. */
import { DnssecError } from '@dslog/dnssec/error'
import { nameFromTyped } from '@dslog/dnssec/idn'
import { type Name, nameToText } from '@dslog/dnssec/name'
import { EXIT, Failure } from './failure.ts'

/**
 * Reads a name.
 *
 * @throws Failure `usage`
 */
export function readName(text: string): Name {
  let name: Name
  try {
    name = nameFromTyped(text)
  } catch (cause) {
    if (!(cause instanceof DnssecError)) throw cause
    throw new Failure(EXIT.usage, `not a domain name: ${cause.message}`, { cause })
  }
  // It could be one in DNS, and would be sought, and reported as proven absent.
  if (isAddress(nameToText(name))) {
    throw new Failure(
      EXIT.usage,
      `not a domain name: ${text} looks like an address; give the name alone, as example.org`,
    )
  }
  return name
}

/** Whether a name is rather a URL, a mail address, or a host with its port. */
function isAddress(text: string): boolean {
  const hasPlainTop = text === '.' || /(?:^|\.)[\w-]+\.$/.test(text)
  return !hasPlainTop || /[:@]/.test(text)
}
