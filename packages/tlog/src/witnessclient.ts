/**
 * Asks a witness to cosign, C2SP tlog-witness v1.0.0, and reads what it has cosigned. A witness is trusted in nothing
 * either: of the lines it answers with, those of keys that are known are verified, the others ignored.
 */
import { fromUtf8, parseDecimal, utf8 } from './bytes.ts'
import { TlogError } from './error.ts'
import { HttpError, withoutSlash } from './http.ts'
import type { HttpClient, HttpRequest } from './http.ts'
import { MAX_NOTE_BYTES, parseNote, parseSignatureLines } from './note.ts'
import type { NoteVerifier, VerifiedSignature } from './note.ts'
import {
  ADD_CHECKPOINT_PATH,
  MAX_ADD_CHECKPOINT_BYTES,
  SIZE_TYPE,
  formatAddCheckpoint,
  witnessedPath,
} from './witness.ts'
import type { AddCheckpoint } from './witness.ts'

/** What a witness says: its lines, or the size it has in the place of `old`. */
export type WitnessAnswer =
  { readonly signatures: readonly VerifiedSignature[] } | { readonly size: number }

/** How long a witness is waited for. */
export type AskOptions = Pick<HttpRequest, 'signal' | 'timeoutMs'>

const CONFLICT = 409

/**
 * Hands a checkpoint in, once.
 *
 * @param url the witness's submission prefix
 * @param verifiers of the keys that the witness may have
 * @throws HttpError for a refusal; TlogError `bad-signature` for a line of a known key that does not verify, `unverified`
 *   if there is no line of a known key, `bad-note`, `network`, `too-large`
 */
export async function addCheckpoint(
  http: HttpClient,
  url: string,
  request: AddCheckpoint,
  verifiers: readonly NoteVerifier[],
  options: AskOptions = {},
): Promise<WitnessAnswer> {
  try {
    const { body } = await http.request(`${withoutSlash(url)}/${ADD_CHECKPOINT_PATH}`, {
      method: 'POST',
      headers: { 'content-type': 'text/plain; charset=utf-8' },
      body: new Uint8Array(utf8(formatAddCheckpoint(request))),
      maxBytes: MAX_ADD_CHECKPOINT_BYTES,
      ...options,
    })
    return { signatures: knownLines(body, request.note, verifiers) }
  } catch (error) {
    const size = error instanceof HttpError ? sizeIn(error) : undefined
    if (size === undefined) throw error
    return { size }
  }
}

/**
 * The newest checkpoint that a witness has cosigned of a log: a note, of which nothing is verified.
 *
 * @param url the witness's monitoring prefix
 */
export async function witnessedCheckpoint(
  http: HttpClient,
  url: string,
  origin: string,
  options: AskOptions = {},
): Promise<string> {
  const { body } = await http.request(`${withoutSlash(url)}/${witnessedPath(origin)}`, {
    maxBytes: MAX_NOTE_BYTES,
    fresh: true,
    ...options,
  })
  return fromUtf8(body)
}

/** The lines of known keys, verified. */
function knownLines(
  body: Uint8Array,
  note: string,
  verifiers: readonly NoteVerifier[],
): VerifiedSignature[] {
  const text = utf8(parseNote(note).text)
  const known: VerifiedSignature[] = []
  for (const line of parseSignatureLines(body)) {
    const verifier = verifiers.find(({ key }) => key.name === line.name && key.id === line.id)
    if (verifier === undefined) continue
    if (!verifier.verify(text, line.signature)) {
      throw new TlogError('bad-signature', `the cosignature of ${line.name} does not verify`)
    }
    known.push({ ...line, key: verifier.key })
  }
  if (known.length === 0) throw new TlogError('unverified', 'no cosignature of a known key')
  return known
}

/** The size in a 409. One without that media type is some other conflict, and no hint for a second attempt. */
function sizeIn({ body, contentType, status }: HttpError): number | undefined {
  if (status !== CONFLICT || contentType.split(';')[0]!.trim() !== SIZE_TYPE) return undefined
  try {
    return parseDecimal(fromUtf8(body).replace(/\n$/, ''))
  } catch (error) {
    if (error instanceof TlogError) return undefined
    throw error
  }
}
