/** The read API of C2SP tlog-tiles: checkpoint, hash tiles, entry bundles. Plain bytes, all of it. */
import { parseTilePath } from '@dslog/tlog/tile'
import Type from 'typebox'
import { TlogError } from '@dslog/tlog/error'
import type { Http } from '@dslog/service/http'
import { asBytes } from '@dslog/service/http/headers'
import { acceptsGzip, FOR_EVER } from '@dslog/service/http/lane'
import { IMMUTABLE, VOLATILE } from '@dslog/service/params'
import { Problem } from '@dslog/service/problem'
import { type LogContext, untilNextTree } from './context.ts'

export function tileRoutes(app: Http, { reader }: LogContext): void {
  const tags = ['C2SP tlog-tiles']

  app.get(
    '/checkpoint',
    {
      schema: { tags, summary: 'The newest signed checkpoint', response: { 200: Type.String() } },
      config: { rateLimit: false },
    },
    async (_request, reply) => {
      reply.header('cache-control', VOLATILE).type('text/plain; charset=utf-8')
      reply.holds = untilNextTree(reader)
      return reply.serializer(String).send(reader.tree.note)
    },
  )

  app.get(
    '/tile/*',
    {
      schema: {
        tags,
        summary: 'A hash tile `<L>/<N>[.p/<W>]` or bundle `entries/<N>[.p/<W>]`',
        params: Type.Object({ '*': Type.String() }),
      },
      config: { rateLimit: false },
    },
    async (request, reply) => {
      const blob = await blobAt(`tile/${request.params['*']}`)
      if (blob === undefined) {
        throw new Problem('not-found', 'The published tree has no such tile')
      }
      asBytes(reply).header('cache-control', IMMUTABLE)
      // Of a partial one strangers can ask for 255 widths.
      if (!request.url.includes('.p/')) reply.holds = FOR_EVER
      const { data, gzipped, tag } = blob
      const gzip = gzipped !== undefined && acceptsGzip(request.headers['accept-encoding'])
      if (gzipped !== undefined) reply.header('vary', 'accept-encoding')
      if (gzip) reply.header('content-encoding', 'gzip')
      if (tag !== undefined) reply.header('etag', `"${tag}${gzip ? '-gzip' : ''}"`)
      const { buffer, byteLength, byteOffset } = gzip ? gzipped : data
      return reply.send(Buffer.from(buffer, byteOffset, byteLength))
    },
  )

  async function blobAt(path: string) {
    try {
      const tile = parseTilePath(path)
      return tile.kind === 'entries'
        ? await reader.bundle(tile.index, tile.width)
        : await reader.tile(tile.level, tile.index, tile.width)
    } catch (error) {
      if (error instanceof TlogError && error.code === 'bad-path') return undefined
      throw error
    }
  }
}
