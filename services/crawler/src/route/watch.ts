/** Which names have subscribers: they are asked every ten minutes, at every server, and among decoys. */
import { nameKey, ROOT, sameName } from '@dslog/dnssec/name'
import { WatchList, Watched } from '@dslog/schema/crawlerapi'
import type { Http } from '@dslog/service/http'
import { nameOf, VOLATILE } from '@dslog/service/params'
import { Problem } from '@dslog/service/problem'
import { watch } from '../watch.ts'
import { authorize, type CrawlerContext } from './context.ts'

/** A hundred thousand names of some 40 bytes each. */
const MAX_BODY_BYTES = 8 * 1024 * 1024

export function watchRoutes(app: Http, context: CrawlerContext): void {
  app.put(
    '/v1/watch',
    {
      bodyLimit: MAX_BODY_BYTES,
      schema: {
        tags: ['watch'],
        summary: 'Replaces the list of watched names; needs the token',
        body: WatchList,
        response: { 200: Watched },
      },
      // Before the body is read: eight megabytes of a stranger's are not.
      onRequest: async (request, reply) => authorize(context, { request, reply }),
    },
    async (request, reply) => {
      const names = new Map(
        request.body.names.map((text) => {
          const name = nameOf(text)
          // The root has no parent, and so no DS.
          if (sameName(name, ROOT)) throw new Problem('validation', 'The root is not delegated')
          return [nameKey(name), name]
        }),
      )
      const { clock, db, frontier, hashKey } = context
      reply.header('cache-control', VOLATILE)
      return watch(db, frontier, [...names.values()], hashKey, clock())
    },
  )
}
