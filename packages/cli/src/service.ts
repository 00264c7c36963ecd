/** What the commands that run services share: how they log, and how they end. */
import type { Writable } from 'node:stream'
import { createLogger, type Logger } from '@dslog/service/log'
import type { Component } from '@dslog/service/run'
import { runProcess } from '@dslog/service/run'
import type { LogConfig } from '@dslog/log/config'
import { messageOf, serviceExitCodeOf } from './failure.ts'
import type { Io } from './io.ts'

/** Runs components until a signal or a failure ends the process; resolves when all have started. */
export async function runServices(
  components: readonly Component[],
  logger: Logger,
  { stderr }: Io,
): Promise<void> {
  await runProcess(components, {
    logger,
    onFailure(error) {
      stderr.write(`dslog: ${messageOf(error)}\n`)
      return serviceExitCodeOf(error)
    },
  })
}

/** Work that a signal of the process ends in order, as long as it is watched for. */
export function untilSignal(): { readonly signal: AbortSignal; end(): void } {
  const stopping = new AbortController()
  const onSignal = (): void => stopping.abort()
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal)
  return {
    signal: stopping.signal,
    end: () => void process.off('SIGINT', onSignal).off('SIGTERM', onSignal),
  }
}

/** The log of a service that has the process for itself: standard output is its log. */
export function serviceLogger(service: string, { logLevel }: LogConfig, { stdout }: Io): Logger {
  return createLogger({ service, level: logLevel, destination: lineSink(stdout) })
}

/** The log of services beside a command's own output: on stderr, and only what is wrong, unless asked for. */
export function quietLogger(service: string, { logLevel }: LogConfig, io: Io): Logger {
  const level = io.env['DSLOG_LOG_LEVEL'] === undefined ? 'warn' : logLevel
  return createLogger({ service, level, destination: lineSink(io.stderr) })
}

function lineSink(sink: Writable): { write(line: string): void } {
  return { write: (line) => void sink.write(line) }
}

/** Where a listening server is reached from this machine. */
export function urlOf(host: string, port: number): string {
  const address = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host
  return `http://${address.includes(':') ? `[${address}]` : address}:${port}`
}
