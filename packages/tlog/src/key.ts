/**
 * Keys of signed notes (C2SP signed-note, "Verifier keys"; the signer's form is the convention of golang.org/x/mod):
 *
 *   vkey   <name>+<key id>+<base64(type ‖ public key)>               example.com/foo+530d903a+AekyeRrm56hApGFkyQR4…
 *   skey   PRIVATE+KEY+<name>+<key id>+<base64(type ‖ seed)>         the seed is 32 bytes for every type
 *   key id = the first 4 bytes of SHA-256(name ‖ 0x0A ‖ type ‖ public key), 8 lower-case hexadecimal digits
 *
 * Only the three types this project signs and verifies are keys here: 0x01 Ed25519, 0x04 Ed25519 cosignature, 0x06
 * ML-DSA-44 cosignature. Others (0x02 ECDSA, 0x05 RFC 6962) are refused: a signature of theirs is one of an unknown key.
 * What each type signs is in note.ts and cosignature.ts.
 */
import { getPublicKey } from '@noble/ed25519'
import { ml_dsa44 } from '@noble/post-quantum/ml-dsa.js'
import { concat, fromBase64, fromHex, toBase64, toHex, utf8 } from './bytes.ts'
import { TlogError } from './error.ts'
import { sha256 } from './hash.ts'

/** The signature types known here, by the byte that C2SP signed-note assigns. */
export const KEY_TYPE = { ed25519: 0x01, cosignature: 0x04, mldsa44: 0x06 } as const

/** One of the bytes of {@link KEY_TYPE}. */
export type KeyType = (typeof KEY_TYPE)[keyof typeof KEY_TYPE]

/** What a verifier is configured with. */
export interface VerifierKey {
  readonly name: string
  /** 8 lower-case hexadecimal digits. */
  readonly id: string
  readonly type: KeyType
  /** 32 bytes for the Ed25519 types, 1,312 for ML-DSA-44. */
  readonly publicKey: Uint8Array
}

/** A verifier's key with the secret it comes from. */
export interface SignerKey extends VerifierKey {
  /** 32 bytes. */
  readonly seed: Uint8Array
}

/** Bytes of a seed, of every type. */
export const SEED_SIZE = 32

/** Bytes of a key id. */
export const KEY_ID_SIZE = 4

/** Longest name of an ML-DSA-44 key, in bytes: what it signs holds the name behind a one-byte length. */
export const MAX_MLDSA44_NAME_BYTES = 255

const PUBLIC_KEY_SIZE: Readonly<Record<KeyType, number>> = {
  [KEY_TYPE.ed25519]: 32,
  [KEY_TYPE.cosignature]: 32,
  [KEY_TYPE.mldsa44]: 1312,
}

const SKEY_PREFIX = 'PRIVATE+KEY+'

// Unicode's White_Space, which is what Go's unicode.IsSpace is too; JavaScript's \s differs from it in U+0085 and U+FEFF.
// A name stands in a note, which may hold nothing below the space (signed-note).
const NOT_IN_NAME = /[\p{White_Space}\p{Surrogate}+]|[^ -\u{10ffff}]/u

/** Whether a text may be a key name: not empty, no Unicode space, no control character, no plus, no lone surrogate. */
export function isKeyName(name: string): boolean {
  return name !== '' && !NOT_IN_NAME.test(name)
}

/** The id of a key: 8 lower-case hexadecimal digits. */
export function keyId(name: string, type: KeyType, publicKey: Uint8Array): string {
  const digest = sha256(concat(utf8(name), Uint8Array.of(0x0a, type), publicKey))
  return toHex(digest.subarray(0, KEY_ID_SIZE))
}

/** The key of a public key under a name. Throws RangeError for a name or a length that cannot be. */
export function verifierKey(name: string, type: KeyType, publicKey: Uint8Array): VerifierKey {
  if (!fits(name, type)) throw new RangeError(`not a key name: ${JSON.stringify(name)}`)
  if (publicKey.length !== PUBLIC_KEY_SIZE[type]) throw new RangeError('public key of wrong length')
  return { name, id: keyId(name, type, publicKey), type, publicKey }
}

