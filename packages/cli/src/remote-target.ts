/** A running log service as a target of submissions: its limits are kept, and it is waited for. */
import { fromBase64 } from '@dslog/tlog/bytes'
import type { HttpClient } from '@dslog/tlog/http'
import type { Name } from '@dslog/dnssec/name'
import type { Observation, SubmitResult } from '@dslog/schema/api'
import { LogApi } from '@dslog/service/logapi'
import { EXIT, Failure } from './failure.ts'
import { type SignedDs, signedDsOf, type Target } from './target.ts'

/** See the head of this file. */
export class RemoteTarget implements Target {
  readonly #api: LogApi

  constructor(url: string, http: HttpClient, token: string | undefined) {
    this.#api = new LogApi(url, http, token)
  }

  async size(): Promise<number> {
    return (await this.#api.checkpoint()).size
  }

  states(zone: Name): Promise<Map<string, readonly string[]>> {
    return this.#api.states(zone)
  }

  async delegation(name: Name): Promise<SignedDs | undefined> {
    const { history } = await this.#api.name(name)
    return signedDsOf(history.map(({ raw }) => fromBase64(raw)))
  }

  async submit(observations: readonly Observation[]): Promise<SubmitResult[]> {
    const results = await this.#api.submit(observations)
    if (results.some(({ status }) => status === 'accepted')) {
      throw new Failure(
        EXIT.service,
        'the log is slow to publish: import again later, nothing is added twice',
      )
    }
    return results
  }

  async close(): Promise<void> {}
}
