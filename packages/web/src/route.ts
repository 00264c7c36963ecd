/**
 * Addresses of the pages, behind the `#`: a static host serves them all, and none of them tells the
 * host which name somebody looks at. `?log=URL` before it names another log than the one beside the page.
 *
 *     #/                    #/name/example.org.     #/entry/123       #/zone/org.     #/zone/@
 *     #/changes             #/log                   #/verify          #/by-hand
 *     #/watch               #/watch/example.org.    #/trust
 */
import { parseDecimal } from '@dslog/tlog/bytes'
import { DnssecError } from '@dslog/dnssec/error'
import { nameFromTyped } from '@dslog/dnssec/idn'
import { nameToText } from '@dslog/dnssec/name'
import { nameOfPath, pathOf } from '@dslog/schema/path'

export type Route =
  | { readonly page: 'home' | 'changes' | 'log' | 'verify' | 'by-hand' | 'trust' }
  | { readonly page: 'name' | 'zone'; readonly name: string }
  | { readonly page: 'entry'; readonly index: number }
  | { readonly page: 'watch'; readonly name?: string }
  | { readonly page: 'unknown' }

const PLAIN = ['changes', 'log', 'verify', 'by-hand', 'trust', 'watch'] as const
const UNKNOWN = { page: 'unknown' } as const

/** The page that a location's hash names. */
export function routeOf(hash: string): Route {
  const [page = '', segment, ...more] = hash.replace(/^#?\/?/, '').split('/')
  if (more.length > 0) return UNKNOWN
  if (segment === undefined || segment === '') {
    if (page === '') return { page: 'home' }
    return PLAIN.find((plain) => plain === page) === undefined
      ? UNKNOWN
      : { page: page as (typeof PLAIN)[number] }
  }
  if (page === 'entry') {
    const index = parseDecimal(segment)
    return index === undefined ? UNKNOWN : { page, index }
  }
  if (page !== 'name' && page !== 'zone' && page !== 'watch') return UNKNOWN
  const name = readSegment(segment)
  return name === undefined ? UNKNOWN : { page, name }
}

/** A link to a page. */
export function hrefOf(route: Route): string {
  switch (route.page) {
    case 'home':
    case 'unknown':
      return '#/'
    case 'name':
    case 'zone':
      return `#/${route.page}/${pathOf(nameFromTyped(route.name))}`
    case 'watch':
      return route.name === undefined ? '#/watch' : `#/watch/${pathOf(nameFromTyped(route.name))}`
    case 'entry':
      return `#/entry/${route.index}`
    case 'changes':
    case 'log':
    case 'verify':
    case 'by-hand':
    case 'trust':
      return `#/${route.page}`
  }
}

function readSegment(segment: string): string | undefined {
  try {
    return nameToText(nameOfPath(decodeURIComponent(segment)))
  } catch (error) {
    if (error instanceof DnssecError || error instanceof URIError) return undefined
    throw error
  }
}

/**
 * The name that somebody typed, pasted from an address bar or cut out of a mail address.
 *
 * @throws DnssecError `bad-name`
 */
export function nameOfSearch(text: string): string {
  const bare = text
    .trim()
    .replace(/^[a-z][a-z0-9+.-]*:\/\//i, '')
    .replace(/^[^/?#@\s]*@/, '')
    .replace(/(?<!\\)[/?#:].*$/s, '')
  return nameToText(nameFromTyped(bare))
}
