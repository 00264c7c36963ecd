/** Hands what was seen to the log, as anybody may. */
import { fromUtf8 } from '@dslog/tlog/bytes'
import { TlogError } from '@dslog/tlog/error'
import type { HttpClient } from '@dslog/tlog/http'
import Value from 'typebox/value'
import { type Observation, type SubmitResult, SubmitResults } from '@dslog/schema/api'

/** An answer to one observation: some hundred bytes. */
const MAX_ANSWER_BYTES = 65_536

/** @param url of the log */
export function offerTo(
  http: Pick<HttpClient, 'request'>,
  url: string,
): (observation: Observation) => Promise<SubmitResult> {
  return async (observation) => {
    const { body } = await http.request(`${url.replace(/\/$/, '')}/v1/observations`, {
      method: 'POST',
      body: JSON.stringify({ observations: [observation] }),
      // Whether it is published, the log itself shows.
      headers: { 'content-type': 'application/json', prefer: 'respond-async' },
      maxBytes: MAX_ANSWER_BYTES,
    })
    const answer = parsed(body)
    const [result] = Value.Check(SubmitResults, answer) ? answer.results : []
    if (result === undefined) throw new TlogError('http', 'the log answers something else')
    return result
  }
}

function parsed(body: Uint8Array): unknown {
  try {
    return JSON.parse(fromUtf8(body))
  } catch {
    return undefined
  }
}
