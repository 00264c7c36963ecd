/**
 * Checks the entries of a log, from the first on: every signature, every rule of admission that can
 * be recomputed (2 to 5 and 7) and every MAP_HEAD. It runs the same fold as the log (fold.ts): the
 * evidence in an entry becomes a candidate, the fold decides about it, and what the fold would have
 * appended must be, byte for byte, what the log did append.
 *
 * That the bytes are those the log signed for is checked before they come here (@dslog/tlog/client).
 */
import { equal } from '@dslog/tlog/bytes'
import {
  decodeEntry,
  type DelegationEntry,
  encodeEntry,
  type Entry,
  type MapHeadEntry,
} from '@dslog/schema/entry'
import { EntryError } from '@dslog/schema/error'
import type { Candidate } from './candidate.ts'
import { VerifyError } from './error.ts'
import { checkKeys, checkStateBy, trustedAt, type TrustedKeys, type Verifier } from './evidence.ts'
import type { Admission, Fold } from './fold.ts'
import { keyText } from './foldstore.ts'

/** What kind of rule an entry breaks. */
export type ViolationKind =
  | 'bad-encoding' // it does not decode
  | 'bad-evidence' // its signatures do not prove what it says
  | 'bad-admission' // the rules forbid it, or demand another entry
  | 'bad-map' // it is a MAP_HEAD, and wrong

/** An entry that no honest log would have appended. With the signed checkpoint it is evidence. */
export interface Violation {
  readonly kind: ViolationKind
  readonly index: number
  readonly reason: string
  readonly entry: Uint8Array
  /** What the rules demand in its place, if they demand any entry there. */
  readonly expected?: Uint8Array
}

interface Pending {
  readonly entry: DelegationEntry
  readonly bytes: Uint8Array
  readonly evidence: Promise<Candidate | VerifyError>
}

/** Feeds entries to a fold, in log order, and stops at the first that breaks a rule. */
export class Auditor {
  readonly #fold: Fold
  readonly #verifier: Verifier
  /** Keys by key set, as of a time: thousands of names in a row hang from the same ones. Forgotten when there are new keys. */
  readonly #trusted = new Map<
    string,
    { readonly at: number; readonly keys: Promise<TrustedKeys> }
  >()

  /** @param fold stands where the checked entries begin; it is moved forward */
  constructor(fold: Fold, verifier: Verifier) {
    this.#fold = fold
    this.#verifier = verifier
  }

