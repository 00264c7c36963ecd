/**
 * Sheds load when the event loop or the memory of the process is exhausted: 503 with a spread `Retry-After`, at once, rather
 * than every answer late. Probes and metrics are answered always: a supervisor must not kill what is merely busy.
 */
import fp from 'fastify-plugin'
import underPressure from '@fastify/under-pressure'
import type { FastifyInstance } from 'fastify'
import { Problem, spreadRetry } from '../problem.ts'

/** When a process counts as overloaded; 0 turns a limit off. */
export interface PressureLimits {
  /** Mean delay of the event loop, ms. */
  eventLoopDelay: number
  /** Time that the mean is of, ms: long enough for one stall, such as of a machine that is busy, not to be all of it. */
  over: number
  /** Resident memory, bytes. */
  memory: number
}

/** Seconds after which a refused client may come again, before spreading. */
const RETRY = 10

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Answered under pressure, without rate limit, and not in the metrics. */
    probe?: boolean
  }
}

/** Registers the shedding of load. */
export default fp(async function shedLoad(app: FastifyInstance, limits: PressureLimits) {
  await app.register(underPressure, {
    maxEventLoopDelay: limits.eventLoopDelay,
    maxRssBytes: limits.memory,
    sampleInterval: limits.over,
    pressureHandler: async (request, _reply, type) => {
      if (request.routeOptions.config.probe === true) return
      throw new Problem('unavailable', `Overloaded (${type})`, { retryAfter: spreadRetry(RETRY) })
    },
  })
})
