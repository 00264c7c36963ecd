import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'
import { describe, expect, onTestFinished, test } from 'vitest'
import { fromUtf8, utf8 } from '../src/bytes.ts'
import { LogClient } from '../src/client.ts'
import {
  DEFAULT_RETRIES,
  HttpClient,
  HttpError,
  MAX_ERROR_BODY_BYTES,
  MAX_REDIRECTS,
  MAX_RETRY_AFTER_MS,
  RETRY_DELAY_MS,
  isNotFound,
} from '../src/http.ts'
import type { Fetch } from '../src/http.ts'
import { formatVkey } from '../src/key.ts'
import { policyOfLog } from '../src/policy.ts'
import { codeOfAsync } from './codes.ts'
import { testHttp } from './edges.ts'
import { LOG_KEY, NOW } from './keys.ts'
import { TestLog } from './log.ts'

const LIMIT = { maxBytes: 1000 }

type Handler = (request: IncomingMessage, response: ServerResponse) => void

/** Serves on a free port of loopback until the test ends; returns the origin. */
async function serve(handler: Handler): Promise<string> {
  const server = createServer(handler)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  const { port } = server.address() as AddressInfo
  return `http://127.0.0.1:${port}`
}

/** The body, compressed, as a server that does not negotiate sends it. */
function sendGzip(response: ServerResponse, body: Uint8Array): void {
  response.setHeader('content-encoding', 'gzip')
  response.end(gzipSync(body))
}

/** Answers each request with the next of these, the last one for ever, and counts. */
function script(...handlers: Handler[]): { handler: Handler; seen: () => number } {
  let seen = 0
  return {
    handler: (request, response) => {
      const handler = handlers[Math.min(seen++, handlers.length - 1)]!
      handler(request, response)
    },
    seen: () => seen,
  }
}

const ok: Handler = (_, response) => response.end('fine')
const status =
  (code: number, headers: Record<string, string> = {}, body = ''): Handler =>
  (_, response) =>
    response.writeHead(code, headers).end(body)
const hangUp: Handler = (request) => request.socket.destroy()

async function errorOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => expect.unreachable('no error'),
    (error: unknown) => error,
  )
}

async function httpErrorOf(promise: Promise<unknown>): Promise<HttpError> {
  const error = await errorOf(promise)
  expect(error).toBeInstanceOf(HttpError)
  return error as HttpError
}

describe('requests', () => {
  test('a GET, with the headers of client and request', async () => {
    const { http } = testHttp({ headers: { 'user-agent': 'dslog-test', 'x-a': 'client' } })
    const url = await serve((request, response) => {
      const { method, headers } = request
      response.setHeader('x-b', 'server')
      response.end([method, headers['user-agent'], headers['x-a'], headers.cookie].join(' '))
    })
    const answer = await http.request(url, { ...LIMIT, headers: { 'x-a': 'request' } })
    expect(fromUtf8(answer.body)).toBe('GET dslog-test request ')
    expect(answer.headers.get('x-b')).toBe('server')
    expect(answer.status).toBe(200)
  })

  test('a POST with a body of text or bytes', async () => {
    const { http } = testHttp()
    const url = await serve((request, response) => {
      response.statusCode = 201
      request.pipe(response)
    })
    for (const body of ['text é', new Uint8Array(utf8('bytes'))]) {
      const answer = await http.request(url, { ...LIMIT, method: 'POST', body })
      expect(answer.status).toBe(201)
      expect(answer.body).toEqual(typeof body === 'string' ? utf8(body) : body)
    }
  })

  test('an empty answer', async () => {
    const { http } = testHttp()
    const url = await serve(status(204))
    expect((await http.request(url, LIMIT)).body).toEqual(new Uint8Array())
  })

  test('a fresh one asks caches to stay out of it', async () => {
    const { http } = testHttp()
    const url = await serve((request, response) =>
      response.end(String(request.headers['cache-control'])),
    )
    expect(fromUtf8((await http.request(url, { ...LIMIT, fresh: true })).body)).toBe('no-cache')
    expect(fromUtf8((await http.request(url, LIMIT)).body)).toBe('undefined')
  })

  test('gzip nobody negotiated is undone', async () => {
    const { http } = testHttp()
    const url = await serve((_, response) => sendGzip(response, utf8('compressed')))
    expect(fromUtf8((await http.request(url, LIMIT)).body)).toBe('compressed')
  })
})

