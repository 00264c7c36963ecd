/**
 * What stands between a log and one of its readers: it passes everything on, until it is told to show
 * that reader another log instead. So does an operator who forks: the others go on seeing the first.
 */
import { createServer, type IncomingMessage, type Server } from 'node:http'
import { concat } from '@dslog/tlog/bytes'
import { closeServer, listenOnLoopback } from '@dslog/testbed/loopback'

/** Answers a path as a log would. */
export type Shown = (path: string) => Promise<Response>

/** See the head of this file. */
export class SplitView {
  readonly #server: Server
  #port = 0
  /** Shown instead of the real log. */
  shown: Shown | undefined

  private constructor(real: () => string) {
    this.#server = createServer((request, response) => {
      const path = request.url ?? '/'
      const show = this.shown ?? (() => passOn(`${real()}${path}`, request))
      const answer = async (): Promise<void> => {
        const { body, headers, status } = await readWhole(await show(path))
        response.writeHead(status, headers).end(body)
      }
      answer().catch(() => response.writeHead(502).end())
    })
  }

  /** @param real URL of the log, once it is known */
  static async start(real: () => string): Promise<SplitView> {
    const view = new SplitView(real)
    view.#port = await listenOnLoopback(view.#server)
    return view
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  stop(): Promise<void> {
    return closeServer(this.#server)
  }
}

async function readWhole(answer: Response) {
  const type = answer.headers.get('content-type')
  return {
    status: answer.status,
    headers: type === null ? {} : { 'content-type': type },
    body: new Uint8Array(await answer.arrayBuffer()),
  }
}

async function passOn(url: string, request: IncomingMessage): Promise<Response> {
  const { method = 'GET' } = request
  if (method === 'GET') return fetch(url)
  const chunks: Uint8Array[] = []
  for await (const chunk of request as AsyncIterable<Uint8Array>) chunks.push(chunk)
  const type = request.headers['content-type'] ?? 'application/json'
  return fetch(url, {
    method,
    headers: { 'content-type': type },
    body: new Uint8Array(concat(...chunks)),
  })
}
