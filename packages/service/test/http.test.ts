import { once } from 'node:events'
import { connect } from 'node:net'
import type { AddressInfo } from 'node:net'
import Type from 'typebox'
import { afterEach, describe, expect, it } from 'vitest'
import { DatabaseError } from '@dslog/service/database-error'
import { Health } from '@dslog/service/health'
import { buildHttp, httpComponent } from '@dslog/service/http'
import type { Http, HttpOptions } from '@dslog/service/http'
import { strictInteger } from '@dslog/service/http/query'
import { createLogger } from '@dslog/service/log'
import { Metrics } from '@dslog/service/metrics'
import { Problem, spreadRetry } from '@dslog/service/problem'
import { MINUTE } from '@dslog/schema/time'

const open: Http[] = []
const lines: string[] = []

afterEach(async () => {
  await Promise.all(open.splice(0).map((app) => app.close()))
  lines.length = 0
})

const Query = Type.Object(
  {
    index: Type.Integer({ minimum: 0 }),
    limit: Type.Integer({ minimum: 1, maximum: 256, default: 100 }),
    live: Type.Optional(Type.Boolean()),
    name: Type.Optional(Type.String({ maxLength: 5 })),
  },
  { additionalProperties: false },
)
const Body = Type.Object(
  { observations: Type.Array(Type.Object({ owner: Type.String(), n: Type.Integer() })) },
  { additionalProperties: false },
)

const HELD = { params: Type.Object({ name: Type.String() }) }

async function server(options: Partial<HttpOptions> = {}) {
  const health = new Health()
  const metrics = new Metrics('test')
  const logger = createLogger({ service: 'test', destination: { write: (l) => lines.push(l) } })
  const app = await buildHttp({
    info: { title: 'Test', version: '1.2.3', description: 'A test' },
    logger,
    health,
    metrics,
    // How busy this machine is has no say in what is answered.
    pressure: false,
    ...options,
  })
  open.push(app)
  app.get('/query', { schema: { querystring: Query } }, (request) => {
    const sum: number = request.query.index + request.query.limit
    return { ...request.query, sum }
  })
  app.get(
    '/entries/:index',
    { schema: { params: Type.Object({ index: Type.Integer() }) } },
    (request) => ({ next: request.params.index + 1 }),
  )
  app.get('/names/:name', (request) => request.params)
  app.post('/body', { schema: { body: Body } }, (request) => request.body)
  app.get('/problem', () => {
    throw new Problem('zone-not-admitted', 'Not this zone', { extensions: { zone: 'com.' } })
  })
  app.get('/bug', () => {
    throw new Error('password is hunter2')
  })
  app.get('/thrown-string', () => {
    // eslint-disable-next-line @typescript-eslint/only-throw-error
    throw 'hunter2'
  })
  app.get('/forbidden', () => {
    throw Object.assign(new Error('hunter2'), { statusCode: 403 })
  })
  app.get('/busy', () => {
    throw new DatabaseError('busy', 'no connection')
  })
  return { app, health, metrics }
}

function expectProblem(
  response: { statusCode: number; headers: Record<string, unknown>; body: string },
  status: number,
  name: string,
) {
  expect(response.headers['content-type']).toMatch(/^application\/problem\+json/)
  expect(response.headers['cache-control']).toBe('no-store')
  const document = JSON.parse(response.body)
  expect({ code: response.statusCode, ...document }).toMatchObject({
    code: status,
    status,
    type: `urn:dslog:problem:${name}`,
    title: expect.any(String),
  })
  return document
}

