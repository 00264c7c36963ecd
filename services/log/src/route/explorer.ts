/**
 * `GET /`: the explorer, a static page that verifies in the browser what this log says (@dslog/web).
 * Its files lie beside its package once it was built. The page is answered with a policy of its own,
 * stricter than that of the API in what may run, wider in whom it may ask: it verifies any log, and
 * compares with the monitor this log names.
 */
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import fastifyStatic from '@fastify/static'
import type { Http } from '@dslog/service/http'
import { SITE } from '@dslog/web/files'
import type { LogContext } from './context.ts'

/** Names of files in `assets/` hold a hash of what is in them. A year, the longest that caches honour. */
const ASSETS = 'public, max-age=31536000, immutable'

/** The page itself names those files, so it is asked for each time, and mostly answered 304. */
const PAGE = 'no-cache'

export interface ExplorerOptions {
  /** Folder of the built page. */
  readonly site?: URL
}

export async function explorerRoutes(
  app: Http,
  context: LogContext,
  { site = SITE }: ExplorerOptions = {},
): Promise<void> {
  if (!existsSync(new URL('index.html', site))) {
    const text =
      `${context.reader.origin}\n\nThis is a dslog transparency log. ` +
      'Its explorer has not been built: `npm run build` does that.\n' +
      'The API is described at /docs, the newest checkpoint is at /checkpoint.\n'
    // Not a part of the API, built or not.
    const schema: object = { hide: true }
    app.get('/', { schema }, (_request, reply) =>
      reply.header('cache-control', PAGE).type('text/plain; charset=utf-8').send(text),
    )
    return
  }
  const policy = contentPolicy(context.monitor)
  await app.register(fastifyStatic, {
    root: fileURLToPath(site),
    // A route for each file: what is no file is answered as everywhere else.
    wildcard: false,
    preCompressed: true,
    cacheControl: false,
    globIgnore: ['**/*.{br,gz}'],
    setHeaders(reply, path) {
      reply.header('cache-control', /[\\/]assets[\\/]/.test(path) ? ASSETS : PAGE)
      // Also for scripts: a worker is held to the policy that its own file came with.
      reply.header('content-security-policy', policy)
    },
  })
}

/**
 * What the page may do: run and show what it brought, and read logs and monitors, over TLS or on this
 * machine. Nothing inline, no frames, no forms that are sent.
 */
function contentPolicy(monitor: string | undefined): string {
  const loopback = ['http://127.0.0.1:*', 'http://localhost:*']
  const named = monitor === undefined ? [] : [new URL(monitor).origin]
  return [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "worker-src 'self'",
    ['connect-src', "'self'", 'https:', ...loopback, ...named].join(' '),
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ')
}
