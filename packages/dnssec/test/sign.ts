/**
 * Signs records for tests, with keys of every algorithm, made up on the spot. It shares nothing with
 * the verifier but the layout of what is signed; noble and WebCrypto do the arithmetic.
 */
import { ed25519 } from '@noble/curves/ed25519.js'
import { ed448 } from '@noble/curves/ed448.js'
import { p256, p384 } from '@noble/curves/nist.js'
import { ByteWriter } from '@dslog/tlog/binary'
import { concat, fromBase64, fromHex, toHex } from '@dslog/tlog/bytes'
import type { DigestType } from '../src/backend/backend.ts'
import { digestOfKey } from '../src/ds.ts'
import { labelCount, isWildcard, nameFromText, type Name } from '../src/name.ts'
import { rdataFromText, typeFromText } from '../src/rdata.ts'
import { parseDnskey, TYPE, type Dnskey, type RR, type RRset } from '../src/records.ts'
import { rrset } from '../src/rrset.ts'
import { BACKENDS } from './backends.ts'

/** A key pair of a zone. */
export interface TestKey extends Dnskey {
  sign(data: Uint8Array): Promise<Uint8Array> | Uint8Array
}

/** Every time in these tests is around this one: 2024-07-01T00:00:00Z, ms and seconds. */
export const AT = Date.UTC(2024, 6, 1)
export const NOW = AT / 1000
/** Spans, ms. */
export const HOUR = 3_600_000
export const DAY = 86_400_000

function named(
  algorithm: number,
  publicKey: Uint8Array,
  sign: TestKey['sign'],
  { flags = 257, protocol = 3 }: { flags?: number; protocol?: number } = {},
): TestKey {
  const rdata = new ByteWriter().u16(flags).u8(protocol).u8(algorithm).bytes(publicKey).finish()
  return { ...parseDnskey(rdata), sign }
}

interface KeyOptions {
  flags?: number
  protocol?: number
  seed?: number
}

/** DS RDATA that stands for a key. */
export async function dsOf(owner: Name, key: Dnskey, type: DigestType = 2): Promise<Uint8Array> {
  const digest = await digestOfKey(type, owner, key.rdata, BACKENDS[0]![1])
  return new ByteWriter().u16(key.tag).u8(key.algorithm).u8(type).bytes(digest).finish()
}

/** An Ed25519 key; equal seeds make equal keys. */
export function ed25519Key(options: KeyOptions = {}): TestKey {
  const secret = new Uint8Array(32).fill(options.seed ?? 1)
  const sign = (data: Uint8Array): Uint8Array => ed25519.sign(data, secret)
  return named(15, ed25519.getPublicKey(secret), sign, options)
}

/** An Ed448 key. */
export function ed448Key(options: KeyOptions = {}): TestKey {
  const secret = new Uint8Array(57).fill(options.seed ?? 1)
  return named(16, ed448.getPublicKey(secret), (data) => ed448.sign(data, secret), options)
}

/** An ECDSA key on P-256 (13) or P-384 (14). */
export function ecdsaKey(algorithm: 13 | 14, options: KeyOptions = {}): TestKey {
  const curve = algorithm === 13 ? p256 : p384
  const secret = new Uint8Array(algorithm === 13 ? 32 : 48).fill(options.seed ?? 1)
  const publicKey = curve.getPublicKey(secret, false).subarray(1)
  return named(algorithm, publicKey, (data) => curve.sign(data, secret), options)
}

/** An RSA key made by WebCrypto, of 1024 bits unless told. */
export async function rsaKey(
  algorithm: 5 | 7 | 8 | 10,
  bits = 1024,
  exponent = 65537n,
): Promise<TestKey> {
  const name = 'RSASSA-PKCS1-v1_5'
  const hash = algorithm === 8 ? 'SHA-256' : algorithm === 10 ? 'SHA-512' : 'SHA-1'
  const pair = await crypto.subtle.generateKey(
    { name, hash, modulusLength: bits, publicExponent: Uint8Array.of(1, 0, 1) },
    true,
    ['sign', 'verify'],
  )
  const jwk = await crypto.subtle.exportKey('jwk', pair.privateKey)
  const n = base64url(jwk.n!)
  if (exponent === 65537n) {
    return named(
      algorithm,
      rsaPublicKey(Uint8Array.of(1, 0, 1), n),
      async (data) =>
        new Uint8Array(await crypto.subtle.sign(name, pair.privateKey, new Uint8Array(data))),
    )
  }
  // The same primes with another exponent, which WebCrypto would not make a key for.
  const [p, q, modulus] = [jwk.p!, jwk.q!, jwk.n!].map((text) => toNumber(base64url(text)))
  const d = inverse(exponent, (p! - 1n) * (q! - 1n))
  if (d === undefined) return rsaKey(algorithm, bits, exponent)
  return named(algorithm, rsaPublicKey(fromNumber(exponent), n), async (data) => {
    // The platform signs; raising to its exponent gives back the block, to be signed by the other.
    const signature = await crypto.subtle.sign(name, pair.privateKey, new Uint8Array(data))
    const block = power(toNumber(new Uint8Array(signature)), 65537n, modulus!)
    return fromNumber(power(block, d, modulus!), n.length)
  })
}

