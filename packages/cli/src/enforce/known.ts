/**
 * What a log knows of a delegation, believed in nothing: each answer is a proof file that is verified here,
 * from the witnesses' signatures to the DNSSEC evidence of each entry, and leaves nothing out. Its tree has
 * to continue the one seen before, so a log cannot show this machine another history than it showed
 * it yesterday.
 *
 * A log that does not answer is left alone for some seconds, so that questions do not wait for it one by one.
 */
import { LogClient } from '@dslog/tlog/client'
import { MisbehaviourError } from '@dslog/tlog/misbehaviour'
import type { TrustedCheckpoint } from '@dslog/tlog/policy'
import { type Name, nameKey } from '@dslog/dnssec/name'
import { stateOf } from '@dslog/schema/identity'
import { ExpiringCache } from '@dslog/resolver/cache'
import type { Clock } from '@dslog/service/clock'
import { dsOf } from '@dslog/verify/describe'
import type { LoggedState } from '@dslog/verify/history'
import { isVerificationFailure, type ProofVerifier, type ProvenEntry } from '@dslog/verify/verify'
import { hasShownNothing } from '../failure.ts'
import { proveName } from '../proof.ts'
import type { LogSource } from '../source.ts'
import { EnforceError } from './error.ts'

/** Names kept, some kB each, and for how long, ms. */
const MAX_KEPT = 10_000
const KEPT_MS = 300_000
/** A state that what is kept does not know may have been logged since: ms until the log is asked again. */
const FRESH_MS = 10_000
/** How long a log that did not answer is left alone, ms. */
const PAUSE_MS = 10_000

/** An entry, with its DS records for people. */
export interface KnownState extends LoggedState {
  readonly ds: readonly string[]
}

/** What is known of a name, and since when. */
interface Known {
  readonly at: number
  readonly history: Promise<readonly KnownState[]>
}

/** A log, name by name. */
export class KnownStates {
  readonly #source: LogSource
  readonly #verifier: ProofVerifier
  readonly #client: LogClient
  readonly #now: Clock
  readonly #kept = new ExpiringCache<Known>(MAX_KEPT)
  #pin: TrustedCheckpoint | undefined
  #pinning: Promise<unknown> = Promise.resolve()
  #silent: { readonly error: EnforceError; readonly until: number } | undefined

  /** @param options `pin`: a checkpoint of the log that was audited, or seen before */
  constructor(options: {
    readonly source: LogSource
    readonly verifier: ProofVerifier
    readonly now: Clock
    readonly pin?: TrustedCheckpoint | undefined
  }) {
    const { now, pin, source, verifier } = options
    this.#source = source
    this.#verifier = verifier
    this.#now = now
    this.#pin = pin
    this.#client = new LogClient(source.url, verifier.policy, source.http)
  }

  /** The newest tree that was seen; all that were seen before are beginnings of it. */
  get pin(): TrustedCheckpoint | undefined {
    return this.#pin
  }

  /** Believes nothing more of a log that was caught. */
  distrust(error: EnforceError): void {
    this.#silent = { error, until: Infinity }
  }

  /**
   * Takes a tree as the log's, which must be one with those seen before. Proofs come in any order; what
   * counts is that their trees are one.
   *
   * @throws MisbehaviourError or TlogError
   */
  advance(trusted: TrustedCheckpoint): Promise<void> {
    const advanced = this.#pinning.then(() => this.#compare(trusted))
    this.#pinning = advanced.catch(() => {})
    return advanced
  }

  async #compare(trusted: TrustedCheckpoint): Promise<void> {
    const pin = this.#pin
    const isNewer = pin === undefined || trusted.checkpoint.size > pin.checkpoint.size
    if (pin !== undefined) {
      const [older, newer] = isNewer ? [pin, trusted] : [trusted, pin]
      await this.#client.advance(older, newer)
    }
    if (isNewer) this.#pin = trusted
  }

  /**
   * Every entry of a name, oldest first.
   *
   * @param isNews asks the log again, unless it was asked just now
   * @throws EnforceError `log` or `misbehaviour`
   */
  async history(name: Name, isNews: boolean): Promise<readonly KnownState[]> {
    const now = this.#now()
    const key = nameKey(name)
    const kept = this.#kept.get(key, now)
    if (this.#silent?.until === Infinity) throw this.#silent.error
    if (kept !== undefined && !(isNews && now - kept.at >= FRESH_MS)) return kept.history
    if (this.#silent !== undefined && now < this.#silent.until) throw this.#silent.error
    const history = this.#prove(name)
    const known = { at: now, history }
    this.#kept.set(key, known, now + KEPT_MS)
    try {
      return await history
    } catch (error) {
      if (this.#kept.get(key, now) === known) this.#kept.delete(key)
      if (error instanceof EnforceError) this.#silent = { error, until: this.#now() + PAUSE_MS }
      throw error
    }
  }

  async #prove(name: Name): Promise<KnownState[]> {
    try {
      // A witness's time is held against the time now, not that of the start.
      const verifier = { ...this.#verifier, now: this.#now() }
      const { report } = await proveName(this.#source, name, verifier)
      await this.advance(report.trusted)
      return report.history.flatMap(stateOfProven)
    } catch (cause) {
      if (!(cause instanceof Error)) throw cause
      if (hasShownNothing(cause)) throw new EnforceError('log', cause.message, { cause })
      if (cause instanceof MisbehaviourError || isVerificationFailure(cause)) {
        throw new EnforceError('misbehaviour', cause.message, { cause })
      }
      throw cause
    }
  }
}

function stateOfProven({ entry, inception = 0, index }: ProvenEntry): KnownState[] {
  if (entry.type !== 'ds' && entry.type !== 'no-ds') return []
  const { historical, outOfOrder, time } = entry
  const present = entry.type === 'ds'
  const stateId = stateOf(entry)
  return [
    { stateId, present, orderKey: inception, time, historical, index, outOfOrder, ds: dsOf(entry) },
  ]
}
