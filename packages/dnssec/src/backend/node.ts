/**
 * Signatures by `node:crypto`. The callback form of `verify` runs on the thread pool, so a crawler
 * uses all cores; key objects are kept, for importing one costs more than using it (P-256: 6 k/s
 * importing each time, 14 k/s cached). This is the only file of the package that knows Node.
 */
import { createHash, createPublicKey, verify, type JsonWebKey, type KeyObject } from 'node:crypto'
import {
  ALGORITHM,
  DIGEST,
  KeyCache,
  sizesFit,
  type DigestType,
  type SignatureBackend,
} from './backend.ts'
import { parseRsaKey, rsaHashOf, rsaVerifyDigest, type RsaKey } from './rsa.ts'

/** A key ready to use: the platform's, the numbers to compute with where it refuses, or neither. */
interface ImportedKey {
  readonly key?: KeyObject
  readonly rsa?: RsaKey
}

const HASH_OF: ReadonlyMap<number, string> = new Map([
  [ALGORITHM.RSASHA1, 'sha1'],
  [ALGORITHM.RSASHA1_NSEC3_SHA1, 'sha1'],
  [ALGORITHM.RSASHA256, 'sha256'],
  [ALGORITHM.RSASHA512, 'sha512'],
  [ALGORITHM.ECDSAP256SHA256, 'sha256'],
  [ALGORITHM.ECDSAP384SHA384, 'sha384'],
])

const DIGEST_NAME: Readonly<Record<DigestType, string>> = {
  [DIGEST.SHA1]: 'sha1',
  [DIGEST.SHA256]: 'sha256',
  [DIGEST.SHA384]: 'sha384',
}

function base64url(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64url')
}

function jwkOf(algorithm: number, publicKey: Uint8Array, rsa: RsaKey | undefined): JsonWebKey {
  if (rsa) return { kty: 'RSA', n: base64url(rsa.n), e: base64url(rsa.e) }
  if (algorithm === ALGORITHM.ED25519 || algorithm === ALGORITHM.ED448) {
    const crv = algorithm === ALGORITHM.ED25519 ? 'Ed25519' : 'Ed448'
    return { kty: 'OKP', crv, x: base64url(publicKey) }
  }
  const half = publicKey.length / 2
  return {
    kty: 'EC',
    crv: algorithm === ALGORITHM.ECDSAP256SHA256 ? 'P-256' : 'P-384',
    x: base64url(publicKey.subarray(0, half)),
    y: base64url(publicKey.subarray(half)),
  }
}

function importKey(algorithm: number, publicKey: Uint8Array): ImportedKey {
  const isRsa = rsaHashOf(algorithm) !== undefined
  const rsa = isRsa ? parseRsaKey(publicKey) : undefined
  if (isRsa && rsa === undefined) return {}
  try {
    const key = createPublicKey({ key: jwkOf(algorithm, publicKey, rsa), format: 'jwk' })
    return rsa ? { key, rsa } : { key }
  } catch {
    // A point that is not on its curve, or an RSA key that the system's policy refuses.
    return rsa ? { rsa } : {}
  }
}

/**
 * A backend with its own key cache. One for a thread is enough.
 *
 * @param here on the thread that asks, for one that does nothing else: it spares the way to another and back
 */
export function nodeBackend({ here = false }: { readonly here?: boolean } = {}): SignatureBackend {
  const keys = new KeyCache<ImportedKey>()

  function compute(
    rsa: RsaKey,
    algorithm: number,
    data: Uint8Array,
    signature: Uint8Array,
  ): boolean {
    const hash = rsaHashOf(algorithm)
    const name = HASH_OF.get(algorithm)
    if (hash === undefined || name === undefined) return false
    return rsaVerifyDigest(rsa, hash, createHash(name).update(data).digest(), signature)
  }

  return {
    verify(algorithm, publicKey, data, signature) {
      if (!sizesFit(algorithm, publicKey, signature)) return Promise.resolve(false)
      const { key, rsa } = keys.get(algorithm, publicKey, () => importKey(algorithm, publicKey))
      if (rsa && signature.length !== rsa.n.length) return Promise.resolve(false)
      if (key === undefined) {
        return Promise.resolve(rsa ? compute(rsa, algorithm, data, signature) : false)
      }
      const options = { key, dsaEncoding: 'ieee-p1363' as const }
      const hash = HASH_OF.get(algorithm)
      if (here) {
        try {
          return Promise.resolve(verify(hash, data, options, signature))
        } catch {
          return Promise.resolve(rsa ? compute(rsa, algorithm, data, signature) : false)
        }
      }
      return new Promise((resolve) => {
        const answer = (error: Error | null, valid: boolean): void => {
          // An error is the system's refusal of the algorithm (a policy against SHA-1), not a verdict.
          if (error === null) resolve(valid)
          else resolve(rsa ? compute(rsa, algorithm, data, signature) : false)
        }
        try {
          verify(hash, data, options, signature, answer)
        } catch (error) {
          answer(error instanceof Error ? error : new Error(String(error)), false)
        }
      })
    },

    digest(type, data) {
      return new Uint8Array(createHash(DIGEST_NAME[type]).update(data).digest())
    },
  }
}
