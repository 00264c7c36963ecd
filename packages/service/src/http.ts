/**
 * The HTTP server of a service, without its routes: everything that api.md promises of all of them. A thin file per plugin
 * lies in http/. `buildHttp` opens no socket, so tests talk to it with `inject`; `httpComponent` makes it a part of a
 * process.
 *
 * Values are taken as they are: Ajv coerces nothing, removes nothing, and stops at the first fault, since a body of 8 MiB
 * could have millions. Integers in query and path: http/query.ts.
 */
import Fastify, { LogController } from 'fastify'
import type {
  FastifyBaseLogger,
  FastifyInstance,
  RawReplyDefaultExpression,
  RawRequestDefaultExpression,
  RawServerDefault,
} from 'fastify'
import type { Socket } from 'node:net'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import { clientErrorHandler, errorHandler, notFoundHandler } from './http/errors.ts'
import headers from './http/headers.ts'
import type { ContentPolicy } from './http/headers.ts'
import { type Holds, Lane } from './http/lane.ts'
import openapi from './http/openapi.ts'
import type { ApiInfo } from './http/openapi.ts'
import { Outbox } from './http/outbox.ts'
import endPipelines from './http/pipeline.ts'
import pressure from './http/pressure.ts'
import type { PressureLimits } from './http/pressure.ts'
import probes from './http/probes.ts'
import strictQuery from './http/query.ts'
import limitRate from './http/rate-limit.ts'
import type { RateLimit } from './http/rate-limit.ts'
import type { Health } from './health.ts'
import type { Logger } from './log.ts'
import type { Metrics } from './metrics.ts'
import { Problem } from './problem.ts'
import type { Component } from './run.ts'

/** A server whose routes are typed by their TypeBox schemas. */
export type Http = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>

declare module 'fastify' {
  interface FastifyInstance {
    /** Aborted when the server begins to close: for answers without an end, such as event streams. */
    stopping: AbortSignal
  }
  interface FastifyReply {
    /** Set by a route whose answer is the same for everybody: how long. */
    holds: Holds | undefined
  }
}

/** What a server is made of. Limits have defaults that suit a public service. */
export interface HttpOptions {
  info: ApiInfo
  logger: Logger
  health: Health
  metrics: Metrics
  /** Largest body, bytes; routes may set their own `bodyLimit`. */
  bodyLimit?: number
  /** Time for a whole request to arrive, ms. */
  requestTimeout?: number
  /** Addresses or networks of the proxies whose `X-Forwarded-For` is believed; none by default. */
  trustProxy?: readonly string[]
  /** `false` turns it off. */
  rateLimit?: RateLimit | false
  /** `false` turns it off. */
  pressure?: PressureLimits | false
  /** Replaces the default Content-Security-Policy. */
  contentPolicy?: ContentPolicy
}

/** Most bodies are a few hundred bytes; routes that take evidence say so themselves. */
const BODY_LIMIT = 1 << 20

/** 8 MiB of evidence over a line of 2 Mbit/s, ms. */
const REQUEST_TIMEOUT = 60_000

/** Longer than the idle time-out of common proxies (60 s), so that it is the proxy that closes, ms. */
const KEEP_ALIVE = 72_000

/** A domain name of 255 octets, each of them written as %5CDDD. */
const PARAMETER_LENGTH = 255 * 6

/** Time for answers under way to end when the service stops, ms: less than a component has for stopping. */
const DRAIN_LIMIT = 15_000

const RATE_LIMIT: RateLimit = { max: 600, window: 60_000 }

const PRESSURE: PressureLimits = { eventLoopDelay: 1_000, over: 5_000, memory: 0 }

/** A server with all its plugins; add routes, then `inject` or `listen`. */
export async function buildHttp(options: HttpOptions): Promise<Http> {
  const logger: FastifyBaseLogger = options.logger
  const app = Fastify({
    loggerInstance: logger,
    // A line per request belongs to the proxy; errors are logged at the edge.
    logController: new LogController({ disableRequestLogging: true }),
    // Nor is a logger made for each: who has something to say says of which request.
    childLoggerFactory: () => logger,
    bodyLimit: options.bodyLimit ?? BODY_LIMIT,
    requestTimeout: options.requestTimeout ?? REQUEST_TIMEOUT,
    keepAliveTimeout: KEEP_ALIVE,
    routerOptions: { maxParamLength: PARAMETER_LENGTH },
    trustProxy: [...(options.trustProxy ?? [])],
    ajv: {
      customOptions: {
        coerceTypes: false,
        removeAdditional: false,
        useDefaults: true,
        allErrors: false,
      },
    },
    // Closing is answered below, as a problem.
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    clientErrorHandler,
    frameworkErrors: (error, request, reply) => void errorHandler(error, request, reply),
  }).withTypeProvider<TypeBoxTypeProvider>()

  app.setErrorHandler(errorHandler)
  await app.register(endPipelines)
  refuseWhenStopping(app)
  if (options.pressure !== false) await app.register(pressure, options.pressure ?? PRESSURE)
  const outbox = new Outbox()
  const lane = new Lane(options.metrics, outbox, () => {
    return !app.stopping.aborted && (options.pressure === false || !app.isUnderPressure())
  })
  lane.open(app)
  outbox.open(app.server)
  await app.register(headers, { contentPolicy: options.contentPolicy })
  app.decorateReply('holds', undefined)
  // After the headers: what is kept is kept with all of them.
  app.addHook('onSend', (request, reply, body, done) => {
    if (reply.holds !== undefined) lane.keep(request, reply, body, reply.holds)
    done()
  })
  if (options.rateLimit !== false) await app.register(limitRate, options.rateLimit ?? RATE_LIMIT)
  // Whoever tries paths is counted like everyone else.
  app.setNotFoundHandler(
    options.rateLimit === false ? {} : { preHandler: app.rateLimit() },
    notFoundHandler,
  )
  await app.register(strictQuery)
  await app.register(openapi, options.info)
  await app.register(probes, { health: options.health, metrics: options.metrics })
  return app
}

function refuseWhenStopping(app: Http): void {
  const stopping = new AbortController()
  app.decorate('stopping', stopping.signal)
  const sockets = new Set<Socket>()
  app.server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  app.addHook('preClose', (done) => {
    stopping.abort()
    // Browsers open connections before they need them; to Node one without a request is not idle.
    for (const socket of sockets) if (socket.bytesRead === 0) socket.destroy()
    setTimeout(() => app.server.closeAllConnections(), DRAIN_LIMIT).unref()
    done()
  })
  // Hooks of all answers make no promises: one costs as much as the rest of the hook.
  app.addHook('onRequest', (_request, reply, done) => {
    if (!stopping.signal.aborted) return done()
    reply.header('connection', 'close')
    done(new Problem('unavailable', 'The service is stopping', { retryAfter: 1 }))
  })
  // Closing ends idle connections once; those that were busy then must not be kept alive after their answer.
  app.addHook('onResponse', (_request, _reply, done) => {
    if (stopping.signal.aborted) setImmediate(() => app.server.closeIdleConnections())
    done()
  })
}

/** The server as a part of a process: listens when it starts; stops being ready, then closes, when it stops. */
export function httpComponent(
  app: Http,
  options: { health: Health; host: string; port: number },
): Component {
  return {
    name: 'http',
    async start() {
      await app.listen({ host: options.host, port: options.port })
    },
    async stop() {
      options.health.stopping()
      await app.close()
    },
  }
}
