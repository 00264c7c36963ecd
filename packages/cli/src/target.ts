/**
 * A log that a command submits to: a running service over HTTP, or a folder on this machine, opened
 * in this process. Both take the same observations and give the same answers.
 */
import Value from 'typebox/value'
import { nameToText } from '@dslog/dnssec/name'
import type { Name } from '@dslog/dnssec/name'
import { dsToText } from '@dslog/dnssec/records'
import { fromUtf8 } from '@dslog/tlog/bytes'
import type { HttpClient } from '@dslog/tlog/http'
import {
  CheckpointInfo,
  MAX_OBSERVATIONS,
  type Observation,
  type SubmitResult,
  SubmitResults,
  ZoneNames,
} from '@dslog/schema/api'
import { LOG_CONFIG } from '@dslog/log/config'
import { openLoad, openLog, type OpenedLog } from '@dslog/log/main'
import { readConfig } from '@dslog/service/config'
import { createLogger } from '@dslog/service/log'
import { Lifecycle } from '@dslog/service/run'
import { EXIT, Failure } from './failure.ts'
import { prepareFolder } from './folder.ts'
import { LoadTarget } from './load-target.ts'

/** Largest answer to a request of ours, bytes. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024
/** A submission waits for publication on the server; longer than its own limit, ms. */
const SUBMIT_TIMEOUT_MS = 60_000

/** A log that takes observations. */
export interface Target {
  /** Size of the published tree. */
  size(): Promise<number>
  /** Every name of a zone with the DS set in force, in presentation form. */
  states(zone: Name): Promise<Map<string, readonly string[]>>
  /** Submits observations of one kind and time; one result each. */
  submit(observations: readonly Observation[]): Promise<SubmitResult[]>
  close(): Promise<void>
}

/** A running service. */
export class RemoteTarget implements Target {
  readonly #url: string
  readonly #http: HttpClient
  readonly #token: string | undefined

  constructor(url: string, http: HttpClient, token: string | undefined) {
    this.#url = url.replace(/\/+$/, '')
    this.#http = http
    this.#token = token
  }

  async size(): Promise<number> {
    return Value.Parse(CheckpointInfo, await this.#get('/v1/checkpoint')).size
  }

  async states(zone: Name): Promise<Map<string, readonly string[]>> {
    const text = nameToText(zone)
    const path = `/v1/zones/${text === '.' ? '@' : encodeURIComponent(text)}/names`
    const states = new Map<string, readonly string[]>()
    for (let after = ''; ;) {
      const query = after === '' ? '' : `?after=${encodeURIComponent(after)}`
      const page = Value.Parse(ZoneNames, await this.#get(path + query))
      for (const { ds, name } of page.names) states.set(name, ds)
      if (page.next === null) return states
      after = page.next
    }
  }

  async submit(observations: readonly Observation[]): Promise<SubmitResult[]> {
    const results: SubmitResult[] = []
    for (let at = 0; at < observations.length; at += MAX_OBSERVATIONS) {
      const body = { observations: observations.slice(at, at + MAX_OBSERVATIONS) }
      const { body: answer } = await this.#http.request(`${this.#url}/v1/observations`, {
        method: 'POST',
        body: JSON.stringify(body),
        maxBytes: MAX_ANSWER_BYTES,
        timeoutMs: SUBMIT_TIMEOUT_MS,
        headers: {
          'content-type': 'application/json',
          ...(this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` }),
        },
      })
      results.push(...Value.Parse(SubmitResults, JSON.parse(fromUtf8(answer))).results)
    }
    return results
  }

  async close(): Promise<void> {}

  async #get(path: string): Promise<unknown> {
    const { body } = await this.#http.request(this.#url + path, { maxBytes: MAX_ANSWER_BYTES })
    return JSON.parse(fromUtf8(body))
  }
}

/** A folder, in this process. */
export class LocalTarget implements Target {
  readonly #opened: OpenedLog
  readonly #lifecycle: Lifecycle

  private constructor(opened: OpenedLog, lifecycle: Lifecycle) {
    this.#opened = opened
    this.#lifecycle = lifecycle
  }

  /** Opens the log in a folder, and makes an empty one first where there is none. */
  static async open(data: string, env: NodeJS.ProcessEnv): Promise<Target> {
    await prepareFolder(data)
    const { log: config } = readConfig(
      { log: LOG_CONFIG },
      // A tree per submission: nobody else is waiting.
      { ...env, DSLOG_DATA: data, DSLOG_LOG_PUBLISH_INTERVAL: '0ms' },
    )
    const logger = createLogger({ service: 'log', level: 'silent' })
    const load = await openLoad({ config, logger })
    if (load !== undefined) return new LoadTarget(load)
    const opened = await openLog({ config, logger })
    const lifecycle = new Lifecycle([opened.sequencer], logger)
    await lifecycle.start()
    return new LocalTarget(opened, lifecycle)
  }

  async size(): Promise<number> {
    return this.#opened.log.published.size
  }

  async states(zone: Name): Promise<Map<string, readonly string[]>> {
    const states = new Map<string, readonly string[]>()
    for (let after: Name | undefined; ;) {
      const page = await this.#opened.reader.zoneNames(zone, after, 1_000)
      for (const { ds, name } of page.names) states.set(nameToText(name), ds.map(dsToText))
      if (page.next === undefined) return states
      after = page.next
    }
  }

  submit(observations: readonly Observation[]): Promise<SubmitResult[]> {
    return Promise.race([
      this.#opened.admitter.submit(observations),
      this.#lifecycle.failed.then((cause) => {
        throw new Failure(EXIT.service, 'the log has stopped', { cause })
      }),
    ])
  }

  async close(): Promise<void> {
    await this.#lifecycle.stop()
    await this.#opened.close()
  }
}
