/** Giving up on demand. One signal ends many questions at once: a service that stops. */
import { setMaxListeners } from 'node:events'
import { ResolverError } from './error.ts'
import type { Server } from './exchange.ts'

const NOTHING = (): void => {}

/** Calls `work` when the signal is aborted; what it gives back takes that back. */
export function onAbort(signal: AbortSignal | undefined, work: () => void): () => void {
  if (signal === undefined) return NOTHING
  // Node warns of a leak at eleven.
  setMaxListeners(0, signal)
  signal.addEventListener('abort', work)
  return () => signal.removeEventListener('abort', work)
}

/** What who gave up is told. */
export function abortError(signal: AbortSignal | undefined, server?: Server): ResolverError {
  const cause: unknown = signal?.reason
  const options = server === undefined ? { cause } : { cause, server }
  return new ResolverError('aborted', 'given up', options)
}

/**
 * A signal that is aborted with the first of others. `release` lets go of them, who may live for months: what
 * `AbortSignal.any` makes of one stays in memory as long as that, 2 kB each (Node 20).
 */
export function firstOf(...signals: readonly (AbortSignal | undefined)[]): {
  readonly signal: AbortSignal
  readonly release: () => void
} {
  const controller = new AbortController()
  const releases = signals.map((signal) => {
    if (signal?.aborted === true) controller.abort(signal.reason)
    return onAbort(signal, () => controller.abort(signal?.reason))
  })
  return {
    signal: controller.signal,
    release: () => releases.forEach((release) => release()),
  }
}
