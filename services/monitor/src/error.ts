/** Why a monitor does not start, or cannot be continued. Each of these needs an operator. */
export type MonitorErrorCode =
  | 'policy' // the policy is missing, unreadable, or names no log to follow
  | 'watchlist' // the watch list cannot be read, or has a mistake
  | 'corrupt' // what is stored does not fit together
  | 'dns' // what to ask the DNS with is no address or network
  | 'fenced' // another process goes on where this one did
  | 'witness' // a witness key cannot be, or the record of what was cosigned is unreadable

/** The monitor refuses to go on, rather than to call verified what it did not verify. */
export class MonitorError extends Error {
  override readonly name = 'MonitorError'
  readonly code: MonitorErrorCode

  constructor(code: MonitorErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.code = code
  }
}
