/** The log itself: what it is, its checkpoint, its entries decoded, and proof files of them. */
import { toBase64 } from '@dslog/tlog/bytes'
import Type from 'typebox'
import {
  CheckpointInfo,
  Entries,
  EntriesQuery,
  EntryView,
  LogInfo,
  MAX_OBSERVATIONS,
  MAX_SUBMIT_BYTES,
} from '@dslog/schema/api'
import type { Http } from '@dslog/service/http'
import { IMMUTABLE, VOLATILE } from '@dslog/service/params'
import { Problem } from '@dslog/service/problem'
import { viewOf } from '../view.ts'
import { type LogContext, untilNextTree, within } from './context.ts'

/** Most entries in one answer. */
const MAX_ENTRIES = 256

const Index = Type.Object({ index: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }) })

export function entryRoutes(app: Http, context: LogContext): void {
  const { reader } = context
  const tags = ['log']

  app.get(
    '/v1/log',
    { schema: { tags, summary: 'What this log is', response: { 200: LogInfo } } },
    () => ({
      origin: reader.origin,
      vkeys: [...context.vkeys],
      policy: context.policy,
      ...(context.anchors === undefined ? {} : { anchors: context.anchors }),
      ...(context.monitor === undefined ? {} : { monitor: context.monitor }),
      publish_interval_ms: context.publishInterval,
      limits: {
        observations: MAX_OBSERVATIONS,
        body_bytes: MAX_SUBMIT_BYTES,
        entries: MAX_ENTRIES,
      },
      zones: context.zones.describe(),
      frozen: context.isFrozen(),
      ...(context.announcement === undefined ? {} : { announcement: context.announcement }),
      software: context.software,
    }),
  )

  app.get(
    '/v1/checkpoint',
    { schema: { tags, summary: 'The newest checkpoint', response: { 200: CheckpointInfo } } },
    (_request, reply) => {
      const { note, origin, publishedAt, root, size } = reader.tree
      reply.header('cache-control', VOLATILE)
      reply.holds = untilNextTree(reader)
      return { origin, size, root: toBase64(root), note, published_at: publishedAt }
    },
  )

  app.get(
    '/v1/entries',
    {
      schema: {
        tags,
        summary: 'Entries, decoded and raw',
        querystring: EntriesQuery,
        response: { 200: Entries },
      },
    },
    async ({ query: { limit = MAX_ENTRIES, start = 0 } }) => {
      const { tree } = reader
      within(tree.size, start, 'start')
      const leaves = await reader.entries(start, limit, tree)
      return { entries: leaves.map(({ bytes, index }) => viewOf(index, bytes)), size: tree.size }
    },
  )

  app.get(
    '/v1/entries/:index',
    {
      schema: { tags, summary: 'One entry', params: Index, response: { 200: EntryView } },
    },
    async ({ params: { index } }, reply) => {
      logged(index)
      const { bytes } = await reader.entry(index)
      reply.header('cache-control', IMMUTABLE)
      return viewOf(index, bytes)
    },
  )

  app.get(
    '/v1/entries/:index/proof',
    {
      schema: {
        tags,
        summary: 'A `.tlog-proof` file of one entry: verifies offline, DNSSEC evidence included',
        params: Index,
        response: { 200: Type.String() },
      },
    },
    async ({ params: { index } }, reply) => {
      logged(index)
      const file = await reader.entryProofFile(index)
      reply.header('content-disposition', `attachment; filename="entry-${index}.tlog-proof"`)
      return reply.type('text/plain; charset=utf-8').serializer(String).send(file)
    },
  )

  function logged(index: number): void {
    const { size } = reader.tree
    if (index < size) return
    throw new Problem('beyond-published-tree', `The published tree has ${size} entries`)
  }
}
