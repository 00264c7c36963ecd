/** Who was seen to say what, in the order in which it was written down. */
import { Views, ViewsQuery } from '@dslog/schema/crawlerapi'
import type { Http } from '@dslog/service/http'
import { cursorOf, VOLATILE } from '@dslog/service/params'
import type { CrawlerContext } from './context.ts'

const MAX_VIEWS = 1_000

export function viewRoutes(app: Http, { views }: CrawlerContext): void {
  app.get(
    '/v1/views',
    {
      schema: {
        tags: ['views'],
        summary: 'The newest sighting of each name from each vantage and server',
        querystring: ViewsQuery,
        response: { 200: Views },
      },
    },
    async ({ query: { after, limit = MAX_VIEWS } }, reply) => {
      const page = await views.after(cursorOf(after), limit)
      reply.header('cache-control', VOLATILE)
      return { views: page.views, next: String(page.next) }
    },
  )
}
