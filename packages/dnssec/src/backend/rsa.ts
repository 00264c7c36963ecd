/**
 * RSA public keys of DNSKEY records (RFC 3110 §2, RFC 5702 §2) and a PKCS #1 v1.5 verifier (RFC 8017
 * §8.2.2) in plain arithmetic. The platform's own code is tried first; this is for the keys it
 * refuses: browsers want short exponents and OpenSSL may be set to refuse small keys or SHA-1.
 * Only public values are handled, so nothing here needs to be constant-time.
 *
 *     u8 length of e, or u8 0 | u16 length of e        e        n
 */
import { equal, fromHex, toHex } from '@dslog/tlog/bytes'
import { ALGORITHM } from './backend.ts'

/** Smallest modulus (RFC 3110 §2; 512-bit keys are still met). */
export const MIN_MODULUS_BITS = 512
/** Largest modulus (RFC 3110 §2, RFC 5702 §2). */
export const MAX_MODULUS_BITS = 4096
/**
 * Largest public exponent. RFC 3110 allows 4096 bits, with which one verification takes as long as
 * hundreds; keys in use have 2, 17 or 33 bits. OpenSSL allows 64 above 3072-bit moduli, BIND 35.
 */
export const MAX_EXPONENT_BITS = 64

/** An RSA public key: big-endian numbers without leading zeros, within the bounds above. */
export interface RsaKey {
  readonly n: Uint8Array
  readonly e: Uint8Array
}

function bitLength(bytes: Uint8Array): number {
  return bytes.length === 0 ? 0 : bytes.length * 8 - (Math.clz32(bytes[0]!) - 24)
}

function withoutLeadingZeros(bytes: Uint8Array): Uint8Array {
  let start = 0
  while (start < bytes.length && bytes[start] === 0) start += 1
  return bytes.subarray(start)
}

/** The key in a DNSKEY's public key field; undefined if malformed, out of bounds or degenerate. */
export function parseRsaKey(publicKey: Uint8Array): RsaKey | undefined {
  const short = publicKey[0]
  if (short === undefined) return undefined
  const start = short === 0 ? 3 : 1
  if (publicKey.length < start) return undefined
  const size = short === 0 ? publicKey[1]! * 256 + publicKey[2]! : short
  if (publicKey.length <= start + size) return undefined
  const e = withoutLeadingZeros(publicKey.subarray(start, start + size))
  const n = withoutLeadingZeros(publicKey.subarray(start + size))
  const bits = bitLength(n)
  if (bits < MIN_MODULUS_BITS || bits > MAX_MODULUS_BITS || bitLength(e) > MAX_EXPONENT_BITS) {
    return undefined
  }
  // Even numbers are no RSA key, and with e = 1 anyone can sign.
  const odd = (bytes: Uint8Array): boolean => bytes[bytes.length - 1]! % 2 === 1
  if (bitLength(e) < 2 || !odd(e) || !odd(n)) return undefined
  return { n, e }
}

/** Bits of the modulus of a DNSKEY's RSA key; undefined if it is none that is verified here. */
export function rsaKeyBits(publicKey: Uint8Array): number | undefined {
  const key = parseRsaKey(publicKey)
  return key && bitLength(key.n)
}

/** What stands before the hash in a signature block (RFC 8017 §9.2 note 1). */
const DIGEST_INFO = {
  'SHA-1': [0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0, 0x04, 0x14],
  'SHA-256': [
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
    0, 0x04, 0x20,
  ],
  'SHA-512': [
    0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03, 0x05,
    0, 0x04, 0x40,
  ],
} as const

/** A hash that DNSSEC's RSA algorithms use, by its WebCrypto name. */
export type RsaHash = keyof typeof DIGEST_INFO

const HASH_OF: ReadonlyMap<number, RsaHash> = new Map([
  [ALGORITHM.RSASHA1, 'SHA-1'],
  [ALGORITHM.RSASHA1_NSEC3_SHA1, 'SHA-1'],
  [ALGORITHM.RSASHA256, 'SHA-256'],
  [ALGORITHM.RSASHA512, 'SHA-512'],
])

/** The hash of an RSA algorithm number; undefined if it is not one. */
export function rsaHashOf(algorithm: number): RsaHash | undefined {
  return HASH_OF.get(algorithm)
}

/** At least this much padding (RFC 8017 §9.2 step 3). */
const MIN_PADDING_BYTES = 8

/** The block a signature of `digest` must come to: 00 01 ff… 00 | prefix | digest. */
function expectedBlock(size: number, hash: RsaHash, digest: Uint8Array): Uint8Array | undefined {
  const prefix = DIGEST_INFO[hash]
  const tail = prefix.length + digest.length
  if (size < tail + 3 + MIN_PADDING_BYTES) return undefined
  const block = new Uint8Array(size).fill(0xff)
  block[0] = 0
  block[1] = 1
  block[size - tail - 1] = 0
  block.set(prefix, size - tail)
  block.set(digest, size - digest.length)
  return block
}

function toBigInt(bytes: Uint8Array): bigint {
  return BigInt('0x' + toHex(bytes))
}

function toBytes(value: bigint, size: number): Uint8Array {
  return fromHex(value.toString(16).padStart(size * 2, '0'))
}

/** Verifies a PKCS #1 v1.5 signature of a digest. The signature is as long as the modulus. */
export function rsaVerifyDigest(
  key: RsaKey,
  hash: RsaHash,
  digest: Uint8Array,
  signature: Uint8Array,
): boolean {
  const expected = expectedBlock(key.n.length, hash, digest)
  if (expected === undefined || signature.length !== key.n.length) return false
  const n = toBigInt(key.n)
  const s = toBigInt(signature)
  if (s >= n) return false
  let power = 1n
  for (const byte of key.e) {
    for (let bit = 0x80; bit > 0; bit >>= 1) {
      power = (power * power) % n
      if (byte & bit) power = (power * s) % n
    }
  }
  return equal(toBytes(power, key.n.length), expected)
}
