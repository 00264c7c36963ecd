/**
 * What a log was caught at, kept as evidence, and what its failures say of it. After a final piece of
 * evidence nothing more is verified, since no later tree can take back what was signed.
 */
import { TlogError } from '@dslog/tlog/error'
import { MisbehaviourError } from '@dslog/tlog/misbehaviour'
import type { Clock } from '@dslog/service/clock'
import type { Logger } from '@dslog/service/log'
import { BreachError, type Finding, type FindingKind, isFinal } from './evidence.ts'
import type { Outcome } from './standing.ts'
import type { MonitorStore } from './store.ts'
import { failureOf } from './trust.ts'

export interface CaughtOptions {
  readonly store: Pick<MonitorStore, 'keep'>
  readonly clock: Clock
  readonly logger: Logger
}

export class Caught {
  readonly #options: CaughtOptions
  readonly #findings: Map<FindingKind, number>
  #final: Outcome | undefined

  /** @param findings pieces that are kept already, by kind */
  constructor(options: CaughtOptions, findings: ReadonlyMap<FindingKind, number>) {
    this.#options = options
    this.#findings = new Map(findings)
    const final = [...findings.keys()].find(isFinal)
    if (final !== undefined) this.#final = { state: 'misbehaving', detail: `caught: ${final}` }
  }

  /** Pieces of evidence kept, by kind. */
  get findings(): ReadonlyMap<FindingKind, number> {
    return this.#findings
  }

  /** Set for good once the log was caught at something final. */
  get final(): Outcome | undefined {
    return this.#final
  }

  /**
   * What a failed look says of the log. Evidence is kept.
   *
   * @param size how far the log was verified
   * @throws what the log has nothing to do with
   */
  async outcomeOf(error: unknown, size: number): Promise<Outcome> {
    if (error instanceof BreachError) return this.#keep(error.breach, error.message, size)
    if (error instanceof MisbehaviourError) {
      return this.#keep(error.misbehaviour, error.message, size)
    }
    if (!(error instanceof TlogError)) throw error
    const state = failureOf(error)
    if (state === undefined) throw error
    return { state, detail: error.message }
  }

  async #keep(finding: Finding, detail: string, size: number): Promise<Outcome> {
    const { clock, logger, store } = this.#options
    const { kind } = finding
    if (await store.keep(finding, detail, size, clock())) {
      this.#findings.set(kind, (this.#findings.get(kind) ?? 0) + 1)
      logger.error({ kind, detail }, 'the log was caught: see /v1/evidence')
    }
    const outcome: Outcome = { state: 'misbehaving', detail }
    if (isFinal(kind)) this.#final = outcome
    return outcome
  }
}
