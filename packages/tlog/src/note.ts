/**
 * Signed notes, C2SP signed-note v1.0.0:
 *
 *   This is an example message.                       text: lines, each ended by a newline; may hold empty lines
 *                                                     the last empty line of the note separates
 *   — example.com/foo Uw2QOkn8srV1yJGh2VYRlL1T…       signature: U+2014, space, key name, space, base64(key id ‖ signature)
 *
 * Strict UTF-8, no control characters but newline, canonical base64. What parses formats to the same bytes. A signature
 * whose (name, id) pair is not known is ignored; one of a known pair that does not verify rejects the whole note.
 *
 * Here are the form and the plain Ed25519 signature (type 0x01, over the text). Cosignatures are in cosignature.ts,
 * which also chooses the verifier of a key by its type.
 */
import { sign } from '@noble/ed25519'
import { backend } from './backend.ts'
import { concat, equal, fromBase64, fromHex, fromUtf8, toBase64, toHex, utf8 } from './bytes.ts'
import { TlogError } from './error.ts'
import { KEY_ID_SIZE, KEY_TYPE, isKeyName } from './key.ts'
import type { SignerKey, VerifierKey } from './key.ts'

/** Largest note, in bytes, as in x/mod: a reader of strangers' notes holds and scans them whole. */
export const MAX_NOTE_BYTES = 1_000_000

/** Most signatures on a note, as in x/mod. The specification wants at least 16; each may cost a verification. */
export const MAX_NOTE_SIGNATURES = 100

/** A signature line. */
export interface NoteSignature {
  readonly name: string
  /** 8 lower-case hexadecimal digits. */
  readonly id: string
  /** What follows the key id; at least one byte. */
  readonly signature: Uint8Array
}

/** A note that parsed. Nothing is verified: see {@link openNote}. */
export interface Note {
  /** Ends in a newline. */
  readonly text: string
  /** At least one. */
  readonly signatures: readonly NoteSignature[]
}

/** Who can tell whether a signature is a key's. */
export interface NoteVerifier {
  readonly key: VerifierKey
  /** Whether `signature` is this key's over the note text `text` (UTF-8). Never throws, whatever the bytes are. */
  verify(text: Uint8Array, signature: Uint8Array): boolean
}

/** Who can sign. */
export interface NoteSigner {
  readonly key: VerifierKey
  /** The signature, without the key id, over a note text (UTF-8). */
  sign(text: Uint8Array): Uint8Array
}

/** A signature line whose signature verified. */
export interface VerifiedSignature extends NoteSignature {
  readonly key: VerifierKey
}

/** A note that at least one known key signed. */
export interface OpenedNote {
  readonly text: string
  /** At least one, in the order of the note, repeated lines once. */
  readonly verified: readonly VerifiedSignature[]
  /** Lines of unknown keys, in the order of the note. They mean nothing. */
  readonly unverified: readonly NoteSignature[]
}

const SIGNATURE_START = '— '
/** What is below the space, but for newline: a note may hold none of it (signed-note). */
const CONTROL = /[^\n -\u{10ffff}]/u

/** Reads a note. TlogError `bad-note`, or `too-large` beyond the two limits above. */
export function parseNote(input: string | Uint8Array): Note {
  const note = noteText(input)
  const separator = note.lastIndexOf('\n\n')
  if (separator < 0) {
    throw new TlogError('bad-note', 'no signed note: no empty line before the signatures')
  }
  const signatures = parseSignatureLines(note.slice(separator + 2))
  if (signatures.length === 0) throw new TlogError('bad-note', 'no signature lines')
  return { text: note.slice(0, separator + 1), signatures }
}

/** Writes a note: the exact inverse of {@link parseNote}. Throws RangeError if no note can be so. */
export function formatNote(note: Note): string {
  const out = `${note.text}\n${note.signatures.map(formatSignatureLine).join('')}`
  try {
    if (parseNote(out).text === note.text) return out
  } catch (cause) {
    throw new RangeError('not a note', { cause })
  }
  throw new RangeError('not a note')
}

/** Reads signature lines alone, as a witness answers with. None is fine. TlogError `bad-note`, `too-large`. */
export function parseSignatureLines(input: string | Uint8Array): NoteSignature[] {
  const text = noteText(input)
  if (text === '') return []
  if (!text.endsWith('\n')) throw new TlogError('bad-note', 'the last line does not end')
  const lines = text.slice(0, -1).split('\n')
  if (lines.length > MAX_NOTE_SIGNATURES) {
    throw new TlogError('too-large', `more than ${MAX_NOTE_SIGNATURES} signatures`)
  }
  return lines.map(parseSignatureLine)
}

