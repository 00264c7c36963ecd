/**
 * An error meant for the caller of an HTTP API (RFC 9457). Handlers throw it, the edge (http/errors.ts) renders it, and
 * nothing between knows of HTTP statuses. Types, statuses and titles come from schema/problem; domain errors such as
 * TlogError are translated to a Problem by the route that knows what they mean there.
 */
import { PROBLEMS, problemType } from '@dslog/schema/problem'
import type { ProblemName } from '@dslog/schema/problem'
import type { ProblemDocument, ProblemFault } from '@dslog/schema/problemdocument'

/** What one problem adds to its type. */
export interface ProblemOptions {
  /** Faults of the request, one by one. */
  errors?: readonly ProblemFault[]
  /** Seconds for `Retry-After`. */
  retryAfter?: number
  /** Extension members of the document. */
  extensions?: Readonly<Record<string, unknown>>
  /** For the service's own log; never sent. */
  cause?: unknown
}

/** A problem on its way to the client; `detail` is sent, so it holds nothing that the client may not know. */
export class Problem extends Error {
  readonly problem: ProblemName
  readonly type: string
  readonly status: number
  readonly title: string
  readonly detail: string | undefined
  readonly errors: readonly ProblemFault[] | undefined
  readonly retryAfter: number | undefined
  readonly extensions: Readonly<Record<string, unknown>>

  constructor(problem: ProblemName, detail?: string, options: ProblemOptions = {}) {
    const { status, title } = PROBLEMS[problem]
    super(detail ?? title, 'cause' in options ? { cause: options.cause } : undefined)
    this.name = 'Problem'
    this.problem = problem
    this.type = problemType(problem)
    this.status = status
    this.title = title
    this.detail = detail
    this.errors = options.errors
    this.retryAfter = options.retryAfter
    this.extensions = options.extensions ?? {}
  }

  /** The document to send. */
  document(): ProblemDocument {
    return {
      ...this.extensions,
      type: this.type,
      title: this.title,
      status: this.status,
      ...(this.detail !== undefined && { detail: this.detail }),
      ...(this.errors !== undefined && { errors: [...this.errors] }),
    }
  }
}

/**
 * Seconds for `Retry-After`, between half and one and a half times `seconds`: clients that were refused together must not
 * come back together.
 */
export function spreadRetry(seconds: number, random: () => number = Math.random): number {
  return Math.max(1, Math.round(seconds * (0.5 + random())))
}
