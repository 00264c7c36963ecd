/** Names as segments of a path: in the addresses of the API and of the explorer. */
import { type Name, nameFromText, nameToText, ROOT } from '@dslog/dnssec/name'

/** The root is `@`, since a dot would be normalised away. */
export function pathOf(name: Name): string {
  const text = nameToText(name)
  return text === '.' ? '@' : encodeURIComponent(text)
}

/** The inverse, of a decoded segment. Throws DnssecError `bad-name`. */
export function nameOfPath(segment: string): Name {
  return segment === '@' ? ROOT : nameFromText(segment)
}
