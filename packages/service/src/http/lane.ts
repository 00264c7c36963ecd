/**
 * A lane of its own for answers that hold for everybody: for ever, or until something that they are of is no longer the
 * newest. What a route hands over with its answer is answered the next time before Fastify sees the request. Status and
 * headers are those of the first answer, so that nothing is said twice in the program; what depends on more than path, query
 * and encoding, or is to be refused, goes the usual way.
 *
 * Whoever asks is not counted here: to answer takes less than to count. So nobody's own budget is among the headers, and what
 * is laborious is bounded as before, since the first answer of each kind goes the usual way.
 *
 * Measured with a tile of 8 KiB, in processor time: the usual way takes twice what a bare route of Fastify does, this one as
 * much as that route. Fewer headers make no difference that can be measured; to listen for the end of each answer took a
 * seventh, and to find the series of its duration by a text of the labels a twelfth.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Generations } from '@dslog/tlog/generations'
import type { Series } from '../distribution.ts'
import type { Metrics } from '../metrics.ts'
import type { Outbox } from './outbox.ts'

/** Bytes of answers that hold for ever and are kept: of the tiles that readers are at. */
const KEPT_BYTES = 64 * 2 ** 20

/** Bytes of those that hold for a while: some 8,000 proofs. */
const PASSING_BYTES = 16 * 2 ** 20

/** Paths by which it is known what is asked for again: some 10,000. */
const ASKED_BYTES = 2 * 2 ** 20

/** What a path takes beside its text, about. */
const PATH_BYTES = 100

/** What an answer takes beside its body, about: its headers and its place. */
const HEAD_BYTES = 1024

/** Whether an answer may still be given. Asked each time, so it says so before the next one can be given. */
export type Holds = () => boolean

/** Of answers that never change. */
export const FOR_EVER: Holds = () => true

/** Paths, and those with a query, as we spell them: strangers must not fill the lane with other ways to say the same. */
const PATH = /^[\w./-]+$/
const PATH_AND_QUERY = /^[\w./-]+(\?[\w.=&-]+)?$/

/** Headers that say how much of a client's own budget is left. */
const OF_CLIENT = 'ratelimit-'

/** An answer, whole. */
interface Answer {
  readonly headers: readonly string[]
  readonly body: Uint8Array
  readonly holds: Holds
  /** Whether its path has another for who takes another encoding. */
  readonly varies: boolean
  /** Counts it among those of its route. */
  readonly seconds: Series
}

/** Answers by path and encoding. */
export class Lane {
  readonly #metrics: Metrics
  readonly #outbox: Outbox
  readonly #isOpen: () => boolean
  readonly #plain = answersOf(KEPT_BYTES / 2)
  readonly #gzip = answersOf(KEPT_BYTES / 2)
  /** Those that hold for a while. Apart from the others, since strangers can ask for any number of them. */
  #passing = answersOf(PASSING_BYTES)
  /** Paths of those that were asked for, kept or not. */
  readonly #asked = new Generations<string, string>(
    ASKED_BYTES,
    ({ length }) => length + PATH_BYTES,
  )
  /** Of the newest of them: they are of the same, so they pass together. */
  #holds: Holds = FOR_EVER

  /** @param isOpen whether everything may go this way at present */
  constructor(metrics: Metrics, outbox: Outbox, isOpen: () => boolean) {
    this.#metrics = metrics
    this.#outbox = outbox
    this.#isOpen = isOpen
  }

  /** Puts the lane before a server. */
  open(app: FastifyInstance): void {
    const usual = app.server.listeners('request') as RequestListener[]
    app.server.removeAllListeners('request')
    app.server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      if (this.#answers(request, response)) return
      for (const listener of usual) listener.call(app.server, request, response)
    })
  }

  /**
   * Keeps an answer that is about to be sent, if it is one: the same for everybody, but for its encoding, as long as it
   * holds. What holds for a while comes in one encoding, and all of that holds equally long; it is kept from the second time on
   * that it is asked for, lest whoever asks for each of a million proofs takes the place of those that many ask for.
   */
  keep(
    { raw, routeOptions }: FastifyRequest,
    reply: FastifyReply,
    sent: unknown,
    holds: Holds,
  ): void {
    const { method, url = '' } = raw
    const spelling = holds === FOR_EVER ? PATH : PATH_AND_QUERY
    if (method !== 'GET' || reply.statusCode !== 200 || !spelling.test(url) || !holds()) return
    if (holds !== FOR_EVER) {
      this.#forgetPassed(holds)
      if (!this.#isAskedAgain(url)) return
    }
    const isZipped = reply.getHeader('content-encoding') === 'gzip'
    const kept = holds === FOR_EVER ? (isZipped ? this.#gzip : this.#plain) : this.#passing
    // By who has it, or thinks so, it is asked for in the usual way.
    if (kept.get(url) !== undefined) return
    const body = typeof sent === 'string' ? Buffer.from(sent) : sent
    if (!(body instanceof Uint8Array)) return
    const named = reply.getHeaders()
    const headers = ['content-length', String(body.length)]
    for (const [name, value] of Object.entries(named)) {
      const isKept = name !== 'content-length' && !name.startsWith(OF_CLIENT)
      if (isKept) headers.push(name, String(value))
    }
    const labels = { method, route: routeOptions.url ?? url, status: 200 }
    kept.set(url, {
      headers,
      body,
      holds,
      varies: String(named['vary']).includes('accept-encoding'),
      seconds: this.#metrics.httpSeconds.series(labels),
    })
  }

  #isAskedAgain(path: string): boolean {
    if (this.#asked.get(path) !== undefined) return true
    this.#asked.set(path, path)
    return false
  }

  /** Before another is kept: what has passed would keep all that it was of in memory. */
  #forgetPassed(holds: Holds): void {
    if (!this.#holds()) this.#passing = answersOf(PASSING_BYTES)
    this.#holds = holds
  }

  #answers(request: IncomingMessage, response: ServerResponse): boolean {
    const answer = this.#answerTo(request)
    if (answer === undefined || !answer.holds() || !this.#isOpen()) return false
    const from = performance.now()
    const out = (): void => answer.seconds.observe((performance.now() - from) / 1000)
    response.writeHead(200, answer.headers as string[]).end(answer.body)
    this.#outbox.afterwards(() => {
      // Mostly the system has taken all of it by now; it is a slow reader that is to be waited for.
      if (response.writableFinished || response.socket?.writableLength === 0) out()
      else response.once('finish', out)
    })
    return true
  }

  #answerTo({ headers, method, url = '' }: IncomingMessage): Answer | undefined {
    const isUsual =
      method !== 'GET' ||
      headers['if-none-match'] !== undefined ||
      headers['content-length'] !== undefined ||
      headers['transfer-encoding'] !== undefined
    if (isUsual) return undefined
    const plain = this.#plain.get(url) ?? this.#passing.get(url)
    if (plain?.varies === false || !acceptsGzip(headers['accept-encoding'])) return plain
    return this.#gzip.get(url)
  }
}

function answersOf(bytes: number): Generations<string, Answer> {
  return new Generations(bytes, ({ body }) => body.length + HEAD_BYTES)
}

/** Whether a client understands gzip and has not refused it (RFC 9110 section 12.5.3). */
export function acceptsGzip(header: string | undefined): boolean {
  return /(^|[\s,])(gzip|\*)(?!\s*;\s*q=0(\.0*)?\s*(,|$))/.test(header ?? '')
}
