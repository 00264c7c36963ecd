/** The monitor's own view of names, from what it has verified itself. */
import Type from 'typebox'
import { nameToText } from '@dslog/dnssec/name'
import { MonitorChanges, MonitorChangesQuery, MonitorName } from '@dslog/schema/api'
import type { Http } from '@dslog/service/http'
import { cursorOf, nameOf, VOLATILE } from '@dslog/service/params'
import { Problem } from '@dslog/service/problem'
import { changeOf, type MonitorContext } from './context.ts'

const MAX_CHANGES = 256

const NameParam = Type.Object({ name: Type.String({ minLength: 1 }) })

export function changeRoutes(app: Http, { follower, store }: MonitorContext): void {
  app.get(
    '/v1/changes',
    {
      schema: {
        tags: ['changes'],
        summary: 'Verified changes of delegations, in log order',
        querystring: MonitorChangesQuery,
        response: { 200: MonitorChanges },
      },
    },
    async ({ query: { after, limit = MAX_CHANGES } }, reply) => {
      const start = cursorOf(after)
      const { size } = follower.status
      if (start > size) {
        throw new Problem('beyond-published-tree', `Cursor ${start} is beyond the ${size} verified`)
      }
      const rows = await store.changes(start, size, limit)
      const next = rows.length < limit ? size : rows.at(-1)!.idx + 1
      reply.header('cache-control', VOLATILE)
      return { changes: rows.map(changeOf), next: String(next), size }
    },
  )

  app.get(
    '/v1/names/:name',
    {
      schema: {
        tags: ['names'],
        summary: 'Every verified change of one delegation',
        params: NameParam,
        response: { 200: MonitorName },
      },
    },
    async ({ params }, reply) => {
      const name = nameOf(params.name)
      const { size, verifiedAt } = follower.status
      const rows = await store.changesOf(name)
      reply.header('cache-control', VOLATILE)
      return {
        name: nameToText(name),
        size,
        checked_at: verifiedAt ?? null,
        entries: rows.map(changeOf),
      }
    },
  )
}
