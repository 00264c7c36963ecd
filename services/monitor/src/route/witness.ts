/** C2SP tlog-witness: checkpoints handed in for cosigning, and the newest that was cosigned. */
import Type from 'typebox'
import { MAX_ADD_CHECKPOINT_BYTES, SIZE_TYPE, WitnessRefusal } from '@dslog/tlog/witness'
import type { ProblemName } from '@dslog/schema/problem'
import type { Http } from '@dslog/service/http'
import { VOLATILE } from '@dslog/service/params'
import { Problem, spreadRetry } from '@dslog/service/problem'
import { LogCaught, NotYetVerified, type Witness } from '../witness.ts'

/** Requests a minute of one source: a log asks once a second at most, and once more after a 409. */
const RATE_LIMIT = { max: 240, timeWindow: 60_000 }

/** Mean of what a log is told to wait for a tree that is being verified, seconds. */
const RETRY_SECONDS = 2

const TEXT = 'text/plain; charset=utf-8'

export async function witnessRoutes(app: Http, witness: Witness): Promise<void> {
  const tags = ['C2SP tlog-witness']

  app.get(
    '/:hash/checkpoint',
    {
      schema: {
        tags,
        summary:
          'The newest checkpoint of a log that was cosigned; the log by SHA-256 of its origin',
        params: Type.Object({ hash: Type.String({ pattern: '^[0-9a-f]{64}$' }) }),
        response: { 200: Type.String() },
      },
    },
    async ({ params }, reply) => {
      const note = await witness.newest(`${params.hash}/checkpoint`)
      if (note === undefined) throw new Problem('not-found', 'Nothing of this log was cosigned')
      reply.header('cache-control', VOLATILE).type(TEXT)
      return reply.serializer(String).send(note)
    },
  )

  await app.register(async (scope: Http) => {
    // Clients name all kinds of media types, or none.
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => {
      done(null, body)
    })
    scope.post(
      '/add-checkpoint',
      {
        bodyLimit: MAX_ADD_CHECKPOINT_BYTES,
        schema: {
          tags,
          summary: 'Cosigns a checkpoint that follows the one cosigned before',
          response: { 200: Type.String(), 409: Type.String() },
        },
        config: { rateLimit: RATE_LIMIT },
      },
      async ({ body }, reply) => {
        reply.header('cache-control', VOLATILE).serializer(String)
        try {
          const bytes = body instanceof Uint8Array ? body : new Uint8Array(0)
          return await reply.type(TEXT).send(await witness.add(bytes))
        } catch (error) {
          if (error instanceof WitnessRefusal && error.status === 409) {
            return reply.code(409).type(SIZE_TYPE).send(`${error.size}\n`)
          }
          throw problemOf(error)
        }
      },
    )
  })
}

const REFUSALS = {
  400: 'validation',
  403: 'bad-log-signature',
  404: 'unknown-log',
  409: 'conflict',
  422: 'inconsistent',
} as const satisfies Record<WitnessRefusal['status'], ProblemName>

function problemOf(error: unknown): unknown {
  if (error instanceof WitnessRefusal) {
    return new Problem(REFUSALS[error.status], error.message, { cause: error })
  }
  if (error instanceof LogCaught) return new Problem('caught', error.message)
  if (!(error instanceof NotYetVerified)) return error
  return new Problem('unavailable', error.message, { retryAfter: spreadRetry(RETRY_SECONDS) })
}
