/**
 * The request that a log sends to its witnesses, C2SP tlog-witness v1.0.0, and what a witness makes of it:
 *
 *   POST <prefix>/add-checkpoint
 *
 *   old 15368405                                      size of the largest tree that this witness has cosigned, or 0
 *   PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=      consistency proof from there, 0 to 63 hashes; none from 0
 *                                                     empty line
 *   example.com/behind-the-sofa                       the new checkpoint, a signed note
 *   …
 *
 * A witness answers 200 with its signature lines, 409 with the size it has in the place of `old`, or refuses. The
 * specification fixes the statuses and not their order; the order here is that of other people's witnesses:
 *
 *   400 malformed · 404 not a log that is known · 403 not signed by it · 400 old is larger · 409 · 422 does not follow
 *
 * What a witness remembers, and that it remembers before it answers, is the business of whoever calls this.
 */
import { equal, fromUtf8, parseDecimal, toBase64, toHex, utf8 } from './bytes.ts'
import { parseCheckpoint } from './checkpoint.ts'
import type { Checkpoint } from './checkpoint.ts'
import { verifierOf } from './cosignature.ts'
import { TlogError } from './error.ts'
import { EMPTY_ROOT, hashFromBase64, sha256 } from './hash.ts'
import type { Hash } from './hash.ts'
import type { VerifierKey } from './key.ts'
import { formatNote, openNote, parseNote } from './note.ts'
import type { Note } from './note.ts'
import { verifyConsistency } from './proof.ts'

/** What is asked of a witness. */
export interface AddCheckpoint {
  /** Size of the tree that the proof starts from. */
  readonly old: number
  readonly proof: readonly Hash[]
  /** The signed checkpoint, verbatim. */
  readonly note: string
}

/** A tree of a log, as a witness remembers it. */
export interface KnownTree {
  readonly size: number
  readonly root: Hash
}

/** A checkpoint that the right log signed. */
export interface SubmittedTree {
  readonly checkpoint: Checkpoint
  readonly old: number
  readonly proof: readonly Hash[]
  /** The checkpoint with the log's own signature lines, and no others: those of strangers are dropped. */
  readonly note: string
}

/** Why a witness does not cosign, in the order in which it is found out. */
export type RefusalStatus = 400 | 403 | 404 | 409 | 422

/** Thrown where a witness does not cosign. */
export class WitnessRefusal extends Error {
  override readonly name = 'WitnessRefusal'
  readonly status: RefusalStatus
  /** For 409: the size of the largest tree that was cosigned. */
  readonly size: number | undefined

  constructor(
    status: RefusalStatus,
    message: string,
    options: { cause?: unknown; size?: number } = {},
  ) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined)
    this.status = status
    this.size = options.size
  }
}

/** Most hashes of a proof: enough for any two sizes of 63 bits. */
export const MAX_PROOF_HASHES = 63

/** Largest request, in bytes, as at other people's witnesses: the proof has 3 kB, an ML-DSA-44 line 3.3 kB. */
export const MAX_ADD_CHECKPOINT_BYTES: number = 128 * 1024

/** Media type of a decimal size, the body of a 409. */
export const SIZE_TYPE = 'text/x.tlog.size'

/** Path below a witness's prefix where checkpoints are handed in. */
export const ADD_CHECKPOINT_PATH = 'add-checkpoint'

/** Path below a witness's monitoring prefix of the newest checkpoint it has cosigned of a log. */
export function witnessedPath(origin: string): string {
  return `${toHex(sha256(utf8(origin)))}/checkpoint`
}

/** Writes a request. Throws RangeError for one that cannot be. */
export function formatAddCheckpoint({ note, old, proof }: AddCheckpoint): string {
  if (!Number.isSafeInteger(old) || old < 0 || proof.length > MAX_PROOF_HASHES) {
    throw new RangeError(`a proof of ${proof.length} hashes from ${old}`)
  }
  return `old ${old}\n${proof.map((hash) => `${toBase64(hash)}\n`).join('')}\n${note}`
}

/**
 * Reads a request, the exact inverse of {@link formatAddCheckpoint}; of the note only that it is there. TlogError
 * `bad-request`, `too-large`.
 */
