/**
 * Checkpoints, C2SP tlog-checkpoint v1.0.0: a signed note whose text is a tree head.
 *
 *   example.com/behind-the-sofa                       origin: the log, for ever
 *   20852163                                          size: decimal, no leading zero
 *   CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=      root hash, base64
 *                                                     then extension lines, opaque, not recommended
 *
 * The signatures are note.ts's and cosignature.ts's, the rules about who must have signed policy.ts's.
 */
import { parseDecimal, toBase64 } from './bytes.ts'
import { TlogError } from './error.ts'
import { hashFromBase64 } from './hash.ts'
import type { Hash } from './hash.ts'
import { KEY_TYPE } from './key.ts'
import { openNote } from './note.ts'
import type { NoteVerifier, OpenedNote } from './note.ts'

/** A tree head: what a log says its tree is. */
export interface Checkpoint {
  /** Not empty, one line. */
  readonly origin: string
  /** Leaves. */
  readonly size: number
  readonly root: Hash
  /** Lines after the root, each not empty; almost always none. ML-DSA-44 signatures do not cover them. */
  readonly extensions: readonly string[]
}

/** A checkpoint that a known key signed. */
export interface OpenedCheckpoint extends OpenedNote {
  readonly checkpoint: Checkpoint
}

/** Reads a checkpoint's text, all of it, to the last newline. TlogError `bad-checkpoint`. */
export function parseCheckpoint(text: string): Checkpoint {
  if (!text.endsWith('\n')) throw new TlogError('bad-checkpoint', 'the last line does not end')
  const lines = text.slice(0, -1).split('\n')
  if (lines.includes('')) throw new TlogError('bad-checkpoint', 'empty line')
  const [origin, decimal, base64, ...extensions] = lines
  if (origin === undefined || decimal === undefined || base64 === undefined) {
    throw new TlogError('bad-checkpoint', 'fewer than three lines')
  }
  const size = parseDecimal(decimal)
  if (size === undefined) {
    throw new TlogError('bad-checkpoint', 'the tree size is not a decimal up to 2^53-1')
  }
  try {
    return { origin, size, root: hashFromBase64(base64), extensions }
  } catch (cause) {
    throw new TlogError('bad-checkpoint', 'the root is not the base64 of a hash', { cause })
  }
}

/** Writes a checkpoint's text: the exact inverse of {@link parseCheckpoint}. Throws RangeError for what has no text. */
export function formatCheckpoint(checkpoint: Checkpoint): string {
  const { origin, size, root, extensions } = checkpoint
  if (!Number.isSafeInteger(size) || size < 0) throw new RangeError(`not a tree size: ${size}`)
  const lines = [origin, String(size), toBase64(root), ...extensions]
  if (lines.some((line) => line === '' || line.includes('\n'))) {
    throw new RangeError('not a line of a checkpoint')
  }
  return lines.map((line) => `${line}\n`).join('')
}

/**
 * Reads a signed checkpoint and verifies it by the keys known (openNote's errors, or `bad-checkpoint`). Extension lines
 * without a verified signature of type 0x01 are refused: ML-DSA-44 does not cover them, a cosigner does not vouch for
 * them, so a stranger may have put them there. Whether the keys are those of the log in the origin line is for the
 * caller to compare, best through a policy.
 */
export function openCheckpoint(
  input: string | Uint8Array,
  verifiers: readonly NoteVerifier[],
): OpenedCheckpoint {
  const note = openNote(input, verifiers)
  const checkpoint = parseCheckpoint(note.text)
  const covered = note.verified.some(({ key }) => key.type === KEY_TYPE.ed25519)
  if (checkpoint.extensions.length > 0 && !covered) {
    throw new TlogError('bad-checkpoint', 'extension lines that the log has not signed')
  }
  return { ...note, checkpoint }
}
