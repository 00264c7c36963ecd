/**
 * Keys that sign zones, by `node:crypto`: the six algorithms that registries use (8 RSASHA256,
 * 10 RSASHA512, 13 ECDSAP256SHA256, 14 ECDSAP384SHA384, 15 ED25519, 16 ED448; RFC 5702, 6605, 8080),
 * their DNSKEY and DS records, and trust anchors.
 *
 * A key is made from its seed: the same seed gives the same key, and so the same tag and DS. RSA keys
 * cannot be made that way; there a seed gives the same key for as long as the process lives. None of
 * these keys protects anything: the seed is all it takes to have them.
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  sign,
  type KeyObject,
} from 'node:crypto'
import { ByteWriter } from '@dslog/tlog/binary'
import { concat } from '@dslog/tlog/bytes'
import type { Anchor } from '@dslog/dnssec/anchors'
import { ALGORITHM, DIGEST, type DigestType } from '@dslog/dnssec/backend/backend'
import { ROOT, type Name } from '@dslog/dnssec/name'
import {
  FLAG_REVOKE,
  FLAG_SEP,
  FLAG_ZONE,
  parseDnskey,
  parseDs,
  type Dnskey,
} from '@dslog/dnssec/records'

/** Flags of a key-signing key, or of one that signs everything. */
export const KSK: number = FLAG_ZONE + FLAG_SEP
/** Flags of a zone-signing key. */
export const ZSK: number = FLAG_ZONE

/** The algorithms that zones are signed with here. */
export const SIGNING_ALGORITHMS: readonly number[] = [
  ALGORITHM.RSASHA256,
  ALGORITHM.RSASHA512,
  ALGORITHM.ECDSAP256SHA256,
  ALGORITHM.ECDSAP384SHA384,
  ALGORITHM.ED25519,
  ALGORITHM.ED448,
]

/** A DNSKEY and the private key behind it. */
export interface ZoneKey extends Dnskey {
  /** The signature field of an RRSIG over `data`. */
  sign(data: Uint8Array): Uint8Array
}

/** What key to make. */
export interface KeyOptions {
  readonly algorithm: number
  /** Two keys of one algorithm differ by their seed. */
  readonly seed: string
  /** DNSKEY flags: `KSK` (also for a key that signs everything) unless told. */
  readonly flags?: number
  /** Size of an RSA key, 2048 bits unless told. */
  readonly bits?: number
}

/** Hash that is signed; Ed25519 and Ed448 bring their own. */
const HASH: ReadonlyMap<number, string> = new Map([
  [ALGORITHM.RSASHA256, 'sha256'],
  [ALGORITHM.RSASHA512, 'sha512'],
  [ALGORITHM.ECDSAP256SHA256, 'sha256'],
  [ALGORITHM.ECDSAP384SHA384, 'sha384'],
])

/** What stands around a private key of so many bytes in DER (RFC 5915, RFC 8410). */
const PRIVATE_DER: ReadonlyMap<
  number,
  { head: string; size: number; tail: string; type: 'sec1' | 'pkcs8' }
> = new Map([
  [
    ALGORITHM.ECDSAP256SHA256,
    { head: '30310201010420', size: 32, tail: 'a00a06082a8648ce3d030107', type: 'sec1' },
  ],
  [
    ALGORITHM.ECDSAP384SHA384,
    { head: '303e0201010430', size: 48, tail: 'a00706052b81040022', type: 'sec1' },
  ],
  [
    ALGORITHM.ED25519,
    { head: '302e020100300506032b657004220420', size: 32, tail: '', type: 'pkcs8' },
  ],
  [
    ALGORITHM.ED448,
    { head: '3047020100300506032b6571043b0439', size: 57, tail: '', type: 'pkcs8' },
  ],
])

/** RSA keys of this process, by algorithm, size and seed. */
const rsaKeys = new Map<string, KeyObject>()

