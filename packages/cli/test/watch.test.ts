/** Following names live, against a log that streams, keeps events back, and goes away. */
import { createServer } from 'node:http'
import { describe, expect, onTestFinished, test } from 'vitest'
import { nameFromText, nameToText } from '@dslog/dnssec/name'
import type { Change } from '@dslog/verify/describe'
import { listenOnLoopback } from '@dslog/testbed/loopback'
import { MINUTE } from '@dslog/schema/time'
import { levelOf } from '../src/command/watch.ts'
import { changedNames, eventsIn, type Told } from '../src/eventstream.ts'
import { dslog } from './io.ts'

async function collect(...chunks: string[]): Promise<Told[]> {
  async function* body() {
    for (const chunk of chunks) yield new TextEncoder().encode(chunk)
  }
  const all: Told[] = []
  for await (const told of eventsIn(body())) all.push(told)
  return all
}

const event = (id: number | string, data: string): string =>
  `id: ${id}\nevent: change\ndata: ${data}\n\n`

describe('a stream of events', () => {
  test('is read however it is cut', async () => {
    const text = `: still here\n\n${event(5, '{"name":"one.fi."}')}${event(7, '{"name":"two.fi."}')}`
    for (let cut = 0; cut <= text.length; cut++) {
      const told = await collect(text.slice(0, cut), text.slice(cut))
      expect(told.map(({ name, next }) => [nameToText(name!), next])).toEqual([
        ['one.fi.', 5],
        ['two.fi.', 7],
      ])
    }
    expect(await collect(text.replaceAll('\n', '\r\n'))).toHaveLength(2)
  })

  test.each(['{', 'null', '[]', '{"name":7}', '{"name":"a..b"}', ''])(
    'may say nothing with %j',
    async (data) => {
      expect(await collect(event(3, data))).toEqual([{ name: undefined, next: 3 }])
    },
  )

  test.each([
    event(-1, '{}'),
    event('x', '{}'),
    event('1e3', '{}'),
    'event: change\n\n',
    'id: 1\nevent: other\n\n',
    '\n\n\n\n',
  ])('takes no cursor out of %j', async (text) => {
    expect(await collect(text)).toEqual([])
  })

  test('has an end to each event', async () => {
    await expect(collect('x'.repeat(600_000), 'x'.repeat(600_000))).rejects.toThrow('no end')
  })
})

/** Serves until the end of the test, or until it is told to stop. */
async function serve(
  answer: Parameters<typeof createServer>[1],
): Promise<{ url: string; stop: () => void }> {
  const server = createServer(answer)
  const stop = (): void => {
    server.closeAllConnections()
    server.close()
  }
  onTestFinished(stop)
  return { url: `http://127.0.0.1:${await listenOnLoopback(server)}`, stop }
}

describe('a log', () => {
  test('that does not stream is a service that fails', async () => {
    const { stop, url } = await serve((_, response) => response.writeHead(503).end())
    const read = async (): Promise<void> => {
      for await (const told of changedNames(url, 0, AbortSignal.timeout(5_000))) {
        expect(told).toBeUndefined()
      }
    }
    await expect(read()).rejects.toMatchObject({ exitCode: 3 })
    stop()
    await expect(read()).rejects.toMatchObject({ exitCode: 3 })
  })

  test.each([
    ['a page of something else', { 'content-type': 'text/html' }, '<html>', /text\/html/],
    ['a stream that ends at once', { 'content-type': 'text/event-stream' }, '', /has ended/],
  ])('that answers with %s is one, too', async (_, headers, body, message) => {
    const { url } = await serve((_request, answer) => {
      answer.writeHead(200, headers).end(body)
    })
    const read = changedNames(url, 0, AbortSignal.timeout(MINUTE)).next()
    await expect(read).rejects.toMatchObject({
      exitCode: 3,
      message: expect.stringMatching(message) as string,
    })
  })

  test('is asked from the cursor on, and left when the time is over', async () => {
    let asked = ''
    const { url } = await serve((request, response) => {
      asked = `${request.url} ${request.headers.accept}`
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write(event(9, '{"name":"one.fi."}'))
    })
    const told: Told[] = []
    const time = new AbortController()
    for await (const each of changedNames(url, 8, time.signal)) {
      told.push(each)
      // Once the stream is waited for again.
      setImmediate(() => time.abort())
    }
    expect(asked).toBe('/v1/changes?after=8 text/event-stream')
    expect(told).toEqual([{ name: nameFromText('one.fi.'), next: 9 }])
  })
})

describe('a level', () => {
  const change = (came: number, went: number, kept: number): Change => ({
    kind: 'replaced',
    came: Array.from({ length: came }, (_, i) => `c${i}`),
    went: Array.from({ length: went }, (_, i) => `w${i}`),
    kept: Array.from({ length: kept }, (_, i) => `k${i}`),
  })

  test.each([
    ['an old DS withdrawn', change(0, 1, 1), 'INFO'],
    ['all DS gone', change(0, 2, 0), 'HIGH'],
    ['the whole set replaced', change(1, 1, 0), 'HIGH'],
    ['a DS added', change(1, 0, 1), 'WARNING'],
    ['the first DS', change(1, 0, 0), 'WARNING'],
    ['one of two replaced', change(1, 1, 1), 'WARNING'],
  ])('%s', (_, difference, level) => {
    expect(levelOf(difference, false)).toBe(level)
    expect(levelOf(difference, true)).toBe('HIGH')
  })
})

describe('dslog watch', () => {
  test('wants names, a log and a policy', async () => {
    expect((await dslog(['watch'])).code).toBe(2)
    expect((await dslog(['watch', 'a..b'])).code).toBe(2)
    expect((await dslog(['watch', 'example.fi', '--data', '/nonexistent'])).code).toBe(2)
    expect((await dslog(['watch', 'example.fi', '--log', 'http://127.0.0.1:1'])).code).toBe(2)
  })
})
