/** Answers that hold for everybody, on their own lane: to whoever asks they are those of the usual way. */
import { once } from 'node:events'
import { type AddressInfo, connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { Health } from '../src/health.ts'
import { buildHttp, type Http } from '../src/http.ts'
import { createLogger } from '../src/log.ts'
import { acceptsGzip, FOR_EVER, Lane } from '../src/http/lane.ts'
import { Outbox } from '../src/http/outbox.ts'
import { Metrics } from '../src/metrics.ts'
import { IMMUTABLE } from '../src/params.ts'
import { Problem } from '../src/problem.ts'

const BODY = Buffer.from('never changes')
/** More than the buffers of a socket take while nobody reads. */
const LONG = 24 * 2 ** 20
const ZIPPED = Buffer.from('never changes, zipped')

let app: Http
let metrics: Metrics
/** How often a route itself was asked. */
let asked = 0
/** What answers that hold for a while are of. */
let newest = { number: 1 }
/** What a route waits for, having looked. */
let pause: Promise<void> = Promise.resolve()

beforeAll(async () => {
  metrics = new Metrics('test')
  app = await buildHttp({
    info: { title: 'test', version: '1', description: 'test' },
    logger: createLogger({ service: 'test', level: 'silent' }),
    health: new Health(),
    metrics,
    pressure: false,
  })
  app.get(
    '/fixed/*',
    {
      config: { rateLimit: false },
    },
    async (request, reply) => {
      asked++
      const { '*': what } = request.params as { '*': string }
      reply.holds = FOR_EVER
      if (what === 'missing') throw new Problem('not-found')
      reply.header('cache-control', IMMUTABLE).type('application/octet-stream')
      if (what !== 'zipped') return reply.header('etag', '"plain"').send(BODY)
      const gzip = acceptsGzip(request.headers['accept-encoding'])
      reply.header('vary', 'accept-encoding').header('etag', gzip ? '"gzip"' : '"plain"')
      if (gzip) reply.header('content-encoding', 'gzip')
      return reply.send(gzip ? ZIPPED : BODY)
    },
  )
  app.get('/long', (_request, reply) => {
    reply.holds = FOR_EVER
    return reply.send(Buffer.alloc(LONG))
  })
  app.get('/newest', async (request, reply) => {
    asked++
    const of = newest
    await pause
    reply.holds = () => newest === of
    const { is } = request.query as { is?: string }
    return { number: of.number, ...(is === undefined ? {} : { is }) }
  })
  await app.listen({ host: '127.0.0.1', port: 0 })
})
afterAll(() => app.close())

/** Sends a request as it stands; the answer without its date. */
async function raw(path: string, ...headers: readonly string[]): Promise<string> {
  const socket = connect((app.server.address() as AddressInfo).port, '127.0.0.1')
  const [method = 'GET', url = path] = path.includes(' ') ? path.split(' ') : ['GET', path]
  const lines = [`${method} ${url} HTTP/1.1`, 'host: log.example', 'connection: close', ...headers]
  socket.end(`${lines.join('\r\n')}\r\n\r\n`)
  let answer = ''
  socket.setEncoding('latin1').on('data', (text: string) => (answer += text))
  await once(socket, 'close')
  return answer.replace(/^date: .*\r\n/im, '')
}

/** Header lines in any order. */
function sorted(answer: string): string[] {
  return answer.toLowerCase().split('\r\n').sort()
}

describe('what never changes', () => {
  test('is answered the second time as the first, to the letter, without its route', async () => {
    const before = asked
    const first = await raw('/fixed/a')
    expect(first).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
    expect(first).toContain('never changes')
    expect(first.toLowerCase()).toContain('access-control-allow-origin: *')
    expect(first.toLowerCase()).toContain('content-security-policy')
    for (const more of [[], ['origin: https://elsewhere.example'], ['accept-encoding: gzip']]) {
      expect(sorted(await raw('/fixed/a', ...more))).toEqual(sorted(first))
    }
    expect(asked - before).toBe(1)
  })

  test('comes in the encoding that is asked for', async () => {
    const plain = await raw('/fixed/zipped')
    const zipped = await raw('/fixed/zipped', 'accept-encoding: br, gzip')
    expect(plain).not.toContain('content-encoding')
    expect(zipped).toContain('content-encoding: gzip')
    const before = asked
    expect(sorted(await raw('/fixed/zipped'))).toEqual(sorted(plain))
    expect(sorted(await raw('/fixed/zipped', 'accept-encoding: gzip;q=0'))).toEqual(sorted(plain))
    expect(sorted(await raw('/fixed/zipped', 'accept-encoding: gzip'))).toEqual(sorted(zipped))
    expect(asked).toBe(before)
  })

  test('is answered 304 to who has it, and HEAD without a body', async () => {
    await raw('/fixed/b')
    expect(await raw('/fixed/b', 'if-none-match: "plain"')).toMatch(/^HTTP\/1\.1 304 /)
    expect(await raw('/fixed/b', 'if-none-match: "other"')).toMatch(/^HTTP\/1\.1 200 .*never/s)
    const head = await raw('HEAD /fixed/b')
    expect(head).toMatch(/^HTTP\/1\.1 200 .*content-length: 13\r\n/is)
    expect(head).not.toContain('never')
  })

  test('is kept under one spelling', async () => {
    await raw('/fixed/c')
    const before = asked
    for (const path of ['/fixed/c?', '/fixed/c?x=1', '/fixed/%63', '/fixed/c#x']) {
      for (let i = 0; i < 2; i++) expect(await raw(path)).toMatch(/^HTTP\/1\.1 200 .*never/s)
    }
    expect(asked - before).toBe(8)
  })

  test('is not kept of errors', async () => {
    const before = asked
    for (let i = 0; i < 2; i++) expect(await raw('/fixed/missing')).toMatch(/^HTTP\/1\.1 404 /)
    expect(asked - before).toBe(2)
  })

  test('is counted with the requests of its route', async () => {
    const count = async () => {
      const { values } = await metrics.httpSeconds.get()
      const found = values.find(({ labels, metricName }) => {
        const { route, status } = labels
        return metricName === 'dslog_http_seconds_count' && route === '/fixed/*' && status === 200
      })
      return found?.value ?? 0
    }
    const before = await count()
    for (let i = 0; i < 5; i++) await raw('/fixed/d')
    await expect.poll(count).toBe(before + 5)
  })

  test('survives requests in one go on one connection, in order', async () => {
    await raw('/fixed/e')
    const socket = connect((app.server.address() as AddressInfo).port, '127.0.0.1')
    const ask = (path: string, last = false) =>
      `GET ${path} HTTP/1.1\r\nhost: a\r\n${last ? 'connection: close\r\n' : ''}\r\n`
    socket.end(ask('/fixed/e') + ask('/fixed/missing') + ask('/fixed/e') + ask('/healthz', true))
    let answer = ''
    socket.setEncoding('latin1').on('data', (text: string) => (answer += text))
    await once(socket, 'close')
    expect([...answer.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status)).toEqual([
      '200',
      '404',
      '200',
      '200',
    ])
  })
})

describe('what holds for a while', () => {
  test('is answered the third time as before, but for the budget of who asked before', async () => {
    newest = { number: 2 }
    const before = asked
    await raw('/newest?is=a')
    const second = await raw('/newest?is=a')
    const third = await raw('/newest?is=a')
    expect(asked - before).toBe(2)
    expect(second).toMatch(/^ratelimit-remaining: /im)
    expect(third).not.toMatch(/^ratelimit-/im)
    const mine = sorted(second).filter((line) => !line.startsWith('ratelimit-'))
    expect(sorted(third)).toEqual(mine)
    expect(third).toContain('{"number":2,"is":"a"}')
  })

  test('is kept at once in the next tree if it was asked for in this one, and not of who asks once', async () => {
    newest = { number: 100 }
    await raw('/newest?is=again')
    newest = { number: 101 }
    const before = asked
    for (let i = 0; i < 3; i++) expect(await raw('/newest?is=again')).toContain('"number":101')
    expect(asked - before).toBe(1)
  })

  test('is gone with what it is of, and does not come back with it', async () => {
    const [old, next] = [{ number: 3 }, { number: 4 }]
    newest = old
    const ask = async () => /"number":(\d+)/.exec(await raw('/newest'))?.[1]
    expect([await ask(), await ask()]).toEqual(['3', '3'])
    newest = next
    expect([await ask(), await ask()]).toEqual(['4', '4'])
    newest = { number: 5 }
    expect([await ask(), await ask()]).toEqual(['5', '5'])
  })

  test('is not kept if something newer came while it was made', async () => {
    newest = { number: 6 }
    let goOn = (): void => {}
    pause = new Promise((resolve) => (goOn = resolve))
    const before = asked
    // Whoever ends his side, as `raw` does, is not waited for.
    const { port } = app.server.address() as AddressInfo
    const late = fetch(`http://127.0.0.1:${port}/newest?is=late`).then((answer) => answer.text())
    await expect.poll(() => asked).toBe(before + 1)
    newest = { number: 7 }
    goOn()
    expect(await late).toContain('"number":6')
    for (let i = 0; i < 3; i++) expect(await raw('/newest?is=late')).toContain('"number":7')
    expect(asked - before).toBe(3)
  })

  test('is kept by its query, as far as that is spelt plainly', async () => {
    newest = { number: 8 }
    const before = asked
    for (let i = 0; i < 3; i++) {
      for (const is of ['b', 'c', '%64', 'e?', '']) {
        expect(await raw(`/newest?is=${is}`)).toContain(`"is":"${decodeURIComponent(is)}"`)
      }
    }
    expect(asked - before).toBe(2 * 3 + 3 * 2)
  })

  test('is answered 304 to who has it', async () => {
    newest = { number: 9 }
    const etag = /^etag: (.*)$/im.exec(await raw('/newest'))![1]!
    expect(await raw('/newest')).toContain(`etag: ${etag}`)
    expect(await raw('/newest', `if-none-match: ${etag}`)).toMatch(/^HTTP\/1\.1 304 /)
    newest = { number: 10 }
    expect(await raw('/newest', `if-none-match: ${etag}`)).toMatch(/^HTTP\/1\.1 200 /)
  })
})

test('a body longer than the system takes at once is counted when it is out', async () => {
  const count = async () => {
    const { values } = await metrics.httpSeconds.get()
    return values.find(({ labels, metricName }) => {
      return metricName === 'dslog_http_seconds_count' && labels['route'] === '/long'
    })?.value
  }
  await raw('/long')
  const before = await count()
  const socket = connect((app.server.address() as AddressInfo).port, '127.0.0.1')
  socket.pause().write('GET /long HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n')
  await once(app.server, 'request')
  expect(await count()).toBe(before)
  let length = 0
  socket.on('data', (bytes: Buffer) => (length += bytes.length)).resume()
  await once(socket, 'close')
  expect(length).toBeGreaterThan(LONG)
  await expect.poll(count).toBe(before! + 1)
})

test('the lane can be closed, as it is while a service is overloaded or stops', async () => {
  const metrics = new Metrics('test')
  const busy = await buildHttp({
    info: { title: 'test', version: '1', description: 'test' },
    logger: createLogger({ service: 'test', level: 'silent' }),
    health: new Health(),
    metrics,
    pressure: false,
  })
  onTestFinished(() => busy.close())
  let isOpen = true
  const lane = new Lane(metrics, new Outbox(), () => isOpen)
  lane.open(busy)
  let answers = 0
  busy.get('/fixed', {
    config: { rateLimit: false },
    onSend: (request, reply, body, done) => {
      lane.keep(request, reply, body, FOR_EVER)
      done()
    },
    handler: (_request, reply) => reply.send(Buffer.from(String(answers++))),
  })
  const url = await busy.listen({ host: '127.0.0.1', port: 0 })
  const ask = async () => (await fetch(`${url}/fixed`)).text()
  expect([await ask(), await ask()]).toEqual(['0', '0'])
  isOpen = false
  expect([await ask(), await ask()]).toEqual(['1', '2'])
  isOpen = true
  expect(await ask()).toBe('0')
})
