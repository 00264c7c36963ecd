/** The route of submissions, as those meet it whom it sends away. */
import { PassThrough, type Readable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { nameFromText } from '@dslog/dnssec/name'
import { Secret } from '@dslog/service/config'
import type { Http } from '@dslog/service/http'
import { Internet } from '@dslog/testbed/internet'
import { ownerDs } from '@dslog/testbed/stories'
import { quietHttp } from '../../../test/http.ts'
import { Places } from '../../../test/place.ts'
import { directly, observe, TestLog } from '../../../test/testlog.ts'
import { Admitter } from '../src/admit.ts'
import { VerifyBudget } from '../src/budget.ts'
import type { LogContext } from '../src/route/context.ts'
import { observationRoutes, SUBMISSIONS } from '../src/route/observations.ts'
import { ZoneList } from '../src/zones.ts'

const TOKEN = 'operator'
/** Core time of a source in these tests, ms: some hundred observations. */
const BUDGET_MS = 50

const net = new Internet()
net.addZone('fi.')
const { now } = net.clock
const places = await Places.open(['embedded'])
let log: TestLog
let app: Http

beforeAll(async () => {
  log = await TestLog.open({ place: await places.make('embedded', net.anchors), clock: now })
  const budget = new VerifyBudget(now, BUDGET_MS)
  const zones = new ZoneList()
  const sink = directly(log.log)
  const backend = nodeBackend()
  const admitter = new Admitter({ log: log.log, sink, zones, backend, clock: now, budget })
  app = await quietHttp({ rateLimit: false })
  const context = { admitter, operatorToken: new Secret(TOKEN) }
  observationRoutes(app, context as unknown as LogContext)
})
afterAll(async () => {
  await app.close()
  await log.close()
  await places.close()
})

async function post(body: string | Readable, from: string, token?: string) {
  const answer = await app.inject({
    method: 'POST',
    url: '/v1/observations',
    remoteAddress: from,
    headers: {
      'content-type': 'application/json',
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
    payload: body,
  })
  return { status: answer.statusCode, headers: answer.headers, body: answer.json<object>() }
}

describe('a source that has spent its budget', () => {
  const junk = JSON.stringify({
    observations: [{ owner: 'a.fi.', records: [Buffer.alloc(300_000).toString('base64')] }],
  })
  const spent = {
    status: 429,
    body: { type: 'urn:dslog:problem:rate-limited', detail: expect.stringContaining('slowly') },
  }

  test('has spent it on junk as on anything', async () => {
    expect(await post(junk, '192.0.2.1')).toMatchObject({
      status: 200,
      body: { results: [{ status: 'refused', reason: 'malformed' }] },
    })
    const again = await post(junk, '192.0.2.1')
    expect(again).toMatchObject(spent)
    expect(Number(again.headers['retry-after'])).toBeGreaterThan(0)
  })

  test('is not listened to, whatever it sends', async () => {
    for (const body of ['{', '{}', 'x'.repeat(9 * 2 ** 20)]) {
      expect(await post(body, '192.0.2.1')).toMatchObject(spent)
      expect(await post(body, '192.0.2.1', 'another token')).toMatchObject(spent)
      expect((await post(body, '192.0.2.2')).status).toBeGreaterThanOrEqual(400)
    }
    expect((await post('{', '192.0.2.2')).status).toBe(400)
  })

  test('is not the operator, nor another one, and not for ever', async () => {
    const owner = nameFromText('a.fi.')
    net.parentOf(owner).delegate(owner, [ownerDs(owner)])
    const good = JSON.stringify({ observations: [observe(net, owner)] })
    const logged = { status: 200, body: { results: [{ status: 'logged' }] } }
    expect(await post(good, '192.0.2.1')).toMatchObject(spent)
    expect(await post(good, '192.0.2.1', TOKEN)).toMatchObject(logged)
    const known = { status: 200, body: { results: [{ status: 'known' }] } }
    expect(await post(good, '192.0.2.3')).toMatchObject(known)
    net.clock.advance(2_000)
    expect(await post(good, '192.0.2.1')).toMatchObject(known)
  })
})

test('who sends slowly takes the places of strangers, and not that of the operator', async () => {
  const slow = Array.from({ length: SUBMISSIONS.all }, (_, i) => {
    const payload = new PassThrough()
    const source = `198.51.100.${Math.floor(i / SUBMISSIONS.each)}`
    return { payload, answer: post(payload, source) }
  })
  expect(await post('{', '198.51.100.99')).toMatchObject({ status: 503 })
  expect(await post('{', '198.51.100.99', TOKEN)).toMatchObject({ status: 400 })
  for (const { payload } of slow) payload.end('{')
  for (const { answer } of slow) expect(await answer).toMatchObject({ status: 400 })
  expect(await post('{', '198.51.100.99')).toMatchObject({ status: 400 })
})
