/**
 * The body of a submission, checked against its schema as Fastify checks the bodies of other routes: by the
 * same library with the same options, so that faults are told in the same words. Here, because 8 MiB take as long as
 * hundreds of reads, and the thread that answers readers must not be the one that reads them.
 */
import { Ajv, type ErrorObject } from 'ajv'
import { type Observation, Submission } from '@dslog/schema/api'

/** What was submitted, or what is wrong with it: it is no JSON, or not of the schema. */
export type ReadSubmission =
  | { readonly observations: readonly Observation[] }
  | { readonly faults: readonly ErrorObject[] | undefined }

const check = new Ajv({ allErrors: false }).compile<Submission>(Submission)

/** Reads a body. */
export function readSubmission(body: Uint8Array): ReadSubmission {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { ignoreBOM: true }).decode(body))
  } catch {
    return { faults: undefined }
  }
  return check(value) ? value : { faults: check.errors ?? [] }
}
