import { createServer, type Server } from 'node:http'
import { afterEach, describe, expect, test } from 'vitest'
import { listenOnLoopback } from '@dslog/testbed/loopback'
import { dslog } from './io.ts'

let server: Server | undefined
afterEach(async () => {
  server?.closeAllConnections()
  await new Promise((resolve) => (server === undefined ? resolve(0) : server.close(resolve)))
  server = undefined
})

/** A service that says this of itself; returns its port. */
async function serving(status: number, body: string): Promise<number> {
  const listening = createServer((request, response) => {
    const known = request.url === '/readyz'
    response.writeHead(known ? status : 404, { 'content-type': 'application/json' })
    response.end(known ? body : '{}')
  })
  server = listening
  return listenOnLoopback(listening)
}

describe('dslog health', () => {
  test('finds the service where its environment says', async () => {
    const port = String(await serving(200, '{"checks":{"database":"ok"}}'))
    const log = { DSLOG_LOG_HOST: '0.0.0.0', DSLOG_LOG_PORT: port }
    expect(await dslog(['health', 'log'], { env: log })).toMatchObject({
      code: 0,
      stdout: 'ready\n',
      stderr: '',
    })
    const json = await dslog(['health', 'monitor', '--json'], {
      env: { DSLOG_MONITOR_PORT: port },
    })
    expect(json.events).toEqual([{ event: 'ready', url: `http://127.0.0.1:${port}/readyz` }])
  })

  test('says which check has failed', async () => {
    const body = '{"ok":false,"checks":{"database":"ok","witnesses":"1 of 3","disk":"full"}}'
    const url = `http://127.0.0.1:${await serving(503, body)}`
    const { code, stderr } = await dslog(['health', url])
    expect(code).toBe(3)
    expect(stderr).toBe(`dslog: ${url}/readyz: not ready: witnesses: 1 of 3; disk: full\n`)
  })

  test('takes an answer that is no report for what it is', async () => {
    const url = `http://127.0.0.1:${await serving(502, '<html>')}/`
    const { code, stderr } = await dslog(['health', url])
    expect(code).toBe(3)
    expect(stderr).toContain('not ready: status 502')
  })

  test.each(['<html>', '', '{}', 'null'])('takes no other server for one: %j', async (body) => {
    const url = `http://127.0.0.1:${await serving(200, body)}`
    const { code, stderr } = await dslog(['health', url])
    expect(code).toBe(3)
    expect(stderr).toBe(`dslog: ${url}/readyz: not the answer of a service of dslog\n`)
  })

  test('fails where nobody listens', async () => {
    const port = String(await serving(200, '{}'))
    server!.close()
    const { code } = await dslog(['health', 'log'], { env: { DSLOG_LOG_PORT: port } })
    expect(code).toBe(3)
  })

  test('waits for one that is being started', async () => {
    const port = await serving(503, '{"checks":{"database":"no answer"}}')
    const url = `http://127.0.0.1:${port}`
    const given = await dslog(['health', url, '--wait', '300ms'])
    expect(given).toMatchObject({ code: 3 })
    expect(given.stderr).toContain('not ready: database: no answer')
    server!.close()
    const waiting = dslog(['health', url, '--wait', '30s'])
    const late = createServer((_request, response) => response.end('{"checks":{}}'))
    server = late
    late.listen(port, '127.0.0.1')
    expect(await waiting).toMatchObject({ code: 0, stdout: 'ready\n' })
    expect(await dslog(['health', url, '--wait', 'long'])).toMatchObject({ code: 2 })
  })

  test('knows its services', async () => {
    const { code, stderr } = await dslog(['health', 'toaster'])
    expect(code).toBe(2)
    expect(stderr).toBe('dslog: toaster is no service: log, monitor, crawler, or a URL\n')
  })
})
