/** What logs were caught at, for everybody to check. */
import { EvidenceList, EvidenceQuery } from '@dslog/schema/api'
import type { Http } from '@dslog/service/http'
import { cursorOf, VOLATILE } from '@dslog/service/params'
import { evidenceAfter } from '../findings.ts'
import type { MonitorContext } from './context.ts'

/** A bundle that does not parse is up to 16 MiB of evidence: few on a page unless asked for more. */
const MAX_PIECES = 20

export function evidenceRoutes(app: Http, { db }: MonitorContext): void {
  app.get(
    '/v1/evidence',
    {
      schema: {
        tags: ['evidence'],
        summary: 'Evidence of misbehaviour, kept for ever, oldest first',
        querystring: EvidenceQuery,
        response: { 200: EvidenceList },
      },
    },
    async ({ query: { after, limit = MAX_PIECES } }, reply) => {
      const start = cursorOf(after)
      const pieces = await evidenceAfter(db, start, limit)
      reply.header('cache-control', VOLATILE)
      return {
        evidence: pieces.map(({ evidence, ...piece }) => {
          return { ...piece, evidence: JSON.parse(evidence) as unknown }
        }),
        next: String(pieces.at(-1)?.id ?? start),
      }
    },
  )
}
