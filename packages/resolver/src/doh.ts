/**
 * Questions to a resolver by HTTPS (RFC 8484): another vantage, behind other networks. CD is set, so that it
 * hands on what it has; nothing it says is believed before its signatures are verified here, so that a
 * resolver that lies can at worst hide something.
 *
 * The id is 0, so that caches on the way see equal requests (§4.1); what ties answer to question is TLS.
 */
import { TlogError } from '@dslog/tlog/error'
import { type Fetch, HttpClient, HttpError } from '@dslog/tlog/http'
import { isLoopback } from '@dslog/service/specialaddress'
import { abortError, firstOf } from './abort.ts'
import { awakeMs, deadlineIn, whenOver } from './awake.ts'
import { ResolverError } from './error.ts'
import type { AskOptions, Exchange, Question, Reply, Server } from './exchange.ts'
import { encodeQuery, questionEnd } from './query.ts'
import { isReplyTo, isTruncated, questionToText, readReply } from './reply.ts'

const MEDIA_TYPE = 'application/dns-message'
/** The largest DNS message, in bytes. */
const MAX_MESSAGE_BYTES = 65_535
/** For a question, in ms in which this process listened (`awake.ts`), with TLS and the resolver's own walk. */
export const DOH_TIMEOUT_MS = 10_000
/** Questions under way at once. */
const MAX_OUTSTANDING = 100
const HTTPS_PORT = 443

/** How to ask by HTTPS. */
export interface DohOptions {
  /** GET can be cached on the way. Default POST. */
  readonly method?: 'GET' | 'POST'
  /** Default: that of the platform. */
  readonly fetch?: Fetch
}

/** Asks the one resolver behind a URL, whatever server is named. */
export class DohExchange implements Exchange {
  /** The resolver, for who needs one to name: its host in place of an address. */
  readonly server: Server
  readonly #url: URL
  readonly #method: 'GET' | 'POST'
  readonly #http: HttpClient
  readonly #closing = new AbortController()
  #outstanding = 0

  /**
   * @param url `https:`, with or without the `{?dns}` of a template; `http:` to this machine only
   * @throws RangeError for any other
   */
  constructor(url: string, options: DohOptions = {}) {
    this.#url = parseUrl(url)
    const { fetch = globalThis.fetch, method = 'POST' } = options
    this.#method = method
    const after = (ms: number, work: () => void): (() => void) => whenOver(deadlineIn(ms), work)
    const edges = { fetch, now: Date.now, random: Math.random, after }
    this.#http = new HttpClient(edges, { retries: 0 })
    const { hostname, port } = this.#url
    this.server = { address: hostname, port: port === '' ? HTTPS_PORT : Number(port) }
  }

  /** @param _server is not looked at: there is but one */
  async ask(_server: Server, question: Question, options: AskOptions = {}): Promise<Reply> {
    const { server } = this
    const { signal, timeout = DOH_TIMEOUT_MS, recursive = true, checkingDisabled = true } = options
    if (this.#outstanding >= MAX_OUTSTANDING) {
      throw new ResolverError('busy', `${MAX_OUTSTANDING} questions are under way`, { server })
    }
    const query = encodeQuery(question, 0, { recursive, checkingDisabled })
    const end = questionEnd(question)
    const given = firstOf(this.#closing.signal, signal)
    const started = performance.now()
    const deadline = deadlineIn(timeout)
    this.#outstanding++
    let bytes: Uint8Array
    try {
      bytes = await this.#exchange(query, timeout, given.signal)
    } catch (cause) {
      if (given.signal.aborted) throw abortError(given.signal, server)
      if (!(cause instanceof TlogError)) throw cause
      throw failureOf(cause, server, awakeMs() >= deadline)
    } finally {
      given.release()
      this.#outstanding--
    }
    const asked = questionToText(question)
    if (!isReplyTo(bytes, query, end, false)) {
      const text = `${server.address} answers another question than ${asked}`
      throw new ResolverError('mismatch', text, { server })
    }
    if (isTruncated(bytes)) {
      throw new ResolverError('truncated', `truncated reply to ${asked}`, { server })
    }
    const rtt = performance.now() - started
    const read = readReply(bytes, end, { question, server, transport: 'https', rtt })
    if (read instanceof ResolverError) throw read
    return read
  }

  close(): Promise<void> {
    this.#closing.abort(new Error('closed'))
    return Promise.resolve()
  }

  async #exchange(query: Uint8Array, timeoutMs: number, signal: AbortSignal): Promise<Uint8Array> {
    const common = { maxBytes: MAX_MESSAGE_BYTES, timeoutMs, signal }
    const headers = { accept: MEDIA_TYPE }
    const url = new URL(this.#url)
    let answer
    if (this.#method === 'GET') {
      url.searchParams.set('dns', Buffer.from(query).toString('base64url'))
      answer = await this.#http.request(url.href, { ...common, headers })
    } else {
      answer = await this.#http.request(url.href, {
        ...common,
        method: 'POST',
        headers: { ...headers, 'content-type': MEDIA_TYPE },
        body: new Uint8Array(query),
      })
    }
    const type = answer.headers.get('content-type') ?? 'nothing'
    if (type.split(';', 1)[0]!.trim().toLowerCase() !== MEDIA_TYPE) {
      throw new TlogError('http', `${url.origin} answers with ${type}, not ${MEDIA_TYPE}`)
    }
    return answer.body
  }
}

function parseUrl(text: string): URL {
  const plain = text.replace(/\{\?dns\}$/, '')
  if (!URL.canParse(plain)) throw new RangeError(`not a URL: ${text}`)
  const url = new URL(plain)
  if (url.username !== '' || url.password !== '') throw new RangeError(`a URL with a user: ${text}`)
  if (url.protocol === 'https:') return url
  if (url.protocol === 'http:' && isLoopback(url.hostname)) return url
  throw new RangeError(`not an https: URL: ${text}`)
}

function failureOf(cause: TlogError, server: Server, isLate: boolean): ResolverError {
  const { message } = cause
  if (cause.code === 'too-large') return new ResolverError('too-large', message, { server, cause })
  if (cause instanceof HttpError || !isLate) {
    return new ResolverError('network', message, { server, cause })
  }
  return new ResolverError('timeout', message, { server, cause })
}