describe('size limit', () => {
  test('the last byte that fits, and the first that does not', async () => {
    const { http } = testHttp()
    const url = await serve((request, response) =>
      response.end('x'.repeat(Number(request.url!.slice(1)))),
    )
    expect((await http.request(`${url}/1000`, LIMIT)).body).toHaveLength(1000)
    expect(await codeOfAsync(http.request(`${url}/1001`, LIMIT))).toBe('too-large')
  })

  test('is enforced while the answer streams: an endless one ends, and is not asked for again', async () => {
    const { http, waits } = testHttp()
    let closed: () => void
    const gone = new Promise<void>((resolve) => (closed = resolve))
    const url = await serve((_, response) => {
      const more = (): void => {
        while (!response.destroyed && response.write('x'.repeat(500)));
      }
      response.on('drain', more).on('close', () => closed())
      more()
    })
    expect(await codeOfAsync(http.request(url, LIMIT))).toBe('too-large')
    await gone
    expect(waits).toEqual([])
  })

  test('counts what a small compressed answer unpacks to', async () => {
    const { http } = testHttp()
    const url = await serve((_, response) => sendGzip(response, new Uint8Array(1_000_000)))
    expect(await codeOfAsync(http.request(url, { maxBytes: 999_999 }))).toBe('too-large')
    expect((await http.request(url, { maxBytes: 1_000_000 })).body).toHaveLength(1_000_000)
  })
})

describe('time limit', () => {
  test('covers an answer that never begins and one that never ends', async () => {
    const { http } = testHttp({ timeoutMs: 50, retries: 0 })
    const url = await serve((request, response) => {
      if (request.url === '/half') response.write('half')
    })
    for (const path of ['/none', '/half']) {
      const error = await errorOf(http.request(url + path, LIMIT))
      expect(error).toMatchObject({ name: 'TlogError', code: 'network' })
      expect(String(error)).toContain('within 50 ms')
    }
  })

  test('is measured by who knows better than the clock', async () => {
    const timers: { readonly ms: number; readonly work: () => void }[] = []
    let taken = 0
    const after = (ms: number, work: () => void): (() => void) => {
      timers.push({ ms, work })
      return () => taken++
    }
    const http = new HttpClient({ fetch, now: () => NOW, random: () => 0, after }, { retries: 0 })
    const good = await http.request(await serve(ok), { ...LIMIT, timeoutMs: 1 })
    expect([good.status, taken]).toEqual([200, 1])
    const url = await serve(() => timers.at(-1)!.work())
    const error = await errorOf(http.request(url, { ...LIMIT, timeoutMs: 3_600_000 }))
    expect(String(error)).toContain('within 3600000 ms')
    expect([timers.map(({ ms }) => ms), taken]).toEqual([[1, 3_600_000], 2])
  })

  test('is one of each attempt', async () => {
    const limits: (() => void)[] = []
    const after = (_: number, work: () => void): (() => void) => {
      limits.push(work)
      return () => undefined
    }
    const { http, waits } = testHttp({}, { after })
    // The first attempt has its time while it waits, the second never.
    const { handler, seen } = script(() => limits[0]!(), ok)
    const url = await serve(handler)
    expect(fromUtf8((await http.request(url, LIMIT)).body)).toBe('fine')
    expect([seen(), waits.length, limits.length]).toEqual([2, 1, 2])
  })
})

