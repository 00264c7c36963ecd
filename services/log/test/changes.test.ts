/** Streams of changes, as those meet them who come when there are enough. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Http } from '@dslog/service/http'
import { Internet } from '@dslog/testbed/internet'
import { quietHttp } from '../../../test/http.ts'
import { Places } from '../../../test/place.ts'
import { TestLog } from '../../../test/testlog.ts'
import { changeRoutes } from '../src/route/changes.ts'

const PLACES = { all: 3, each: 2, what: 'streams', retrySeconds: 30 }

const net = new Internet()
const places = await Places.open(['embedded'])
let log: TestLog
let app: Http
let url: string

beforeAll(async () => {
  log = await TestLog.open({
    place: await places.make('embedded', net.anchors),
    clock: net.clock.now,
  })
  app = await quietHttp({ rateLimit: false, trustProxy: ['127.0.0.1'] })
  changeRoutes(app, { reader: log.reader, onPublished: () => () => {} }, PLACES)
  url = `${await app.listen({ host: '127.0.0.1', port: 0 })}/v1/changes`
})
afterAll(async () => {
  await app.close()
  await log.close()
  await places.close()
})

/** @param from whom a proxy says that it asks */
function follow(from: string, signal?: AbortSignal): Promise<Response> {
  const headers = { accept: 'text/event-stream', 'x-forwarded-for': from }
  return fetch(url, { headers, ...(signal && { signal }) })
}

test('one stream too many is told when to come again, and let in once another has ended', async () => {
  const end = new AbortController()
  const others = ['192.0.2.1', '192.0.2.1', '192.0.2.2']
  for (const from of others) expect((await follow(from, end.signal)).status).toBe(200)
  const refused = await follow('192.0.2.3')
  expect(refused.status).toBe(503)
  expect(refused.headers.get('content-type')).toMatch(/^application\/problem\+json/)
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
  expect(await refused.json()).toMatchObject({ detail: 'Too many streams' })
  // A page is no stream.
  expect((await fetch(url)).status).toBe(200)
  end.abort()
  await expect
    .poll(async () => (await follow('192.0.2.3', AbortSignal.timeout(5_000))).status)
    .toBe(200)
})

test('one source has so many streams and no more', async () => {
  const end = new AbortController()
  for (let i = 0; i < PLACES.each; i++) {
    expect((await follow('192.0.2.9', end.signal)).status).toBe(200)
  }
  const refused = await follow('192.0.2.9')
  expect(refused.status).toBe(429)
  expect(await refused.json()).toMatchObject({ detail: 'Too many streams of one source' })
  end.abort()
})
