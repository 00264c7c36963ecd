/**
 * The one error this package throws for bad input. Bugs throw plain `Error` or `RangeError` instead.
 *
 * A code says which rule was broken, so that callers can tell "the signature is wrong" from "the
 * signature is old" without reading the text. The text is for people and names what was wrong.
 */

/** Which rule the input broke. */
export type DnssecErrorCode =
  /** A domain name breaks RFC 1035 §2.3.4 or §3.1, or its text form §5.1. */
  | 'bad-name'
  /** RDATA, or a set of records, does not have the form its type demands. */
  | 'bad-record'
  /** A DNS message breaks RFC 1035 §4. */
  | 'bad-message'
  /** A well-formed reply that does not answer our question (QR, TC, question, rcode). */
  | 'bad-reply'
  /** No RRSIG covers the RRset, or none is by the zone that must sign it. */
  | 'no-signature'
  /** No usable key of the zone has the key tag and algorithm of a signature. */
  | 'no-matching-key'
  /** A key was tried and the signature does not verify. */
  | 'bad-signature'
  /** The signature's window ended before the time asked for. */
  | 'expired'
  /** The signature's window begins after the time asked for. */
  | 'not-yet-valid'
  /** The verification would cost more tries than an honest zone needs (KeyTrap). */
  | 'too-many-tries'
  /** The RRset was made from a wildcard where that is not allowed. */
  | 'wildcard-expanded'
  /** No DS or trust anchor with a usable algorithm and digest names a key of the zone. */
  | 'no-secure-entry'
  /** Owner and zone do not stand in the relation the rule demands. */
  | 'bad-owner'
  /** The NSEC or NSEC3 records do not prove that there is no DS. */
  | 'not-proven'
  /** The proof is of another kind, or has records it does not need, or in another order. */
  | 'bad-proof'
  /** NSEC3 asks for more hash iterations than anything may ask for. */
  | 'too-many-iterations'
  /** A trust anchor, or a file of them, is malformed. */
  | 'bad-anchor'
  /** A master file breaks RFC 1035 §5, or asks for something that is not supported. */
  | 'bad-zonefile'
  /** A zone is well-formed but not a complete, correctly signed zone. */
  | 'bad-zone'

/** Bad input to this package. `code` says which rule it broke. */
export class DnssecError extends Error {
  override readonly name = 'DnssecError'
  readonly code: DnssecErrorCode

  constructor(code: DnssecErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.code = code
  }
}

/** What `read` makes of something that need not be well-formed; undefined where it is not. */
export function wellFormed<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (error instanceof DnssecError) return undefined
    throw error
  }
}
