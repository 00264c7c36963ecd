/** Why evidence, an entry or a proof file is not accepted. */
export type VerifyErrorCode =
  | 'malformed' // the bytes are not what they should be
  | 'bogus' // a signature or a proof of absence does not verify
  | 'unproven' // the evidence does not reach a trust anchor
  | 'expired' // a signature window ended before the time of the check
  | 'not-yet-valid' // a signature window starts after the time of the check
  | 'zone-not-admitted' // signed by a zone whose signatures this log does not take
  | 'unsupported' // nothing in the evidence can be checked by this implementation
  | 'map' // a MAP_HEAD or a proof against it is wrong
  | 'proof' // a proof file does not prove what it says

/** Bad evidence, a bad log or a bad proof file; never a bug. */
export class VerifyError extends Error {
  override readonly name = 'VerifyError'
  readonly code: VerifyErrorCode

  constructor(code: VerifyErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.code = code
  }
}
