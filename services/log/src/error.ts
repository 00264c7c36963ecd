/** Why a log cannot be created, opened or continued. Each of these needs an operator. */
export type LogErrorCode =
  | 'exists' // there is a log already
  | 'missing' // there is no log yet; creating one is an explicit act
  | 'behind' // the database is older than what was signed: a restored backup
  | 'forked' // the database holds another tree than the one that was signed
  | 'corrupt' // what is stored does not fit together
  | 'unfinished-load' // a first import was interrupted
  | 'fenced' // another process has taken over the log
  | 'signer' // the record of what was signed is missing, unreadable or of another log
  | 'key' // a key does not belong to this log
  | 'frozen' // the log was ended for good: its last tree is signed
  | 'witnesses' // the policy of witnesses is missing, unreadable, or cannot be met
  | 'unwitnessed' // stopped before witnesses have cosigned a signed tree: it is published after the next start

/** The log refuses to go on, rather than to sign something it could regret. */
export class LogError extends Error {
  override readonly name = 'LogError'
  readonly code: LogErrorCode

  constructor(code: LogErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.code = code
  }
}
