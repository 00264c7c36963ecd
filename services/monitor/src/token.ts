/**
 * Tokens of owners. Those that change a subscription are 256 random bits, and only their hash is stored.
 * What a link in a mail may do is one thing about one object: its token is made of both with the
 * monitor's secret (HMAC-SHA-256), so that none is stored, and none of them opens anything else.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { fromBase64 } from '@dslog/tlog/bytes'
import { TlogError } from '@dslog/tlog/error'
import { sha256 } from '@dslog/tlog/hash'
import { PRIVATE_FILE, writeFileAtomic } from '@dslog/service/files'
import { TOKEN_BYTES } from '@dslog/service/http/bearer'

/** Bytes of an id: nobody guesses one, though it opens nothing. */
const ID_BYTES = 16

/** 32 bytes in base64url. */
const TOKEN_TEXT = /^[A-Za-z0-9_-]{43}$/

/** A new id: `sub_…`, `ch_…`. */
export function newId(prefix: string): string {
  return `${prefix}_${randomBytes(ID_BYTES).toString('hex')}`
}

/** What is stored of a token; undefined for what is none. */
export function hashToken(token: string): Uint8Array | undefined {
  if (!TOKEN_TEXT.test(token)) return undefined
  return sha256(Buffer.from(token, 'base64url'))
}

/** Whether a token is the one whose hash was stored. Takes as long for every wrong one. */
export function isToken(token: string, stored: Uint8Array | null): boolean {
  const hash = hashToken(token)
  return hash !== undefined && stored?.length === hash.length && timingSafeEqual(hash, stored)
}

/** What a link may do. */
export type LinkPurpose = 'acknowledge' | 'unsubscribe'

/** Makes and checks the tokens of links. */
export class LinkTokens {
  readonly #secret: Uint8Array

  constructor(secret: Uint8Array) {
    if (secret.length !== TOKEN_BYTES) throw new RangeError('the secret has 32 bytes')
    this.#secret = secret
  }

  /** The token of a link that does one thing with one object. */
  make(purpose: LinkPurpose, id: string): string {
    return createHmac('sha256', this.#secret)
      .update(`dslog/link/v1\0${purpose}\0${id}`)
      .digest('base64url')
  }

  check(purpose: LinkPurpose, id: string, token: string): boolean {
    const expected = Buffer.from(this.make(purpose, id))
    const given = Buffer.from(token)
    return given.length === expected.length && timingSafeEqual(given, expected)
  }
}

/** Reads the secret of a monitor, or makes it at the first start. */
export async function openSecret(path: string): Promise<Uint8Array> {
  try {
    const secret = fromBase64((await readFile(path, 'utf8')).trim())
    if (secret.length === TOKEN_BYTES) return secret
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      const secret = Uint8Array.from(randomBytes(TOKEN_BYTES))
      await writeFileAtomic(path, `${Buffer.from(secret).toString('base64')}\n`, {
        mode: PRIVATE_FILE,
      })
      return secret
    }
    if (!(error instanceof TlogError)) throw error
  }
  throw new Error(`${path} does not hold 32 bytes in base64`)
}