describe('retries', () => {
  test('after 429 and 5xx, with delays that double, cut by chance', async () => {
    const { http, waits } = testHttp()
    const { handler, seen } = script(status(503), status(429), status(500), ok)
    const url = await serve(handler)
    expect(fromUtf8((await http.request(url, LIMIT)).body)).toBe('fine')
    expect(seen()).toBe(4)
    expect(waits).toEqual([1, 2, 4].map((n) => (n * RETRY_DELAY_MS) / 2))
  })

  test('after a connection that breaks or cannot be made', async () => {
    const { http, waits } = testHttp()
    const cutOff: Handler = (request, response) => {
      response.writeHead(200, { 'content-length': '100' })
      response.write('half', () => request.socket.destroy())
    }
    const { handler, seen } = script(hangUp, cutOff, ok)
    const url = await serve(handler)
    expect(fromUtf8((await http.request(url, LIMIT)).body)).toBe('fine')
    expect([seen(), waits.length]).toEqual([3, 2])
    const refusing: Fetch = () => Promise.reject(new TypeError('fetch failed'))
    const { http: offline, waits: tries } = testHttp({}, { fetch: refusing })
    expect(await errorOf(offline.request(url, LIMIT))).toMatchObject({
      code: 'network',
      cause: { message: 'fetch failed' },
    })
    expect(tries).toHaveLength(DEFAULT_RETRIES)
  })

  test('end', async () => {
    const { http } = testHttp()
    const { handler, seen } = script(status(502))
    const url = await serve(handler)
    expect((await httpErrorOf(http.request(url, LIMIT))).status).toBe(502)
    expect(seen()).toBe(1 + DEFAULT_RETRIES)
  })

  test.each([400, 401, 403, 404, 409, 410, 422])('not after %i', async (code) => {
    const { http } = testHttp()
    const { handler, seen } = script(status(code), ok)
    const url = await serve(handler)
    const error = await httpErrorOf(http.request(url, LIMIT))
    expect(error).toMatchObject({ name: 'HttpError', code: 'http', status: code })
    expect(isNotFound(error)).toBe(code === 404 || code === 410)
    expect(seen()).toBe(1)
  })

  test('not of a POST, unless it is said to be safe', async () => {
    const { http } = testHttp()
    const { handler, seen } = script(status(503), ok)
    const url = await serve(handler)
    await httpErrorOf(http.request(url, { ...LIMIT, method: 'POST' }))
    expect(seen()).toBe(1)
    const { handler: again, seen: twice } = script(status(503), ok)
    await http.request(await serve(again), { ...LIMIT, method: 'POST', retries: 1 })
    expect(twice()).toBe(2)
  })

  test('wait as long as Retry-After asks, and a little more', async () => {
    const date = new Date(NOW + 7000).toUTCString()
    const past = new Date(NOW - 7000).toUTCString()
    const asked = ['3', date, past, 'nonsense', '0']
    const { http, waits } = testHttp({ retries: asked.length })
    const { handler } = script(...asked.map((text) => status(429, { 'retry-after': text })), ok)
    await http.request(await serve(handler), LIMIT)
    const jitter = asked.map((_, i) => (RETRY_DELAY_MS * 2 ** i) / 2)
    expect(waits).toEqual([3000, 7000, 0, 0, 0].map((ms, i) => ms + jitter[i]!))
  })

  test('do not wait for one that asks for too much', async () => {
    const { http, waits } = testHttp()
    const seconds = MAX_RETRY_AFTER_MS / 1000
    const { handler, seen } = script(
      status(503, { 'retry-after': String(seconds) }),
      status(503, { 'retry-after': String(seconds + 1) }),
    )
    const error = await httpErrorOf(http.request(await serve(handler), LIMIT))
    expect(error.retryAfterMs).toBe(MAX_RETRY_AFTER_MS + 1000)
    expect([seen(), waits.length]).toEqual([2, 1])
  })

  test('by the default timer too', async () => {
    const { handler, seen } = script(status(503), ok)
    const http = new HttpClient({ fetch, now: () => NOW, random: () => 0 })
    await http.request(await serve(handler), LIMIT)
    expect(seen()).toBe(2)
  })
})

