/** What can be wrong with the bytes or the fields of a log entry. */
export type EntryErrorCode =
  | 'truncated' // the bytes end before the entry does
  | 'trailing' // bytes are left after the entry
  | 'reserved' // a reserved bit or value is set
  | 'order' // records are unsorted or repeated
  | 'range' // a field is outside what the format allows
  | 'name' // a domain name is malformed, not lower-case, or in the wrong place
  | 'too-large' // the entry exceeds {@link MAX_ENTRY_BYTES}

/** Bad input to the entry codec. Never thrown for anything but the bytes or fields handed in. */
export class EntryError extends Error {
  override readonly name = 'EntryError'
  readonly code: EntryErrorCode

  constructor(code: EntryErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.code = code
  }
}
