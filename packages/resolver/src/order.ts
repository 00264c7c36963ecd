/**
 * Whom of a zone's servers to ask first: all in random order, so that no one of them bears it all; those that
 * failed of late last, for they may be well again. What is remembered of strangers' servers is bounded.
 */
import { type Name, nameKey } from '@dslog/dnssec/name'
import type { Clock } from '@dslog/service/clock'
import { ExpiringCache } from './cache.ts'
import type { ResolverErrorCode } from './error.ts'
import type { Server } from './exchange.ts'

/** Servers remembered, each with the zone that it failed for. */
const MAX_KEPT = 20_000
/** For how long a server that failed is asked last, in ms. */
const FAILED_MS = 60_000
const LAME_MS = 15 * 60_000

const LAME: ReadonlySet<ResolverErrorCode> = new Set([
  'lame',
  'refused',
  'rcode',
  'forbidden-address',
])

/** See the head of this file. */
export class ServerOrder {
  readonly #now: Clock
  readonly #random: () => number
  readonly #failed = new ExpiringCache<true>(MAX_KEPT)

  /** @param random from 0 up to but not including 1 */
  constructor(now: Clock, random: () => number) {
    this.#now = now
    this.#random = random
  }

  /** The servers of a zone in the order in which to ask them. */
  of(zone: Name, servers: readonly Server[]): Server[] {
    const now = this.#now()
    const isFailed = new Map(servers.map((s) => [s, this.#failed.get(idOf(zone, s), now) === true]))
    return shuffled(servers, this.#random).sort(
      (a, b) => Number(isFailed.get(a)) - Number(isFailed.get(b)),
    )
  }

  /** A server failed for a zone. */
  failed(zone: Name, server: Server, code: ResolverErrorCode): void {
    const ms = LAME.has(code) ? LAME_MS : FAILED_MS
    this.#failed.set(idOf(zone, server), true, this.#now() + ms)
  }
}

function idOf(zone: Name, { address }: Server): string {
  return `${nameKey(zone)} ${address}`
}

/** The same in random order (Fisher and Yates). */
export function shuffled<T>(items: readonly T[], random: () => number): T[] {
  const out = [...items]
  for (let i = out.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1))
    ;[out[i], out[j]] = [out[j]!, out[i]!]
  }
  return out
}
