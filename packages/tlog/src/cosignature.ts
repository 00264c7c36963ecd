/**
 * Timestamped signatures on checkpoints, C2SP tlog-cosignature v1.1.0-rc.1. After the key id a signature line holds
 *
 *   u64 timestamp (seconds since the Unix epoch) ‖ signature          64 bytes of Ed25519, 2,420 of ML-DSA-44
 *
 * and what is signed is
 *
 *   0x04 Ed25519      cosignature/v1\n
 *                     time <decimal>\n
 *                     the note's text, extension lines too           does not name the cosigner: one key, one identity
 *
 *   0x06 ML-DSA-44    "subtree/v1\n\0"                                12 bytes
 *                     u8 length ‖ cosigner name
 *                     u64 timestamp
 *                     u8 length ‖ origin
 *                     u64 start ‖ u64 end ‖ hash[32]                 a checkpoint is [0, size) and its root
 *
 * 0x06 also signs subtrees [start, end) that are no checkpoint; then, unless start is 0, the timestamp must be 0. It is
 * the one type of both witnesses and logs; a log's own 0x06 signature has the same form. The ML-DSA context is empty.
 *
 * A timestamp says: of the trees of this log the cosigner has seen, this was the largest at that time; 0 says only that
 * it is consistent with all it has seen.
 */
import { sign } from '@noble/ed25519'
import { ml_dsa44 } from '@noble/post-quantum/ml-dsa.js'
import { backend } from './backend.ts'
import { ByteReader, ByteWriter } from './binary.ts'
import { concat, fromUtf8, u64be, utf8 } from './bytes.ts'
import { parseCheckpoint } from './checkpoint.ts'
import { TlogError } from './error.ts'
import { HASH_SIZE } from './hash.ts'
import type { Hash } from './hash.ts'
import { KEY_TYPE, parseVkey } from './key.ts'
import type { SignerKey, VerifierKey } from './key.ts'
import { ed25519Signer, ed25519Verifier } from './note.ts'
import type { NoteSigner, NoteVerifier, VerifiedSignature } from './note.ts'
import { isSubtree } from './proof.ts'

/** The leaves [start, end) of a log's tree, and the root above them. */
export interface Subtree {
  /** 1 to 255 bytes. */
  readonly origin: string
  readonly start: number
  readonly end: number
  readonly hash: Hash
}

const TIMESTAMP_SIZE = 8
const ED25519_SIZE = 64
const MLDSA44_SIZE = 2420
const SUBTREE_LABEL = utf8('subtree/v1\n\0')
const MS_PER_SECOND = 1000

/** The verifier of a key, whatever its type; a text is read as a vkey (TlogError `bad-key`, `unsupported-key`). */
export function verifierOf(vkey: string | VerifierKey): NoteVerifier {
  const key = typeof vkey === 'string' ? parseVkey(vkey) : vkey
  if (key.type === KEY_TYPE.ed25519) return ed25519Verifier(key)
  if (key.type === KEY_TYPE.cosignature) {
    return { key, verify: (text, signature) => verifyCosignature(key, text, signature) }
  }
  return { key, verify: (text, signature) => verifyMldsa44(key, text, signature) }
}

/**
 * The signer of a key, whatever its type. `now` is the time in milliseconds since the Unix epoch, for the types that
 * state it. A signer of type 0x06 throws TlogError `bad-checkpoint` for a text that is not a checkpoint.
 *
 * ML-DSA-44 is signed deterministically (FIPS 204 section 3.4 allows it): this package has no randomness of its own, and
 * the same tree at the same second gives the same note.
 */
export function signerOf(key: SignerKey, now: () => number): NoteSigner {
  if (key.type === KEY_TYPE.ed25519) return ed25519Signer(key)
  const seconds = (): number => Math.floor(now() / MS_PER_SECOND)
  if (key.type === KEY_TYPE.cosignature) {
    return {
      key,
      sign: (text) => {
        const time = seconds()
        return concat(u64be(time), sign(cosignatureMessage(text, time), key.seed))
      },
    }
  }
  const { secretKey } = ml_dsa44.keygen(key.seed)
  return {
    key,
    sign: (text) => signMldsa44(key, secretKey, subtreeOf(text), seconds()),
  }
}

/**
 * A 0x06 signature over a subtree, by default without a timestamp: what goes behind the key id. Throws RangeError for a
 * subtree that cannot be, or that may not have a timestamp.
 */
