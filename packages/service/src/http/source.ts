/** Whom a request counts for: an IPv4 address or an IPv6 /64, since one subscriber has a whole /64. */
import { formatAddress, isMapped, parseAddress } from '../specialaddress.ts'

const IPV4_BYTES = 4

/** Bytes of an IPv6 address that a subscriber has not. */
const PREFIX_BYTES = 8

/** The name of a source, of a client's address as Fastify gives it. */
export function sourceOf(address: string): string {
  const [plain = ''] = address.split('%')
  const bytes = parseAddress(plain)
  if (bytes === undefined) return plain
  // As a socket for both families shows IPv4 addresses.
  if (isMapped(bytes)) return formatAddress(bytes.slice(-IPV4_BYTES))
  if (bytes.length === IPV4_BYTES) return plain
  const prefix = new Uint8Array(bytes.length)
  prefix.set(bytes.subarray(0, PREFIX_BYTES))
  return `${formatAddress(prefix)}/64`
}
