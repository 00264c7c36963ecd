/** Submission of evidence. The log validates everything itself and trusts no submitter. */
import { createHash, timingSafeEqual } from 'node:crypto'
import { MAX_SUBMIT_BYTES, Submission, SubmitResults } from '@dslog/schema/api'
import type { Http } from '@dslog/service/http'
import { sourceOf } from '@dslog/service/http/source'
import { Problem } from '@dslog/service/problem'
import { Gate } from '../gate.ts'
import type { LogContext } from './context.ts'

/** Longest wait for publication, ms; then 202, and the answer is found under the name. */
const WAIT_MS = 20_000

export function observationRoutes(app: Http, context: LogContext): void {
  const { admitter } = context
  if (admitter === undefined) return refusals(app)
  const gate = new Gate()
  const leave = new WeakMap<object, () => void>()
  // Fastify reads plain text too; as evidence it is of no known media type.
  app.removeContentTypeParser('text/plain')

  app.post(
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
      async onRequest(request, reply) {
        // What is refused anyway is not received: reading a body takes time from those who read the log.
        const payer = payerOf(request)
        if (payer !== undefined) admitter.demandBudget(payer)
        const out = gate.enter(sourceOf(request.ip))
        leave.set(request, out)
        // Also of whoever hangs up before the body is whole.
        reply.raw.once('close', out)
      },
    },
    async (request, reply) => {
      const { observations } = request.body
      const { authorization } = request.headers
      if (observations.some(({ historical }) => historical === true)) {
        authorize(authorization, reply)
      }
      const { results, soFar } = await admitter.handIn(observations, payerOf(request))
      leave.get(request)?.()
      // Whoever does not wait is still owed that errors of ours reach our log.
      results.catch((error: unknown) => request.log.error({ err: error }, 'submission failed'))
      const wait = prefersNotToWait(request.headers['prefer']) ? 0 : WAIT_MS
      const done = await within(results, wait)
      if (done !== undefined) return { results: done }
      return reply.code(202).send({ results: soFar })
    },
  )

  function authorize(header: string | undefined, reply: Reply): void {
    if (tokenIn(header) === undefined) {
      // RFC 9110 section 15.5.2: it says how to ask.
      reply.header('www-authenticate', 'Bearer')
      throw new Problem('unauthorized', "Historical evidence needs the operator's token")
    }
    if (!isOperator(header)) throw new Problem('forbidden', "This is not the operator's token")
  }

  /** Whose budget pays: nobody's for the operator's own crawler. Another token is as good as none. */
  function payerOf({ headers, ip }: Request): string | undefined {
    return isOperator(headers.authorization) ? undefined : sourceOf(ip)
  }

  function isOperator(header: string | undefined): boolean {
    const token = context.operatorToken?.reveal()
    const given = tokenIn(header)
    if (token === undefined || given === undefined) return false
    return timingSafeEqual(digest(given), digest(token))
  }
}

function tokenIn(header: string | undefined): string | undefined {
  return /^Bearer (.+)$/.exec(header ?? '')?.[1]
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

/** Where an answer takes its headers. */
interface Reply {
  header(name: string, value: string): unknown
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
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
