/**
 * The little of HTTP that reading a log and talking to a witness take, over an injected `fetch`: a limit on the size of
 * the answer, enforced while it streams in and after decompression; a time limit for each attempt; a few retries after
 * network errors, 429 and 5xx, which wait as long as `Retry-After` asks, with jitter; redirects only within the origin,
 * because a log's operator must not be able to point a server at its own neighbours.
 *
 * Whatever goes wrong is a TlogError: `network`, `too-large`, or an {@link HttpError} with the status and, if the server
 * sent one, the problem detail (RFC 9457). Only the caller's own abort throws the caller's own reason.
 */
import { fromUtf8, parseDecimal } from './bytes.ts'
import { TlogError } from './error.ts'

/** `fetch`, or what stands in for it. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>

/** What the world provides. */
export interface HttpEdges {
  readonly fetch: Fetch
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number
  /** From 0 up to but not including 1. */
  readonly random: () => number
  /** Waits; by default a timer. Rejects if the signal aborts. */
  readonly sleep?: (ms: number, signal: AbortSignal | undefined) => Promise<void>
  /** Calls `work` when an attempt has had its time; what it gives back takes that back. By default a timer. */
  readonly after?: (ms: number, work: () => void) => () => void
}

/** How patient a client is. */
export interface HttpOptions {
  /** Time for one attempt, from the request to the last byte of the answer. Default {@link DEFAULT_TIMEOUT_MS}. */
  readonly timeoutMs?: number
  /** Attempts after the first. Default {@link DEFAULT_RETRIES} for GET, none for others. */
  readonly retries?: number
  /** Sent with every request. */
  readonly headers?: Readonly<Record<string, string>>
}

/** One request. */
export interface HttpRequest extends HttpOptions {
  /** Default GET. */
  readonly method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  readonly body?: string | Uint8Array<ArrayBuffer>
  /** Largest body of a good answer, in bytes, decompressed. Beyond it: TlogError `too-large`. */
  readonly maxBytes: number
  /** Not from any cache on this side. */
  readonly fresh?: boolean
  /** The caller's own end. */
  readonly signal?: AbortSignal
}

/** A good answer: 200 to 299. */
export interface HttpAnswer {
  readonly status: number
  readonly headers: Headers
  readonly body: Uint8Array
}

/** What an `application/problem+json` body said (RFC 9457). */
export interface ProblemDetail {
  readonly type?: string
  readonly title?: string
  readonly detail?: string
}

/** Time for one attempt: a full entry bundle of 16 MiB arrives within it at 5 Mbit/s. */
export const DEFAULT_TIMEOUT_MS = 30_000

/** Attempts after the first, for GET. With the delays below this rides out a restart, not an outage. */
export const DEFAULT_RETRIES = 3

/** First delay before a retry; it doubles each time. */
export const RETRY_DELAY_MS = 500

/** Longest `Retry-After` that is waited for; a server that asks for more has said no. */
export const MAX_RETRY_AFTER_MS = 60_000

/** Redirects followed within the origin. Tiles need none; a trailing slash may take one. */
export const MAX_REDIRECTS = 3

/** What is repeated of a server's own words in an error, in characters: some sentences. */
const MAX_SAID_CHARS = 500

/** What is kept of the body of a bad answer, in bytes. */
export const MAX_ERROR_BODY_BYTES = 65_536

const TOO_MANY_REQUESTS = 429
const MS_PER_SECOND = 1000

/** An answer with another status than 2xx. */
export class HttpError extends TlogError {
  declare readonly status: number
  readonly contentType: string
  /** Its first 64 KiB. */
  readonly body: Uint8Array
  readonly problem: ProblemDetail | undefined
  /** How long the server asks us to wait, in milliseconds. */
  readonly retryAfterMs: number | undefined