/** Writes one signature line, with its newline. */
export function formatSignatureLine(signature: NoteSignature): string {
  const bytes = concat(fromHex(signature.id), signature.signature)
  return `${SIGNATURE_START}${signature.name} ${toBase64(bytes)}\n`
}

/**
 * Reads a note and verifies it by the keys known. TlogError `bad-signature` if a line of a known key does not verify,
 * `unverified` if no line is of a known key. Throws RangeError if two verifiers share name and id: no note could be
 * read with both.
 */
export function openNote(
  input: string | Uint8Array,
  verifiers: readonly NoteVerifier[],
): OpenedNote {
  const known = new Map<string, NoteVerifier>()
  for (const verifier of verifiers) {
    const pair = pairOf(verifier.key)
    if (known.has(pair)) throw new RangeError(`two keys are ${pair}`)
    known.set(pair, verifier)
  }
  const note = parseNote(input)
  const text = utf8(note.text)
  const verified: VerifiedSignature[] = []
  const unverified: NoteSignature[] = []
  for (const line of note.signatures) {
    const verifier = known.get(pairOf(line))
    if (verifier === undefined) {
      unverified.push(line)
      continue
    }
    if (verified.some((v) => pairOf(v) === pairOf(line) && equal(v.signature, line.signature))) {
      continue
    }
    if (!verifier.verify(text, line.signature)) {
      throw new TlogError('bad-signature', `the signature of ${line.name} does not verify`)
    }
    verified.push({ ...line, key: verifier.key })
  }
  if (verified.length === 0) throw new TlogError('unverified', 'no signature of a known key')
  return { text: note.text, verified, unverified }
}

/** Signs a text, which ends in a newline; `others` are lines it already has. Throws RangeError if no note can be so. */
export function signNote(
  text: string,
  signers: readonly NoteSigner[],
  others: readonly NoteSignature[] = [],
): string {
  const bytes = utf8(text)
  const own = signers.map((signer) => ({
    name: signer.key.name,
    id: signer.key.id,
    signature: signer.sign(bytes),
  }))
  return formatNote({ text, signatures: [...own, ...others] })
}

/** The verifier of an Ed25519 key (type 0x01). */
export function ed25519Verifier(key: VerifierKey): NoteVerifier {
  if (key.type !== KEY_TYPE.ed25519) throw new RangeError('not a key of type 0x01')
  return {
    key,
    verify: (text, signature) => backend().ed25519Verify(key.publicKey, text, signature),
  }
}

/** The signer of an Ed25519 key (type 0x01). */
export function ed25519Signer(key: SignerKey): NoteSigner {
  if (key.type !== KEY_TYPE.ed25519) throw new RangeError('not a key of type 0x01')
  return { key, sign: (text) => sign(text, key.seed) }
}

// Neither a name nor an id can hold a space.
function pairOf(key: { readonly name: string; readonly id: string }): string {
  return `${key.name} ${key.id}`
}

function noteText(input: string | Uint8Array): string {
  try {
    const bytes = typeof input === 'string' ? utf8(input) : input
    if (bytes.length > MAX_NOTE_BYTES) {
      throw new TlogError('too-large', `note of ${bytes.length} bytes`)
    }
    const text = typeof input === 'string' ? input : fromUtf8(input)
    if (CONTROL.test(text)) throw new TlogError('bad-note', 'control character in a note')
    return text
  } catch (cause) {
    if (cause instanceof TlogError && cause.code !== 'encoding') throw cause
    throw new TlogError('bad-note', 'a note is UTF-8', { cause })
  }
}

function parseSignatureLine(line: string): NoteSignature {
  const space = line.indexOf(' ', SIGNATURE_START.length)
  if (!line.startsWith(SIGNATURE_START) || space < 0) {
    throw new TlogError('bad-note', 'not a signature line')
  }
  const name = line.slice(SIGNATURE_START.length, space)
  if (!isKeyName(name)) throw new TlogError('bad-note', 'not a key name')
  let bytes: Uint8Array
  try {
    bytes = fromBase64(line.slice(space + 1))
  } catch (cause) {
    throw new TlogError('bad-note', `the signature of ${name} does not decode`, { cause })
  }
  if (bytes.length <= KEY_ID_SIZE) {
    throw new TlogError('bad-note', `the signature of ${name} is too short`)
  }
  return {
    name,
    id: toHex(bytes.subarray(0, KEY_ID_SIZE)),
    signature: bytes.subarray(KEY_ID_SIZE),
  }
}
