/** Why a crawler does not start, or cannot go on. Each of these needs an operator. */
export type CrawlerErrorCode =
  | 'log' // no URL of a log to submit to
  | 'source' // a source that cannot be meant: no zone, no such file at the start
  | 'opt-out' // a zone to be left alone that is no name
  | 'vantage' // a resolver or proxy that cannot be meant

/** The crawler refuses to go on. */
export class CrawlerError extends Error {
  override readonly name = 'CrawlerError'
  readonly code: CrawlerErrorCode

  constructor(code: CrawlerErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.code = code
  }
}
