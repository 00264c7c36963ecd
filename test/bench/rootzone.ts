/** A signed root of made-up names, for a foreign name server. */
import { ALGORITHM } from '@dslog/dnssec/backend/backend'
import { ROOT } from '@dslog/dnssec/name'
import { KSK, ZSK, zoneKey } from '@dslog/testbed/key'
import { signZone } from '@dslog/testbed/signer'

/** How long signatures are valid, in seconds. */
const VALIDITY = 30 * 86_400

/** Its keys, the same each time. */
export function rootKeys() {
  return [KSK, ZSK].map((flags) =>
    zoneKey({ algorithm: ALGORITHM.ECDSAP256SHA256, flags, seed: `bench ${flags}` }),
  )
}

/** A root zone with `names` delegations, `name0.` and so on, each with a DS, as a master file. */
export function rootZone(names: number): string {
  const lines = ['. 3600 IN SOA ns. h. 1 1800 900 604800 3600', '. 3600 IN NS ns.']
  lines.push('ns. 3600 IN A 127.0.0.1')
  for (let i = 0; i < names; i++) {
    lines.push(`name${i}. 3600 IN NS ns.name${i}.`)
    lines.push(`name${i}. 3600 IN DS ${i % 65_536} 13 2 ${i.toString(16).padStart(64, '0')}`)
  }
  const inception = Math.floor(Date.now() / 1000) - 3600
  const window = { inception, expiration: inception + VALIDITY }
  const records = `${lines.join('\n')}\n`
  return signZone({ origin: ROOT, records, keys: rootKeys(), denial: 'nsec', window }).toText()
}