  /**
   * Checks the next entries.
   *
   * @param onEntry called for each that is right, in order
   * @returns the first violation; after one the fold is of no further use
   */
  async check(
    entries: readonly Uint8Array[],
    onEntry: (index: number, entry: Entry) => void = () => {},
  ): Promise<Violation | undefined> {
    // Signatures of a run of delegations are verified together; only new keys divide the runs, for
    // what follows them may hang from them.
    let run: Pending[] = []
    for (const bytes of entries) {
      let entry: Entry
      try {
        entry = decodeEntry(bytes)
      } catch (error) {
        if (!(error instanceof EntryError)) throw error
        const early = await this.#finish(run, onEntry)
        return early ?? this.#violation('bad-encoding', bytes, error.message)
      }
      if (entry.type === 'ds' || entry.type === 'no-ds') {
        run.push({ entry, bytes, evidence: settled(this.#checkState(entry)) })
        continue
      }
      const index = this.#fold.head.size + run.length
      const violation = (await this.#finish(run, onEntry)) ?? (await this.#checkOther(entry, bytes))
      if (violation !== undefined) return violation
      run = []
      this.#trusted.clear()
      onEntry(index, entry)
    }
    return this.#finish(run, onEntry)
  }

  async #checkState(entry: DelegationEntry): Promise<Candidate> {
    return checkStateBy(entry, await this.#keysOf(entry), this.#verifier.backend)
  }

  #keysOf({ keysId, time: at }: DelegationEntry): Promise<TrustedKeys> {
    const id = keyText(keysId)
    const held = this.#trusted.get(id)
    if (held?.at === at) return held.keys
    const keys = trustedAt(keysId, at, this.#fold.lookup, this.#verifier.anchors)
    this.#trusted.set(id, { at, keys })
    return keys
  }

  async #finish(
    run: readonly Pending[],
    onEntry: (index: number, entry: Entry) => void,
  ): Promise<Violation | undefined> {
    const proven = await Promise.all(run.map(({ evidence }) => evidence))
    await this.#fold.prefetch(proven.filter((p): p is Candidate => !(p instanceof VerifyError)))
    for (const [i, { bytes, entry }] of run.entries()) {
      const candidate = proven[i]!
      if (candidate instanceof VerifyError) {
        return this.#violation('bad-evidence', bytes, candidate.message)
      }
      const index = this.#fold.head.size
      // Nearly always at once: a promise an entry costs as much as deciding about it.
      const admission = index === 0 ? undefined : this.#fold.admitAtOnce(candidate, entry)
      const violation =
        admission === undefined
          ? await this.#admit(candidate, entry, bytes)
          : this.#compare(admission, index, bytes)
      if (violation !== undefined) return violation
      onEntry(index, entry)
    }
    return undefined
  }

  async #checkOther(
    entry: Exclude<Entry, DelegationEntry>,
    bytes: Uint8Array,
  ): Promise<Violation | undefined> {
    switch (entry.type) {
      case 'zone-keys': {
        const candidate = await settled(checkKeys(entry, this.#fold.lookup, this.#verifier))
        return candidate instanceof VerifyError
          ? this.#violation('bad-evidence', bytes, candidate.message)
          : this.#admit(candidate, entry, bytes)
      }
      case 'map-head':
        return this.#checkMapHead(entry, bytes)
      case 'unknown':
        if (this.#isFirst()) return this.#violation('bad-map', bytes, 'leaf 0 is not a MAP_HEAD')
        this.#fold.appendUnknown()
        return undefined
    }
  }

  async #admit(
    candidate: Candidate,
    entry: Exclude<Entry, { type: 'map-head' | 'unknown' }>,
    bytes: Uint8Array,
  ): Promise<Violation | undefined> {
    if (this.#isFirst()) return this.#violation('bad-map', bytes, 'leaf 0 is not a MAP_HEAD')
    // Looked at before the fold moves on, so that a violation names the right index.
    const index = this.#fold.head.size
    return this.#compare(await this.#fold.admit(candidate, entry), index, bytes)
  }

  /** Whether the entry at an index is what the fold has come to there. */
  #compare(admission: Admission, index: number, bytes: Uint8Array): Violation | undefined {
    const head = { kind: 'bad-admission', index, entry: bytes } as const
    if (admission.status !== 'logged') return { ...head, reason: explain(admission) }
    if (equal(admission.bytes, bytes)) return undefined
    const reason = 'the entry differs from what the rules demand: its out_of_order flag'
    return { ...head, reason, expected: admission.bytes }
  }

  async #checkMapHead(entry: MapHeadEntry, bytes: Uint8Array): Promise<Violation | undefined> {
    const { head } = this.#fold
    const violation = this.#violation('bad-map', bytes, '')
    if (entry.covers !== head.size || entry.previous !== head.mapHead) {
      return { ...violation, reason: 'the MAP_HEAD does not follow the one before it' }
    }
    if (head.size > 0 && entry.time <= head.mapTime) {
      return { ...violation, reason: 'the time of the MAP_HEAD does not grow' }
    }
    if (entry.time < head.liveTime) {
      return { ...violation, reason: 'the MAP_HEAD is older than an entry it covers' }
    }
    const expected = encodeEntry(await this.#fold.appendMapHead(entry.time))
    if (equal(expected, bytes)) return undefined
    return { ...violation, reason: 'the MAP_HEAD has another root or count than the map', expected }
  }

  #isFirst(): boolean {
    return this.#fold.head.size === 0
  }

  #violation(kind: ViolationKind, entry: Uint8Array, reason: string): Violation {
    return { kind, index: this.#fold.head.size, reason, entry }
  }
}

function explain(admission: Exclude<Admission, { status: 'logged' }>): string {
  switch (admission.status) {
    case 'known':
      return 'the log held this already'
    case 'stale':
      return 'the state had been replaced by a newer one'
    case 'refused':
      return admission.reason === 'time'
        ? 'the entry is older than the tree before it'
        : `the evidence is ${admission.reason}`
  }
}

/** Bad evidence as a value, so that verification can run ahead of the place where it counts. */
async function settled(evidence: Promise<Candidate>): Promise<Candidate | VerifyError> {
  try {
    return await evidence
  } catch (error) {
    if (error instanceof VerifyError) return error
    throw error
  }
}
