/** Tokens that travel in `Authorization: Bearer …` (RFC 6750 section 2.1). */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { Secret } from '../config.ts'

/** The token in an `Authorization` header, if there is one. */
export function bearerOf(header: string | undefined): string | undefined {
  return /^Bearer (.+)$/.exec(header ?? '')?.[1]
}

/** Whether a token is the one that is kept. How long it takes tells nothing about that; without one none is. */
export function isToken(given: string, kept: Secret | undefined): boolean {
  return kept !== undefined && timingSafeEqual(digest(given), digest(kept.reveal()))
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