  constructor(url: string, answer: HttpAnswer, retryAfterMs?: number) {
    const contentType = answer.headers.get('content-type') ?? ''
    const problem = problemIn(contentType, answer.body)
    const location = answer.headers.get('location')
    const elsewhere = location === null ? undefined : `a redirect to ${location}, not followed`
    const said = (problem?.detail ?? problem?.title ?? elsewhere)?.slice(0, MAX_SAID_CHARS)
    super('http', `${url} answered ${answer.status}${said === undefined ? '' : `: ${said}`}`, {
      status: answer.status,
    })
    this.name = 'HttpError'
    this.contentType = contentType
    this.body = answer.body
    this.problem = problem
    this.retryAfterMs = retryAfterMs
  }
}

/** A URL as a prefix of paths: without a slash at its end. */
export function withoutSlash(url: string): string {
  let end = url.length
  while (url[end - 1] === '/') end--
  return url.slice(0, end)
}

/** Whether an error says that what was asked for is not there: 404, or 410 for good. */
export function isNotFound(error: unknown): boolean {
  return error instanceof HttpError && (error.status === 404 || error.status === 410)
}

/** An HTTP client; see the head of this file. */
export class HttpClient {
  readonly #edges: HttpEdges
  readonly #options: HttpOptions

  constructor(edges: HttpEdges, options: HttpOptions = {}) {
    this.#edges = edges
    this.#options = options
  }

  /** The time, in milliseconds since the Unix epoch. */
  now(): number {
    return this.#edges.now()
  }

  /** Waits, in milliseconds; rejects when the signal ends it. */
  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    await (this.#edges.sleep ?? sleep)(ms, signal)
  }

