/** Hands what was seen to the log, as anybody may. */
import type { HttpClient } from '@dslog/tlog/http'
import { type Observation, type SubmitResult, SubmitResults } from '@dslog/schema/api'
import { AnswerError, readAnswer } from '@dslog/service/answer'

/** An answer to one observation: some hundred bytes. */
const MAX_ANSWER_BYTES = 65_536

/** @param url of the log */
export function offerTo(
  http: Pick<HttpClient, 'request'>,
  url: string,
): (observation: Observation) => Promise<SubmitResult> {
  return async (observation) => {
    const path = `${url}/v1/observations`
    const { body } = await http.request(path, {
      method: 'POST',
      body: JSON.stringify({ observations: [observation] }),
      // Whether it is published, the log itself shows.
      headers: { 'content-type': 'application/json', prefer: 'respond-async' },
      maxBytes: MAX_ANSWER_BYTES,
    })
    const [result] = readAnswer(path, SubmitResults, body).results
    if (result === undefined) throw new AnswerError(`${path} answers without a result`)
    return result
  }
}
