/**
 * Registry of problem types: every error that a service of dslog answers over HTTP, as RFC 9457 "problem details".
 *
 *   HTTP/1.1 404
 *   content-type: application/problem+json
 *
 *   {"type": "urn:dslog:problem:not-found", "title": "Nothing is here", "status": 404, "detail": "…"}
 *
 * A type is a promise to other people's programs: it is never renamed, its status never changes. `detail` is for people
 * and may change. The types under "refusals" also appear, by name, in the items of a submission's answer.
 *
 * The shape of the document is that of problemdocument.ts; throwing and rendering are the business of packages/service.
 */
/** Name → status and title of each problem type. */
export const PROBLEMS = {
  // The request as HTTP
  validation: { status: 400, title: 'The request is not valid' },
  unauthorized: { status: 401, title: 'A token is needed' },
  forbidden: { status: 403, title: 'The token does not allow this' },
  'not-found': { status: 404, title: 'Nothing is here' },
  'beyond-published-tree': { status: 404, title: 'The published tree is not that large yet' },
  timeout: { status: 408, title: 'The request took too long to arrive' },
  conflict: { status: 409, title: 'The request contradicts what is there' },
  gone: { status: 410, title: 'What was here has ended' },
  'payload-too-large': { status: 413, title: 'The body is too large' },
  'unsupported-media-type': {
    status: 415,
    title: 'The body has a media type that is not understood',
  },
  'too-many-requests': { status: 429, title: 'Too many requests' },
  internal: { status: 500, title: 'The service failed' },
  unavailable: { status: 503, title: 'The service is busy' },
  'read-only': { status: 503, title: 'This process only reads what another one writes' },

  // Refusals of a witness (C2SP tlog-witness)
  'unknown-log': { status: 404, title: 'This log is not cosigned here' },
  'bad-log-signature': { status: 403, title: 'The checkpoint is not signed by the log' },
  caught: { status: 403, title: 'The log was caught: its checkpoints are no longer cosigned' },
  inconsistent: { status: 422, title: 'The checkpoint does not follow the one before' },

  // Refusals of a submission (docs/spec/entry.md, "Admission")
  'log-frozen': { status: 410, title: 'The log has ended: its last tree is signed' },
  malformed: { status: 400, title: 'The evidence does not parse' },
  'too-large': { status: 413, title: 'The evidence is larger than an entry may be' },
  'zone-not-admitted': { status: 422, title: 'The zone is not admitted to this log' },
  bogus: { status: 422, title: 'A signature or a proof of absence does not verify' },
  unproven: { status: 422, title: 'The evidence does not reach up to a trust anchor' },
  expired: { status: 422, title: 'A signature has expired' },
  'not-yet-valid': { status: 422, title: 'A signature is not yet valid' },
  unsupported: { status: 422, title: 'An algorithm is not supported' },
  'rate-limited': { status: 429, title: 'This source or zone has spent its budget' },
} as const satisfies Record<string, { status: number; title: string }>

/** Name of a problem type. */
export type ProblemName = keyof typeof PROBLEMS

/** The type URI of a problem. */
export function problemType(name: ProblemName): string {
  return `urn:dslog:problem:${name}`
}
