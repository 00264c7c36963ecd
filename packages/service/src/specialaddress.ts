/**
 * Addresses that strangers must not make us talk to: the special-purpose ranges of the IANA registries
 * for IPv4 and IPv6 (RFC 6890), multicast, and all of IPv6 that is not assigned as global unicast
 * (RFC 4291 §2.4). Addresses of name servers come from the DNS and those of webhooks from subscribers;
 * both would otherwise reach into the operator's network.
 *
 * An address inside another counts as what it reaches: IPv4-mapped (RFC 4291 §2.5.5.2) and NAT64
 * (RFC 6052) ones are judged by the IPv4 address they hold; 6to4 and Teredo relays are no more, so those
 * are refused whatever they hold. So is every text that is no address in its one strict form: `127.1`,
 * `0x7f000001` and `2130706433` are names to us, and the loopback to some resolvers.
 */
import { BlockList, isIP, isIPv4, isIPv6 } from 'node:net'

/** Rows of the registries as of 2025-10, with multicast; what a longer row says, a shorter one that holds it does too. */
const SPECIAL: readonly (readonly [prefix: string, name: string])[] = [
  // https://www.iana.org/assignments/iana-ipv4-special-registry
  ['0.0.0.0/8', 'this network'],
  ['10.0.0.0/8', 'private use'],
  ['100.64.0.0/10', 'shared address space'],
  ['127.0.0.0/8', 'loopback'],
  ['169.254.0.0/16', 'link-local'],
  ['172.16.0.0/12', 'private use'],
  ['192.0.0.0/24', 'IETF protocol assignments'],
  ['192.0.2.0/24', 'documentation'],
  ['192.31.196.0/24', 'AS112'],
  ['192.52.193.0/24', 'AMT'],
  ['192.88.99.0/24', '6to4 relay anycast'],
  ['192.168.0.0/16', 'private use'],
  ['192.175.48.0/24', 'AS112'],
  ['198.18.0.0/15', 'benchmarking'],
  ['198.51.100.0/24', 'documentation'],
  ['203.0.113.0/24', 'documentation'],
  ['224.0.0.0/4', 'multicast'],
  ['240.0.0.0/4', 'reserved'],
  // https://www.iana.org/assignments/iana-ipv6-special-registry
  ['::/128', 'unspecified'],
  ['::1/128', 'loopback'],
  ['64:ff9b:1::/48', 'local translation'],
  ['100::/64', 'discard only'],
  ['100:0:0:1::/64', 'dummy prefix'],
  ['2001::/32', 'Teredo'],
  ['2001::/23', 'IETF protocol assignments'],
  ['2001:db8::/32', 'documentation'],
  ['2002::/16', '6to4'],
  ['2620:4f:8000::/48', 'AS112'],
  ['3fff::/20', 'documentation'],
  ['5f00::/16', 'segment routing'],
  ['fc00::/7', 'unique local'],
  ['fe80::/10', 'link-local'],
  ['fec0::/10', 'site-local'],
  ['ff00::/8', 'multicast'],
]

/** Of IPv6 the global unicast space (RFC 4291 §2.4); what is outside is not assigned. */
const GLOBAL_UNICAST = '2000::/3'
/** Last 32 bits: the IPv4 address that is meant, by a socket for both families (RFC 4291 §2.5.5.2) and by NAT64. */
const HOLDS_IPV4 = { mapped: '::ffff:0:0/96', nat64: '64:ff9b::/96' } as const

const IPV4_BYTES = 4
const IPV6_BYTES = 16

/** The bytes of an address in strict text form, 4 or 16; undefined for any other text. */
export function parseAddress(text: string): Uint8Array | undefined {
  if (isIPv4(text)) return Uint8Array.from(text.split('.'), Number)
  if (!isIPv6(text) || text.includes('%')) return undefined
  const dotted = text.lastIndexOf(':') + 1
  if (text.includes('.')) {
    const [a = 0, b = 0, c = 0, d = 0] = text.slice(dotted).split('.').map(Number)
    const words = [a * 256 + b, c * 256 + d].map((word) => word.toString(16)).join(':')
    return parseAddress(text.slice(0, dotted) + words)
  }
  const [head = '', tail] = text.split('::')
  const wordsOf = (part: string): string[] => (part === '' ? [] : part.split(':'))
  const before = wordsOf(head)
  const behind = tail === undefined ? [] : wordsOf(tail)
  const zeros = Array.from({ length: 8 - before.length - behind.length }, () => '0')
  const words = [...before, ...zeros, ...behind].map((word) => Number.parseInt(word, 16))
  return Uint8Array.from(words.flatMap((word) => [Math.floor(word / 256), word % 256]))
}

