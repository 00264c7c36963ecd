/**
 * Asks the witnesses of the policy, now and then, which tree of the log they have cosigned last, and
 * holds it against what the log shows here: a log that shows others another history than us is caught
 * by the first witness of theirs that we ask. What a witness says counts only under the log's signature.
 */
import type { HttpClient } from '@dslog/tlog/http'
import { verifierOf } from '@dslog/tlog/cosignature'
import { TlogError } from '@dslog/tlog/error'
import { isNotFound } from '@dslog/tlog/http'
import { openNote } from '@dslog/tlog/note'
import type { Policy } from '@dslog/tlog/policy'
import { witnessedCheckpoint } from '@dslog/tlog/witnessclient'
import type { Clock } from '@dslog/service/clock'
import type { Logger } from '@dslog/service/log'
import { Periodic } from '@dslog/service/periodic'
import type { Follower } from './follow.ts'

/** From one comparison to the next, ms. A witness's answer may be an hour old as it is. */
const INTERVAL_MS = 600_000
const JITTER = 0.3

/** A witness that is slow to answer is asked again next time, ms. */
const TIMEOUT_MS = 10_000

export interface ComparerOptions {
  readonly policy: Policy
  readonly origin: string
  readonly http: HttpClient
  readonly follower: Pick<Follower, 'compare'>
  readonly clock: Clock
  readonly logger: Logger
  /** Not asked: ourselves. */
  readonly own: ReadonlySet<string>
}

/** See the head of this file. */
export class Comparer extends Periodic {
  readonly name = 'comparer'
  readonly #options: ComparerOptions
  readonly #urls: readonly string[]

  constructor(options: ComparerOptions) {
    super({ interval: INTERVAL_MS, jitter: JITTER, clock: options.clock })
    this.#options = options
    const { own, policy } = options
    const others = policy.witnesses.filter(({ key }) => !own.has(`${key.name}+${key.id}`))
    this.#urls = [...new Set(others.flatMap(({ url }) => url ?? []))]
  }

  override async start(fail: (error: unknown) => void): Promise<void> {
    if (this.#urls.length > 0) await super.start(fail)
  }

  /** Asks each witness once. */
  async round(signal: AbortSignal): Promise<void> {
    const { follower, logger } = this.#options
    for (const url of this.#urls) {
      let note
      try {
        note = await this.#ask(url, signal)
      } catch (error) {
        if (signal.aborted) return
        if (!(error instanceof TlogError)) throw error
        // That it has cosigned nothing yet, or has no such endpoint, is nothing to tell.
        if (!isNotFound(error)) logger.warn({ url, detail: error.message }, 'a witness is no help')
        continue
      }
      await follower.compare(note, signal)
    }
  }

  async #ask(url: string, signal: AbortSignal): Promise<string> {
    const { http, origin, policy } = this.#options
    const note = await witnessedCheckpoint(http, url, origin, { signal, timeoutMs: TIMEOUT_MS })
    openNote(
      note,
      policy.logs.map(({ key }) => verifierOf(key)),
    )
    return note
  }
}
