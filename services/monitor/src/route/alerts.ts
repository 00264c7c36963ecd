/** Alerts of a subscription, for whoever has its token: a public list would tell who watches. */
import { Acknowledged, AlertList, AlertsQuery } from '@dslog/schema/monitorapi'
import type { Http } from '@dslog/service/http'
import { cursorOf, VOLATILE } from '@dslog/service/params'
import { acknowledge } from '../acknowledge.ts'
import { alertOf, alertRows } from '../content.ts'
import { OwnerError } from '../owner-error.ts'
import type { OwnerContext } from './context.ts'
import { asProblem, tokenOf, IdParam, TOKEN_LIMIT } from './owner.ts'

const MAX_ALERTS = 100

export function alertRoutes(app: Http, { clock, db, poke, subscriptions }: OwnerContext): void {
  const tags = ['alerts']
  const config = TOKEN_LIMIT

  app.get(
    '/v1/subscriptions/:id/alerts',
    {
      config,
      schema: {
        tags,
        summary: 'Alerts of a subscription, in the order in which they were raised',
        params: IdParam,
        querystring: AlertsQuery,
        response: { 200: AlertList },
      },
    },
    async ({ headers, params, query: { after, limit = MAX_ALERTS } }) =>
      asProblem(async () => {
        const { id } = await subscriptions.authorize(params.id, tokenOf(headers.authorization))
        const start = cursorOf(after)
        const rows = await alertRows(db)
          .where('alert.subscription', '=', id)
          .where('alert.seq', '>', start)
          .orderBy('alert.seq')
          .limit(limit)
          .execute()
        return { alerts: rows.map(alertOf), next: String(rows.at(-1)?.seq ?? start) }
      }),
  )

  app.post(
    '/v1/alerts/:id/ack',
    {
      config,
      schema: {
        tags,
        summary: '"That was me": with the token of its subscription',
        description:
          'Where there were never any pins, the DS of the alert become pins after a day.',
        params: IdParam,
        response: { 200: Acknowledged },
      },
    },
    async ({ headers, params: { id } }, reply) =>
      asProblem(async () => {
        const token = tokenOf(headers.authorization)
        const row = await db.kysely
          .selectFrom('alert')
          .select('subscription')
          .where('id', '=', id)
          .executeTakeFirst()
        // Whether there is such an alert is for those with its token.
        if (row === undefined) {
          throw new OwnerError('token', 'this is not the token of the subscription')
        }
        await subscriptions.authorize(row.subscription, token)
        const pinned = await acknowledge(db, id, clock())
        poke()
        reply.header('cache-control', VOLATILE)
        return { id, pinned }
      }),
  )
}
