/**
 * What an observation proves, if it proves anything: reads the records out of what was sent and has their
 * signatures verified. What costs little is asked first, a signature last. Nothing here changes the log, so it is
 * done on any thread: see pool.ts.
 */
import type { ErrorObject } from 'ajv'
import { fromBase64 } from '@dslog/tlog/bytes'
import { TlogError } from '@dslog/tlog/error'
import type { Anchor } from '@dslog/dnssec/anchors'
import type { SignatureBackend } from '@dslog/dnssec/backend/backend'
import { denialBlocks } from '@dslog/dnssec/denial'
import { DnssecError } from '@dslog/dnssec/error'
import { parseMessage, RCODE } from '@dslog/dnssec/message'
import { nameFromText } from '@dslog/dnssec/name'
import type { RR } from '@dslog/dnssec/records'
import { parseRecord } from '@dslog/dnssec/wire'
import type { Observation, SubmitResult } from '@dslog/schema/api'
import { encodeEntry } from '@dslog/schema/entry'
import { EntryError } from '@dslog/schema/error'
import type { ProblemName } from '@dslog/schema/problem'
import { type Candidate, entryOf } from '@dslog/verify/candidate'
import { VerifyError, type VerifyErrorCode } from '@dslog/verify/error'
import { type KnownKeys, Observer } from '@dslog/verify/observe'
import type { Purse } from '../budget.ts'
import type { Batch } from '../decide.ts'

/** Most records in one observation: a DS answer with three DNSKEY answers holds some thirty. */
export const MAX_BAG_RECORDS = 512

/** Said to a source whose budget is spent. */
export const SPENT = 'this source has spent its time for verification; come again more slowly'

/** An observation that is worth sequencing, or why it is not. */
export type Judged = { readonly batch: Batch } | { readonly refused: SubmitResult }

/** A submission: its observations in order, or why none of it is looked at: see submission.ts, protocol.ts. */
export type Judgement =
  | { readonly judged: readonly Judged[] }
  | { readonly faults: readonly ErrorObject[] | undefined }
  | { readonly past: true }

/** What all submissions are judged with. */
export interface JudgeOptions {
  readonly anchors: readonly Anchor[]
  readonly backend: SignatureBackend
  readonly known: KnownKeys
}

/** Judges the observations of one submission, one after the other. */
export class Judge {
  readonly #options: JudgeOptions
  readonly #now: number
  readonly #purse: Purse | undefined
  /** One observer per moment: keys that one observation proves serve the next. */
  readonly #observers = new Map<string, Observer>()
  /** Nearly all of an observation's records are keys, and so those of the one before. */
  readonly #parsed = new Map<string, RR>()
  /** What entries can be made of: the keys of one observation come again with the next. */
  readonly #encodable = new WeakSet<Candidate>()

  /**
   * @param now ms since the Unix epoch, of the log's clock
   * @param purse pays for the verification; none for the operator
   */
  constructor(options: JudgeOptions, now: number, purse: Purse | undefined) {
    this.#options = {
      ...options,
      backend: purse === undefined ? options.backend : purse.paying(options.backend),
    }
    this.#now = now
    this.#purse = purse
  }

  /** Never rejects for what is in an observation. */
  async judge(observation: Observation): Promise<Judged> {
    const historical = observation.historical === true
    const time = historical ? (observation.observed_at ?? this.#now) : this.#now
    if (time > this.#now) return refusal('not-yet-valid', 'observed_at is in the future')
    if (this.#purse !== undefined) {
      if (this.#purse.left <= 0) return refusal('rate-limited', SPENT)
      this.#purse.payReading(lengthOf(observation))
    }
    try {
      const candidates = await this.#candidates(observation, this.#observer(time, historical))
      for (const candidate of candidates) this.#demandEncodable(candidate)
      return { batch: historical ? { candidates, historicalAt: time } : { candidates } }
    } catch (error) {
      return refusalOf(error)
    }
  }

  async #candidates(observation: Observation, observer: Observer): Promise<Candidate[]> {
    const owner = nameFromText(observation.owner)
    const bag = readBag(observation, this.#parsed)
    if (observation.kind === 'keys') return observer.zoneKeys(owner, bag)
    this.#purse?.payHashing(denialBlocks(owner, bag))
    return observer.delegation(owner, bag)
  }

  #demandEncodable(candidate: Candidate): void {
    if (this.#encodable.has(candidate)) return
    encodeEntry(entryOf(candidate, { time: 0, historical: false }, false))
    this.#encodable.add(candidate)
  }

  #observer(time: number, historical: boolean): Observer {
    const { anchors, backend, known } = this.#options
    const id = `${historical} ${time}`
    const observer =
      this.#observers.get(id) ?? new Observer(known, { anchors, backend }, { time, historical })
    this.#observers.set(id, observer)
    return observer
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
    if (message.rcode !== RCODE.NOERROR && message.rcode !== RCODE.NXDOMAIN) {
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
  map: 'bogus',
  proof: 'bogus',
}

/** @throws what is not the submitter's fault */
function refusalOf(error: unknown): Judged {
  if (error instanceof VerifyError) return refusal(REASON[error.code], error.message)
  if (error instanceof EntryError) {
    return refusal(error.code === 'too-large' ? 'too-large' : 'malformed', error.message)
  }
  if (error instanceof DnssecError || error instanceof TlogError) {
    return refusal('malformed', error.message)
  }
  throw error
}

/** An observation that is not taken. */
export function refusal(reason: ProblemName, detail: string): { readonly refused: SubmitResult } {
  return { refused: { status: 'refused', reason, detail } }
}
