/**
 * The description of the API (OpenAPI 3.1) out of the routes' own schemas: /openapi.json, and /docs to read it. Every
 * operation gets the problem document as its default answer, so routes need not repeat it.
 */
import fp from 'fastify-plugin'
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance, FastifySchema } from 'fastify'
import { ProblemDocument } from '@dslog/schema/problemdocument'

/** What the description says of the whole API. */
export interface ApiInfo {
  title: string
  version: string
  description: string
}

const DEFAULT_ANSWER = {
  description: 'What went wrong',
  content: { 'application/problem+json': { schema: { $ref: 'Problem#' } } },
}

/** Registers the description; before any route that shall be in it. */
export default fp(async function openapi(app: FastifyInstance, info: ApiInfo) {
  app.addSchema(ProblemDocument)
  await app.register(swagger, {
    openapi: { openapi: '3.1.0', info: { ...info, license: { name: 'Apache-2.0' } } },
    // Schemas with an $id keep it as their name in the document.
    refResolver: {
      buildLocalReference: (schema, _base, _fragment, i) =>
        typeof schema.$id === 'string' ? schema.$id : `def-${i}`,
    },
    transform: ({ schema, url }) => ({ schema: withDefaultAnswer(schema), url }),
  })
  await app.register(swaggerUi, { routePrefix: '/docs' })
  app.get('/openapi.json', { schema: { hide: true } }, () => app.swagger())
})

function withDefaultAnswer(schema: FastifySchema | undefined): FastifySchema {
  if (schema?.hide === true) return schema
  const response = (schema?.response ?? {}) as Record<string, unknown>
  return { ...schema, response: { ...response, default: DEFAULT_ANSWER } }
}

/** The `schema` of a route that is no part of the API, such as a page. */
export const HIDDEN: FastifySchema = { hide: true }
