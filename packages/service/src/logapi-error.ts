/** What can be wrong with the answers of a log, or a monitor, beyond HTTP itself (that is HttpError of @dslog/tlog). */

/** The log answered with something else than what was asked. */
export class LogAnswerError extends Error {
  override readonly name = 'LogAnswerError'
}
