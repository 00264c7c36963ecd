/** A log in memory: observer, fold and store put together as the real one does, without anything else. */
import { type Name, sameName } from '@dslog/dnssec/name'
import type { RR } from '@dslog/dnssec/records'
import { UpperTree } from '@dslog/tlog/maptree'
import { decodeEntry, encodeEntry, type Entry } from '@dslog/schema/entry'
import { Auditor, type Violation } from '@dslog/verify/audit'
import type { Candidate, Moment } from '@dslog/verify/candidate'
import { VerifyError } from '@dslog/verify/error'
import type { Verifier } from '@dslog/verify/evidence'
import { type Admission, EMPTY_HEAD, Fold, type FoldHead } from '@dslog/verify/fold'
import type { ZoneKeys } from '@dslog/verify/keys'
import { MemoryStore } from '@dslog/verify/memory'
import { type KnownKeys, Observer } from '@dslog/verify/observe'

/** Bits of a map key that choose its bucket, unless told. */
const DEPTH = 3

/** What an observer may look up where nothing was logged. */
export const NOTHING_KNOWN: KnownKeys = { lookup: async () => [], keysOfZone: async () => [] }

export interface TestLogOptions extends Verifier {
  /** Time of leaf 0. */
  readonly time: number
  readonly depth?: number
}

/** A log that is written to. */
export class TestLog {
  readonly verifier: Verifier
  readonly entries: Uint8Array[] = []
  readonly store = new MemoryStore()
  readonly #keys: ZoneKeys[] = []
  #fold: Fold

  private constructor({ anchors, backend, depth = DEPTH }: TestLogOptions) {
    this.verifier = { anchors, backend }
    this.#fold = this.#newFold(EMPTY_HEAD, new UpperTree(depth))
  }

  /** A log with its leaf 0. */
  static async create(options: TestLogOptions): Promise<TestLog> {
    const log = new TestLog(options)
    await log.mapHead(options.time)
    return log
  }

  get head(): FoldHead {
    return this.#fold.head
  }

  get upper(): UpperTree {
    return this.#fold.upper
  }

  get decoded(): Entry[] {
    return this.entries.map(decodeEntry)
  }

  /** What an observer may look up. */
  get known(): KnownKeys {
    return {
      lookup: this.#fold.lookup,
      keysOfZone: async (zone) => this.#keys.filter(({ entry }) => sameName(entry.zone, zone)),
    }
  }

  observer(moment: Moment): Observer {
    return new Observer(this.known, this.verifier, moment)
  }

  /** Everything that happens to one bag. */
  async observe(owner: Name, records: readonly RR[], moment: Moment): Promise<Admission[]> {
    return this.admit(await this.observer(moment).delegation(owner, records), moment)
  }

  async observeKeys(zone: Name, records: readonly RR[], moment: Moment): Promise<Admission[]> {
    return this.admit(await this.observer(moment).zoneKeys(zone, records), moment)
  }

  async admit(candidates: readonly Candidate[], moment: Moment): Promise<Admission[]> {
    const admissions: Admission[] = []
    for (const candidate of candidates) {
      const admission = await this.#fold.admit(candidate, moment)
      admissions.push(admission)
      if (admission.status !== 'logged') continue
      this.entries.push(admission.bytes)
      const { entry, index } = admission
      if (entry.type === 'zone-keys') {
        this.#keys.unshift({ index, keysId: candidate.keysId, entry, ...candidate.window })
      }
    }
    return admissions
  }

  /** Ends a tree; the next one is built by another fold, on what this one left in the store. */
  async mapHead(time: number): Promise<void> {
    this.entries.push(encodeEntry(await this.#fold.appendMapHead(time)))
    this.store.apply(this.#fold.changes())
    this.#fold = this.#newFold(this.#fold.head, this.#fold.upper)
  }

  #newFold(head: FoldHead, upper: UpperTree): Fold {
    return new Fold(head, upper, { store: this.store, anchors: this.verifier.anchors })
  }
}

/** Checks a log from its first entry on, with one fold. */
export async function audit(
  entries: readonly Uint8Array[],
  verifier: Verifier,
  options: { readonly depth?: number; readonly store?: MemoryStore } = {},
): Promise<{ violation: Violation | undefined; fold: Fold; seen: number[] }> {
  const { depth = DEPTH, store = new MemoryStore() } = options
  const fold = new Fold(EMPTY_HEAD, new UpperTree(depth), { store, anchors: verifier.anchors })
  const seen: number[] = []
  const auditor = new Auditor(fold, verifier)
  const violation = await auditor.check(entries, (index) => seen.push(index))
  return { violation, fold, seen }
}

/** An auditor's judgement, in short: `index kind`, or `right`. */
export async function verdictOn(
  entries: readonly Uint8Array[],
  verifier: Verifier,
): Promise<string> {
  const { violation } = await audit(entries, verifier)
  return violation === undefined ? 'right' : `${violation.index} ${violation.kind}`
}

/** What became of each candidate, in words. */
export function statuses(admissions: readonly Admission[]): string[] {
  return admissions.map((a) => {
    if (a.status === 'refused') return `refused: ${a.reason}`
    if (a.status !== 'logged') return a.status
    const late = 'outOfOrder' in a.entry && a.entry.outOfOrder ? ', out of order' : ''
    return `${a.entry.type}${late}`
  })
}

/** The code of the VerifyError of a promise that should fail; any other error is not caught. */
export async function refusal(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
    return 'accepted'
  } catch (error) {
    if (error instanceof VerifyError) return error.code
    throw error
  }
}

/** A live moment. */
export function live(time: number): Moment {
  return { time, historical: false }
}

/** A moment of the past. */
export function past(time: number): Moment {
  return { time, historical: true }
}