describe('problems', () => {
  it('renders what a handler throws', async () => {
    const { app } = await server()
    const document = expectProblem(await app.inject('/problem'), 422, 'zone-not-admitted')
    expect(document).toMatchObject({ detail: 'Not this zone', zone: 'com.' })
  })

  it('says nothing of a bug but logs it', async () => {
    const { app } = await server()
    for (const path of ['/bug', '/thrown-string']) {
      const response = await app.inject(path)
      const document = expectProblem(response, 500, 'internal')
      expect(Object.keys(document).sort()).toEqual(['status', 'title', 'type'])
      expect(response.body).not.toContain('hunter2')
    }
    const said = lines.filter((line) => line.includes('hunter2')).map((line) => JSON.parse(line))
    expect(said).toMatchObject([
      { msg: 'request failed', method: 'GET', route: '/bug', reqId: expect.any(String) },
      { msg: 'request failed', method: 'GET', route: '/thrown-string', reqId: expect.any(String) },
    ])
    expect(said[0].reqId).not.toBe(said[1].reqId)
  })

  it('hides the message of errors that were not written for clients', async () => {
    const { app } = await server()
    const response = await app.inject('/forbidden')
    expectProblem(response, 403, 'forbidden')
    expect(response.body).not.toContain('hunter2')
  })

  it('answers a busy database with 503 and Retry-After', async () => {
    const { app } = await server()
    const response = await app.inject('/busy')
    expectProblem(response, 503, 'unavailable')
    expect(Number(response.headers['retry-after'])).toBeGreaterThan(0)
  })

  it('answers unknown paths and methods with 404', async () => {
    const { app } = await server()
    expectProblem(await app.inject('/nothing'), 404, 'not-found')
    expectProblem(await app.inject({ method: 'DELETE', url: '/query' }), 404, 'not-found')
    expectProblem(await app.inject({ method: 'POST', url: '/problem' }), 404, 'not-found')
  })

  it('answers paths that do not decode, and parameters beyond any name', async () => {
    const { app } = await server()
    expectProblem(await app.inject('/names/%zz'), 400, 'validation')
    const long = await app.inject(`/names/${'a'.repeat(5000)}`)
    expect(long.statusCode).toBeGreaterThanOrEqual(400)
    expect(long.headers['content-type']).toMatch(/problem\+json/)
    expect((await app.inject(`/names/${'%5C000'.repeat(255)}`)).statusCode).toBe(200)
  })

  it('answers bodies that are too large, of another type, empty or no JSON', async () => {
    const { app } = await server({ bodyLimit: 100 })
    const post = (payload: string, type = 'application/json') =>
      app.inject({ method: 'POST', url: '/body', payload, headers: { 'content-type': type } })
    expectProblem(await post(`"${'x'.repeat(100)}"`), 413, 'payload-too-large')
    expectProblem(await post('<a/>', 'application/xml'), 415, 'unsupported-media-type')
    expectProblem(await post('{"observations":'), 400, 'validation')
    expectProblem(await post(''), 400, 'validation')
    expectProblem(await post('{"__proto__": {"a": 1}}'), 400, 'validation')
  })

  it('answers on the socket what is no HTTP', async () => {
    const { app } = await server()
    await app.listen({ host: '127.0.0.1', port: 0 })
    const socket = connect((app.server.address() as AddressInfo).port, '127.0.0.1')
    socket.end('NONSENSE\r\n\r\n')
    let text = ''
    socket.on('data', (chunk) => (text += chunk.toString()))
    await once(socket, 'close')
    const [head, body] = text.split('\r\n\r\n')
    expect(head).toMatch(/^HTTP\/1.1 400 Bad Request\r\n/)
    expect(head).toContain('content-type: application/problem+json')
    expect(JSON.parse(body!)).toMatchObject({ type: 'urn:dslog:problem:validation', status: 400 })
  })

  it('spreads retries around the wish', () => {
    expect(spreadRetry(10, () => 0)).toBe(5)
    expect(spreadRetry(10, () => 0.999)).toBe(15)
    expect(spreadRetry(1, () => 0)).toBe(1)
    expect(spreadRetry(0, () => 0)).toBe(1)
  })
})

