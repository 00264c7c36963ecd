/** Names and zones: state, history, and the proof that the history is complete. */
import { toBase64, toBase64Each } from '@dslog/tlog/bytes'
import Type from 'typebox'
import { nameToText } from '@dslog/dnssec/name'
import { dsToText } from '@dslog/dnssec/records'
import { NameView, PageQuery, ZoneNames, ZoneView } from '@dslog/schema/api'
import { decodeEntry } from '@dslog/schema/entry'
import { MapKind } from '@dslog/schema/identity'
import type { Http } from '@dslog/service/http'
import { nameOf } from '@dslog/service/params'
import type { Leaf } from '../reader.ts'
import { viewOf } from '../view.ts'
import { type LogContext, untilNextTree } from './context.ts'

const MAX_NAMES = 1_000

const NameParam = Type.Object({ name: Type.String({ minLength: 1 }) })
const ZoneParam = Type.Object({ zone: Type.String({ minLength: 1 }) })

export function nameRoutes(app: Http, { reader }: LogContext): void {
  app.get(
    '/v1/names/:name',
    {
      schema: {
        tags: ['names'],
        summary: 'State and complete history of a delegation, with proof',
        params: NameParam,
        response: { 200: NameView },
      },
    },
    async ({ params }, reply) => {
      reply.holds = untilNextTree(reader)
      const name = nameOf(params.name)
      const answer = await reader.name(MapKind.delegation, name)
      const { history, key, mapHead, mapHeadProof, mapProof, tree } = answer
      return {
        name: nameToText(name),
        size: tree.size,
        present: history.length > 0,
        state: stateOf(history),
        history: history.map(({ bytes, index }) => viewOf(index, bytes)),
        proof: {
          map_key: toBase64(key),
          map_proof: toBase64(mapProof),
          map_head: mapHead.index,
          map_head_entry: toBase64(mapHead.bytes),
          map_head_proof: toBase64Each(mapHeadProof),
          indices: history.map(({ index }) => index),
          checkpoint: tree.note,
        },
      }
    },
  )

  app.get(
    '/v1/names/:name/proof',
    {
      schema: {
        tags: ['names'],
        summary: 'The same as one `.tlog-proof` file that verifies offline',
        params: NameParam,
        response: { 200: Type.String() },
      },
    },
    async ({ params }, reply) => {
      reply.holds = untilNextTree(reader)
      const file = await reader.nameProofFile(MapKind.delegation, nameOf(params.name))
      reply.header('content-disposition', 'attachment; filename="name.tlog-proof"')
      return reply.type('text/plain; charset=utf-8').serializer(String).send(file)
    },
  )

  app.get(
    '/v1/zones/:zone',
    {
      schema: {
        tags: ['zones'],
        summary: 'Keys of a parent zone over time; the root is `@`',
        params: ZoneParam,
        response: { 200: ZoneView },
      },
    },
    async ({ params }, reply) => {
      // To count the names of a large zone takes long.
      reply.holds = untilNextTree(reader)
      const zone = nameOf(params.zone)
      const { history, tree } = await reader.name(MapKind.zoneKeys, zone)
      // Not that of the last entry: evidence from the past comes later.
      const times = history.flatMap(({ bytes }) => {
        const entry = decodeEntry(bytes)
        return entry.type === 'zone-keys' ? [entry.time] : []
      })
      return {
        zone: nameToText(zone),
        size: tree.size,
        ...(await reader.zoneCounts(zone)),
        last_observed: times.length === 0 ? null : Math.max(...times),
        keys: history.map(({ bytes, index }) => viewOf(index, bytes)),
      }
    },
  )

  app.get(
    '/v1/zones/:zone/proof',
    {
      schema: {
        tags: ['zones'],
        summary: 'Every key set of a zone as one `.tlog-proof` file that verifies offline',
        params: ZoneParam,
        response: { 200: Type.String() },
      },
    },
    async ({ params }, reply) => {
      reply.holds = untilNextTree(reader)
      const file = await reader.nameProofFile(MapKind.zoneKeys, nameOf(params.zone))
      reply.header('content-disposition', 'attachment; filename="zone.tlog-proof"')
      return reply.type('text/plain; charset=utf-8').serializer(String).send(file)
    },
  )

  app.get(
    '/v1/zones/:zone/names',
    {
      schema: {
        tags: ['zones'],
        summary: 'Every name of a zone with the state in force',
        params: ZoneParam,
        querystring: PageQuery,
        response: { 200: ZoneNames },
      },
    },
    async ({ params, query: { after, limit = MAX_NAMES } }) => {
      const from = after === undefined ? undefined : nameOf(after)
      const { names, next, size } = await reader.zoneNames(nameOf(params.zone), from, limit)
      return {
        names: names.map(({ ds, latest, name }) => ({
          name: nameToText(name),
          index: latest.index,
          time: latest.time,
          inception: latest.orderKey,
          ds: ds.map(dsToText),
        })),
        next: next === undefined ? null : nameToText(next),
        size,
      }
    },
  )
}

/** The state in force: that of the newest entry that is not out of order. */
function stateOf(history: readonly Leaf[]) {
  for (const { bytes, index } of history.toReversed()) {
    const entry = decodeEntry(bytes)
    if (entry.type === 'ds' && !entry.outOfOrder) {
      return { index, time: entry.time, signed: true, ds: entry.ds.map(dsToText) }
    }
    if (entry.type === 'no-ds' && !entry.outOfOrder) {
      return { index, time: entry.time, signed: false, ds: [] }
    }
  }
  return null
}
