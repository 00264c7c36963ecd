/** How it stands with a parent zone: when it was last seen, and what is wrong. */
import { sql } from 'kysely'
import Type from 'typebox'
import { isAtOrBelow, nameToText } from '@dslog/dnssec/name'
import { CrawledZone } from '@dslog/schema/crawlerapi'
import type { Http } from '@dslog/service/http'
import { nameOf, VOLATILE } from '@dslog/service/params'
import type { CrawlerContext } from './context.ts'

const ZoneParam = Type.Object({ zone: Type.String({ minLength: 1 }) })

export function zoneRoutes(app: Http, { clock, db, optOut }: CrawlerContext): void {
  app.get(
    '/v1/zones/:zone',
    {
      schema: {
        tags: ['zones'],
        summary: 'When a parent zone was last seen, and why not since; the root is `@`',
        params: ZoneParam,
        response: { 200: CrawledZone },
      },
    },
    async ({ params }, reply) => {
      const zone = nameOf(params.zone)
      const status = await db.kysely
        .selectFrom('zone_status')
        .selectAll()
        .where('name', '=', zone)
        .executeTakeFirst()
      const { rows } = await sql<{ names: number; free: number | null }>`
        select
          (select count(*) from logged where zone = ${zone}) as names,
          (select min(blocked_until) from server where zone = ${zone}
            and blocked_until > ${clock()}::int8) as free`.execute(db.kysely)
      reply.header('cache-control', VOLATILE)
      return {
        zone: nameToText(zone),
        names: rows[0]!.names,
        last_observed: status?.seen_at ?? null,
        failures: status?.failures ?? 0,
        reason: status?.reason ?? null,
        blocked_until: rows[0]!.free,
        opted_out: optOut.some((out) => isAtOrBelow(zone, out)),
        serial: status?.serial ?? null,
        transferred_at: status?.transferred_at ?? null,
      }
    },
  )
}
