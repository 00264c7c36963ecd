/** HTTP servers on loopback for tests: real ones, closed when the test that opened them ends. */
import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'
import { onTestFinished } from 'vitest'
import { HttpClient } from '../src/http.ts'
import type { HttpEdges, HttpOptions } from '../src/http.ts'
import { NOW } from './keys.ts'

export type Handler = (request: IncomingMessage, response: ServerResponse) => void

/** Serves on a free port until the test ends; returns the origin, `http://127.0.0.1:<port>`. */
export async function serve(handler: Handler): Promise<string> {
  const server: Server = createServer(handler)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  const { port } = server.address() as AddressInfo
  return `http://127.0.0.1:${port}`
}

/** A client whose waits are noted down instead of waited. */
export function testHttp(
  options: HttpOptions = {},
  edges: Partial<HttpEdges> = {},
): { http: HttpClient; waits: number[] } {
  const waits: number[] = []
  const http = new HttpClient(
    {
      fetch,
      now: () => NOW,
      random: () => 0.5,
      sleep: (ms) => {
        waits.push(ms)
        return Promise.resolve()
      },
      ...edges,
    },
    options,
  )
  return { http, waits }
}

/** The body, compressed, as a server that does not negotiate sends it. */
export function sendGzip(response: ServerResponse, body: Uint8Array): void {
  response.setHeader('content-encoding', 'gzip')
  response.end(gzipSync(body))
}
