/**
 * Response headers: what a browser may do with an answer (helmet), who may read it (CORS: everyone, since all that is here is
 * public and tokens travel in a header that pages must set themselves), and validators for caches (ETag).
 */
import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import fp from 'fastify-plugin'
import cors from '@fastify/cors'
import etag from '@fastify/etag'
import helmet from 'helmet'
import type { FastifyInstance, FastifyReply } from 'fastify'

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

/** What a page may do, and who may frame or open it. */
const OF_PAGES = [
  'content-security-policy',
  'cross-origin-opener-policy',
  'origin-agent-cluster',
  'referrer-policy',
  'x-dns-prefetch-control',
  'x-download-options',
  'x-frame-options',
  'x-permitted-cross-domain-policies',
  'x-xss-protection',
] as const

/**
 * For bytes that no browser shows (`application/octet-stream`, and `nosniff` stays): takes off what is about pages, half of
 * the headers, each of which is checked anew for every answer.
 */
export function asBytes(reply: FastifyReply): FastifyReply {
  for (const name of OF_PAGES) reply.removeHeader(name)
  return reply.type('application/octet-stream')
}

/** Registers helmet, CORS and ETag. */
export default fp(async function headers(
  app: FastifyInstance,
  options: { contentPolicy?: ContentPolicy | undefined },
) {
  const secure = securityHeaders(options.contentPolicy ?? CONTENT_POLICY)
  app.addHook('onRequest', (_request, reply, done) => {
    reply.headers(secure)
    done()
  })
  await app.register(cors, {
    origin: '*',
    methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
    exposedHeaders: [
      'etag',
      'location',
      'retry-after',
      'ratelimit-limit',
      'ratelimit-remaining',
      'ratelimit-reset',
    ],
    maxAge: PREFLIGHT_AGE,
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