describe('no connection', () => {
  test('is told with the reason, where the platform says it', async () => {
    const failing = (cause: unknown) => {
      const fetch = (): Promise<Response> => {
        throw cause
      }
      return testHttp({ retries: 0 }, { fetch }).http
    }
    const nested = (cause: unknown) => new TypeError('fetch failed', { cause })
    const coded = Object.assign(new AggregateError([], ' '.trim()), { code: 'ECONNREFUSED' })
    for (const [thrown, words] of [
      [nested(new Error('self-signed certificate')), 'no connection: self-signed certificate'],
      [nested(coded), 'no connection: ECONNREFUSED'],
      [
        nested(new Error('80:error:0A:SSL routines:get_record:wrong version number:a.c:350:')),
        'no connection: TLS: wrong version number',
      ],
      [nested(new Error(' '.trim())), 'no connection'],
      [nested('text'), 'no connection'],
      [new TypeError('Failed to fetch'), 'no connection'],
      ['text', 'no connection'],
    ] as const) {
      const error = await errorOf(failing(thrown).request('http://log.example/', LIMIT))
      expect(error).toMatchObject({ code: 'network', message: `http://log.example/: ${words}` })
    }
  })
})

describe('bad answers', () => {
  test('carry the problem detail of application/problem+json', async () => {
    const { http } = testHttp()
    const body = {
      type: 'https://log.example/problems/zone-not-admitted',
      title: 'Zone not admitted',
      detail: 'example. is on no list',
      status: 'not a number',
    }
    const headers = { 'content-type': 'application/problem+json; charset=utf-8' }
    const url = await serve(status(403, headers, JSON.stringify(body)))
    const error = await httpErrorOf(http.request(url, LIMIT))
    const { type, title, detail } = body
    expect(error.problem).toEqual({ type, title, detail })
    expect(error.message).toBe(`${url} answered 403: ${detail}`)
  })

  test('are repeated in an error as far as anybody reads', async () => {
    const { http } = testHttp()
    const body = JSON.stringify({ detail: 'x'.repeat(10_000) })
    const url = await serve(status(403, { 'content-type': 'application/problem+json' }, body))
    const error = await httpErrorOf(http.request(url, LIMIT))
    expect(error.message).toBe(`${url} answered 403: ${'x'.repeat(500)}`)
    expect(error.problem?.detail).toHaveLength(10_000)
  })

  test('whose problem detail is none still have their status', async () => {
    const { http } = testHttp()
    for (const body of ['', '{', 'null', '"text"', '[]', '{"detail": 7}']) {
      const url = await serve(status(400, { 'content-type': 'application/problem+json' }, body))
      const error = await httpErrorOf(http.request(url, LIMIT))
      expect([error.status, error.problem?.detail]).toEqual([400, undefined])
    }
  })

  test('keep type and body, as a witness’s 409 needs it', async () => {
    const { http } = testHttp()
    const url = await serve(status(409, { 'content-type': 'text/x.tlog.size' }, '42\n'))
    const error = await httpErrorOf(http.request(url, { ...LIMIT, method: 'POST', body: 'x' }))
    expect([error.contentType, fromUtf8(error.body)]).toEqual(['text/x.tlog.size', '42\n'])
    expect(error.problem).toBeUndefined()
  })

  test('keep so much of it and no more, whatever the limit for good ones is', async () => {
    const { http } = testHttp()
    for (const [sent, kept] of [
      [2000, 2000],
      [MAX_ERROR_BODY_BYTES + 1, MAX_ERROR_BODY_BYTES],
      [1_000_000, MAX_ERROR_BODY_BYTES],
    ] as const) {
      const url = await serve(status(404, {}, 'x'.repeat(sent)))
      expect((await httpErrorOf(http.request(url, LIMIT))).body).toHaveLength(kept)
    }
  })

  test('only those two statuses mean that something is not there', () => {
    expect(isNotFound(new Error('x'))).toBe(false)
    expect(isNotFound(undefined)).toBe(false)
  })
})