/** The key that grows from a seed of 32 random bytes. The same seed gives the same key for ever. */
export function signerKey(name: string, type: KeyType, seed: Uint8Array): SignerKey {
  if (seed.length !== SEED_SIZE) throw new RangeError('a seed is 32 bytes')
  const publicKey = type === KEY_TYPE.mldsa44 ? ml_dsa44.keygen(seed).publicKey : getPublicKey(seed)
  return { ...verifierKey(name, type, publicKey), seed }
}

/** Writes a verifier key. */
export function formatVkey(key: VerifierKey): string {
  return `${key.name}+${key.id}+${toBase64(concat(Uint8Array.of(key.type), key.publicKey))}`
}

/** Reads a verifier key, the exact inverse of {@link formatVkey}. TlogError `bad-key` or `unsupported-key`. */
export function parseVkey(text: string): VerifierKey {
  const { name, id, type, material } = parseKey(text)
  if (material.length !== PUBLIC_KEY_SIZE[type]) {
    throw new TlogError('bad-key', `public key of ${material.length} bytes`)
  }
  return checkId(verifierKey(name, type, material), id)
}

/** Writes a signer key. Whoever reads it can sign. */
export function formatSkey(key: SignerKey): string {
  const material = toBase64(concat(Uint8Array.of(key.type), key.seed))
  return `${SKEY_PREFIX}${key.name}+${key.id}+${material}`
}

/** Reads a signer key, the exact inverse of {@link formatSkey}. No message quotes the secret. TlogError `bad-key`. */
export function parseSkey(text: string): SignerKey {
  if (!text.startsWith(SKEY_PREFIX)) {
    throw new TlogError('bad-key', `a signer key starts with ${SKEY_PREFIX}`)
  }
  const { name, id, type, material } = parseKey(text.slice(SKEY_PREFIX.length))
  if (material.length !== SEED_SIZE) {
    throw new TlogError('bad-key', `seed of ${material.length} bytes`)
  }
  return checkId(signerKey(name, type, material), id)
}

function checkId<K extends VerifierKey>(key: K, id: string): K {
  if (key.id !== id) throw new TlogError('bad-key', `key id ${id} is not that of this key`)
  return key
}

// <name>+<id>+<base64>, split at the first two plus signs: base64 has plus signs of its own, a name has none.
function parseKey(text: string): { name: string; id: string; type: KeyType; material: Uint8Array } {
  const first = text.indexOf('+')
  const second = text.indexOf('+', first + 1)
  if (first < 0 || second < 0) throw new TlogError('bad-key', 'a key is <name>+<id>+<base64>')
  const name = text.slice(0, first)
  const id = text.slice(first + 1, second)
  let bytes: Uint8Array
  try {
    if (fromHex(id).length !== KEY_ID_SIZE) throw new TlogError('bad-key', 'key id is not 4 bytes')
    bytes = fromBase64(text.slice(second + 1))
  } catch (cause) {
    throw new TlogError('bad-key', 'key does not decode', { cause })
  }
  const type = bytes[0]
  if (type === undefined) throw new TlogError('bad-key', 'key is empty')
  if (!isKeyType(type)) {
    throw new TlogError('unsupported-key', `key of the unsupported type ${type}`)
  }
  if (!fits(name, type)) throw new TlogError('bad-key', 'not a key name')
  return { name, id, type, material: bytes.subarray(1) }
}

function fits(name: string, type: KeyType): boolean {
  return (
    isKeyName(name) && (type !== KEY_TYPE.mldsa44 || utf8(name).length <= MAX_MLDSA44_NAME_BYTES)
  )
}

function isKeyType(byte: number): byte is KeyType {
  return Object.hasOwn(PUBLIC_KEY_SIZE, byte)
}
