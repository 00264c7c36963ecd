/** Submissions to a service that keeps limits, is busy, slow, or talks nonsense. */
import { describe, expect, it } from 'vitest'
import { HttpClient } from '@dslog/tlog/http'
import { ROOT } from '@dslog/dnssec/name'
import { MAX_OBSERVATIONS, MAX_SUBMIT_BYTES, type Observation } from '@dslog/schema/api'
import { AnswerError } from '@dslog/service/answer'
import { readName } from '../src/name.ts'
import { RemoteTarget } from '../src/remote-target.ts'

interface Request {
  readonly url: string
  readonly method: string
  readonly authorization: string | null
  readonly body: string
}

/** A service that answers as it is told, one answer a request; the last one again and again. */
function service(...answers: (Response | ((request: Request) => Response))[]) {
  const requests: Request[] = []
  const fetch = async (url: string, init: RequestInit): Promise<Response> => {
    const authorization = new Headers(init.headers).get('authorization')
    const request = { url, method: init.method!, authorization, body: init.body as string }
    requests.push(request)
    const answer = answers[Math.min(requests.length, answers.length) - 1]!
    return typeof answer === 'function' ? answer(request) : answer.clone()
  }
  const slept: number[] = []
  const sleep = async (ms: number): Promise<void> => void slept.push(ms)
  const http = new HttpClient({ fetch, now: Date.now, random: () => 0, sleep })
  return { requests, slept, target: new RemoteTarget('http://log.example', http, 'secret') }
}

const json = (value: unknown, status = 200, headers: Record<string, string> = {}) =>
  new Response(JSON.stringify(value), { status, headers })

/** An answer with one index an observation. */
function logged({ body }: Request): Response {
  const { observations } = JSON.parse(body) as { observations: Observation[] }
  return json({
    results: observations.map(({ owner }) => ({
      status: 'logged',
      index: Number.parseInt(owner, 10),
    })),
  })
}

const many = (count: number, bytes = 0): Observation[] =>
  Array.from({ length: count }, (_, i) => ({
    owner: `${i}.example.`,
    records: [Buffer.alloc(bytes).toString('base64')],
  }))

describe('submissions', () => {
  it('are cut at the number of observations, and answered in order', async () => {
    const { requests, target } = service(logged)
    const count = 2 * MAX_OBSERVATIONS + 1
    const results = await target.submit(many(count))
    expect(results.map(({ index }) => index)).toEqual(Array.from({ length: count }, (_, i) => i))
    expect(requests).toHaveLength(3)
    expect(requests[0]).toMatchObject({
      url: 'http://log.example/v1/observations',
      method: 'POST',
      authorization: 'Bearer secret',
    })
  })

  it('are cut at the number of bytes', async () => {
    const { requests, target } = service(logged)
    const results = await target.submit(many(25, 1_000_000))
    expect(results).toHaveLength(25)
    expect(requests.length).toBeGreaterThan(3)
    for (const { body } of requests) expect(body.length).toBeLessThanOrEqual(MAX_SUBMIT_BYTES)
  })

  it('of nothing ask nothing', async () => {
    const { requests, target } = service(logged)
    expect(await target.submit([])).toEqual([])
    expect(requests).toEqual([])
  })

  it.each([429, 503])('wait when the log is busy (%i)', async (status) => {
    const busy = json({ title: 'busy' }, status, { 'retry-after': '0' })
    const { requests, target } = service(busy, busy, logged)
    expect(await target.submit(many(1))).toEqual([{ status: 'logged', index: 0 }])
    expect(requests).toHaveLength(3)
    expect(new Set(requests.map(({ body }) => body)).size).toBe(1)
  })

  it('do not wait for ever', async () => {
    const busy = json({ title: 'busy' }, 503, { 'retry-after': '0' })
    const { requests, target } = service(busy)
    await expect(target.submit(many(1))).rejects.toMatchObject({ status: 503 })
    expect(requests).toHaveLength(20)
  })

  it('wait a minute at most, whatever the log asks for', async () => {
    const busy = (seconds: string) => json({}, 503, { 'retry-after': seconds })
    const { slept, target } = service(busy('7'), busy('2000000'), busy('99999999999'), logged)
    expect(await target.submit(many(1))).toEqual([{ status: 'logged', index: 0 }])
    expect(slept).toEqual([7_000, 60_000, 60_000])
  })

  it.each([400, 401, 403, 413, 500])('are not sent again after a %i', async (status) => {
    const problem = json({ detail: 'no' }, status, { 'content-type': 'application/problem+json' })
    const { requests, target } = service(problem)
    await expect(target.submit(many(1))).rejects.toMatchObject({
      status,
      message: expect.stringMatching(/: no$/),
    })
    expect(requests).toHaveLength(1)
  })

  it('that are not published in time are said to be so', async () => {
    const { target } = service(json({ results: [{ status: 'accepted' }] }, 202))
    await expect(target.submit(many(1))).rejects.toMatchObject({
      exitCode: 3,
      message: expect.stringMatching(/slow to publish.*nothing is added twice/),
    })
  })

  it.each([json({}), json({ results: [{ status: 'nonsense' }] }), new Response('<html>')])(
    'that are answered with nonsense are a failure of the service',
    async (answer) => {
      const { target } = service(answer)
      await expect(target.submit(many(1))).rejects.toThrow(AnswerError)
    },
  )
})

describe('states', () => {
  it('come in pages', async () => {
    const name = (name: string, ds: string[]) => ({ name, index: 1, time: 1, inception: 1, ds })
    const { requests, target } = service(
      json({ names: [name('a.', ['1']), name('b.', [])], next: 'b.', size: 9 }),
      json({ names: [name('c.', ['2', '3'])], next: null, size: 9 }),
    )
    expect(await target.states(ROOT)).toEqual(
      new Map([
        ['a.', ['1']],
        ['b.', []],
        ['c.', ['2', '3']],
      ]),
    )
    expect(requests.map(({ url }) => url)).toEqual([
      'http://log.example/v1/zones/@/names',
      'http://log.example/v1/zones/@/names?after=b.',
    ])
  })

  it('of a name that the log does not know are none', async () => {
    const proof = {
      map_key: 'x'.repeat(44),
      map_proof: '',
      map_head: 0,
      map_head_entry: '',
      map_head_proof: [],
      indices: [],
      checkpoint: '',
    }
    const { requests, target } = service(
      json({ name: 'fi.', size: 1, present: false, state: null, history: [], proof }),
    )
    expect(await target.delegation(readName('fi.'))).toBeUndefined()
    expect(requests[0]!.url).toBe('http://log.example/v1/names/fi.')
  })
})