  /** Sends a request, more than once if need be, and returns the good answer. */
  async request(url: string, request: HttpRequest): Promise<HttpAnswer> {
    const { method = 'GET', signal } = request
    const retries =
      request.retries ?? (method === 'GET' ? (this.#options.retries ?? DEFAULT_RETRIES) : 0)
    for (let attempt = 0; ; attempt++) {
      signal?.throwIfAborted()
      try {
        return await this.#attempt(url, request)
      } catch (error) {
        signal?.throwIfAborted()
        const delay = attempt < retries ? this.#delayAfter(error, attempt) : undefined
        if (delay === undefined) throw error
        await this.sleep(delay, signal)
      }
    }
  }

  /** The delay before another attempt, or undefined if there is no point in one. */
  #delayAfter(error: unknown, attempt: number): number | undefined {
    const backoff = RETRY_DELAY_MS * 2 ** attempt * this.#edges.random()
    if (!(error instanceof HttpError)) {
      return error instanceof TlogError && error.code === 'network' ? backoff : undefined
    }
    if (error.status !== TOO_MANY_REQUESTS && error.status < 500) return undefined
    const asked = error.retryAfterMs ?? 0
    // The jitter comes on top: all who were sent away together must not come back together.
    return asked <= MAX_RETRY_AFTER_MS ? asked + backoff : undefined
  }

  async #attempt(url: string, request: HttpRequest): Promise<HttpAnswer> {
    const timeoutMs = request.timeoutMs ?? this.#options.timeoutMs ?? DEFAULT_TIMEOUT_MS
    const end = new AbortController()
    const stop = (): void => end.abort()
    const inTime = (this.#edges.after ?? timer)(timeoutMs, stop)
    request.signal?.addEventListener('abort', stop)
    try {
      return await this.#exchange(url, request, end.signal)
    } catch (cause) {
      if (cause instanceof TlogError) throw cause
      const what = end.signal.aborted ? `no answer within ${timeoutMs} ms` : noConnection(cause)
      throw new TlogError('network', `${url}: ${what}`, { cause })
    } finally {
      inTime()
      request.signal?.removeEventListener('abort', stop)
    }
  }

  async #exchange(url: string, request: HttpRequest, signal: AbortSignal): Promise<HttpAnswer> {
    const { method = 'GET' } = request
    const init: RequestInit = {
      method,
      headers: { ...this.#options.headers, ...request.headers },
      redirect: 'manual',
      credentials: 'omit',
      signal,
      ...(request.body === undefined ? {} : { body: request.body }),
      ...(request.fresh === true ? { cache: 'no-store' } : {}),
    }
    let at = url
    for (let redirects = 0; ; redirects++) {
      const response = await this.#edges.fetch(at, init)
      if (response.ok) return await answerOf(response, request.maxBytes, 'refuse')
      const answer = await answerOf(response, MAX_ERROR_BODY_BYTES, 'cut')
      const next =
        method === 'GET' && redirects < MAX_REDIRECTS ? nextWithin(at, answer) : undefined
      if (next === undefined) throw new HttpError(at, answer, this.#retryAfterMs(answer))
      at = next
    }
  }

  // Retry-After, RFC 9110 section 10.2.3: seconds, or a date.
  #retryAfterMs(answer: HttpAnswer): number | undefined {
    const text = answer.headers.get('retry-after')
    if (text === null) return undefined
    const seconds = parseDecimal(text)
    if (seconds !== undefined) return seconds * MS_PER_SECOND
    const date = Date.parse(text)
    return Number.isNaN(date) ? undefined : Math.max(0, date - this.#edges.now())
  }
}

// What Node says of a name, a port or a certificate is in the cause of what `fetch` throws; browsers say nothing.
function noConnection(error: unknown): string {
  const reason = error instanceof Error && error.cause instanceof Error ? error.cause : undefined
  // Attempts at several addresses at once fail without words of their own, but with a code.
  if (reason === undefined) return 'no connection'
  const { code, message } = reason as Error & { readonly code?: unknown }
  const tls = /:SSL routines:[^:]*:([^:]+):/.exec(message)?.[1]
  const spoken = tls === undefined ? message : `TLS: ${tls}`
  const words = spoken === '' && typeof code === 'string' ? code : spoken
  return words === '' ? 'no connection' : `no connection: ${words}`
}

// Where a redirect leads, if it stays within the origin. A browser does not show where; then it is not followed.
function nextWithin(url: string, answer: HttpAnswer): string | undefined {
  const location = answer.headers.get('location')
  if (answer.status < 300 || answer.status > 399 || location === null) return undefined
  if (!URL.canParse(location, url)) return undefined
  const next = new URL(location, url)
  return next.origin === new URL(url).origin ? next.href : undefined
}

async function answerOf(
  response: Response,
  maxBytes: number,
  beyond: 'refuse' | 'cut',
): Promise<HttpAnswer> {
  const chunks: Uint8Array[] = []
  let length = 0
  const reader = response.body?.getReader()
  while (reader !== undefined) {
    const { done, value } = await reader.read()
    if (done) break
    chunks.push(value)
    length += value.length
    if (length <= maxBytes) continue
    // Not awaited: a peer that never stops sending must not keep us either.
    reader.cancel().catch(() => undefined)
    if (beyond === 'cut') break
    throw new TlogError('too-large', `${response.url} sends more than ${maxBytes} bytes`)
  }
  const body = new Uint8Array(Math.min(length, maxBytes))
  let at = 0
  for (const chunk of chunks) {
    body.set(chunk.subarray(0, maxBytes - at), at)
    at += Math.min(chunk.length, maxBytes - at)
  }
  return { status: response.status, headers: response.headers, body }
}

function problemIn(contentType: string, body: Uint8Array): ProblemDetail | undefined {
  if (!/^application\/problem\+json\s*(?:;|$)/i.test(contentType)) return undefined
  try {
    const parsed: unknown = JSON.parse(fromUtf8(body))
    if (typeof parsed !== 'object' || parsed === null) return undefined
    const problem: { -readonly [K in keyof ProblemDetail]: ProblemDetail[K] } = {}
    for (const field of ['type', 'title', 'detail'] as const) {
      const value: unknown = Reflect.get(parsed, field)
      if (typeof value === 'string') problem[field] = value
    }
    return problem
  } catch {
    // A body that is not what it says is no problem detail; the status still stands.
    return undefined
  }
}

function timer(ms: number, work: () => void): () => void {
  const timeout = setTimeout(work, ms)
  return () => clearTimeout(timeout)
}

function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const finish = (): void => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', finish)
      if (signal?.aborted === true) reject(signal.reason)
      else resolve()
    }
    const timer = setTimeout(finish, ms)
    signal?.addEventListener('abort', finish)
  })
}
