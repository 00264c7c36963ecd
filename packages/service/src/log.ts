/**
 * The log of a process: one JSON object a line (pino). Secrets do not get here: configuration keeps them wrapped, headers are
 * not logged, and of a request's URL only the path is, because a query can hold a token.
 */
import { pino } from 'pino'
import type { DestinationStream, Logger as PinoLogger } from 'pino'
import type { LOG_LEVELS } from './config.ts'

/** What every part of a service logs to. */
export type Logger = PinoLogger

/** A logger whose lines carry `service`; on standard output unless told otherwise. */
export function createLogger(options: {
  service: string
  level?: (typeof LOG_LEVELS)[number]
  destination?: DestinationStream
}): Logger {
  return pino(
    {
      level: options.level ?? 'info',
      base: { service: options.service },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: {
        req: (request: { id: string; method: string; url: string; ip: string }) => ({
          id: request.id,
          method: request.method,
          path: request.url.split('?', 1)[0],
          remote: request.ip,
        }),
      },
    },
    // Synchronous: the last lines before a crash are the ones that matter.
    options.destination ?? pino.destination({ fd: 1, sync: true }),
  )
}
