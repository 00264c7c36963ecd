/** Tokens that travel in `Authorization: Bearer …` (RFC 6750 section 2.1). */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Secret } from '../config.ts'

/** Bytes of a token that nobody guesses. */
export const TOKEN_BYTES = 32

/** A new token, in base64url. */
export function newToken(): string {
  return randomBytes(TOKEN_BYTES).toString('base64url')
}

/** The token in an `Authorization` header, if there is one; the scheme in any case (RFC 9110 section 11.1). */
export function bearerOf(header: string | undefined): string | undefined {
  return /^Bearer +(\S.*)$/i.exec(header ?? '')?.[1]
}

/** Whether a token is the one that is kept. How long it takes tells nothing about that; without one none is. */
export function isToken(given: string, kept: Secret | undefined): boolean {
  return kept !== undefined && timingSafeEqual(digest(given), digest(kept.reveal()))
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