export function parseAddCheckpoint(input: string | Uint8Array): AddCheckpoint {
  if (input.length > MAX_ADD_CHECKPOINT_BYTES) {
    throw new TlogError('too-large', `a request of ${input.length} bytes`)
  }
  let text: string
  try {
    text = typeof input === 'string' ? input : fromUtf8(input)
  } catch (cause) {
    throw new TlogError('bad-request', 'a request is UTF-8', { cause })
  }
  const end = text.indexOf('\n\n')
  if (end < 0) throw new TlogError('bad-request', 'no empty line before the checkpoint')
  const [first = '', ...hashes] = text.slice(0, end).split('\n')
  const old = first.startsWith('old ') ? parseDecimal(first.slice('old '.length)) : undefined
  if (old === undefined) throw new TlogError('bad-request', 'want first: old <size>')
  if (hashes.length > MAX_PROOF_HASHES) {
    throw new TlogError('bad-request', `a proof of more than ${MAX_PROOF_HASHES} hashes`)
  }
  try {
    return { old, proof: hashes.map(hashFromBase64), note: text.slice(end + 2) }
  } catch (cause) {
    throw new TlogError('bad-request', 'a line of the proof is not the base64 of a hash', { cause })
  }
}

/**
 * Reads what a log hands in, as far as that goes without remembering anything.
 *
 * @param keysOf keys of the log of that origin; none for one that is not known
 * @throws WitnessRefusal 400, 404 or 403
 */
export function openAddCheckpoint(
  body: string | Uint8Array,
  keysOf: (origin: string) => readonly VerifierKey[],
): SubmittedTree {
  const { note, old, proof } = refusing(400, 'invalid input', () => parseAddCheckpoint(body))
  const parsed = parsedNote(note)
  const checkpoint = refusing(400, 'invalid checkpoint', () => parseCheckpoint(parsed.text))
  if (checkpoint.extensions.length > 0) {
    // ML-DSA-44 cosignatures would not cover them.
    throw new WitnessRefusal(400, 'invalid checkpoint: extension lines are not cosigned')
  }
  const keys = keysOf(checkpoint.origin)
  if (keys.length === 0) throw new WitnessRefusal(404, 'unknown log')
  const opened = refusing(403, 'invalid signature', () => openNote(note, keys.map(verifierOf)))
  if (checkpoint.size < old) {
    throw new WitnessRefusal(400, `old size ${old} is larger than the checkpoint's`)
  }
  const own = formatNote({ text: opened.text, signatures: opened.verified })
  return { checkpoint, old, proof, note: own }
}

/**
 * Holds a tree against the largest that was cosigned before.
 *
 * @throws WitnessRefusal 409 or 422
 */
export function checkFollows(
  { checkpoint, old, proof }: SubmittedTree,
  latest: KnownTree | undefined,
): void {
  const known = latest ?? { size: 0, root: EMPTY_ROOT }
  if (old !== known.size) {
    throw new WitnessRefusal(409, `the size is ${known.size}`, { size: known.size })
  }
  const { root, size } = checkpoint
  if (size === 0 && !equal(root, EMPTY_ROOT)) {
    throw new WitnessRefusal(422, 'not the root of the empty tree')
  }
  refusing(422, 'invalid consistency proof', () =>
    verifyConsistency(known.size, size, proof, known.root, root),
  )
}

/** A signature whose base64 others decode less strictly is to them one that does not verify, so it is to us. */
function parsedNote(note: string): Note {
  try {
    return parseNote(note)
  } catch (cause) {
    if (!(cause instanceof TlogError)) throw cause
    if (cause.cause instanceof TlogError && cause.cause.code === 'encoding') {
      throw new WitnessRefusal(403, `invalid signature: ${cause.message}`, { cause })
    }
    throw new WitnessRefusal(400, `invalid input: ${cause.message}`, { cause })
  }
}

function refusing<T>(status: RefusalStatus, what: string, run: () => T): T {
  try {
    return run()
  } catch (cause) {
    if (!(cause instanceof TlogError)) throw cause
    throw new WitnessRefusal(status, `${what}: ${cause.message}`, { cause })
  }
}
