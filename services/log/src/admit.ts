/**
 * From a submission to the pool: reads the records out of what was sent, has their signatures
 * verified, and refuses, one observation at a time, what proves nothing. The submitter is trusted
 * in nothing; the operator's token buys only the right to bring evidence from the past.
 */
import { fromBase64, toBase64 } from '@dslog/tlog/bytes'
import { TlogError } from '@dslog/tlog/error'
import { DnssecError } from '@dslog/dnssec/error'
import type { SignatureBackend } from '@dslog/dnssec/backend/backend'
import { parseMessage } from '@dslog/dnssec/message'
import { type Name, nameFromText, nameToText } from '@dslog/dnssec/name'
import type { RR } from '@dslog/dnssec/records'
import { parseRecord } from '@dslog/dnssec/wire'
import type { Observation, SubmitResult } from '@dslog/schema/api'
import { encodeEntry, EntryError } from '@dslog/schema/entry'
import { mapKey, MapKind } from '@dslog/schema/identity'
import type { ProblemName } from '@dslog/schema/problem'
import type { Clock } from '@dslog/service/clock'
import { Problem, spreadRetry } from '@dslog/service/problem'
import { type Candidate, entryOf } from '@dslog/verify/candidate'
import { VerifyError, type VerifyErrorCode } from '@dslog/verify/error'
import type { Admission } from '@dslog/verify/fold'
import { type KnownKeys, Observer } from '@dslog/verify/observe'
import { VerifyBudget } from './budget.ts'
import type { Batch, Log } from './log.ts'
import type { ZoneList } from './zones.ts'

/** Most records in one observation: a DS answer with three DNSKEY answers holds some thirty. */
export const MAX_BAG_RECORDS = 512

const RCODE_NOERROR = 0
const RCODE_NXDOMAIN = 3

/** Said to a source whose budget is spent. */
const SPENT = 'this source has spent its time for verification; come again more slowly'

/** What verified evidence is handed to: the sequencer, or a load. */
export interface EvidenceSink {
  submit(batches: readonly Batch[]): Promise<Admission[][]>
  /** Whether so much of a zone waits that no more of it is taken now. */
  isCrowded?(zone: Name): boolean
}

export interface AdmitterOptions {
  readonly log: Log
  readonly sink: EvidenceSink
  readonly zones: ZoneList
  readonly backend: SignatureBackend
  readonly clock: Clock
  /** What sources may have verified; the usual budget unless told. */
  readonly budget?: VerifyBudget
}

/** An observation that is worth sequencing, or why it is not. */
type Judged = { readonly batch: Batch } | { readonly refused: SubmitResult }

/** What an observation is judged with. */
interface Judging {
  readonly observer: Observer
  /** Records of this submission, by the text they were sent as. */
  readonly parsed: Map<string, RR>
  /** When it is judged, if that is not now. */
  readonly historicalAt: number | undefined
}

/** A submission that has been accepted. */
export interface HandedIn {
  /** What can be said of each observation at once: `refused` or `accepted`. */
  readonly soFar: SubmitResult[]
  /** What became of each, once what was logged is published. */
  readonly results: Promise<SubmitResult[]>
}

