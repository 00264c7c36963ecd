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

/** A witness of the policy, and when it last answered, ms; what it last failed with since. */
export interface AskedWitness {
  readonly name: string
  readonly url: string
  readonly answeredAt: number
  readonly failure: string | undefined
}

/** See the head of this file. */
export class Comparer extends Periodic {
  readonly name = 'comparer'
  readonly #options: ComparerOptions
  /** By URL, since one server may be several witnesses. */
  readonly #witnesses: Map<string, AskedWitness>

  constructor(options: ComparerOptions) {
    super({ interval: INTERVAL_MS, jitter: JITTER, clock: options.clock })
    this.#options = options
    const { clock, own, policy } = options
    // Before it was ever asked, nothing is held against it.
    const unasked = { answeredAt: clock(), failure: undefined }
    const others = policy.witnesses.flatMap(({ key, url }) => {
      const isOther = url !== undefined && !own.has(`${key.name}+${key.id}`)
      return isOther ? [{ ...unasked, name: key.name, url }] : []
    })
    this.#witnesses = new Map(others.map((witness) => [witness.url, witness]))
  }

  /** The witnesses that are asked. */
  get witnesses(): readonly AskedWitness[] {
    return [...this.#witnesses.values()]
  }

  override async start(fail: (error: unknown) => void): Promise<void> {
    if (this.#witnesses.size > 0) await super.start(fail)
  }

  /** Asks each witness once. */
  async round(signal: AbortSignal): Promise<void> {
    const { clock, follower, logger } = this.#options
    for (const witness of this.witnesses) {
      const { url } = witness
      let note
      try {
        note = await this.#ask(url, signal)
      } catch (error) {
        if (signal.aborted) return
        if (!(error instanceof TlogError)) throw error
        // That it has cosigned nothing yet, or has no such endpoint, is nothing to tell.
        if (!isNotFound(error)) {
          const failure = error.message
          logger.warn(
            { url, detail: failure },
            'a witness did not say what it has cosigned; it is asked again in ten minutes',
          )
          this.#witnesses.set(url, { ...witness, failure })
          continue
        }
      }
      this.#witnesses.set(url, { ...witness, answeredAt: clock(), failure: undefined })
      if (note !== undefined) await follower.compare(note, signal)
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