describe('validation', () => {
  it('points at the member of the body that is at fault', async () => {
    const { app } = await server()
    const faults = async (payload: object) =>
      expectProblem(await app.inject({ method: 'POST', url: '/body', payload }), 400, 'validation')
        .errors
    expect(await faults({})).toEqual([
      { in: 'body', pointer: '#/observations', detail: 'is required' },
    ])
    expect(await faults({ observations: [{ owner: 'a', n: 1 }, { owner: 'a' }] })).toEqual([
      { in: 'body', pointer: '#/observations/1/n', detail: 'is required' },
    ])
    expect(await faults({ observations: [{ owner: 'a', n: '1' }] })).toEqual([
      { in: 'body', pointer: '#/observations/0/n', detail: 'must be integer' },
    ])
    expect(await faults({ observations: [], 'a/b~ #c': 1 })).toEqual([
      { in: 'body', pointer: '#/a~1b~0%20%23c', detail: 'is not known' },
    ])
  })

  it('leaves the body as it was sent', async () => {
    const { app } = await server()
    const payload = { observations: [{ owner: 'a', n: 1, more: 'kept' }] }
    const response = await app.inject({ method: 'POST', url: '/body', payload })
    expect(response.json()).toEqual(payload)
  })

  it('reads integers and booleans of a query strictly', async () => {
    const { app } = await server()
    const ok = async (query: string) => (await app.inject(`/query?${query}`)).json()
    expect(await ok('index=7')).toEqual({ index: 7, limit: 100, sum: 107 })
    expect(await ok('index=9007199254740991&limit=1&live=true')).toMatchObject({
      index: 9007199254740991,
      live: true,
    })
    expect(await ok('index=0&name=12')).toMatchObject({ name: '12' })
    const wrong = [
      ['index=', 'index'],
      ['index=1e3', 'index'],
      ['index=0x10', 'index'],
      ['index=+1', 'index'],
      ['index=-1', 'index'],
      ['index=007', 'index'],
      ['index=1.0', 'index'],
      ['index=%201', 'index'],
      ['index=9007199254740992', 'index'],
      ['index=99999999999999999999', 'index'],
      ['index=1&index=2', 'index'],
      ['index=null', 'index'],
      ['index=1&limit=0', 'limit'],
      ['index=1&limit=257', 'limit'],
      ['index=1&live=1', 'live'],
      ['index=1&name=123456', 'name'],
      ['index=1&other=1', 'other'],
      ['limit=1', 'index'],
    ]
    for (const [query, name] of wrong) {
      const document = expectProblem(await app.inject(`/query?${query}`), 400, 'validation')
      expect(document.errors, query).toMatchObject([{ in: 'query', pointer: `#/${name}` }])
    }
  })

  it('reads integers of a path strictly', async () => {
    const { app } = await server()
    expect((await app.inject('/entries/41')).json()).toEqual({ next: 42 })
    const document = expectProblem(await app.inject('/entries/4x'), 400, 'validation')
    expect(document.errors).toMatchObject([{ in: 'path', pointer: '#/index' }])
  })

  it('converts decimal digits and nothing else', () => {
    expect(strictInteger('0')).toBe(0)
    expect(strictInteger('2147483648')).toBe(2147483648)
    for (const text of ['', '01', '1 ', '٣', '1_0', 'Infinity']) {
      expect(strictInteger(text)).toBe(text)
    }
  })
})

describe('headers', () => {
  it('lets every origin read, and says what browsers may do', async () => {
    const { app } = await server()
    const { headers } = await app.inject('/query?index=1')
    expect(headers).toMatchObject({
      'access-control-allow-origin': '*',
      'x-content-type-options': 'nosniff',
      'cross-origin-resource-policy': 'cross-origin',
    })
    expect(headers['access-control-expose-headers']).toContain('retry-after')
    expect(headers['content-security-policy']).toContain("default-src 'self'")
    expect(headers['content-security-policy']).not.toContain('unsafe-inline')
    expect(headers['content-security-policy']).not.toContain('upgrade-insecure-requests')
    const preflight = await app.inject({
      method: 'OPTIONS',
      url: '/body',
      headers: { origin: 'https://a.example', 'access-control-request-method': 'POST' },
    })
    expect(preflight.statusCode).toBe(204)
    expect(preflight.headers).toMatchObject({
      'access-control-allow-origin': '*',
      'access-control-allow-methods': 'GET, HEAD, POST, PUT, PATCH, DELETE',
      'access-control-max-age': '86400',
    })
  })

  it('says of data nothing that is about pages, and of everything else all of it', async () => {
    const { app } = await server()
    const ofPages = [
      'cross-origin-opener-policy',
      'origin-agent-cluster',
      'referrer-policy',
      'x-dns-prefetch-control',
      'x-download-options',
      'x-frame-options',
      'x-permitted-cross-domain-policies',
      'x-xss-protection',
    ]
    const ofAll = [
      'access-control-allow-origin',
      'access-control-expose-headers',
      'content-security-policy',
      'cross-origin-resource-policy',
      'strict-transport-security',
      'x-content-type-options',
    ]
    for (const url of ['/query?index=1', '/query', '/nothing']) {
      const { headers } = await app.inject(url)
      expect(Object.keys(headers), url).toEqual(expect.arrayContaining(ofAll))
      for (const name of ofPages) expect(headers, url).not.toHaveProperty(name)
    }
    for (const url of ['/docs', '/docs/', '/docs/static/index.css']) {
      const { headers } = await app.inject(url)
      expect(Object.keys(headers), url).toEqual(expect.arrayContaining([...ofAll, ...ofPages]))
    }
  })

  it('answers 304 to a known ETag', async () => {
    const { app } = await server()
    const ask = (known: string) =>
      app.inject({ url: '/query?index=1', headers: { 'if-none-match': known } })
    const tag = String((await app.inject('/query?index=1')).headers['etag'])
    expect(tag).toMatch(/^"[\w+/]+=*"$/)
    for (const known of [tag, `W/${tag}`, `"other", ${tag}`, '*']) {
      const again = await ask(known)
      expect([again.statusCode, again.body, again.headers['etag']], known).toEqual([304, '', tag])
    }
    expect((await ask('"other"')).statusCode).toBe(200)
    const head = await app.inject({ method: 'HEAD', url: '/query?index=1' })
    expect(head.headers['etag']).toBe(tag)
  })

  it('gives an ETag to what can be asked for by it alone', async () => {
    const { app } = await server({ rateLimit: { max: 4, window: MINUTE } })
    const payload = { observations: [] }
    const anything = { 'if-none-match': '*' }
    const answers = [
      await app.inject({ method: 'POST', url: '/body', payload, headers: anything }),
      await app.inject({ url: '/problem', headers: anything }),
      await app.inject({ url: '/nothing', headers: anything }),
      await app.inject({ url: '/bug', headers: anything }),
      await app.inject({ url: '/query?index=1', headers: anything }),
    ]
    expect(answers.map(({ statusCode }) => statusCode)).toEqual([200, 422, 404, 500, 429])
    for (const { headers } of answers) expect(headers).not.toHaveProperty('etag')
  })
})

