/** Changes of delegations in log order: pages, or a stream of events that goes on where it stopped. */
import { once } from 'node:events'
import type { Writable } from 'node:stream'
import { firstOf } from '@dslog/resolver/abort'
import { Changes, ChangesQuery } from '@dslog/schema/api'
import type { Http } from '@dslog/service/http'
import { sourceOf } from '@dslog/service/http/source'
import { cursorOf, nameOf, VOLATILE } from '@dslog/service/params'
import { Gate, type Places } from '../gate.ts'
import type { Leaf } from '../reader.ts'
import { viewOf } from '../view.ts'
import { type LogContext, within } from './context.ts'

const MAX_CHANGES = 256
/** Idle streams send a comment this often, ms, so that proxies do not close them. */
const KEEP_ALIVE_MS = 25_000
/** Each holds a socket and a page of changes. */
const STREAMS: Places = { all: 1_000, each: 100, what: 'streams', retrySeconds: 30 }

/** @param places of streams */
export function changeRoutes(
  app: Http,
  { onPublished, reader }: Pick<LogContext, 'onPublished' | 'reader'>,
  places: Places = STREAMS,
): void {
  const gate = new Gate(places)

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
        reply.raw.once('close', gate.enter(sourceOf(request.ip)))
        // The socket is ours from here on; Fastify's hooks have set the headers that all answers have.
        reply.hijack()
        const headers = reply.getHeaders() as Record<string, string>
        reply.raw.writeHead(200, { ...headers, 'content-type': 'text/event-stream' })
        // Or a reader would not know that it is connected before something happens.
        reply.raw.flushHeaders()
        await stream(reply.raw, start, filter)
        return reply
      }
      const { leaves, next, tree } = await reader.changes(start, limit, filter)
      const changes = leaves.map(({ bytes, index }) => viewOf(index, bytes))
      return { changes, next: String(next), size: tree.size }
    },
  )

  /** Writes changes from `start` on until the reader goes or the service stops. */
  async function stream(
    socket: Writable,
    start: number,
    zone: ReturnType<typeof nameOf> | undefined,
  ): Promise<void> {
    const news = new Signal()
    const { release, signal: ended } = firstOf(app.stopping, closed(socket))
    const stop = onPublished(() => news.wake())
    ended.addEventListener('abort', () => news.wake())
    try {
      let at = start
      while (!ended.aborted) {
        const { leaves, next, tree } = await reader.changes(at, MAX_CHANGES, zone)
        for (const leaf of leaves) await write(socket, eventOf(leaf), ended)
        at = next
        if (at < tree.size || at < reader.tree.size) continue
        if (!(await news.wait(KEEP_ALIVE_MS))) await write(socket, ': still here\n\n', ended)
      }
    } finally {
      release()
      stop()
      socket.end()
    }
  }
}

/** The id of an event is the cursor behind it: a reader that comes back goes on there. */
function eventOf({ bytes, index }: Leaf): string {
  return `id: ${index + 1}\nevent: change\ndata: ${JSON.stringify(viewOf(index, bytes))}\n\n`
}

/** A reader that is slower than the log makes this wait, not our memory grow. */
async function write(socket: Writable, text: string, ended: AbortSignal): Promise<void> {
  if (ended.aborted || socket.write(text)) return
  await once(socket, 'drain', { signal: ended }).catch((error: unknown) => {
    if (!ended.aborted) throw error
  })
}

function closed(socket: Writable): AbortSignal {
  const controller = new AbortController()
  const abort = (): void => controller.abort()
  socket.once('close', abort)
  socket.once('error', abort)
  return controller.signal
}

/** Somebody waits; somebody else wakes him. */
class Signal {
  #wake: (() => void) | undefined
  #woken = false

  wake(): void {
    this.#woken = true
    this.#wake?.()
  }

  /** True when woken since the last call, false after `ms`. */
  async wait(ms: number): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined
    if (!this.#woken) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
        timer = setTimeout(resolve, ms)
      })
    }
    clearTimeout(timer)
    const woken = this.#woken
    this.#woken = false
    return woken
  }
}
