/** How it stands with the followed logs. */
import { toBase64 } from '@dslog/tlog/bytes'
import { MonitorStatus } from '@dslog/schema/api'
import type { Http } from '@dslog/service/http'
import { VOLATILE } from '@dslog/service/params'
import type { MonitorContext } from './context.ts'

export function statusRoutes(app: Http, { clock, logs }: MonitorContext): void {
  app.get(
    '/v1/status',
    {
      schema: {
        tags: ['status'],
        summary: 'How far each log has been verified, and how it behaves',
        response: { 200: MonitorStatus },
      },
    },
    (_request, reply) => {
      reply.header('cache-control', VOLATILE)
      return {
        logs: logs.map(({ follower, origin, url }) => {
          const { detail, findings, freshAt, ...status } = follower.status
          return {
            origin,
            url,
            size: status.size,
            root: toBase64(status.root),
            published: status.published,
            backlog: status.backlog,
            // A clock that was set back must not give an age before birth.
            checkpoint_age_ms: freshAt === undefined ? null : Math.max(0, clock() - freshAt),
            last_success: status.verifiedAt ?? null,
            state: status.state,
            ...(detail === undefined ? {} : { detail }),
            map_root: toBase64(status.mapRoot),
            names: status.mapKeys,
            misbehaviour: [...findings.values()].reduce((sum, pieces) => sum + pieces, 0),
          }
        }),
      }
    },
  )
}
