/** What can be wrong with a log's answers, beyond HTTP itself (that is HttpError of @dslog/tlog). */

/** The log answered with something else than what was asked. */
export class LogAnswerError extends Error {
  override readonly name = 'LogAnswerError'
}
