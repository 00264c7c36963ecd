/**
 * Signatures where there is no Node: WebCrypto for RSA, ECDSA and digests, noble for Ed25519 and
 * Ed448, which not every browser has. Browsers refuse some RSA keys that DNS has (exponents of
 * 33 bits and more, short moduli): those are computed in `rsa.ts`.
 */
import { Point } from '@noble/ed25519'
import { ed448 } from '@noble/curves/ed448.js'
import { sha512 } from '@noble/hashes/sha2.js'
import { shake256 } from '@noble/hashes/sha3.js'
import { concat, equal, toBase64, utf8 } from '@dslog/tlog/bytes'
import {
  ALGORITHM,
  DIGEST,
  KeyCache,
  sizesFit,
  type DigestType,
  type SignatureBackend,
} from './backend.ts'
import { parseRsaKey, rsaHashOf, rsaVerifyDigest, type RsaHash, type RsaKey } from './rsa.ts'

const DIGEST_NAME: Readonly<Record<DigestType, string>> = {
  [DIGEST.SHA1]: 'SHA-1',
  [DIGEST.SHA256]: 'SHA-256',
  [DIGEST.SHA384]: 'SHA-384',
}

/** WebCrypto's types want to be sure that no memory is shared; nothing here ever is. */
function own(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return bytes.buffer instanceof ArrayBuffer
    ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    : new Uint8Array(bytes)
}

async function digest(name: string, data: Uint8Array): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest(name, own(data)))
}

function base64url(bytes: Uint8Array): string {
  return toBase64(bytes).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
}

/** A key WebCrypto took; undefined where it refused. */
async function importRsa(rsa: RsaKey, hash: RsaHash): Promise<CryptoKey | undefined> {
  const jwk = { kty: 'RSA', n: base64url(rsa.n), e: base64url(rsa.e) }
  const algorithm = { name: 'RSASSA-PKCS1-v1_5', hash }
  try {
    return await crypto.subtle.importKey('jwk', jwk, algorithm, false, ['verify'])
  } catch {
    return undefined
  }
}

const UNCOMPRESSED_POINT = Uint8Array.of(4)

async function importEcdsa(curve: string, publicKey: Uint8Array): Promise<CryptoKey | undefined> {
  const point = own(concat(UNCOMPRESSED_POINT, publicKey))
  const algorithm = { name: 'ECDSA', namedCurve: curve }
  try {
    return await crypto.subtle.importKey('raw', point, algorithm, false, ['verify'])
  } catch {
    return undefined
  }
}

const ED25519_HALF = 32

function littleEndian(bytes: Uint8Array): bigint {
  let value = 0n
  for (let i = bytes.length - 1; i >= 0; i--) value = value * 256n + BigInt(bytes[i]!)
  return value
}

/**
 * Ed25519 as RFC 8032 §5.1.7 in its cofactorless form: R is recomputed and compared as bytes. This
 * is what OpenSSL, BoringSSL and Go do; noble's own `verify` is cofactored, and would accept what
 * a log's server refuses.
 */
function verifyEd25519(publicKey: Uint8Array, data: Uint8Array, signature: Uint8Array): boolean {
  const r = signature.subarray(0, ED25519_HALF)
  try {
    const order = Point.CURVE().n
    const s = littleEndian(signature.subarray(ED25519_HALF))
    if (s >= order) return false
    // `true`: y may be written unreduced, as OpenSSL, BoringSSL and Go read it.
    const a = Point.fromBytes(publicKey, true)
    const k = littleEndian(sha512(concat(r, publicKey, data))) % order
    const expected = Point.BASE.multiply(s, false).subtract(a.multiply(k, false))
    return equal(expected.toBytes(), r)
  } catch {
    return false
  }
}

const ED448_HALF = 57
/** dom4(0, "") of RFC 8032 §2, which every Ed448 hash begins with. */
const ED448_DOMAIN = concat(utf8('SigEd448'), Uint8Array.of(0, 0))

/**
 * Ed448 as OpenSSL decides (RFC 8032 §5.2.7 with cofactor, points strictly encoded, those with
 * x = 0 refused); noble's own `verify` refuses all keys of small order, which a log's server
 * would accept.
 */
function verifyEd448(publicKey: Uint8Array, data: Uint8Array, signature: Uint8Array): boolean {
  const { Point } = ed448
  const order = Point.Fn.ORDER
  try {
    const a = Point.fromBytes(publicKey, false)
    const r = Point.fromBytes(signature.subarray(0, ED448_HALF), false)
    const s = littleEndian(signature.subarray(ED448_HALF))
    if (s >= order || a.x === 0n || r.x === 0n) return false
    const hashed = concat(ED448_DOMAIN, signature.subarray(0, ED448_HALF), publicKey, data)
    const k = littleEndian(shake256(hashed, { dkLen: 2 * ED448_HALF })) % order
    const sum = r.add(a.multiplyUnsafe(k))
    return Point.BASE.multiplyUnsafe(s).subtract(sum).clearCofactor().is0()
  } catch {
    return false
  }
}

/** A backend with its own key cache, for browsers, workers and any other runtime with WebCrypto. */
export function webBackend(): SignatureBackend {
  const rsaKeys = new KeyCache<RsaKey | undefined>()
  const keys = new KeyCache<Promise<CryptoKey | undefined>>()

  async function verifyRsa(
    algorithm: number,
    hash: RsaHash,
    publicKey: Uint8Array,
    data: Uint8Array,
    signature: Uint8Array,
  ): Promise<boolean> {
    const rsa = rsaKeys.get(algorithm, publicKey, () => parseRsaKey(publicKey))
    if (rsa === undefined || signature.length !== rsa.n.length) return false
    const key = await keys.get(algorithm, publicKey, () => importRsa(rsa, hash))
    if (key) {
      try {
        return await crypto.subtle.verify('RSASSA-PKCS1-v1_5', key, own(signature), own(data))
      } catch {
        // Refused when used rather than when imported: compute it.
      }
    }
    return rsaVerifyDigest(rsa, hash, await digest(hash, data), signature)
  }

  async function verifyEcdsa(
    algorithm: number,
    publicKey: Uint8Array,
    data: Uint8Array,
    signature: Uint8Array,
  ): Promise<boolean> {
    const p256 = algorithm === ALGORITHM.ECDSAP256SHA256
    const key = await keys.get(algorithm, publicKey, () =>
      importEcdsa(p256 ? 'P-256' : 'P-384', publicKey),
    )
    if (key === undefined) return false
    const how = { name: 'ECDSA', hash: p256 ? 'SHA-256' : 'SHA-384' }
    return crypto.subtle.verify(how, key, own(signature), own(data))
  }

  return {
    async verify(algorithm, publicKey, data, signature) {
      if (!sizesFit(algorithm, publicKey, signature)) return false
      const hash = rsaHashOf(algorithm)
      if (hash) return verifyRsa(algorithm, hash, publicKey, data, signature)
      if (algorithm === ALGORITHM.ED25519) return verifyEd25519(publicKey, data, signature)
      if (algorithm === ALGORITHM.ED448) return verifyEd448(publicKey, data, signature)
      return verifyEcdsa(algorithm, publicKey, data, signature)
    },

    digest(type, data) {
      return digest(DIGEST_NAME[type], data)
    },
  }
}