describe('limits', () => {
  it('refuses the requests above the rate, per address', async () => {
    const { app } = await server({
      rateLimit: { max: 3, window: MINUTE },
      trustProxy: ['127.0.0.1'],
    })
    const from = (address: string, url = '/query?index=1') =>
      app.inject({ url, headers: { 'x-forwarded-for': address } })
    const first = await from('192.0.2.1')
    expect(first.headers).toMatchObject({ 'ratelimit-limit': '3', 'ratelimit-remaining': '2' })
    await from('192.0.2.1', '/nothing')
    expect((await from('192.0.2.1')).statusCode).toBe(200)
    const refused = await from('192.0.2.1')
    expectProblem(refused, 429, 'too-many-requests')
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0)
    expect(refused.headers['ratelimit-remaining']).toBe('0')
    expectProblem(await from('192.0.2.1', '/nothing'), 429, 'too-many-requests')
    expect((await from('192.0.2.2')).statusCode).toBe(200)
    expect((await from('192.0.2.1', '/healthz')).statusCode).toBe(200)
    // An IPv6 subscriber has a /64.
    for (const host of ['1', '2', '3']) await from(`2001:db8::${host}`)
    expect((await from('2001:db8::4')).statusCode).toBe(429)
    expect((await from('2001:db8:0:1::4')).statusCode).toBe(200)
  })

  it('believes no X-Forwarded-For by default', async () => {
    const { app } = await server({ rateLimit: { max: 1, window: MINUTE } })
    const from = (address: string) =>
      app.inject({ url: '/query?index=1', headers: { 'x-forwarded-for': address } })
    expect((await from('192.0.2.1')).statusCode).toBe(200)
    expect((await from('192.0.2.2')).statusCode).toBe(429)
  })

  it('sheds load but answers the probes', async () => {
    // Any process is larger than one byte.
    const { app } = await server({ pressure: { eventLoopDelay: 0, over: 50, memory: 1 } })
    await expect.poll(() => app.memoryUsage().rssBytes).toBeGreaterThan(1)
    const refused = await app.inject('/query?index=1')
    expectProblem(refused, 503, 'unavailable')
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0)
    for (const probe of ['/healthz', '/readyz', '/metrics']) {
      expect((await app.inject(probe)).statusCode).toBe(200)
    }
  })
})

describe('probes', () => {
  it('tells live from ready', async () => {
    const { app, health } = await server()
    const follower: { wrong?: string } = {}
    health.ready('follower', () => follower.wrong)
    expect((await app.inject('/readyz')).json()).toEqual({
      status: 'ok',
      checks: { follower: 'ok' },
    })
    follower.wrong = '12 minutes behind'
    expect((await app.inject('/healthz')).statusCode).toBe(200)
    const document = expectProblem(await app.inject('/readyz'), 503, 'unavailable')
    expect(document.checks).toEqual({ follower: '12 minutes behind' })
  })

  it('counts requests by route, not by path', async () => {
    const { app } = await server()
    await app.inject('/entries/1')
    await app.inject('/entries/2')
    await app.inject('/no/such/path')
    const { body, headers } = await app.inject('/metrics')
    expect(headers['content-type']).toMatch(/^text\/plain; version=/)
    const count = /dslog_http_seconds_count\{(.*)\} (\d+)/g
    const rows = [...body.matchAll(count)].map(([, labels, n]) => `${labels} ${n}`).sort()
    expect(rows).toEqual([
      'method="GET",route="/entries/:index",status="200",service="test" 2',
      'method="GET",route="none",status="404",service="test" 1',
    ])
  })
})

