/** Why what an owner asked for was not done. */
export type OwnerErrorCode =
  | 'invalid' // what was asked for makes no sense, or is not allowed
  | 'token' // not the token of this subscription
  | 'signature' // not signed by the owner's key, or an old statement
  | 'conflict' // contradicts what is there
  | 'gone' // was there, and has ended: a link used twice
  | 'limit' // asked for too often

/** The caller's fault; the message is for the caller. */
export class OwnerError extends Error {
  override readonly name = 'OwnerError'
  readonly code: OwnerErrorCode

  constructor(code: OwnerErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.code = code
  }
}
