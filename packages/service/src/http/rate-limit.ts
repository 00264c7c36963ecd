/**
 * So many requests per source and time window (draft-ietf-httpapi-ratelimit-headers): an IPv4 address or an IPv6 /64, since
 * one subscriber has a whole /64. Routes set their own with `config: { rateLimit: { max, timeWindow } }`, or `false`.
 */
import fp from 'fastify-plugin'
import rateLimit from '@fastify/rate-limit'
import type { FastifyContextConfig, FastifyInstance } from 'fastify'
import { Problem } from '../problem.ts'

/** How many requests one source may make. */
export interface RateLimit {
  /** Requests in a window. */
  max: number
  /** Length of the window, ms. */
  window: number
}

/** Sources remembered at a time: some 100 bytes each. Beyond it the oldest are forgotten, and start afresh. */
const SOURCES = 20_000

/** IPv6 prefix that counts as one source. */
const IPV6_PREFIX = 64

/** Registers the limit of all routes that have none of their own. */
export default fp(async function limitRate(app: FastifyInstance, options: RateLimit) {
  await app.register(rateLimit, {
    max: options.max,
    timeWindow: options.window,
    cache: SOURCES,
    ipv6Subnet: IPV6_PREFIX,
    enableDraftSpec: true,
    errorResponseBuilder: (_request, { max, ttl }) =>
      new Problem(
        'too-many-requests',
        `More than ${max} requests; wait ${Math.ceil(ttl / 1000)} s`,
      ),
  })
})

/** The `config` of a route with a limit of its own. */
export function limitedTo({ max, window }: RateLimit): FastifyContextConfig {
  return { rateLimit: { max, timeWindow: window } }
}