describe('description', () => {
  it('is OpenAPI 3.1 out of the schemas, with the problem as default answer', async () => {
    const { app } = await server()
    const { openapi, info, paths, components } = (await app.inject('/openapi.json')).json()
    expect(openapi).toBe('3.1.0')
    expect(info).toMatchObject({ title: 'Test', version: '1.2.3' })
    expect(Object.keys(paths).sort()).toEqual([
      '/body',
      '/bug',
      '/busy',
      '/entries/{index}',
      '/forbidden',
      '/names/{name}',
      '/problem',
      '/query',
      '/thrown-string',
    ])
    expect(paths['/query'].get.parameters[0]).toMatchObject({ name: 'index', in: 'query' })
    const answer = paths['/query'].get.responses.default
    expect(answer.content['application/problem+json'].schema).toEqual({
      $ref: '#/components/schemas/Problem',
    })
    expect(components.schemas.Problem.properties).toHaveProperty('title')
  })

  it('can be read at /docs, under a policy that its scripts obey', async () => {
    const { app } = await server()
    const page = await app.inject('/docs/')
    expect(page.headers['content-type']).toContain('text/html')
    expect(page.body).toContain('swagger-ui')
    expect(page.headers['content-security-policy']).toContain("default-src 'self'")
    expect(page.body).not.toMatch(/<script(?![^>]* src=)|<style| style=| on[a-z]+=/)
    const [, script] = /<script src="\.(\/static\/[^"]+)"/.exec(page.body) ?? []
    expect((await app.inject(`/docs${script}`)).statusCode).toBe(200)
  })
})

describe('life', () => {
  it('ends event streams when it stops', async () => {
    const { app } = await server()
    app.get('/events', (_request, reply) => {
      reply.hijack()
      reply.raw.writeHead(200, { 'content-type': 'text/event-stream' })
      reply.raw.write('data: 1\n\n')
      app.stopping.addEventListener('abort', () => reply.raw.end('data: end\n\n'))
    })
    const url = await app.listen({ host: '127.0.0.1', port: 0 })
    const { body } = await fetch(`${url}/events`)
    const reader = body!.pipeThrough(new TextDecoderStream()).getReader()
    expect((await reader.read()).value).toBe('data: 1\n\n')
    const closed = app.close()
    expect((await reader.read()).value).toBe('data: end\n\n')
    await closed
  })

  it('tells answers that wait for one another when the client is gone', async () => {
    const { app } = await server()
    const [begun, ended] = [new Set<string>(), new Set<string>()]
    app.get('/held/:name', { schema: HELD }, ({ params: { name } }, reply) => {
      reply.hijack()
      begun.add(name)
      reply.raw.once('close', () => ended.add(name))
    })
    await app.listen({ host: '127.0.0.1', port: 0 })
    const socket = connect((app.server.address() as AddressInfo).port, '127.0.0.1')
    const ask = (name: string) => `GET /held/${name} HTTP/1.1\r\nhost: a\r\n\r\n`
    socket.write(ask('first') + ask('second') + ask('third'))
    await expect.poll(() => begun.size).toBe(3)
    expect(ended.size).toBe(0)
    socket.destroy()
    await expect.poll(() => ended).toEqual(begun)
  })

  it('listens as a component and lets the request that is under way end', async () => {
    const { app, health } = await server()
    let arrived = (): void => {}
    let proceed = (): void => {}
    const atWork = new Promise<void>((resolve) => (arrived = resolve))
    const permission = new Promise<void>((resolve) => (proceed = resolve))
    app.get('/slow', async () => {
      arrived()
      await permission
      return { done: true }
    })
    const component = httpComponent(app, { health, host: '127.0.0.1', port: 0 })
    await component.start(() => {})
    const { port } = app.server.address() as AddressInfo
    const slow = fetch(`http://127.0.0.1:${port}/slow`)
    await atWork
    const stopped = component.stop!()
    await expect.poll(() => app.stopping.aborted).toBe(true)
    expect((await health.checkReady()).ok).toBe(false)
    proceed()
    expect(await (await slow).json()).toEqual({ done: true })
    await stopped
    await expect(fetch(`http://127.0.0.1:${port}/healthz`)).rejects.toThrow('fetch failed')
  })
})
