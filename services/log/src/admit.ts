/**
 * From a submission to the pool in front of the log: what proves nothing is refused, one observation at a time
 * (judge/). The submitter is trusted in nothing; the operator's token buys only the right to bring evidence
 * from the past.
 */
import type { ErrorObject } from 'ajv'
import { toBase64 } from '@dslog/tlog/bytes'
import type { SignatureBackend } from '@dslog/dnssec/backend/backend'
import { type Name, nameToText } from '@dslog/dnssec/name'
import type { Observation, SubmitResult } from '@dslog/schema/api'
import { mapKey, MapKind } from '@dslog/schema/identity'
import type { Clock } from '@dslog/service/clock'
import { Problem, spreadRetry } from '@dslog/service/problem'
import type { Candidate } from '@dslog/verify/candidate'
import type { KnownKeys } from '@dslog/verify/observe'
import { type Purse, VerifyBudget } from './budget.ts'
import { Judge, type Judged, type Judgement, refusal, SPENT } from './judge/judge.ts'
import type { JudgePool } from './judge/pool.ts'
import { readSubmission } from './judge/submission.ts'
import type { Batch, Outcome } from './decide.ts'
import type { Log } from './log.ts'
import type { ZoneList } from './zones.ts'

/** What verified evidence is handed to: the sequencer, or a load. */
export interface EvidenceSink {
  submit(batches: readonly Batch[]): Promise<Outcome[]>
  /** Whether so much of a zone waits that no more of it is taken now. */
  isCrowded?(zone: Name): boolean
  /** @throws Problem why nothing at all is taken now */
  demandRoom?(): void
}

export interface AdmitterOptions {
  readonly log: Log
  readonly sink: EvidenceSink
  readonly zones: ZoneList
  readonly backend: SignatureBackend
  readonly clock: Clock
  /** Judges what comes as a body; without it that is done on this thread. */
  readonly pool?: JudgePool | undefined
  /** What sources may have verified; the usual budget unless told. */
  readonly budget?: VerifyBudget
}

/** A submission that has been accepted. */
export interface HandedIn {
  /** What can be said of each observation at once: `refused` or `accepted`. */
  readonly soFar: SubmitResult[]
  /** What became of each, once what was logged is published. */
  readonly results: Promise<SubmitResult[]>
}

/** Who submits. */
export interface Submitter {
  /** Whose budget pays for the verification; none for the operator. */
  readonly source?: string | undefined
  /** What evidence from the past is answered with; left out, it is taken. */
  readonly past?: Problem | undefined
}

/** Takes submissions. */
export class Admitter {
  readonly #options: AdmitterOptions
  readonly #budget: VerifyBudget

  constructor(options: AdmitterOptions) {
    this.#options = options
    this.#budget = options.budget ?? new VerifyBudget(options.clock)
  }

  /**
   * Judges and sequences observations.
   *
   * @param source whose budget pays for the verification; none for the operator
   * @returns one result per observation, in order, once what was logged is published
   * @throws Problem when the pool is full, or the source has spent its budget
   */
  async submit(observations: readonly Observation[], source?: string): Promise<SubmitResult[]> {
    return (await this.handIn(observations, { source })).results
  }

