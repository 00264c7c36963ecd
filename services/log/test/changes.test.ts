/** Streams of changes, as those meet them who come when there are enough. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Http } from '@dslog/service/http'
import { Internet } from '@dslog/testbed/internet'
import { quietHttp } from '../../../test/http.ts'
import { Places } from '../../../test/place.ts'
import { TestLog } from '../../../test/testlog.ts'
import { changeRoutes } from '../src/route/changes.ts'

const MOST = 2

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
  app = await quietHttp({ rateLimit: false })
  changeRoutes(app, { reader: log.reader, onPublished: () => () => {} }, MOST)
  url = `${await app.listen({ host: '127.0.0.1', port: 0 })}/v1/changes`
})
afterAll(async () => {
  await app.close()
  await log.close()
  await places.close()
})

function follow(signal?: AbortSignal): Promise<Response> {
  return fetch(url, { headers: { accept: 'text/event-stream' }, ...(signal && { signal }) })
}

test('one stream too many is told when to come again, and let in once another has ended', async () => {
  const end = new AbortController()
  for (let i = 0; i < MOST; i++) expect((await follow(end.signal)).status).toBe(200)
  const refused = await follow()
  expect(refused.status).toBe(503)
  expect(refused.headers.get('content-type')).toMatch(/^application\/problem\+json/)
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
  expect(await refused.json()).toMatchObject({ detail: 'Too many streams' })
  // A page is no stream.
  expect((await fetch(url)).status).toBe(200)
  end.abort()
  await expect.poll(async () => (await follow(AbortSignal.timeout(5_000))).status).toBe(200)
})