function privateKey({ algorithm, seed, bits = 2048 }: KeyOptions): KeyObject {
  const der = PRIVATE_DER.get(algorithm)
  if (der !== undefined) {
    const hash = createHash('shake256', { outputLength: der.size })
    const secret = hash.update(`dslog testbed key ${algorithm} ${seed}`).digest()
    const key = Buffer.concat([Buffer.from(der.head, 'hex'), secret, Buffer.from(der.tail, 'hex')])
    return createPrivateKey({ key, format: 'der', type: der.type })
  }
  if (!SIGNING_ALGORITHMS.includes(algorithm)) throw new RangeError(`algorithm ${algorithm}`)
  const id = `${algorithm} ${bits} ${seed}`
  const made = rsaKeys.get(id) ?? generateKeyPairSync('rsa', { modulusLength: bits }).privateKey
  rsaKeys.set(id, made)
  return made
}

/** The public key field of a DNSKEY (RFC 3110 §2, RFC 6605 §4, RFC 8080 §3). */
function publicKeyField(key: KeyObject): Uint8Array {
  const jwk = createPublicKey(key).export({ format: 'jwk' })
  const field = (name: 'n' | 'e' | 'x' | 'y'): Uint8Array =>
    new Uint8Array(Buffer.from(jwk[name] ?? '', 'base64url'))
  if (jwk.kty !== 'RSA') return concat(field('x'), field('y'))
  // An exponent that Node makes has 3 bytes, so its length fits the short form.
  return concat(Uint8Array.of(field('e').length), field('e'), field('n'))
}

function withFlags(flags: number, algorithm: number, publicKey: Uint8Array): Dnskey {
  return parseDnskey(new ByteWriter().u16(flags).u8(3).u8(algorithm).bytes(publicKey).finish())
}

/** Makes a key. */
export function zoneKey(options: KeyOptions): ZoneKey {
  const { algorithm, flags = KSK } = options
  const key = privateKey(options)
  return {
    ...withFlags(flags, algorithm, publicKeyField(key)),
    sign: (data) =>
      new Uint8Array(sign(HASH.get(algorithm) ?? null, data, { key, dsaEncoding: 'ieee-p1363' })),
  }
}

/** The same key, revoked (RFC 5011 §2.1): its tag changes, and it counts no more. */
export function revoked(key: ZoneKey): ZoneKey {
  const { flags, algorithm, publicKey } = key
  return { ...withFlags(flags + FLAG_REVOKE, algorithm, publicKey), sign: (data) => key.sign(data) }
}

const DIGEST_NAME: Readonly<Record<DigestType, string>> = { 1: 'sha1', 2: 'sha256', 4: 'sha384' }

/** RDATA of a DS for a key of `owner` (RFC 4034 §5.1.4). */
export function dsOf(
  owner: Name,
  { rdata, tag, algorithm }: Dnskey,
  digestType: DigestType = DIGEST.SHA256,
): Uint8Array {
  const digest = createHash(DIGEST_NAME[digestType]).update(owner).update(rdata).digest()
  return new ByteWriter().u16(tag).u8(algorithm).u8(digestType).bytes(digest).finish()
}

/** RDATA of a DS of nobody's key, another for each number. */
export function dsNumber(n: number): Uint8Array {
  const digest = new Uint8Array(32)
  new DataView(digest.buffer).setUint32(0, n)
  const fields = new ByteWriter()
    .u16(n % 65_536)
    .u8(ALGORITHM.ECDSAP256SHA256)
    .u8(DIGEST.SHA256)
  return fields.bytes(digest).finish()
}

/** A key of the root as a trust anchor, good from `from` (ms since the epoch) until `until`. */
export function anchorOf(
  key: Dnskey,
  from: number = Number.NEGATIVE_INFINITY,
  until?: number,
): Anchor {
  const { tag, algorithm, digestType, digest } = parseDs(dsOf(ROOT, key))
  const anchor = { tag, algorithm, digestType, digest, from }
  return until === undefined ? anchor : { ...anchor, until }
}
