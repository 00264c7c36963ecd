/** What the numbers of DNSSEC are called, where they are in use (IANA's registries of algorithms and of DS digest types). */

const ALGORITHMS: Readonly<Record<number, string>> = {
  5: 'RSA/SHA-1',
  7: 'RSA/SHA-1',
  8: 'RSA/SHA-256',
  10: 'RSA/SHA-512',
  13: 'ECDSA P-256',
  14: 'ECDSA P-384',
  15: 'Ed25519',
  16: 'Ed448',
}
const DIGESTS: Readonly<Record<number, string>> = { 1: 'SHA-1', 2: 'SHA-256', 4: 'SHA-384' }

/** An algorithm, for people: by its number if it has no name here. */
export function algorithmText(algorithm: number): string {
  return ALGORITHMS[algorithm] ?? `algorithm ${algorithm}`
}

/** A digest type of DS records, likewise. */
export function digestText(digestType: number): string {
  return DIGESTS[digestType] ?? `digest type ${digestType}`
}
