/** Zone files and transfers: what was read, what failed, and what waits for the operator. */
import { AcceptedSource, AcceptSource, Sources } from '@dslog/schema/crawlerapi'
import type { Http } from '@dslog/service/http'
import { VOLATILE } from '@dslog/service/params'
import { authorize, type CrawlerContext } from './context.ts'

export function sourceRoutes(app: Http, context: CrawlerContext): void {
  app.get(
    '/v1/sources',
    {
      schema: {
        tags: ['sources'],
        summary: 'Zone files and transfers, and what became of them',
        response: { 200: Sources },
      },
    },
    async (_request, reply) => {
      reply.header('cache-control', VOLATILE)
      return { sources: await context.sources.list() }
    },
  )

  app.post(
    '/v1/sources/accept',
    {
      schema: {
        tags: ['sources'],
        summary: 'Lets pass a list that waits because it lost many names; needs the token',
        body: AcceptSource,
        response: { 200: AcceptedSource },
      },
      onRequest: async (request, reply) => authorize(context, { request, reply }),
    },
    async ({ body }, reply) => {
      reply.header('cache-control', VOLATILE)
      return { accepted: await context.sources.accept(body.id) }
    },
  )
}
