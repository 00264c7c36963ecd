/** A receiver of webhooks that keeps what it is sent, and answers as it is told, for tests and the demo. */
import {
  createServer as createHttp,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http'
import { createServer as createHttps } from 'node:https'
import { closeServer, listenOnLoopback } from './loopback.ts'

/** What came in. */
export interface SunkHook {
  readonly path: string
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

/** How a request is answered. */
export type HookAnswer = (hook: SunkHook, response: ServerResponse) => void

/** Answers as a receiver does that wants to be one: 200, and the challenge where there is one. */
export const agree: HookAnswer = ({ body }, response) => {
  const { data, type } = JSON.parse(body) as { type: string; data: { challenge?: string } }
  response.end(type === 'channel.confirm' ? JSON.stringify({ challenge: data.challenge }) : '')
}

/** Answers with a status and nothing else. */
export function withStatus(status: number, headers: Record<string, string> = {}): HookAnswer {
  return (_hook, response) => {
    response.writeHead(status, headers).end()
  }
}

export class WebhookSink {
  answer: HookAnswer = agree
  readonly hooks: SunkHook[] = []
  readonly #server: Server
  #port = 0
  readonly #scheme: 'http' | 'https'

  private constructor(tls: { key: string; cert: string } | undefined) {
    const listen = (request: IncomingMessage, response: ServerResponse): void => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => {
        const { headers, url: path = '/' } = request
        const hook = { path, headers, body: Buffer.concat(chunks).toString('utf8') }
        this.hooks.push(hook)
        this.answer(hook, response)
      })
    }
    this.#scheme = tls === undefined ? 'http' : 'https'
    this.#server = tls === undefined ? createHttp(listen) : createHttps(tls, listen)
  }

  /** @param tls a certificate and its key, PEM; without it plain HTTP */
  static async start(tls?: { key: string; cert: string }): Promise<WebhookSink> {
    const sink = new WebhookSink(tls)
    sink.#port = await listenOnLoopback(sink.#server)
    return sink
  }

  get port(): number {
    return this.#port
  }

  get url(): string {
    return `${this.#scheme}://127.0.0.1:${this.port}/hook`
  }

  /** Bodies as the JSON that they are, with their ids. */
  get messages(): { id: string; type: string; data: Record<string, unknown> }[] {
    return this.hooks.map(({ body, headers }) => {
      const { data, type } = JSON.parse(body) as { type: string; data: Record<string, unknown> }
      return { id: String(headers['webhook-id']), type, data }
    })
  }

  close(): Promise<void> {
    return closeServer(this.#server)
  }
}