/** The strict text form of 4 or 16 bytes; IPv6 by RFC 5952, but for dots. */
export function formatAddress(bytes: Uint8Array): string {
  if (bytes.length === IPV4_BYTES) return bytes.join('.')
  if (bytes.length !== IPV6_BYTES) throw new RangeError(`an address of ${bytes.length} bytes`)
  const words: number[] = []
  for (let i = 0; i < IPV6_BYTES; i += 2) words.push(bytes[i]! * 256 + bytes[i + 1]!)
  let [start, length] = [0, 0]
  for (let i = 0; i < words.length; i++) {
    let end = i
    while (words[end] === 0) end++
    if (end - i > length) [start, length] = [i, end - i]
  }
  const hex = words.map((word) => word.toString(16))
  if (length < 2) return hex.join(':')
  return `${hex.slice(0, start).join(':')}::${hex.slice(start + length).join(':')}`
}

interface Range {
  readonly name: string
  readonly bytes: Uint8Array
  readonly bits: number
}

function rangeOf(prefix: string, name: string): Range {
  const [address = '', bits] = prefix.split('/')
  return { name, bytes: parseAddress(address)!, bits: Number(bits) }
}

function holds({ bytes, bits }: Range, address: Uint8Array): boolean {
  if (address.length !== bytes.length) return false
  const whole = Math.floor(bits / 8)
  for (let i = 0; i < whole; i++) if (address[i] !== bytes[i]) return false
  const rest = bits % 8
  return rest === 0 || address[whole]! >> (8 - rest) === bytes[whole]! >> (8 - rest)
}

const RANGES: readonly Range[] = SPECIAL.map(([prefix, name]) => rangeOf(prefix, name))
const UNICAST = rangeOf(GLOBAL_UNICAST, 'global unicast')
const MAPPED = rangeOf(HOLDS_IPV4.mapped, 'IPv4 inside IPv6')
const NAT64 = rangeOf(HOLDS_IPV4.nat64, 'IPv4 inside IPv6')

/** Whether bytes are an IPv4 address as a socket for both families shows it. */
export function isMapped(bytes: Uint8Array): boolean {
  return holds(MAPPED, bytes)
}

/**
 * Why an address is not to be talked to unless configuration allows it: the name of its range.
 * Undefined for an address of the public internet.
 */
export function specialRange(address: string): string | undefined {
  const bytes = parseAddress(address)
  return bytes === undefined ? 'not an address' : rangeOfBytes(bytes)
}

function rangeOfBytes(bytes: Uint8Array): string | undefined {
  if (isMapped(bytes) || holds(NAT64, bytes)) return rangeOfBytes(bytes.slice(-IPV4_BYTES))
  const range = RANGES.find((candidate) => holds(candidate, bytes))
  if (range !== undefined) return range.name
  return bytes.length === IPV6_BYTES && !holds(UNICAST, bytes) ? 'not assigned' : undefined
}

/** Is the address, as text, in a special-purpose range, or no address at all? */
export function isSpecialAddress(address: string): boolean {
  return specialRange(address) !== undefined
}

/** Whether a host of a URL, or an address, is this machine's. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || specialRange(host.replace(/^\[(.*)\]$/, '$1')) === 'loopback'
}

/** Whether an address may be talked to. */
export type Permission = (address: string) => boolean

/**
 * Permits addresses of the public internet, and those in networks that configuration allows: `10.0.0.0/8`, or an
 * address alone.
 *
 * @throws RangeError for what is no network
 */
export function permission(networks: readonly string[]): Permission {
  const allowed = new BlockList()
  for (const network of networks) {
    const [, address = '', bits] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(network) ?? []
    const family = familyOf(address)
    const all = family === 'ipv6' ? 128 : 32
    const prefix = Number(bits ?? all)
    if (isIP(address) === 0 || prefix > all) throw new RangeError(`not a network: ${network}`)
    allowed.addSubnet(address, prefix, family)
  }
  return (address) => !isSpecialAddress(address) || allowed.check(address, familyOf(address))
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIPv6(address) ? 'ipv6' : 'ipv4'
}
