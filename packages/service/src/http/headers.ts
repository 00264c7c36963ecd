/**
 * Response headers: what a browser may do with an answer (helmet), who may read it (CORS: everyone, since all that is here is
 * public and tokens travel in a header that pages must set themselves), and validators for caches (ETag).
 */
import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import fp from 'fastify-plugin'
import cors from '@fastify/cors'
import helmet from 'helmet'
import type { FastifyInstance, FastifyReply } from 'fastify'
import etag from './etag.ts'

/** A Content-Security-Policy: directive → sources. */
export type ContentPolicy = Readonly<Record<string, readonly string[]>>

/**
 * For data and for the pages of the services alike: own scripts and styles, nothing inline, no frames. Pages may connect
 * elsewhere over TLS, because the explorer verifies any log. `upgrade-insecure-requests` is left out: it would break pages
 * served without TLS inside a network.
 */
const CONTENT_POLICY: ContentPolicy = {
  'default-src': ["'self'"],
  'img-src': ["'self'", 'data:'],
  'worker-src': ["'self'", 'blob:'],
  'connect-src': ["'self'", 'https:'],
  'object-src': ["'none'"],
  'base-uri': ["'none'"],
  'form-action': ["'self'"],
  'frame-ancestors': ["'none'"],
}

/** Seconds a browser may remember the answer to a CORS preflight: a day, the most that any honours. */
const PREFLIGHT_AGE = 86_400

/** What pages of others may read of an answer. */
const EXPOSED = [
  'etag',
  'location',
  'retry-after',
  'ratelimit-limit',
  'ratelimit-remaining',
  'ratelimit-reset',
]

/** What a page may do, and who may frame or open it: of helmet's headers those that say nothing of data. */
const OF_PAGES: ReadonlySet<string> = new Set([
  'cross-origin-opener-policy',
  'origin-agent-cluster',
  'referrer-policy',
  'x-dns-prefetch-control',
  'x-download-options',
  'x-frame-options',
  'x-permitted-cross-domain-policies',
  'x-xss-protection',
])

/** What no browser makes a page of, since it is told not to guess (`nosniff`). */
const DATA = /^(application\/(json|problem\+json|octet-stream)|text\/plain)\b/

/**
 * For bytes that no browser shows, and that are all that a page reads: takes off the last of what is about pages. Each header
 * is a fiftieth of the time that it takes to serve a tile.
 */
export function asBytes(reply: FastifyReply): FastifyReply {
  return reply
    .removeHeader('content-security-policy')
    .removeHeader('access-control-expose-headers')
    .type('application/octet-stream')
}

/**
 * Registers helmet, CORS and ETag. Node checks every header of every answer anew, so data is sent without those that are
 * about pages.
 */
export default fp(async function headers(
  app: FastifyInstance,
  options: { contentPolicy?: ContentPolicy | undefined },
) {
  const secure = Object.entries(securityHeaders(options.contentPolicy ?? CONTENT_POLICY))
  const ofPages = secure.filter(([name]) => OF_PAGES.has(name))
  const ofAll = {
    ...Object.fromEntries(secure.filter(([name]) => !OF_PAGES.has(name))),
    'access-control-allow-origin': '*',
    'access-control-expose-headers': EXPOSED.join(', '),
  }
  app.addHook('onRequest', (_request, reply, done) => {
    reply.headers(ofAll)
    done()
  })
  app.addHook('onSend', (_request, reply, _body, done) => {
    if (DATA.test(String(reply.getHeader('content-type')))) return done()
    // What a page has of its own stays.
    for (const [name, value] of ofPages) if (!reply.hasHeader(name)) reply.header(name, value)
    done()
  })
  // In a scope of its own, which has but the route of preflights: the plugin looks at every request of its scope.
  await app.register(async (preflights) => {
    await preflights.register(cors, {
      origin: '*',
      methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
      exposedHeaders: EXPOSED,
      maxAge: PREFLIGHT_AGE,
    })
  })
  await app.register(etag)
})

/**
 * What helmet says, once for all answers. The plugin for Fastify makes all of it anew for each, which takes half the time of
 * serving a tile; and headers that were set on Node's own response keep it from writing all of them at once.
 */
function securityHeaders(policy: ContentPolicy): Readonly<Record<string, string>> {
  const request = new IncomingMessage(new Socket())
  const response = new ServerResponse(request)
  const secure = helmet({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: Object.fromEntries(Object.entries(policy).map(([k, v]) => [k, [...v]])),
    },
    crossOriginResourcePolicy: { policy: 'cross-origin' },
    // The service cannot answer for its neighbours under the same domain.
    strictTransportSecurity: { includeSubDomains: false },
  })
  secure(request, response, (error) => {
    if (error !== undefined) throw new Error('helmet', { cause: error })
  })
  return Object.fromEntries(Object.entries(response.getHeaders()).map(([k, v]) => [k, String(v)]))
}
