/** A zone with one of everything that signing has to get right, and how to sign it. */
import { nameFromText, type Name } from '@dslog/dnssec/name'
import { KSK, zoneKey, ZSK, type ZoneKey } from '../src/key.ts'
import { signZone, type Denial, type SignOptions } from '../src/signer.ts'
import type { Zone } from '../src/zone.ts'

/** When the sample is signed, in seconds and in ms: 2024-07-01T00:00:00Z. */
export const NOW: number = Date.UTC(2024, 6, 1) / 1000
export const AT: number = NOW * 1000

export const ORIGIN: Name = nameFromText('example.')

/** `a`, `y.ent2` and `deep` have a DS, `b` and `x.ent` do not. */
export const SAMPLE = `$TTL 300
@         SOA   ns Admin 7 1800 900 604800 86400
@         NS    ns
@         MX    10 MAIL.Example.
@         TYPE65400 \\# 2 0102
ns        A     192.0.2.1
          AAAA  2001:db8::1
a         NS    ns.a
a         NS    ns
a         DS    1 8 2 ${'00'.repeat(32)}
ns.a      A     192.0.2.3
x.ns.a    A     192.0.2.4
b         NS    ns.b
ns.b      A     192.0.2.5
x.ent     NS    ns
y.ent2    NS    ns
y.ent2    DS    2 13 2 ${'11'.repeat(32)}
*.w       TXT   "wild" "card"
v.w       TXT   "tame"
d         DNAME example.org.
hidden.d  A     192.0.2.6
c         CNAME c2
c2        CNAME ns
out       CNAME ns.example.org.
loop      CNAME loop
deep.a1.a2.a3 NS ns
deep.a1.a2.a3 DS 3 15 2 ${'22'.repeat(32)}
\\000.\\255 TXT "bytes"
caa       CAA   0 issue "ca.example"
`

/** The three kinds of denial. */
export const DENIALS: readonly (readonly [string, Denial])[] = [
  ['NSEC', 'nsec'],
  ['NSEC3', { nsec3: { salt: Uint8Array.of(0xaa, 0xbb), iterations: 3 } }],
  ['NSEC3 opt-out', { nsec3: { optOut: true } }],
]

/** Keys of the sample, by algorithm: a KSK and a ZSK. */
export function keysOf(algorithm: number): [ZoneKey, ZoneKey] {
  const key = (flags: number): ZoneKey => zoneKey({ algorithm, flags, seed: `sample ${flags}` })
  return [key(KSK), key(ZSK)]
}

/** Signs the sample. */
export function signSample(options: Partial<SignOptions> = {}): Zone {
  return signZone({
    origin: ORIGIN,
    records: SAMPLE,
    keys: keysOf(13),
    denial: 'nsec',
    window: { inception: NOW - 3600, expiration: NOW + 86_400 },
    ...options,
  })
}
