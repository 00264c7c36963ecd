/** What the demo asks of the services, as anybody would: over HTTP. */
import type { EvidenceList, MonitorStatus } from '@dslog/schema/api'
import type { AlertList, Confirmed, Subscribed } from '@dslog/schema/monitorapi'
import { EXIT, Failure } from '../failure.ts'
import type { Places } from './stage.ts'

/** A subscription, and the token that opens it. */
export interface Subscription {
  readonly id: string
  readonly token: string
}

/** See the head of this file. */
export class Api {
  readonly #places: Places
  readonly #token: string

  /** @param token of the operator */
  constructor(places: Places, token: string) {
    this.#places = places
    this.#token = token
  }

  /** Names that the crawler asks for every ten minutes. */
  async watch(names: readonly string[]): Promise<void> {
    await ask(`${this.#places.crawler}/v1/watch`, 'PUT', { names }, this.#token)
  }

  subscribe(name: string, channel: string): Promise<Subscribed> {
    return ask(`${this.#places.monitor}/v1/subscriptions`, 'POST', { name, channel })
  }

  confirm(id: string, token: string): Promise<Confirmed> {
    return ask(`${this.#places.monitor}/v1/subscriptions/${id}/confirm`, 'POST', { token })
  }

  async alerts({ id, token }: Subscription): Promise<AlertList['alerts']> {
    const url = `${this.#places.monitor}/v1/subscriptions/${id}/alerts`
    return (await ask<AlertList>(url, 'GET', undefined, token)).alerts
  }

  /** How the monitor stands with the log. */
  async status(): Promise<MonitorStatus['logs'][number]> {
    return (await ask<MonitorStatus>(`${this.#places.monitor}/v1/status`)).logs[0]!
  }

  async evidence(): Promise<EvidenceList['evidence']> {
    return (await ask<EvidenceList>(`${this.#places.monitor}/v1/evidence`)).evidence
  }
}

async function ask<T>(url: string, method = 'GET', body?: object, token?: string): Promise<T> {
  const answer = await fetch(url, {
    method,
    headers: {
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  if (answer.ok) return (await answer.json()) as T
  throw new Failure(EXIT.service, `${method} ${url}: ${answer.status} ${await answer.text()}`)
}
