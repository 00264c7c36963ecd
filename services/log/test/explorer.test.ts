/** The page is served as a page should be, and nothing else changes by it. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import type { Http } from '@dslog/service/http'
import { quietHttp } from '../../../test/http.ts'
import type { LogContext } from '../src/route/context.ts'
import { explorerRoutes } from '../src/route/explorer.ts'

const folder = mkdtempSync(join(tmpdir(), 'dslog-site-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

async function server(site: string, monitor?: string): Promise<Http> {
  const app = await quietHttp()
  const context = { reader: { origin: 'log.example/page' }, monitor }
  await explorerRoutes(app, context as unknown as LogContext, { site: pathToFileURL(`${site}/`) })
  return app
}

describe('a page that was built', () => {
  let app: Http
  beforeAll(async () => {
    mkdirSync(join(folder, 'assets'))
    writeFileSync(join(folder, 'index.html'), '<!doctype html>')
    writeFileSync(join(folder, 'assets/main-abc.js'), 'let page = 1')
    writeFileSync(join(folder, 'assets/main-abc.js.gz'), gzipSync('let page = 1'))
    app = await server(folder, 'http://monitor.example:8081/path')
  })
  afterAll(() => app.close())

  it('is at /, asked for each time, and may run only what it brought', async () => {
    const { body, headers, statusCode } = await app.inject('/')
    expect(statusCode).toBe(200)
    expect(body).toBe('<!doctype html>')
    expect(headers['content-type']).toContain('text/html')
    expect(headers['cache-control']).toBe('no-cache')
    const policy = String(headers['content-security-policy'])
    expect(policy).toContain("default-src 'none'; script-src 'self'; style-src 'self'")
    expect(policy).toContain("frame-ancestors 'none'")
    expect(policy).not.toContain('unsafe')
    // The monitor's origin, whatever its path.
    expect(policy).toMatch(/connect-src [^;]* http:\/\/monitor\.example:8081(;|$)/)
    const again = await app.inject({
      url: '/',
      headers: { 'if-none-match': String(headers['etag']) },
    })
    expect(again.statusCode).toBe(304)
  })

  it('has assets that are kept for ever, compressed for those who take it', async () => {
    const plain = await app.inject('/assets/main-abc.js')
    expect(plain.body).toBe('let page = 1')
    expect(plain.headers['cache-control']).toBe('public, max-age=31536000, immutable')
    const packed = await app.inject({
      url: '/assets/main-abc.js',
      headers: { 'accept-encoding': 'gzip' },
    })
    expect(packed.headers['content-encoding']).toBe('gzip')
    expect(packed.headers['content-type']).toContain('javascript')
    expect(packed.headers['vary']).toMatch(/accept-encoding/i)
    // A worker is held to the policy of its own file.
    expect(packed.headers['content-security-policy']).toContain('connect-src')
  })

  it.each([
    '/assets/other.js',
    '/assets/',
    '/assets/main-abc.js.gz',
    '/package.json',
    '/../package.json',
    '/%2e%2e/package.json',
    '/assets/..%2f..%2fpackage.json',
    '/nothing',
  ])('has nothing at %s', async (url) => {
    const { headers, statusCode } = await app.inject(url)
    expect([400, 403, 404]).toContain(statusCode)
    expect(headers['content-type']).toContain('application/problem+json')
  })

  it('is no part of the API', async () => {
    const { paths } = (await app.inject('/openapi.json')).json<{ paths: object }>()
    expect(Object.keys(paths)).toEqual([])
    expect((await app.inject('/docs/')).headers['content-security-policy']).not.toContain(
      "'none'; script",
    )
  })
})

it('a page that was not built is said to be so', async () => {
  const app = await server(join(folder, 'nowhere'))
  onTestFinished(() => app.close())
  const { body, headers, statusCode } = await app.inject('/')
  expect(statusCode).toBe(200)
  expect(headers['content-type']).toBe('text/plain; charset=utf-8')
  expect(body).toContain('log.example/page')
  expect(body).toContain('npm run build')
})
