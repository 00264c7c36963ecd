/**
 * Where a walk begins: the servers of the root (https://www.internic.net/domain/named.root; the last
 * change, of b, was in November 2023). They are asked for the list in force first (RFC 8109), and nothing
 * rests on their honesty: what comes of a walk is validated.
 */
import { nameFromText } from '@dslog/dnssec/name'
import type { Server } from './exchange.ts'

const ADDRESSES: readonly (readonly [letter: string, v4: string, v6: string])[] = [
  ['a', '198.41.0.4', '2001:503:ba3e::2:30'],
  ['b', '170.247.170.2', '2801:1b8:10::b'],
  ['c', '192.33.4.12', '2001:500:2::c'],
  ['d', '199.7.91.13', '2001:500:2d::d'],
  ['e', '192.203.230.10', '2001:500:a8::e'],
  ['f', '192.5.5.241', '2001:500:2f::f'],
  ['g', '192.112.36.4', '2001:500:12::d0d'],
  ['h', '198.97.190.53', '2001:500:1::53'],
  ['i', '192.36.148.17', '2001:7fe::53'],
  ['j', '192.58.128.30', '2001:503:c27::2:30'],
  ['k', '193.0.14.129', '2001:7fd::1'],
  ['l', '199.7.83.42', '2001:500:9f::42'],
  ['m', '202.12.27.33', '2001:dc3::35'],
]

/** The thirteen servers of the root, by both addresses. */
export const ROOT_SERVERS: readonly Server[] = ADDRESSES.flatMap(([letter, ...addresses]) => {
  const name = nameFromText(`${letter}.root-servers.net.`)
  return addresses.map((address) => ({ address, name }))
})
