/** The monitor's own view of names, from what it has verified itself. */
import Type from 'typebox'
import { nameToText } from '@dslog/dnssec/name'
import { MonitorChanges, MonitorChangesQuery } from '@dslog/schema/api'
import { MonitorName } from '@dslog/schema/monitorapi'
import type { Http } from '@dslog/service/http'
import { cursorOf, nameOf, VOLATILE } from '@dslog/service/params'
import { Problem } from '@dslog/service/problem'
import { publicPins } from '../ownertext.ts'
import { changeOf, type MonitorContext } from './context.ts'

const MAX_CHANGES = 256

const NameParam = Type.Object({ name: Type.String({ minLength: 1 }) })

export function changeRoutes(app: Http, { changes, clock, db, logs }: MonitorContext): void {
  app.get(
    '/v1/changes',
    {
      schema: {
        tags: ['changes'],
        summary: 'Verified changes of delegations in one log, in its order',
        querystring: MonitorChangesQuery,
        response: { 200: MonitorChanges },
      },
    },
    async ({ query: { after, limit = MAX_CHANGES, log } }, reply) => {
      const start = cursorOf(after)
      const found = logs.find(({ origin }) => log === undefined || log === origin)
      if (found === undefined) throw new Problem('not-found', `The log ${log} is not followed`)
      const { size } = found.follower.status
      if (start > size) {
        throw new Problem('beyond-published-tree', `Cursor ${start} is beyond the ${size} verified`)
      }
      const rows = await changes.between(found.origin, start, size, limit)
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
        summary: 'Every verified change of one delegation, and the pins its owner shows',
        params: NameParam,
        response: { 200: MonitorName },
      },
    },
    async ({ params }, reply) => {
      const name = nameOf(params.name)
      const rows = await changes.of(name)
      reply.header('cache-control', VOLATILE)
      return {
        name: nameToText(name),
        logs: logs.map(({ follower: { status }, origin }) => {
          return { origin, size: status.size, checked_at: status.verifiedAt ?? null }
        }),
        entries: rows.map(changeOf),
        pins: await publicPins(db, name, clock()),
      }
    },
  )
}
