/**
 * Replays a log into tables: every entry's evidence, every rule of admission, every MAP_HEAD, from where
 * the stored position stands. A monitor does so with the log that it follows, a log with its own that
 * is restored. Entries are taken a unit at a time, each in one transaction, so memory stays flat and
 * a crash costs one unit.
 *
 * A unit ends with a MAP_HEAD where there is one near. In a tree with more entries before its MAP_HEAD
 * than a unit may hold, as the first import of a large log makes one, a unit ends anywhere. The names
 * it touches are then in the histories but not in the map, and the fold that knew them is gone: when
 * the MAP_HEAD comes, the map is brought up to date from the histories. Whether it must be, the
 * position says: it has entries after its MAP_HEAD.
 *
 * That the entries are those of a signed tree is checked before they come here (@dslog/tlog/client).
 */
import type { Transaction } from 'kysely'
import type { LogEntry } from '@dslog/tlog/client'
import type { UpperTree } from '@dslog/tlog/maptree'
import type { NameTables } from '@dslog/schema/db'
import { claimsMapHead, type Entry } from '@dslog/schema/entry'
import { Auditor, type Violation } from '@dslog/verify/audit'
import type { Verifier } from '@dslog/verify/evidence'
import { Fold, type FoldHead } from '@dslog/verify/fold'
import type { FoldTables } from './foldtables.ts'

/** Where a replay stands; whoever stores it may add to it. */
export interface ReplayPosition {
  readonly head: FoldHead
  /** The name map as of the newest MAP_HEAD. */
  readonly upper: UpperTree
}

/** Entries that a fold has taken, decoded and as they are. */
export interface Replayed {
  readonly fold: Fold
  readonly unit: readonly LogEntry[]
  readonly entries: readonly Entry[]
}

/** Where a replay puts what it finds. */
export interface ReplayStore<T extends NameTables, P extends ReplayPosition> {
  readonly names: FoldTables
  /** Runs `work` in one transaction; what it may have put into memory is forgotten if it fails. */
  transaction<R>(work: (trx: Transaction<T>) => Promise<R>): Promise<R>
  /** The position behind these entries: stored, with whatever else is kept of them. */
  move(trx: Transaction<T>, from: P, replayed: Replayed): Promise<P>
}

/** How much is taken at once. */
export interface UnitLimits {
  /** Entries that are worth a transaction. */
  readonly entries: number
  /** Entries that may wait in memory for their MAP_HEAD. */
  readonly waiting: number
  /** Bytes that may, before the same is done. */
  readonly bytes: number
}

/**
 * A transaction costs some milliseconds and a unit of so many entries about a second. A tree of the
 * log's sequencer has 5,000 entries and those of one submission, so that only a first import is ever
 * divided; 32 Mi bytes are ten times what so many entries take as a rule.
 */
export const UNIT_LIMITS: UnitLimits = { entries: 4_096, waiting: 16_384, bytes: 32 * 1024 * 1024 }

/** Entries whose signatures are verified at the same time. */
const RUN = 1_024

/** Thrown when an entry breaks a rule; nothing of its unit is stored. */
export class ViolationError extends Error {
  override readonly name = 'ViolationError'
  readonly violation: Violation

  constructor(violation: Violation) {
    super(`entry ${violation.index}: ${violation.reason}`)
    this.violation = violation
  }
}

/** Collects entries, in order, into units. */
export class UnitReader {
  readonly #limits: UnitLimits
  #entries: LogEntry[] = []
  #bytes = 0
  /** Of the entries, those up to and with the last MAP_HEAD. */
  #closed = 0

  constructor(limits: UnitLimits) {
    this.#limits = limits
  }

  /**
   * Adds entries, and gives out the units that are complete with them.
   *
   * @param size of the tree: with its last entry, everything is given out
   */
  *add(
    entries: readonly LogEntry[],
    size: number,
  ): Generator<readonly LogEntry[], void, undefined> {
    for (const entry of entries) {
      this.#entries.push(entry)
      this.#bytes += entry.entry.length
      if (claimsMapHead(entry.entry)) this.#closed = this.#entries.length
      const end = this.#end(entry.index === size - 1)
      if (end > 0) yield this.#take(end)
    }
  }

  /** Where a unit ends now; 0 for nowhere yet. */
  #end(isLast: boolean): number {
    const { length } = this.#entries
    if (isLast) return length
    const full = this.#bytes >= this.#limits.bytes
    if (this.#closed > 0) return full || length >= this.#limits.entries ? this.#closed : 0
    return full || length >= this.#limits.waiting ? length : 0
  }

