/**
 * The one error of this package: whatever comes from outside (a peer, a file, a caller's text) and is not what its
 * format or its mathematics demand. Bugs of the caller, such as an impossible index, throw RangeError instead.
 */

/** What was wrong. Callers branch on this, people read the message. */
export type TlogErrorCode =
  /** Binary input ended too early. */
  | 'truncated'
  /** Binary input went on after its end. */
  | 'trailing'
  /** A number is outside what the format or this implementation holds (2^53-1). */
  | 'range'
  /** Text is not strict hexadecimal, base64 or UTF-8. */
  | 'encoding'
  /** A hash is not 32 bytes. */
  | 'bad-hash'
  /** An inclusion, consistency or subtree proof does not verify. */
  | 'bad-proof'
  /** A tile has the wrong length or disagrees with the tree. */
  | 'bad-tile'
  /** An entry bundle does not parse or disagrees with the tree. */
  | 'bad-bundle'
  /** A tile path is not in its one spelling. */
  | 'bad-path'
  /** A map proof or map bucket is malformed or does not verify. */
  | 'bad-map'
  /** A signed note does not parse. */
  | 'bad-note'
  /** A verifier or signer key does not parse, or its key id does not recompute. */
  | 'bad-key'
  /** A key is of a type this package does not verify. */
  | 'unsupported-key'
  /** A signature of a known key does not verify. */
  | 'bad-signature'
  /** No signature of any known key. */
  | 'unverified'
  /** A checkpoint's text does not parse, or it has another origin. */
  | 'bad-checkpoint'
  /** A policy file does not parse. */
  | 'bad-policy'
  /** A checkpoint is signed by no log of the policy. */
  | 'unknown-log'
  /** A checkpoint lacks the cosignatures the policy demands. */
  | 'quorum'
  /** A proof file does not parse. */
  | 'bad-proof-file'
  /** A request to a witness does not parse. */
  | 'bad-request'
  /** A peer showed what cannot be true; the error holds the evidence. */
  | 'misbehaviour'
  /** A server showed an older tree than was seen before, as caches do (late.ts). */
  | 'late'
  /** Not a URL that can be asked. */
  | 'bad-url'
  /** No answer: name, connection, TLS, or time-out. */
  | 'network'
  /** An answer with a status that is not the wanted one (see `status`), or with something else than what was asked for. */
  | 'http'
  /** Input larger than its limit. */
  | 'too-large'

/** Bad input. `cause` holds the lower error where there is one; `status` the HTTP status of code `http`. */
export class TlogError extends Error {
  readonly code: TlogErrorCode
  readonly status: number | undefined

  constructor(
    code: TlogErrorCode,
    message: string,
    options: { cause?: unknown; status?: number } = {},
  ) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined)
    this.name = 'TlogError'
    this.code = code
    this.status = options.status
  }
}