/** Takes submissions. */
export class Admitter {
  readonly #options: AdmitterOptions
  readonly #budget: VerifyBudget
  /** What entries can be made of: the keys of one observation come again with the next. */
  readonly #encodable = new WeakSet<Candidate>()

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
    return (await this.handIn(observations, source)).results
  }

  /**
   * As {@link submit}, but resolves when what is worth sequencing has been accepted.
   *
   * @throws Problem when the pool is full, or the source has spent its budget
   */
  async handIn(observations: readonly Observation[], source?: string): Promise<HandedIn> {
    if (source !== undefined) this.demandBudget(source)
    const judged = await this.#judge(observations, source)
    const batches = judged.flatMap((one) => ('batch' in one ? [one.batch] : []))
    const published =
      batches.length === 0 ? Promise.resolve([]) : this.#options.sink.submit(batches)
    const results = published.then((admissions) => {
      let next = 0
      return judged.map((one) =>
        'refused' in one ? one.refused : resultOf(one.batch, admissions[next++]!),
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
    if (this.#budget.allows(source)) return
    const retryAfter = spreadRetry(this.#budget.retryAfter(source) + 1)
    throw new Problem('rate-limited', SPENT, { retryAfter })
  }

  async #judge(
    observations: readonly Observation[],
    source: string | undefined,
  ): Promise<Judged[]> {
    const { clock } = this.#options
    const now = clock()
    const backend = this.#backendFor(source)
    // One observer per moment: keys that one observation proves serve the next.
    const observers = new Map<string, Observer>()
    // Nearly all of an observation's records are keys, and so those of the one before.
    const parsed = new Map<string, RR>()
    const judged: Judged[] = []
    for (const observation of observations) {
      const historical = observation.historical === true
      const time = historical ? (observation.observed_at ?? now) : now
      if (time > now) {
        judged.push(refuse('not-yet-valid', 'observed_at is in the future'))
        continue
      }
      if (source !== undefined && !this.#budget.allows(source)) {
        judged.push(refuse('rate-limited', SPENT))
        continue
      }
      const id = `${historical} ${time}`
      const observer = observers.get(id) ?? this.#observer({ time, historical }, backend)
      observers.set(id, observer)
      if (source !== undefined) this.#budget.chargeReading(source, lengthOf(observation))
      const historicalAt = historical ? time : undefined
      judged.push(await this.#judgeOne(observation, { observer, parsed, historicalAt }))
    }
    return judged
  }

  async #judgeOne(
    observation: Observation,
    { historicalAt, observer, parsed }: Judging,
  ): Promise<Judged> {
    const { sink } = this.#options
    try {
      const owner = nameFromText(observation.owner)
      const bag = readBag(observation, parsed)
      const candidates =
        observation.kind === 'keys'
          ? await observer.zoneKeys(owner, bag)
          : await observer.delegation(owner, bag)
      const zone = candidates.at(-1)?.zone
      if (historicalAt === undefined && zone !== undefined && sink.isCrowded?.(zone) === true) {
        return refuse('rate-limited', `too much of ${nameToText(zone)} is waiting; come again`)
      }
      for (const candidate of candidates) {
        if (this.#encodable.has(candidate)) continue
        encodeEntry(entryOf(candidate, { time: 0, historical: false }, false))
        this.#encodable.add(candidate)
      }
      return { batch: historicalAt === undefined ? { candidates } : { candidates, historicalAt } }
    } catch (error) {
      if (error instanceof VerifyError) return refuse(REASON[error.code], error.message)
      if (error instanceof EntryError) {
        return refuse(error.code === 'too-large' ? 'too-large' : 'malformed', error.message)
      }
      if (error instanceof DnssecError || error instanceof TlogError) {
        return refuse('malformed', error.message)
      }
      throw error
    }
  }

  #backendFor(source: string | undefined): SignatureBackend {
    const { backend } = this.#options
    return source === undefined ? backend : this.#budget.charged(source, backend)
  }

  #observer(moment: { time: number; historical: boolean }, backend: SignatureBackend): Observer {
    const { log, zones } = this.#options
    const known: KnownKeys = {
      lookup: (keysId) => log.fold.zoneKeys(keysId),
      keysOfZone: (zone) => log.fold.keysOfZone(mapKey(MapKind.zoneKeys, zone)),
      admits: (zone) => zones.admits(zone),
    }
    return new Observer(known, { anchors: log.anchors, backend }, moment)
  }
}

/** Characters of evidence. */
function lengthOf({ messages = [], records = [] }: Observation): number {
  return [...messages, ...records].reduce((sum, text) => sum + text.length, 0)
}

/** The records of an observation, from messages as they came or one by one. */
function readBag({ messages = [], records = [] }: Observation, parsed: Map<string, RR>): RR[] {
  const bag = records.map((text) => {
    const record = parsed.get(text) ?? parseRecord(fromBase64(text))
    parsed.set(text, record)
    return record
  })
  for (const text of messages) {
    const message = parseMessage(fromBase64(text))
    if (!message.qr || message.tc) throw new DnssecError('bad-reply', 'not a whole reply')
    if (message.rcode !== RCODE_NOERROR && message.rcode !== RCODE_NXDOMAIN) {
      throw new DnssecError('bad-reply', `a reply with rcode ${message.rcode} proves nothing`)
    }
    bag.push(...message.answer, ...message.authority)
  }
  if (bag.length > MAX_BAG_RECORDS) {
    throw new DnssecError('bad-record', `more than ${MAX_BAG_RECORDS} records in an observation`)
  }
  return bag
}

const REASON: Readonly<Record<VerifyErrorCode, ProblemName>> = {
  malformed: 'malformed',
  bogus: 'bogus',
  unproven: 'unproven',
  expired: 'expired',
  'not-yet-valid': 'not-yet-valid',
  'zone-not-admitted': 'zone-not-admitted',
  unsupported: 'unsupported',
  rule: 'bogus',
  map: 'bogus',
  proof: 'bogus',
}

function refuse(reason: ProblemName, detail: string): { refused: SubmitResult } {
  return { refused: { status: 'refused', reason, detail } }
}

/** The answer about an observation is that about its last candidate, the one it was made for. */
function resultOf({ candidates }: Batch, admissions: readonly Admission[]): SubmitResult {
  const candidate: Candidate | undefined = candidates.at(-1)
  const admission = admissions.at(-1)
  // Nothing left to decide: another observation of the submission carried the same keys.
  if (candidate === undefined || admission === undefined) return { status: 'known' }
  const state_id = toBase64(candidate.kind === 'state' ? candidate.stateId : candidate.keysId)
  switch (admission.status) {
    case 'logged': {
      const { entry, index } = admission
      const late = 'outOfOrder' in entry && entry.outOfOrder ? { out_of_order: true } : {}
      return { status: 'logged', index, state_id, ...late }
    }
    case 'known':
    case 'stale':
      return { status: admission.status, state_id }
    case 'refused':
      // 'time': the clock went back behind the newest tree while the observation waited.
      return {
        status: 'refused',
        reason: admission.reason === 'time' ? 'expired' : admission.reason,
      }
  }
}
