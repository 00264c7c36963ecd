/** Changes of delegations in log order: pages, or a stream of events that goes on where it stopped. */
import { Changes, ChangesQuery } from '@dslog/schema/api'
import type { Http } from '@dslog/service/http'
import { Problem } from '@dslog/service/problem'
import { viewOf } from '../view.ts'
import { cursorOf, type LogContext, nameOf, VOLATILE, within } from './context.ts'

const MAX_CHANGES = 256
/** Idle streams send a comment this often, ms, so that proxies do not close them. */
const KEEP_ALIVE_MS = 25_000
/** Streams at once: each holds a socket and a page of changes. */
const MAX_STREAMS = 1_000

export function changeRoutes(app: Http, { reader, sequencer }: LogContext): void {
  let streams = 0

  app.get(
    '/v1/changes',
    {
      schema: {
        tags: ['changes'],
        summary: 'Changes in log order; `Accept: text/event-stream` follows live',
        querystring: ChangesQuery,
        response: { 200: Changes },
      },
    },
    async (request, reply) => {
      const { after, limit = MAX_CHANGES, zone } = request.query
      const filter = zone === undefined ? undefined : nameOf(zone)
      const resumed = request.headers['last-event-id']
      const start = cursorOf(typeof resumed === 'string' ? resumed : after)
      within(reader.tree.size, start, 'cursor')
      reply.header('cache-control', VOLATILE)
      if (request.headers.accept?.includes('text/event-stream') === true) {
        if (streams >= MAX_STREAMS) throw new Problem('unavailable', 'Too many streams')
        streams++
        reply.raw.once('close', () => streams--)
        // The socket is ours from here on; Fastify's hooks have set the headers that all answers have.
        reply.hijack()
        const headers = reply.getHeaders() as Record<string, string>
        reply.raw.writeHead(200, { ...headers, 'content-type': 'text/event-stream' })
        await stream(reply.raw, start, filter)
        return reply
      }
      const { leaves, next, tree } = await reader.changes(start, limit, filter)
      const changes = leaves.map(({ bytes, index }) => viewOf(index, bytes))
      return { changes, next: String(next), size: tree.size }
    },
  )

  async function stream(
    socket: NodeJS.WritableStream & { destroyed?: boolean },
    start: number,
    zone: ReturnType<typeof nameOf> | undefined,
  ): Promise<void> {
    let wake = (): void => {}
    let open = true
    const end = (): void => {
      open = false
      wake()
    }
    socket.on('close', end)
    socket.on('error', end)
    app.stopping.addEventListener('abort', end)
    const stop = sequencer.onPublished(() => wake())
    try {
      for (let at = start; open;) {
        const { leaves, next, tree } = await reader.changes(at, MAX_CHANGES, zone)
        for (const { bytes, index } of leaves) {
          const data = JSON.stringify(viewOf(index, bytes))
          const more = socket.write(`id: ${index + 1}\nevent: change\ndata: ${data}\n\n`)
          // A reader that is slower than the log waits here, not in our memory.
          if (!more && open) await new Promise<void>((resolve) => drained(socket, resolve))
        }
        at = next
        if (!open || at < tree.size || reader.tree.size > at) continue
        await new Promise<void>((resolve) => {
          const timer = setTimeout(() => {
            socket.write(': still here\n\n')
            resolve()
          }, KEEP_ALIVE_MS)
          wake = () => {
            clearTimeout(timer)
            resolve()
          }
        })
      }
    } finally {
      stop()
      app.stopping.removeEventListener('abort', end)
      socket.end()
    }
  }
}

function drained(socket: NodeJS.WritableStream, resolve: () => void): void {
  socket.once('drain', resolve)
  socket.once('close', resolve)
}