export function signSubtree(key: SignerKey, subtree: Subtree, timestamp = 0): Uint8Array {
  if (key.type !== KEY_TYPE.mldsa44) throw new RangeError('only type 0x06 signs subtrees')
  return signMldsa44(key, ml_dsa44.keygen(key.seed).secretKey, subtree, timestamp)
}

/**
 * Verifies a 0x06 signature over a subtree and returns its timestamp, in seconds. TlogError `bad-signature`, also for a
 * subtree that is none and for a timestamp on one that does not start at 0.
 */
export function verifySubtree(key: VerifierKey, subtree: Subtree, signature: Uint8Array): number {
  const time = timestampIn(signature, MLDSA44_SIZE)
  if (key.type !== KEY_TYPE.mldsa44 || time === undefined || !canSign(key.name, subtree, time)) {
    throw new TlogError('bad-signature', 'not a signature of a subtree')
  }
  const message = subtreeMessage(key.name, subtree, time)
  if (!ml_dsa44.verify(signature.subarray(TIMESTAMP_SIZE), message, key.publicKey)) {
    throw new TlogError('bad-signature', `the signature of ${key.name} does not verify`)
  }
  return time
}

/** The time a verified signature states, in seconds since the Unix epoch; undefined for the type that states none. */
export function timestampOf(signature: VerifiedSignature): number | undefined {
  if (signature.key.type === KEY_TYPE.ed25519) return undefined
  return new ByteReader(signature.signature).u64()
}

function verifyCosignature(key: VerifierKey, text: Uint8Array, signature: Uint8Array): boolean {
  const time = timestampIn(signature, ED25519_SIZE)
  if (time === undefined) return false
  const message = cosignatureMessage(text, time)
  return backend().ed25519Verify(key.publicKey, message, signature.subarray(TIMESTAMP_SIZE))
}

function verifyMldsa44(key: VerifierKey, text: Uint8Array, signature: Uint8Array): boolean {
  try {
    verifySubtree(key, subtreeOf(text), signature)
    return true
  } catch (error) {
    if (error instanceof TlogError) return false
    throw error
  }
}

// The specification allows timestamps to 2^63-1; those above 2^53-1 lie further off than any clock will show.
function timestampIn(signature: Uint8Array, size: number): number | undefined {
  if (signature.length !== TIMESTAMP_SIZE + size) return undefined
  const time = new ByteReader(signature).u64big()
  return time <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(time) : undefined
}

function cosignatureMessage(text: Uint8Array, time: number): Uint8Array {
  return concat(utf8(`cosignature/v1\ntime ${time}\n`), text)
}

function signMldsa44(
  key: VerifierKey,
  secretKey: Uint8Array,
  subtree: Subtree,
  time: number,
): Uint8Array {
  if (!canSign(key.name, subtree, time)) throw new RangeError('not a subtree that can be signed')
  const message = subtreeMessage(key.name, subtree, time)
  return concat(u64be(time), ml_dsa44.sign(message, secretKey, { extraEntropy: false }))
}

function canSign(cosigner: string, subtree: Subtree, time: number): boolean {
  const { origin, start, end, hash } = subtree
  return (
    fitsOneByteLength(cosigner) &&
    fitsOneByteLength(origin) &&
    Number.isSafeInteger(start) &&
    Number.isSafeInteger(end) &&
    // The empty tree is a checkpoint, if an odd one; every other subtree has leaves.
    ((start === 0 && end === 0) || isSubtree(start, end)) &&
    (start === 0 || time === 0) &&
    hash.length === HASH_SIZE
  )
}

function fitsOneByteLength(text: string): boolean {
  const { length } = utf8(text)
  return length > 0 && length <= 0xff
}

function subtreeMessage(cosigner: string, subtree: Subtree, time: number): Uint8Array {
  const [name, origin] = [utf8(cosigner), utf8(subtree.origin)]
  return new ByteWriter()
    .bytes(SUBTREE_LABEL)
    .u8(name.length)
    .bytes(name)
    .u64(time)
    .u8(origin.length)
    .bytes(origin)
    .u64(subtree.start)
    .u64(subtree.end)
    .bytes(subtree.hash)
    .finish()
}

function subtreeOf(text: Uint8Array): Subtree {
  const { origin, size, root } = parseCheckpoint(fromUtf8(text))
  return { origin, start: 0, end: size, hash: root }
}
