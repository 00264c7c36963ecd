/** What a verification comes to, in a word that tests can compare. */
import { expect } from 'vitest'
import { DnssecError } from '../src/error.ts'

/** `accepted`, or the code of the typed error; anything else that was thrown as it is. */
export async function codeOf(answer: Promise<unknown>): Promise<unknown> {
  return answer.then(
    () => 'accepted',
    (error: unknown) => (error instanceof DnssecError ? error.code : error),
  )
}

/** The typed error that `work` must end with. */
export async function refusalOf(work: () => unknown): Promise<DnssecError> {
  try {
    await work()
  } catch (error) {
    expect(error).toBeInstanceOf(DnssecError)
    return error as DnssecError
  }
  throw new Error('was not refused')
}

/** What is said of the text that `work` must refuse. */
export async function badZoneFile(work: () => unknown): Promise<string> {
  const { code, message } = await refusalOf(work)
  expect(code).toBe('bad-zonefile')
  return message
}
