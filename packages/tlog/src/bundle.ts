/**
 * Offline proofs that an entry is logged, C2SP tlog-proof, in files named `.tlog-proof`:
 *
 *   c2sp.org/tlog-proof@v1
 *   extra <base64>                                    optional; vouched for by nobody
 *   index <decimal>
 *   gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=      inclusion path, leaf side first; none in a tree of one leaf
 *                                                     empty line
 *   example.com/fancylog                              the signed checkpoint, verbatim
 *   109482
 *   sFodV/vSp5O8n9a8QpW6PRY97tfOSW5bsc2Xl/EQi08=
 *
 *   — example.com/fancylog hI2DJw…
 *
 * The entry is not in the file, or only in `extra`; what that holds is the application's. (An entry bundle of tlog-tiles
 * is in tile.ts.)
 */
import { fromBase64, fromUtf8, parseDecimal, toBase64, toBase64Each, utf8 } from './bytes.ts'
import { TlogError } from './error.ts'
import { HASH_SIZE, hashFromBase64 } from './hash.ts'
import type { Hash } from './hash.ts'
import { checkPolicy } from './policy.ts'
import type { Policy, TrustedCheckpoint } from './policy.ts'
import { verifyInclusion } from './proof.ts'

/** What a proof file holds. */
export interface TlogProof {
  /** Not authenticated. At least one byte. */
  readonly extra?: Uint8Array
  readonly index: number
  readonly path: readonly Hash[]
  /** The signed note, verbatim. Reading a proof does not read it. */
  readonly checkpoint: string
}

/** Largest proof file, in bytes. A dslog name proof holds evidence and inclusion of a name's whole history. */
export const MAX_TLOG_PROOF_BYTES = 16_777_216

/** Most hashes of a path: a tree of 2^63 leaves, the largest there is, has no more. */
export const MAX_PATH_HASHES = 63

const HEADER = 'c2sp.org/tlog-proof@v1'
const EXTRA = 'extra '
const INDEX = 'index '

/** Reads a proof file. TlogError `bad-proof-file`, or `too-large`. */
export function parseTlogProof(input: string | Uint8Array): TlogProof {
  const text = proofText(input)
  // Whoever has taken another file for a proof should hear of that first.
  if (!text.startsWith(`${HEADER}\n`)) throw bad(`no proof file: its first line is not ${HEADER}`)
  const separator = text.indexOf('\n\n')
  if (separator < 0) throw bad('no empty line before the checkpoint')
  const checkpoint = text.slice(separator + 2)
  if (checkpoint === '') throw bad('no checkpoint')
  const [, ...lines] = text.slice(0, separator).split('\n')
  const extra = lines[0]?.startsWith(EXTRA) ? decode(lines.shift()!.slice(EXTRA.length)) : undefined
  if (extra?.length === 0) throw bad('empty extra line')
  const indexLine = lines.shift()
  if (!indexLine?.startsWith(INDEX)) throw bad('no index line')
  const index = parseDecimal(indexLine.slice(INDEX.length))
  if (index === undefined) throw bad('the index is not a decimal up to 2^53-1')
  if (lines.length > MAX_PATH_HASHES) throw bad(`more than ${MAX_PATH_HASHES} hashes`)
  const path = lines.map(hashOf)
  return { ...(extra === undefined ? {} : { extra }), index, path, checkpoint }
}

/** Writes a proof file: the exact inverse of {@link parseTlogProof}. Throws RangeError for what no file can hold. */
export function formatTlogProof({ extra, index, path, checkpoint }: TlogProof): string {
  const holds =
    extra?.length !== 0 &&
    Number.isSafeInteger(index) &&
    index >= 0 &&
    path.length <= MAX_PATH_HASHES &&
    path.every(({ length }) => length === HASH_SIZE) &&
    checkpoint !== ''
  if (!holds) throw new RangeError('not a proof')
  const lines = [
    HEADER,
    ...(extra === undefined ? [] : [EXTRA + toBase64(extra)]),
    INDEX + String(index),
    ...toBase64Each(path),
  ]
  // Each character of that is a byte; the text of the checkpoint is another's.
  const head = `${lines.join('\n')}\n\n`
  try {
    demandFits(head.length + utf8(checkpoint).length)
  } catch (cause) {
    throw new RangeError('not a proof', { cause })
  }
  return head + checkpoint
}

/**
 * Verifies that the entry with this leaf hash is in a log that the policy trusts, and returns the checkpoint it is in.
 * The leaf hash and the policy come from the verifier, never from the file. TlogError `bad-proof`, or checkPolicy's.
 */
export function verifyTlogProof(
  proof: TlogProof,
  leaf: Hash,
  policy: Policy,
  options: { readonly now?: number } = {},
): TrustedCheckpoint {
  const trusted = checkPolicy(policy, proof.checkpoint, options)
  const { size, root } = trusted.checkpoint
  verifyInclusion(leaf, proof.index, size, proof.path, root)
  return trusted
}

function proofText(input: string | Uint8Array): string {
  try {
    const bytes = typeof input === 'string' ? utf8(input) : input
    demandFits(bytes.length)
    return typeof input === 'string' ? input : fromUtf8(input)
  } catch (cause) {
    if (cause instanceof TlogError && cause.code === 'too-large') throw cause
    throw bad('a proof file is UTF-8', cause)
  }
}

function demandFits(bytes: number): void {
  if (bytes > MAX_TLOG_PROOF_BYTES) throw new TlogError('too-large', `proof file of ${bytes} bytes`)
}

function decode(base64: string): Uint8Array {
  try {
    return fromBase64(base64)
  } catch (cause) {
    throw bad('the extra line is not base64', cause)
  }
}

function hashOf(base64: string): Hash {
  try {
    return hashFromBase64(base64)
  } catch (cause) {
    throw bad('a line of the path is not the base64 of a hash', cause)
  }
}

function bad(message: string, cause?: unknown): TlogError {
  return new TlogError('bad-proof-file', message, cause === undefined ? {} : { cause })
}