  #take(count: number): readonly LogEntry[] {
    const unit = this.#entries.slice(0, count)
    this.#entries = this.#entries.slice(count)
    this.#bytes = this.#entries.reduce((sum, { entry }) => sum + entry.length, 0)
    this.#closed = 0
    return unit
  }
}

/** The units of a tree of `size` entries, from whichever entry its bundles begin with. */
export async function* unitsOf(
  bundles: AsyncIterable<readonly LogEntry[]>,
  size: number,
  limits: UnitLimits = UNIT_LIMITS,
): AsyncGenerator<readonly LogEntry[], void, undefined> {
  const reader = new UnitReader(limits)
  for await (const entries of bundles) yield* reader.add(entries, size)
}

/** Stores something; what that may have put into memory is forgotten if it fails. */
export async function forgetting<R>(names: FoldTables, store: () => Promise<R>): Promise<R> {
  try {
    return await store()
  } catch (error) {
    names.forget()
    throw error
  }
}

/** The replayed log, from its stored position on. Calls must not overlap. */
export class Replay<T extends NameTables, P extends ReplayPosition> {
  readonly #store: ReplayStore<T, P>
  readonly #verifier: Verifier
  #position: P

  /** @param position as stored */
  constructor(store: ReplayStore<T, P>, verifier: Verifier, position: P) {
    this.#store = store
    this.#verifier = verifier
    this.#position = position
  }

  get position(): P {
    return this.#position
  }

  /**
   * Verifies the next entries and stores what they change. When it returns, all of it is durable.
   *
   * @throws ViolationError at the first entry that breaks a rule
   */
  async take(unit: readonly LogEntry[]): Promise<void> {
    let rest = unit
    if (this.#isOpen()) {
      const end = unit.findIndex(({ entry }) => claimsMapHead(entry))
      const before = end < 0 ? unit : unit.slice(0, end)
      if (before.length > 0) await this.#append(before)
      if (end < 0) return
      await this.#closeMap(unit[end]!)
      rest = unit.slice(end + 1)
    }
    if (rest.length > 0) await this.#append(rest)
  }

  /** Whether there are entries that the map does not cover yet. */
  #isOpen(): boolean {
    const { mapHead, size } = this.#position.head
    return mapHead !== undefined && size > mapHead + 1
  }

  /** Entries whose MAP_HEADs, if any, cover nothing in the tables that the map does not. */
  async #append(unit: readonly LogEntry[]): Promise<void> {
    const { names } = this.#store
    const fold = this.#fold(this.#position.upper)
    const entries = await this.#check(fold, unit)
    const added = fold.changes()
    this.#position = await this.#store.transaction(async (trx) => {
      const { size } = fold.head
      await names.save(trx, added, size)
      const prefixes = added.buckets.map(({ prefix }) => prefix)
      await names.map.prune(trx, prefixes, size)
      return this.#store.move(trx, this.#position, { fold, unit, entries })
    })
    names.committed(added)
  }

  /** The MAP_HEAD over entries that are in the histories and not in the map. */
  async #closeMap(mapHead: LogEntry): Promise<void> {
    const { head, upper: before } = this.#position
    this.#position = await this.#store.transaction(async (trx) => {
      const upper = before.fork()
      await this.#store.names.map.remap(trx, upper, head.mapHead! + 1, head.size + 1)
      const fold = this.#fold(upper)
      const entries = await this.#check(fold, [mapHead])
      return this.#store.move(trx, this.#position, { fold, unit: [mapHead], entries })
    })
  }

  #fold(upper: UpperTree): Fold {
    const { anchors } = this.#verifier
    return new Fold(this.#position.head, upper, { store: this.#store.names, anchors })
  }

  /** Verifies entries, moving the fold. */
  async #check(fold: Fold, unit: readonly LogEntry[]): Promise<Entry[]> {
    const auditor = new Auditor(fold, this.#verifier)
    const entries: Entry[] = []
    for (let at = 0; at < unit.length; at += RUN) {
      const run = unit.slice(at, at + RUN).map(({ entry }) => entry)
      const violation = await auditor.check(run, (_, entry) => entries.push(entry))
      if (violation !== undefined) throw new ViolationError(violation)
    }
    return entries
  }
}
