/** What a verification comes to, in a word that tests can compare. */
import { DnssecError } from '../src/error.ts'

/** `accepted`, or the code of the typed error; anything else that was thrown as it is. */
export async function codeOf(answer: Promise<unknown>): Promise<unknown> {
  return answer.then(
    () => 'accepted',
    (error: unknown) => (error instanceof DnssecError ? error.code : error),
  )
}
