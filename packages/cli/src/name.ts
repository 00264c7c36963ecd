/**
 * Domain names as people type them: with or without the dot at the end, in presentation form with its
 * escapes, or as U-labels, which become A-labels by the rules of browsers (UTS 46).
 */
import { domainToASCII } from 'node:url'
import { DnssecError } from '@dslog/dnssec/error'
import { type Name, nameFromText, nameToText } from '@dslog/dnssec/name'
import { EXIT, Failure } from './failure.ts'

/**
 * Reads a name.
 *
 * @throws Failure `usage`
 */
export function readName(text: string): Name {
  try {
    return nameFromText(/^\p{ASCII}*$/u.test(text) ? text : toAscii(text))
  } catch (cause) {
    if (!(cause instanceof DnssecError)) throw cause
    throw new Failure(EXIT.usage, `not a domain name: ${cause.message}`, { cause })
  }
}

/** Behind the name while it is converted: a host that ends in a number would become an address. */
const SHIELD = 'x'

function toAscii(text: string): string {
  // The function reads hosts of URLs, and what ends a host there would be dropped in silence.
  const isHost = /^[\P{ASCII}a-z0-9._-]+$/iu.test(text)
  const dot = /[.\u3002\uFF0E\uFF61]$/.test(text) ? '' : '.'
  const ascii = isHost ? domainToASCII(text + dot + SHIELD) : ''
  if (ascii.endsWith(`.${SHIELD}`)) return ascii.slice(0, -SHIELD.length)
  throw new Failure(EXIT.usage, `not an internationalised domain name: ${text}`)
}

/** A name as a segment of a path; the root is `@`, since a dot would be normalised away. */
export function pathOf(name: Name): string {
  const text = nameToText(name)
  return text === '.' ? '@' : encodeURIComponent(text)
}
