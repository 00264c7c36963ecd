/** Answers of a server in JSON, held against what it has promised. */
import type { Static, TSchema } from 'typebox'
import Value from 'typebox/value'
import { fromUtf8 } from '@dslog/tlog/bytes'
import { TlogError } from '@dslog/tlog/error'

/** A server answered with something else than what was asked. Its status is one of success: those of failure are HttpErrors. */
export class AnswerError extends TlogError {
  constructor(message: string, options?: { cause?: unknown }) {
    super('http', message, options)
    this.name = 'AnswerError'
  }
}

/**
 * Reads an answer.
 *
 * @param url whose answer it is, for the message
 * @throws AnswerError
 */
export function readAnswer<T extends TSchema>(url: string, schema: T, body: Uint8Array): Static<T> {
  try {
    return Value.Parse(schema, JSON.parse(fromUtf8(body)))
  } catch (cause) {
    const text = `${url} answers with something else than what was asked for`
    throw new AnswerError(text, { cause })
  }
}
