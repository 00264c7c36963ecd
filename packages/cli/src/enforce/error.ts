/** Why nothing can be said of a delegation. None of these is ever a reason to believe, or not to believe, a DS. */

/** What is missing. */
export type EnforceErrorCode =
  /** The resolver behind us did not answer, or not with what can be read. */
  | 'upstream'
  /** The resolver hands on what it has not validated: it is no validating one. */
  | 'not-validated'
  /** The log did not answer. */
  | 'log'
  /** The log was caught: at another history, or at proofs that prove nothing. `cause` holds the evidence. */
  | 'misbehaviour'

/** What could not be found out. */
export class EnforceError extends Error {
  override readonly name = 'EnforceError'
  readonly code: EnforceErrorCode

  constructor(code: EnforceErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.code = code
  }
}
