/** /healthz, /readyz and /metrics, and the histogram of all requests. */
import fp from 'fastify-plugin'
import type { FastifyInstance, FastifyReply } from 'fastify'
import type { Health, HealthReport } from '../health.ts'
import type { Metrics } from '../metrics.ts'
import { Problem } from '../problem.ts'

/** Whose health and metrics. */
export interface ProbeOptions {
  health: Health
  metrics: Metrics
}

const ROUTE = { schema: { hide: true }, config: { probe: true, rateLimit: false } } as const

/** Registers the probes. */
export default fp(function probes(
  app: FastifyInstance,
  { health, metrics }: ProbeOptions,
  done: () => void,
) {
  app.get('/healthz', ROUTE, async (_request, reply) => report(await health.checkLive(), reply))
  app.get('/readyz', ROUTE, async (_request, reply) => report(await health.checkReady(), reply))
  app.get('/metrics', ROUTE, async (_request, reply) => {
    const { contentType, text } = await metrics.render()
    return reply.header('cache-control', 'no-store').type(contentType).send(text)
  })
  app.addHook('onResponse', (request, reply, next) => {
    const { config, url = 'none' } = request.routeOptions
    if (config.probe !== true) {
      // The pattern of the route, never the path: a label must not grow with the requests.
      const labels = { method: request.method, route: url, status: reply.statusCode }
      metrics.httpSeconds.series(labels).observe(reply.elapsedTime / 1000)
    }
    next()
  })
  done()
})

function report({ ok, checks }: HealthReport, reply: FastifyReply): FastifyReply {
  if (!ok) throw new Problem('unavailable', 'Not every check passes', { extensions: { checks } })
  return reply.header('cache-control', 'no-store').send({ status: 'ok', checks })
}
