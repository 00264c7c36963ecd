/** The edges of an HTTP client, for tests: waits are noted down instead of waited, and chance always says one half. */
import { HttpClient } from '../src/http.ts'
import type { HttpEdges, HttpOptions } from '../src/http.ts'
import { NOW } from './keys.ts'

/** A client and the waits it would have made, in milliseconds. */
export function testHttp(
  options: HttpOptions = {},
  edges: Partial<HttpEdges> = {},
): { http: HttpClient; waits: number[] } {
  const waits: number[] = []
  const http = new HttpClient(
    {
      fetch: (url, init) => fetch(url, init),
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
