/** What strangers answer, as far as a page has to bear it. */
import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ask, askMonitorOfName, changesIn } from '../src/api.ts'

const BLOCK = Buffer.alloc(1_000_000, 'x')

/** Answers without an end. */
function flood(response: ServerResponse): void {
  const go = (): void => {
    while (!response.destroyed && response.write(BLOCK));
  }
  response.on('drain', go)
  go()
}

/** Lets a server listen; returns its URL. */
async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

describe('an answer', () => {
  let url = ''
  let cut: Promise<unknown> | undefined
  const server = createServer(({ url: path }, response) => {
    if (path === '/flood' || path === '/flood/v1/names/one.fi.') {
      cut = new Promise((resolve) => response.on('close', resolve))
      return flood(response)
    }
    if (path === '/long') {
      response.writeHead(400, { 'content-type': 'application/problem+json' })
      return response.end(JSON.stringify({ detail: 'z'.repeat(100_000) }))
    }
    response.end(path === '/empty' ? '' : '{"a":"\u00e4"}')
  })
  beforeAll(async () => {
    url = await listen(server)
  })
  afterAll(() => {
    server.closeAllConnections()
    server.close()
  })

  it('is read as JSON', async () => {
    expect(await ask(`${url}/`)).toEqual({ a: 'ä' })
    expect(await ask(`${url}/empty`)).toBeNull()
  })

  it('without an end is hung up on', async () => {
    await expect(ask(`${url}/flood`)).rejects.toThrow(/something else than asked for/)
    await cut
    await expect(askMonitorOfName(`${url}/flood`, 'one.fi.', 'log.example')).rejects.toThrow(/else/)
  })

  it('of nobody is told so', async () => {
    const nobody = createServer()
    const { host, href } = new URL(await listen(nobody))
    await new Promise((resolve) => nobody.close(resolve))
    await expect(ask(href)).rejects.toThrow(`${host} does not answer.`)
  })

  it('that gives a reason gives no book', async () => {
    const error: unknown = await ask(`${url}/long`).catch((thrown: unknown) => thrown)
    expect((error as Error).message.length).toBeLessThan(400)
  })
})

it('changes that cannot be shown are not', () => {
  const good = { index: 1, time: 1, name: 'a.', zone: '.', type: 'ds', ds: ['1 2 3 AB'] }
  const bad = [
    null,
    { ...good, ds: [1] },
    { ...good, ds: 'x' },
    { ...good, time: '1' },
    { ...good, type: 'else' },
    { ...good, name: {} },
  ]
  expect(changesIn([...bad, good])).toEqual([good])
  expect(changesIn({})).toEqual([])
})
