/** A running log service as a target of submissions: its limits are kept, and it is waited for. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Static, TSchema } from 'typebox'
import Value from 'typebox/value'
import { fromBase64, fromUtf8 } from '@dslog/tlog/bytes'
import { type HttpClient, HttpError } from '@dslog/tlog/http'
import type { Name } from '@dslog/dnssec/name'
import {
  CheckpointInfo,
  MAX_OBSERVATIONS,
  MAX_SUBMIT_BYTES,
  NameView,
  type Observation,
  type SubmitResult,
  SubmitResults,
  ZoneNames,
} from '@dslog/schema/api'
import { pathOf } from '@dslog/schema/path'
import { EXIT, Failure } from './failure.ts'
import { type SignedDs, signedDsOf, type Target } from './target.ts'

/** Largest answer to a request of ours, bytes. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024
/** Observations in one request, bytes: what surrounds them is small. All of it is ASCII. */
const MAX_ITEM_BYTES = MAX_SUBMIT_BYTES - 1024
/** Answers of a log that has not looked at the evidence yet: too many requests, a full pool. */
const BUSY: ReadonlySet<number> = new Set([429, 503])
/** How often a busy log is asked; with what it tells us to wait, some minutes. */
const MAX_ATTEMPTS = 20
/** Wait where a busy log does not say how long, ms. */
const BUSY_WAIT_MS = 5_000
/** A submission waits for publication on the server; longer than its own limit, ms. */
const SUBMIT_TIMEOUT_MS = 60_000

/** See the head of this file. */
export class RemoteTarget implements Target {
  readonly #url: string
  readonly #http: HttpClient
  readonly #token: string | undefined

  constructor(url: string, http: HttpClient, token: string | undefined) {
    this.#url = url
    this.#http = http
    this.#token = token
  }

  async size(): Promise<number> {
    return (await this.#get('/v1/checkpoint', CheckpointInfo)).size
  }

  async states(zone: Name): Promise<Map<string, readonly string[]>> {
    const path = `/v1/zones/${pathOf(zone)}/names`
    const states = new Map<string, readonly string[]>()
    for (let after = ''; ;) {
      const query = after === '' ? '' : `?after=${encodeURIComponent(after)}`
      const page = await this.#get(path + query, ZoneNames)
      for (const { ds, name } of page.names) states.set(name, ds)
      if (page.next === null) return states
      after = page.next
    }
  }

  async delegation(name: Name): Promise<SignedDs | undefined> {
    const { history } = await this.#get(`/v1/names/${pathOf(name)}`, NameView)
    return signedDsOf(history.map(({ raw }) => fromBase64(raw)))
  }

  async submit(observations: readonly Observation[]): Promise<SubmitResult[]> {
    const results: SubmitResult[] = []
    for (const body of bodiesOf(observations)) {
      const page = read(SubmitResults, await this.#post(body)).results
      if (page.some(({ status }) => status === 'accepted')) {
        throw new Failure(
          EXIT.service,
          'the log is slow to publish: import again later, nothing is added twice',
        )
      }
      results.push(...page)
    }
    return results
  }

  async close(): Promise<void> {}

  /** Waits where the log asks for it; any other failure may have come after the log took the evidence. */
  async #post(body: string): Promise<Uint8Array> {
    const token = this.#token
    for (let attempt = 1; ; attempt++) {
      try {
        const answer = await this.#http.request(`${this.#url}/v1/observations`, {
          method: 'POST',
          body,
          maxBytes: MAX_ANSWER_BYTES,
          timeoutMs: SUBMIT_TIMEOUT_MS,
          headers: {
            'content-type': 'application/json',
            ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          },
        })
        return answer.body
      } catch (error) {
        if (!(error instanceof HttpError) || !BUSY.has(error.status)) throw error
        if (attempt === MAX_ATTEMPTS) throw error
        await sleep(error.retryAfterMs ?? BUSY_WAIT_MS)
      }
    }
  }

  async #get<T extends TSchema>(path: string, schema: T): Promise<Static<T>> {
    const { body } = await this.#http.request(this.#url + path, { maxBytes: MAX_ANSWER_BYTES })
    return read(schema, body)
  }
}

/** Requests that stay within the limits of the log, in order. */
function* bodiesOf(observations: readonly Observation[]): Generator<string> {
  let items: string[] = []
  let bytes = 0
  for (const observation of observations) {
    const item = JSON.stringify(observation)
    if (items.length === MAX_OBSERVATIONS || bytes + item.length > MAX_ITEM_BYTES) {
      yield `{"observations":[${items.join()}]}`
      items = []
      bytes = 0
    }
    items.push(item)
    bytes += item.length + 1
  }
  if (items.length > 0) yield `{"observations":[${items.join()}]}`
}

function read<T extends TSchema>(schema: T, body: Uint8Array): Static<T> {
  try {
    return Value.Parse(schema, JSON.parse(fromUtf8(body)))
  } catch (cause) {
    throw new Failure(EXIT.service, 'the log answered with something else than what was asked', {
      cause,
    })
  }
}
