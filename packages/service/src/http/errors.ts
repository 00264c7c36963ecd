/**
 * The edge at which errors become problem documents (RFC 9457), all of them: those of handlers, of Fastify, of its plugins,
 * of the router, and of requests that are not even HTTP. What is not a Problem and not known to be the client's fault is
 * `internal`, without a word on what went wrong; the log has it.
 */
import { STATUS_CODES } from 'node:http'
import type { ConnectionError, FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import type { Socket } from 'node:net'
import type { ProblemName } from '@dslog/schema/problem'
import type { ProblemFault } from '@dslog/schema/problemdocument'
import { DatabaseError } from '../database-error.ts'
import { Problem, spreadRetry } from '../problem.ts'

/** Seconds after which a client that found the service busy may come again, before spreading. */
const BUSY_RETRY = 5

/** What an operator need not be told of: a service that answers so works as it should. */
const EXPECTED: ReadonlySet<ProblemName> = new Set(['unavailable', 'read-only'])

const PARTS = { body: 'body', querystring: 'query', params: 'path', headers: 'header' } as const

/** The problem an error stands for. */
export function toProblem(error: unknown): Problem {
  if (error instanceof Problem) return error
  if (error instanceof DatabaseError && (error.code === 'busy' || error.code === 'away')) {
    return new Problem('unavailable', `The database is ${error.code}`, {
      retryAfter: spreadRetry(BUSY_RETRY),
      cause: error,
    })
  }
  if (!(error instanceof Error)) return new Problem('internal', undefined, { cause: error })
  const { validation, validationContext, statusCode, code } = error as Partial<FastifyError>
  if (validation !== undefined) {
    const part = PARTS[(validationContext ?? 'body') as keyof typeof PARTS]
    const errors = validation.map((fault) => toFault(part, fault))
    return new Problem('validation', errors[0]?.detail, { errors, cause: error })
  }
  // Fastify's own messages are written for clients; those of other errors may not be.
  const detail = code?.startsWith('FST_') === true ? error.message : undefined
  switch (statusCode) {
    case 401:
      return new Problem('unauthorized', detail, { cause: error })
    case 403:
      return new Problem('forbidden', detail, { cause: error })
    case 404:
      return new Problem('not-found', detail, { cause: error })
    case 413:
      return new Problem('payload-too-large', detail, { cause: error })
    case 415:
      return new Problem('unsupported-media-type', detail, { cause: error })
    case 429:
      return new Problem('too-many-requests', detail, { cause: error })
    case 503:
      return new Problem('unavailable', detail, { cause: error })
    default:
      return statusCode !== undefined && statusCode >= 400 && statusCode < 500
        ? new Problem('validation', detail, { cause: error })
        : new Problem('internal', undefined, { cause: error })
  }
}

/** Renders a problem as the answer. Errors are never cached. */
export function sendProblem(problem: Problem, reply: FastifyReply): FastifyReply {
  if (problem.retryAfter !== undefined) reply.header('retry-after', problem.retryAfter)
  return reply
    .code(problem.status)
    .headers({ 'cache-control': 'no-store', 'content-type': 'application/problem+json' })
    .serializer(JSON.stringify)
    .send(problem.document())
}

/** Fastify's error handler. */
export function errorHandler(
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  const problem = toProblem(error)
  if (problem.status >= 500 && !EXPECTED.has(problem.problem)) {
    request.log.error({ err: error, ...requestOf(request) }, 'request failed')
  }
  return sendProblem(problem, reply)
}

/** A request as the log of the process names it: not by its path, which can hold a token. */
export function requestOf({ id, method, routeOptions }: FastifyRequest): object {
  return { reqId: id, method, route: routeOptions.url }
}

/** Fastify's handler of what no route matches, a known path with another method included. */
export function notFoundHandler(_request: FastifyRequest, reply: FastifyReply): FastifyReply {
  return sendProblem(new Problem('not-found'), reply)
}

/** Answers bytes that are no request, on the bare socket. */
export function clientErrorHandler(error: ConnectionError, socket: Socket): void {
  // ECONNRESET: nobody listens any more. Bytes already written: an answer is under way on this socket.
  if (error.code === 'ECONNRESET' || !socket.writable || socket.bytesWritten > 0) {
    socket.destroy()
    return
  }
  const problem = new Problem(error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 'timeout' : 'validation')
  const body = JSON.stringify(problem.document())
  socket.end(
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}\r\n` +
      `content-type: application/problem+json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n` +
      `cache-control: no-store\r\nconnection: close\r\n\r\n${body}`,
  )
}

/** One of Ajv's errors. The pointer names the member that is at fault, also where it is missing or unknown. */
function toFault(
  part: ProblemFault['in'],
  fault: NonNullable<FastifyError['validation']>[number],
): ProblemFault {
  const { missingProperty, additionalProperty } = fault.params as Record<string, string>
  const member = missingProperty ?? additionalProperty
  const pointer = fault.instancePath + (member === undefined ? '' : `/${escapeToken(member)}`)
  const detail =
    missingProperty !== undefined
      ? 'is required'
      : additionalProperty !== undefined
        ? 'is not known'
        : (fault.message ?? 'is not valid')
  const fragment = pointer.split('/').map(encodeURIComponent).join('/')
  return { in: part, pointer: `#${fragment}`, detail }
}

/** RFC 6901 section 3. */
function escapeToken(token: string): string {
  return token.replaceAll('~', '~0').replaceAll('/', '~1')
}