function toNumber(bytes: Uint8Array): bigint {
  return BigInt('0x' + toHex(bytes))
}

function fromNumber(value: bigint, size = 0): Uint8Array {
  const text = value.toString(16)
  return fromHex(text.padStart(Math.max(2 * size, text.length + (text.length % 2)), '0'))
}

function power(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let result = 1n
  for (const bit of exponent.toString(2)) {
    result = (result * result) % modulus
    if (bit === '1') result = (result * base) % modulus
  }
  return result
}

/** The inverse modulo `modulus`, by Euclid; undefined if there is none. */
function inverse(value: bigint, modulus: bigint): bigint | undefined {
  let [r, next, t, step] = [modulus, value % modulus, 0n, 1n]
  while (next !== 0n) {
    const quotient = r / next
    ;[r, next, t, step] = [next, r - quotient * next, step, t - quotient * step]
  }
  return r === 1n ? ((t % modulus) + modulus) % modulus : undefined
}

function base64url(text: string): Uint8Array {
  const plain = text.replaceAll('-', '+').replaceAll('_', '/')
  return fromBase64(plain.padEnd(Math.ceil(plain.length / 4) * 4, '='))
}

/** RFC 3110's layout of exponent and modulus. */
export function rsaPublicKey(e: Uint8Array, n: Uint8Array): Uint8Array {
  const length = e.length < 256 ? [e.length] : [0, e.length >> 8, e.length & 255]
  return concat(new Uint8Array(length), e, n)
}

/** What a test may want to be unusual about a signature. */
export interface SignOptions {
  /** Seconds since the epoch; taken modulo 2^32. */
  inception?: number
  expiration?: number
  labels?: number
  ttl?: number
  /** Bytes written instead of those of the zone's name. */
  signer?: Uint8Array
}

/** RRSIG RDATA over an RRset. The owner that is signed is the RRset's own, whatever `labels` says. */
export async function signRRset(
  set: RRset,
  key: TestKey,
  zone: Name,
  options: SignOptions = {},
): Promise<Uint8Array> {
  const { inception = NOW - HOUR / 1000, expiration = NOW + HOUR / 1000, ttl = 3600 } = options
  const labels = options.labels ?? labelCount(set.owner) - (isWildcard(set.owner) ? 1 : 0)
  const fields = (signer: Uint8Array): Uint8Array =>
    new ByteWriter()
      .u16(set.type)
      .u8(key.algorithm)
      .u8(labels)
      .u32(ttl)
      .u32(expiration % 0x100000000)
      .u32(inception % 0x100000000)
      .u16(key.tag)
      .bytes(signer)
      .finish()
  const data = new ByteWriter().bytes(fields(zone))
  for (const rdata of set.rdatas) {
    data.bytes(set.owner).u16(set.type).u16(1).u32(ttl).u16(rdata.length).bytes(rdata)
  }
  return concat(fields(options.signer ?? zone), await key.sign(data.finish()))
}

/** A record from its presentation form. */
export function record(owner: string, type: string, rdata: string): RR {
  const number = typeFromText(type)!
  return {
    owner: nameFromText(owner),
    type: number,
    class: 1,
    ttl: 3600,
    rdata: rdataFromText(number, rdata),
  }
}

/** One RRset of given records and its RRSIG, as records of a bag. */
export async function signed(
  records: readonly RR[],
  key: TestKey,
  zone: Name,
  options: SignOptions = {},
): Promise<RR[]> {
  const [first] = records
  const set = rrset(
    first!.owner,
    first!.type,
    records.map((r) => r.rdata),
  )
  const rdata = await signRRset(set, key, zone, options)
  return [...records, { ...first!, type: TYPE.RRSIG, rdata }]
}
