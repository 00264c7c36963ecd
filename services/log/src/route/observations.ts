/** Submission of evidence. The log validates everything itself and trusts no submitter. */
import type { Writable } from 'node:stream'
import { MAX_SUBMIT_BYTES, Submission, SubmitResults } from '@dslog/schema/api'
import type { Http } from '@dslog/service/http'
import { bearerOf, isToken } from '@dslog/service/http/bearer'
import { requestOf } from '@dslog/service/http/errors'
import { sourceOf } from '@dslog/service/http/source'
import { Problem } from '@dslog/service/problem'
import { Gate, type Places } from '../gate.ts'
import type { LogContext } from './context.ts'

/**
 * Of strangers, while they are read and judged: each may bring 8 MiB, some 130 MiB at most, and none may take the processor
 * from those who read the log. Nobody needs more: one carries a thousand observations. To wait for publication takes no
 * place.
 */
export const SUBMISSIONS: Places = { all: 16, each: 4, what: 'submissions', retrySeconds: 2 }

/** Longest wait for publication, ms; then 202, and the answer is found under the name. */
const WAIT_MS = 20_000

/** Read as what it is where there is no body: nothing. */
const NO_BODY = new TextEncoder().encode('null')

export function observationRoutes(app: Http, context: LogContext): void {
  const { admitter } = context
  if (admitter === undefined) return refusals(app)
  const gate = new Gate(SUBMISSIONS)
  const leave = new WeakMap<object, () => void>()

  void app.register((route: Http, _options, done) => {
    // As evidence nothing else is of a known media type. It stays bytes: who judges it reads it.
    route.removeAllContentTypeParsers()
    route.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, next) =>
      next(null, body),
    )
    submission(route)
    done()
  })

  function submission(route: Http): void {
    route.post(
      '/v1/observations',
      {
        bodyLimit: MAX_SUBMIT_BYTES,
        schema: {
          tags: ['submit'],
          summary: 'Submit evidence of DS records, their absence, or zone keys',
          description: 'What is accepted is public for ever, the name included.',
          body: Submission,
          response: { 200: SubmitResults, 202: SubmitResults },
        },
        // Whoever reads the body checks it (judge/submission.ts).
        validatorCompiler: () => () => true,
        onRequest,
      },
      async (request, reply) => {
        const body: unknown = request.body ?? NO_BODY
        const handedIn = await admitter!
          .handIn(body as Uint8Array, { source: payerOf(request), past: pastOf(request) })
          .catch((error: unknown) => {
            // RFC 9110 section 15.5.2: it says how to ask.
            if (error instanceof Problem && error.status === 401) {
              reply.header('www-authenticate', 'Bearer')
            }
            throw error
          })
        const { results, soFar } = handedIn
        leave.get(request)?.()
        // Whoever does not wait is still owed that errors of ours reach our log.
        results.catch((error: unknown) => {
          request.log.error({ err: error, ...requestOf(request) }, 'submission failed')
        })
        const wait = prefersNotToWait(request.headers['prefer']) ? 0 : WAIT_MS
        const done = await within(results, wait)
        if (done !== undefined) return { results: done }
        return reply.code(202).send({ results: soFar })
      },
    )
  }

  async function onRequest(request: Request, reply: { readonly raw: Writable }): Promise<void> {
    // What is refused anyway is not received: reading a body takes time from those who read the log.
    const payer = payerOf(request)
    if (payer !== undefined) admitter!.demandBudget(payer)
    admitter!.demandRoom()
    // Whoever sends slowly from some addresses has all places: that must not keep the operator's crawler from the log.
    if (payer === undefined) return
    const out = gate.enter(payer)
    leave.set(request, out)
    // Also of whoever hangs up before the body is whole.
    reply.raw.once('close', out)
  }

  /** What evidence from the past is answered with: nothing to the operator. */
  function pastOf({ headers: { authorization } }: Request): Problem | undefined {
    if (isOperator(authorization)) return undefined
    return bearerOf(authorization) === undefined
      ? new Problem('unauthorized', "Historical evidence needs the operator's token")
      : new Problem('forbidden', "This is not the operator's token")
  }

  /** Whose budget pays: nobody's for the operator's own crawler. Another token is as good as none. */
  function payerOf({ headers, ip }: Request): string | undefined {
    return isOperator(headers.authorization) ? undefined : sourceOf(ip)
  }

  function isOperator(header: string | undefined): boolean {
    const given = bearerOf(header)
    return given !== undefined && isToken(given, context.operatorToken)
  }
}

/** Where the log is only read, whoever submits is told so before his evidence has been read. */
function refusals(app: Http): void {
  const schema: object = { tags: ['submit'], summary: 'Is refused: this process only reads' }
  const refuse = async (): Promise<never> => {
    throw new Problem('read-only', 'Submit to the process that writes this log')
  }
  app.post('/v1/observations', { schema, onRequest: refuse }, refuse)
}

/** Who asks. */
interface Request {
  readonly headers: { readonly authorization?: string | undefined }
  readonly ip: string
}

function prefersNotToWait(header: string | string[] | undefined): boolean {
  return [header ?? []].flat().some((value) => /(^|[\s,;])respond-async([\s,;]|$)/i.test(value))
}

/** What a promise resolves to, or `undefined` if it takes longer. */
async function within<T>(promise: Promise<T>, ms: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
