/**
 * What the thread of the log and those that judge say to one another. Names, hashes and evidence travel as
 * plain bytes; a key set that many observations hang from travels once.
 */
import type { ErrorObject } from 'ajv'
import type { Anchor } from '@dslog/dnssec/anchors'
import type { Name } from '@dslog/dnssec/name'
import type { SubmitResult } from '@dslog/schema/api'
import { decodeZoneKeys, encodeEntry } from '@dslog/schema/entry'
import { asHash, type Hash } from '@dslog/tlog/hash'
import type { Candidate, KeysCandidate, StateCandidate } from '@dslog/verify/candidate'
import type { ZoneKeys } from '@dslog/verify/keys'
import type { Batch } from '../decide.ts'
import type { Judged } from './judge.ts'

/** What a thread that judges is started with. */
export interface JudgeSetup {
  readonly anchors: readonly Anchor[]
  /** Zones admitted besides the usual ones. */
  readonly zones: readonly Name[]
}

/** A submission to be judged. */
export interface Work {
  readonly body: Uint8Array
  /** ms since the Unix epoch. */
  readonly now: number
  /** Memory of the purse that pays; none for the operator. */
  readonly purse: Int32Array | undefined
  /** Whether evidence from the past is taken: not unless its submitter may. */
  readonly takesPast: boolean
}

/** To a thread: work, or what the log has of the keys that it asked about; `undefined` where that is not known. */
export type ToJudge =
  | { readonly job: number; readonly work: Work }
  | { readonly question: number; readonly keys: readonly SentKeys[] | undefined }

/** From a thread. */
export type FromJudge =
  /** What is in the log of a zone, by its map key, or of a key set. */
  | { readonly job: number; readonly question: number; readonly zone: Hash }
  | { readonly job: number; readonly question: number; readonly keysId: Hash }
  /** Some more of the submission is judged. */
  | { readonly job: number; readonly judged: SentJudged }
  | { readonly job: number; readonly done: true }
  /** The whole of it is refused: it is no submission, or holds evidence from the past. */
  | { readonly job: number; readonly faults: readonly ErrorObject[] | undefined }
  | { readonly job: number; readonly past: true }
  /** A fault of ours. */
  | { readonly job: number; readonly error: string }

/** A ZONE_KEYS entry of the log. */
interface SentKeys extends Omit<ZoneKeys, 'entry'> {
  readonly entry: Uint8Array
}

/** Bytes are copied: what they are a view of, such as all that a database sent at once, would travel whole. */
export function sendKeys(sets: readonly ZoneKeys[]): SentKeys[] {
  return sets.map(({ entry, keysId, ...keys }) => {
    return { ...keys, keysId: asHash(new Uint8Array(keysId)), entry: encodeEntry(entry) }
  })
}

/** The inverse of {@link sendKeys}. */
export function receiveKeys(sets: readonly SentKeys[]): ZoneKeys[] {
  return sets.map((keys) => ({ ...keys, entry: decodeZoneKeys(keys.entry) }))
}

/** Some observations, and key sets that were not sent before. */
interface SentJudged {
  readonly keys: readonly KeysCandidate[]
  readonly all: readonly (
    | { readonly refused: SubmitResult }
    | {
        /** Places among all key sets of the submission. */
        readonly keys: readonly number[]
        readonly state: StateCandidate | undefined
        readonly historicalAt: number | undefined
      }
  )[]
}

/** Sends what has been judged of one submission. */
export class JudgedSender {
  readonly #places = new Map<KeysCandidate, number>()

  /** To be called with each part once, in order. */
  send(judged: readonly Judged[]): SentJudged {
    const fresh: KeysCandidate[] = []
    const placeOf = (keys: KeysCandidate): number => {
      const known = this.#places.get(keys)
      if (known !== undefined) return known
      fresh.push(keys)
      this.#places.set(keys, this.#places.size)
      return this.#places.size - 1
    }
    const all = judged.map((one) => {
      if ('refused' in one) return one
      const { candidates, historicalAt } = one.batch
      const keys = candidates.flatMap((one) => (one.kind === 'keys' ? [placeOf(one)] : []))
      return { keys, state: candidates.find((one) => one.kind === 'state'), historicalAt }
    })
    return { keys: fresh, all }
  }
}

/** The inverse of {@link JudgedSender}. */
export class JudgedReceiver {
  readonly judged: Judged[] = []
  readonly #keys: KeysCandidate[] = []

  receive({ all, keys }: SentJudged): void {
    this.#keys.push(...keys)
    for (const one of all) this.judged.push('refused' in one ? one : { batch: this.#batch(one) })
  }

  #batch(one: Exclude<SentJudged['all'][number], { refused: SubmitResult }>): Batch {
    const { historicalAt, keys, state } = one
    const candidates: Candidate[] = keys.map((place) => this.#keys[place]!)
    if (state !== undefined) candidates.push(state)
    return historicalAt === undefined ? { candidates } : { candidates, historicalAt }
  }
}