describe('redirects', () => {
  const to = (location: string, code = 302): Handler => status(code, { location })

  test('are followed within the origin', async () => {
    const { http } = testHttp()
    const { handler, seen } = script(to('/a'), to('b', 301), to('?c', 308), ok)
    expect(fromUtf8((await http.request(await serve(handler), LIMIT)).body)).toBe('fine')
    expect(seen()).toBe(4)
  })

  test('are not followed for ever', async () => {
    const { http } = testHttp()
    const { handler, seen } = script(to('/'))
    const error = await httpErrorOf(http.request(await serve(handler), LIMIT))
    expect(error.status).toBe(302)
    expect(seen()).toBe(1 + MAX_REDIRECTS)
  })

  test('are not followed elsewhere: nobody else is asked', async () => {
    const { http } = testHttp()
    const other = script(ok)
    const elsewhere = await serve(other.handler)
    for (const location of [
      elsewhere,
      elsewhere.replace('http:', ''),
      elsewhere.replace('127.0.0.1', 'localhost'),
      'https://127.0.0.1/',
      'file:///etc/passwd',
      'data:text/plain,x',
      'http://',
    ]) {
      const { handler, seen } = script(to(location))
      const error = await httpErrorOf(http.request(await serve(handler), LIMIT))
      expect([error.status, seen()]).toEqual([302, 1])
      expect(error.message).toContain('not followed')
    }
    expect(other.seen()).toBe(0)
  })

  test('are not followed with a POST', async () => {
    const { http } = testHttp()
    const { handler, seen } = script(to('/a', 307), ok)
    const url = await serve(handler)
    expect((await httpErrorOf(http.request(url, { ...LIMIT, method: 'POST' }))).status).toBe(307)
    expect(seen()).toBe(1)
  })

  test('that a browser hides are an error', async () => {
    const hidden = Response.error()
    const { http } = testHttp({}, { fetch: () => Promise.resolve(hidden) })
    expect((await httpErrorOf(http.request('http://x.example', LIMIT))).status).toBe(0)
  })
})

describe('the caller’s own end', () => {
  const reason = new Error('enough')

  test('before, while an answer is awaited, and between attempts', async () => {
    const never = await serve(() => undefined)
    const { http } = testHttp()
    const before = AbortSignal.abort(reason)
    expect(await errorOf(http.request(never, { ...LIMIT, signal: before }))).toBe(reason)

    const during = new AbortController()
    const url = await serve(() => during.abort(reason))
    expect(await errorOf(http.request(url, { ...LIMIT, signal: during.signal }))).toBe(reason)

    const between = new AbortController()
    const busy = script(status(503, { 'retry-after': '50' }))
    const patient = new HttpClient({ fetch, now: () => NOW, random: () => 0 })
    const waiting = errorOf(
      patient.request(await serve(busy.handler), { ...LIMIT, signal: between.signal }),
    )
    while (busy.seen() === 0) await new Promise((resolve) => setTimeout(resolve, 1))
    between.abort(reason)
    expect(await waiting).toBe(reason)
    expect(busy.seen()).toBe(1)
  })
})

test('a log over HTTP: compressed bundles, partial files that are gone, a proof', async () => {
  const log = new TestLog()
  log.growTo(300)
  const url = await serve((request, response) => {
    const file = log.files.get(request.url!.slice('/ds/'.length))
    if (file === undefined) response.writeHead(404).end()
    else if (request.url!.includes('entries')) sendGzip(response, file)
    else response.end(file)
  })
  const { http } = testHttp()
  const client = new LogClient(`${url}/ds/`, policyOfLog(formatVkey(LOG_KEY)), http)
  const older = await client.checkpoint()
  log.growTo(600)
  log.remove(/\.p\/44$/)
  const seen: string[] = []
  for await (const { entry } of client.entries(0, 300, older)) seen.push(fromUtf8(entry))
  expect(seen).toEqual(Array.from({ length: 300 }, (_, i) => `entry ${i}`))
  const newer = await client.follow(older)
  expect(newer.checkpoint.size).toBe(600)
  expect(await client.tree(newer).inclusionProof(299)).toHaveLength(10)
})