  /**
   * As {@link submit}, but resolves when what is worth sequencing has been accepted.
   *
   * @param submission observations, or the body of a submission, which is judged on other threads if there are any
   * @throws Problem when the pool is full, or the source has spent its budget; what is wrong with the body
   */
  async handIn(
    submission: readonly Observation[] | Uint8Array,
    { past, source }: Submitter = {},
  ): Promise<HandedIn> {
    if (source !== undefined) this.demandBudget(source)
    const work = {
      now: this.#options.clock(),
      purse: source === undefined ? undefined : this.#budget.purse(source),
      takesPast: past === undefined,
    }
    const judgement = await this.#judge(submission, work)
    if ('past' in judgement) throw past!
    if ('faults' in judgement) throw faulty(judgement.faults)
    const judged = judgement.judged.map((one) => this.#uncrowded(one))
    const batches = judged.flatMap((one) => ('batch' in one ? [one.batch] : []))
    const published =
      batches.length === 0 ? Promise.resolve([]) : this.#options.sink.submit(batches)
    const results = published.then((outcomes) => {
      let next = 0
      return judged.map((one) =>
        'refused' in one ? one.refused : resultOf(one.batch, outcomes[next++]!),
      )
    })
    const soFar = judged.map((one): SubmitResult => {
      return 'refused' in one ? one.refused : { status: 'accepted' }
    })
    return { soFar, results }
  }

  /**
   * Sends a source away that has spent its budget. Worth asking before its evidence is received.
   *
   * @throws Problem `rate-limited`
   */
  demandBudget(source: string): void {
    if (this.#budget.purse(source).left > 0) return
    const retryAfter = spreadRetry(this.#budget.retryAfter(source) + 1)
    throw new Problem('rate-limited', SPENT, { retryAfter })
  }

  /**
   * Sends everybody away while nothing is taken. Worth asking likewise.
   *
   * @throws Problem why not
   */
  demandRoom(): void {
    this.#options.sink.demandRoom?.()
  }

  async #judge(
    submission: readonly Observation[] | Uint8Array,
    { now, purse, takesPast }: { now: number; purse: Purse | undefined; takesPast: boolean },
  ): Promise<Judgement> {
    const { backend, log, pool } = this.#options
    if (submission instanceof Uint8Array && pool !== undefined) {
      return pool.judge({ body: submission, now, purse: purse?.memory, takesPast })
    }
    const read =
      submission instanceof Uint8Array ? readSubmission(submission) : { observations: submission }
    if (!('observations' in read)) return read
    const { observations } = read
    if (!takesPast && observations.some(({ historical }) => historical === true)) {
      return { past: true }
    }
    const options = { anchors: log.anchors, backend, known: this.#known }
    const judge = new Judge(options, now, purse)
    const judged: Judged[] = []
    for (const observation of observations) judged.push(await judge.judge(observation))
    return { judged }
  }

  /** Evidence of the present is refused while so much of its zone waits. */
  #uncrowded(judged: Judged): Judged {
    if ('refused' in judged || judged.batch.historicalAt !== undefined) return judged
    const zone = judged.batch.candidates.at(-1)?.zone
    if (zone === undefined || this.#options.sink.isCrowded?.(zone) !== true) return judged
    return refusal('rate-limited', `too much of ${nameToText(zone)} is waiting; come again`)
  }

  get #known(): KnownKeys {
    const { log, zones } = this.#options
    return {
      lookup: (keysId) => log.fold.zoneKeys(keysId),
      keysOfZone: (zone) => log.fold.keysOfZone(mapKey(MapKind.zoneKeys, zone)),
      admits: (zone) => zones.admits(zone),
    }
  }
}

/** The error of a body, as Fastify has it for those that it checks itself. */
function faulty(faults: readonly ErrorObject[] | undefined): Error {
  if (faults === undefined) return new Problem('validation', 'The body is not valid JSON')
  return Object.assign(new Error('The body is not of the schema'), {
    validation: faults,
    validationContext: 'body',
  })
}

/** The answer about an observation is that about its last candidate, the one it was made for. */
function resultOf({ candidates }: Batch, outcome: Outcome): SubmitResult {
  const candidate: Candidate | undefined = candidates.at(-1)
  // Nothing left to decide: another observation of the submission carried the same keys.
  if (candidate === undefined) return { status: 'known' }
  const state_id = toBase64(candidate.kind === 'state' ? candidate.stateId : candidate.keysId)
  switch (outcome.status) {
    case 'logged': {
      const { index, outOfOrder } = outcome
      return { status: 'logged', index, state_id, ...(outOfOrder ? { out_of_order: true } : {}) }
    }
    case 'known':
    case 'stale':
      return { status: outcome.status, state_id }
    case 'refused':
      // 'time': the clock went back behind the newest tree while the observation waited.
      return {
        status: 'refused',
        reason: outcome.reason === 'time' ? 'expired' : outcome.reason,
      }
  }
}
