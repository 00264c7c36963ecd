/**
 * The two primitives that validation rests on, and the algorithms every backend has (RFC 8624,
 * RFC 9905). `node.ts` uses `node:crypto`, `web.ts` WebCrypto and noble; both must give the same
 * answer to every question, for a log and its auditors may run on different ones.
 */

import { equal } from '@dslog/tlog/bytes'

/** DNSSEC algorithm numbers that are verified here (IANA, DNS Security Algorithm Numbers). */
export const ALGORITHM = {
  RSASHA1: 5,
  RSASHA1_NSEC3_SHA1: 7,
  RSASHA256: 8,
  RSASHA512: 10,
  ECDSAP256SHA256: 13,
  ECDSAP384SHA384: 14,
  ED25519: 15,
  ED448: 16,
} as const

/** The numbers of `ALGORITHM`. Anything else makes a DS or key unusable, never an error. */
export const SUPPORTED: ReadonlySet<number> = new Set(Object.values(ALGORITHM))

/** The largest RSA key of RFC 3110 §2: a long length, 4096 bits of exponent and of modulus. */
const MAX_RSA_KEY_BYTES = 3 + 512 + 512

/** Bytes of key and signature where the algorithm fixes them (RFC 6605 §4, RFC 8080 §3, §4). */
const FIXED_SIZES: ReadonlyMap<number, { key: number; signature: number }> = new Map([
  [ALGORITHM.ECDSAP256SHA256, { key: 64, signature: 64 }],
  [ALGORITHM.ECDSAP384SHA384, { key: 96, signature: 96 }],
  [ALGORITHM.ED25519, { key: 32, signature: 64 }],
  [ALGORITHM.ED448, { key: 57, signature: 114 }],
])

/**
 * Can key and signature be of this algorithm, by their length? Asked before a key is imported, so
 * that junk is neither parsed nor kept.
 */
export function sizesFit(algorithm: number, publicKey: Uint8Array, signature: Uint8Array): boolean {
  const sizes = FIXED_SIZES.get(algorithm)
  if (sizes) return publicKey.length === sizes.key && signature.length === sizes.signature
  return SUPPORTED.has(algorithm) && publicKey.length <= MAX_RSA_KEY_BYTES
}

/** DS digest types: SHA-1 (RFC 4034), SHA-256 (RFC 4509), SHA-384 (RFC 6605). */
export const DIGEST = { SHA1: 1, SHA256: 2, SHA384: 4 } as const

/** A digest type that is computed here. */
export type DigestType = (typeof DIGEST)[keyof typeof DIGEST]

/** Bytes of each digest. */
export const DIGEST_BYTES: Readonly<Record<DigestType, number>> = { 1: 20, 2: 32, 4: 48 }

/** Is it one of the digest types computed here? */
export function isDigestType(type: number): type is DigestType {
  return Object.hasOwn(DIGEST_BYTES, type)
}

/** Imported keys kept by a backend. A TLD has a handful; a crawler works on some hundred at once. */
export const MAX_CACHED_KEYS = 4096

/** Signatures and digests. All inputs may come from an attacker. */
export interface SignatureBackend {
  /**
   * Does `signature`, as it stands in an RRSIG, verify over `data` with the key in a DNSKEY's public
   * key field? False for a malformed key, a malformed signature and an unsupported algorithm.
   */
  verify(
    algorithm: number,
    publicKey: Uint8Array,
    data: Uint8Array,
    signature: Uint8Array,
  ): Promise<boolean>
  /** The digest of a DS. */
  digest(type: DigestType, data: Uint8Array): Promise<Uint8Array> | Uint8Array
}

/** An imported key, and what it was imported from. */
interface Kept<T> {
  readonly algorithm: number
  readonly publicKey: Uint8Array
  readonly value: T
}

/**
 * A map that forgets what was not asked for longest once it holds `limit` values. Keys of zones come
 * from outside, so an unbounded cache would be a leak that others can fill. It is asked for each signature:
 * a text made of the key would take longer to make and look up than the key's bytes to compare.
 */
export class KeyCache<T> {
  readonly #limit: number
  /** By checksum. Of two keys with one, which chance does not make, the newer is kept. */
  readonly #kept = new Map<number, Kept<T>>()
  #newest: Kept<T> | undefined

  constructor(limit: number = MAX_CACHED_KEYS) {
    this.#limit = limit
  }

  /** The value of a key, made by `make` if it is not kept. */
  get(algorithm: number, publicKey: Uint8Array, make: () => T): T {
    if (isOf(this.#newest, algorithm, publicKey)) return this.#newest.value
    const id = checksum(algorithm, publicKey)
    const found = this.#kept.get(id)
    this.#kept.delete(id)
    const kept = isOf(found, algorithm, publicKey)
      ? found
      : { algorithm, publicKey: publicKey.slice(), value: make() }
    if (this.#kept.size >= this.#limit) {
      for (const oldest of this.#kept.keys()) {
        this.#kept.delete(oldest)
        break
      }
    }
    this.#kept.set(id, kept)
    this.#newest = kept
    return kept.value
  }
}

function isOf<T>(
  kept: Kept<T> | undefined,
  algorithm: number,
  publicKey: Uint8Array,
): kept is Kept<T> {
  return kept?.algorithm === algorithm && equal(kept.publicKey, publicKey)
}

/** FNV-1a. */
function checksum(algorithm: number, publicKey: Uint8Array): number {
  let sum = 0x811c9dc5 ^ algorithm
  for (let i = 0; i < publicKey.length; i++) sum = Math.imul(sum ^ publicKey[i]!, 0x01000193)
  return sum
}
