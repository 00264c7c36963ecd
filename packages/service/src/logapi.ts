/**
 * The HTTP API of a log, as those use it who bring evidence: what it holds, and submissions within its
 * limits. A busy log is waited for as it asks, within reason. What it says is taken for what it is, the
 * word of the log: whoever wants proof uses @dslog/tlog/client.
 */
import type { Static, TSchema } from 'typebox'
import { readAhead } from '@dslog/tlog/ahead'
import { MAX_BUNDLE_BYTES } from '@dslog/tlog/client'
import { type HttpClient, HttpError, MAX_RETRY_AFTER_MS } from '@dslog/tlog/http'
import { bundlePath, decodeBundle, TILE_WIDTH, tileWidth } from '@dslog/tlog/tile'
import type { Name } from '@dslog/dnssec/name'
import {
  CheckpointInfo,
  LogInfo,
  MAX_OBSERVATIONS,
  MAX_SUBMIT_BYTES,
  NameView,
  type Observation,
  type SubmitResult,
  SubmitResults,
  ZoneNames,
} from '@dslog/schema/api'
import { decodeEntry, type Entry } from '@dslog/schema/entry'
import { pathOf } from '@dslog/schema/path'
import { AnswerError, readAnswer } from './answer.ts'

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

/** An entry, and where it is in the log. */
export interface LoggedEntry {
  readonly index: number
  readonly entry: Entry
}

/** See the head of this file. */
export class LogApi {
  readonly url: string
  readonly #http: HttpClient
  readonly #token: string | undefined

  /** @param token the operator's, for evidence of the past */
  constructor(url: string, http: HttpClient, token?: string) {
    this.url = url
    this.#http = http
    this.#token = token
  }

  info(signal?: AbortSignal): Promise<LogInfo> {
    return this.#get('/v1/log', LogInfo, signal)
  }

  checkpoint(signal?: AbortSignal): Promise<CheckpointInfo> {
    return this.#get('/v1/checkpoint', CheckpointInfo, signal)
  }

  /** State and history of a name. */
  name(name: Name, signal?: AbortSignal): Promise<NameView> {
    return this.#get(`/v1/names/${pathOf(name)}`, NameView, signal)
  }

  /**
   * Entries [from, to) of a tree that the log has published, in order, as many at once as a bundle holds.
   * Bundles are files, which any number of readers may fetch as fast as they can: no request is counted.
   */
  async *entries(from: number, to: number, signal?: AbortSignal): AsyncGenerator<LoggedEntry[]> {
    if (from === to) return
    const bundles = readAhead(
      Math.floor(from / TILE_WIDTH),
      Math.ceil(to / TILE_WIDTH),
      (index, ending) => this.#bundle(index, tileWidth(to, 0, index), ending),
      { signal },
    )
    for await (const bundle of bundles) yield bundle.filter(({ index }) => index >= from)
  }

  async #bundle(index: number, width: number, signal: AbortSignal): Promise<LoggedEntry[]> {
    const url = `${this.url}/${bundlePath({ index, width })}`
    const { body } = await this.#http.request(url, { maxBytes: MAX_BUNDLE_BYTES, signal })
    try {
      const entries = decodeBundle(body, width).map((bytes) => decodeEntry(bytes))
      return entries.map((entry, i) => ({ index: index * TILE_WIDTH + i, entry }))
    } catch (cause) {
      throw new AnswerError(`bundle ${index} of the log is none`, { cause })
    }
  }

  /** Every name of a zone with the DS set in force, in presentation form. */
  async states(zone: Name, signal?: AbortSignal): Promise<Map<string, readonly string[]>> {
    const path = `/v1/zones/${pathOf(zone)}/names`
    const states = new Map<string, readonly string[]>()
    for (let after = ''; ;) {
      const query = after === '' ? '' : `?after=${encodeURIComponent(after)}`
      const page = await this.#get(path + query, ZoneNames, signal)
      for (const { ds, name } of page.names) states.set(name, ds)
      if (page.next === null) return states
      after = page.next
    }
  }

  /** Submits observations, in as many requests as it takes; one result each, in order. */
  async submit(
    observations: readonly Observation[],
    signal?: AbortSignal,
  ): Promise<SubmitResult[]> {
    const results: SubmitResult[] = []
    for (const body of bodiesOf(observations)) {
      const answer = await this.#post(body, signal)
      results.push(...readAnswer(this.url, SubmitResults, answer).results)
    }
    if (results.length !== observations.length) {
      throw new AnswerError('the log has not answered for each observation')
    }
    return results
  }

  /** Waits where the log asks for it; any other failure may have come after the log took the evidence. */
  async #post(body: string, signal: AbortSignal | undefined): Promise<Uint8Array> {
    const token = this.#token
    for (let attempt = 1; ; attempt++) {
      try {
        const answer = await this.#http.request(`${this.url}/v1/observations`, {
          method: 'POST',
          body,
          maxBytes: MAX_ANSWER_BYTES,
          timeoutMs: SUBMIT_TIMEOUT_MS,
          headers: {
            'content-type': 'application/json',
            ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          },
          ...(signal === undefined ? {} : { signal }),
        })
        return answer.body
      } catch (error) {
        if (!(error instanceof HttpError) || !BUSY.has(error.status)) throw error
        if (attempt === MAX_ATTEMPTS) throw error
        const asked = error.retryAfterMs ?? BUSY_WAIT_MS
        await this.#http.sleep(Math.min(asked, MAX_RETRY_AFTER_MS), signal)
      }
    }
  }

  async #get<T extends TSchema>(
    path: string,
    schema: T,
    signal: AbortSignal | undefined,
  ): Promise<Static<T>> {
    const { body } = await this.#http.request(this.url + path, {
      maxBytes: MAX_ANSWER_BYTES,
      ...(signal === undefined ? {} : { signal }),
    })
    return readAnswer(this.url + path, schema, body)
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
