/**
 * The log: one sequencer, one tree in flight (docs/adr/0007-one-sequencer-and-a-signer-row.md). {@link Log.sequence} is the
 * whole story of a tree, from candidates to a published checkpoint, told in the order of its effects; after each step
 * stands what is true if the process dies there. What may be appended is decided by the fold of @dslog/verify.
 */
import { setImmediate as immediate } from 'node:timers/promises'
import { equal } from '@dslog/tlog/bytes'
import { formatCheckpoint } from '@dslog/tlog/checkpoint'
import type { UpperTree } from '@dslog/tlog/maptree'
import { type NoteSigner, signNote } from '@dslog/tlog/note'
import { verifyConsistency } from '@dslog/tlog/proof'
import { TreeReader } from '@dslog/tlog/reader'
import type { Anchor } from '@dslog/dnssec/anchors'
import type { LogTables } from '@dslog/schema/db'
import type { Clock } from '@dslog/service/clock'
import type { Database, ExclusiveLock } from '@dslog/service/db'
import type { FoldTables } from '@dslog/service/foldtables'
import { testPoint } from '@dslog/service/testpoint'
import { Fold } from '@dslog/verify/fold'
import type { FoldChanges } from '@dslog/verify/foldstore'
import { FLOOD_RULE } from '@dslog/verify/history'
import { AheadStore } from './ahead.ts'
import { type Batch, decide, type Decided, type Outcome } from './decide.ts'
import { LogError } from './error.ts'
import { KeyFilter } from './keyfilter.ts'
import { behind, openStored, type StoredLog } from './open.ts'
import type { ReadableLog } from './reader.ts'
import { type PublishedTree, Shown } from './shown.ts'
import type { SignedTree, SignerRow } from './signer.ts'
import {
  type Appended,
  commitOf,
  leafRows,
  type Leaves,
  leavesFrom,
  leavesWith,
  type Position,
  type Step,
  stepFrom,
  zonesOf,
} from './step.ts'
import type { TreeRow, TreeStore } from './store.ts'
import type { Witnesses } from './witness.ts'

/** Keys that are read at once when a load begins. */
const KEYS_AT_ONCE = 20_000

export interface LogOptions {
  readonly db: Database<LogTables>
  readonly signerRow: SignerRow
  /** The log's keys; the name of each is the origin. */
  readonly signers: readonly NoteSigner[]
  readonly anchors: readonly Anchor[]
  readonly clock: Clock
  /** Resolves when everything that was committed is where it must be before anything is signed: on a standby. */
  readonly replicated?: () => Promise<void>
  /** Who must cosign a tree before it is published; nobody if left out. */
  readonly witnesses?: Witnesses | undefined
  /** Another process has the log, or the database is gone: nothing may be sequenced any more. */
  readonly onLost?: (error: Error) => void
}

/** The log, opened for writing. At most one process has it; calls must not overlap. */
export class Log implements ReadableLog {
  readonly origin: string
  readonly store: TreeStore
  readonly fold: FoldTables
  /** What readers are shown. */
  readonly shown: Shown
  readonly #options: LogOptions
  readonly #lock: ExclusiveLock
  #at: Position
  /** Buckets that the tree changed: once it is published, nobody needs earlier versions of them. */
  #superseded: number[]
  /** The newest tree is not published yet, or not since the start. */
  #isUnfinished = true
  /** The last transaction of a load, on its way. */
  #loading: { readonly step: Step; readonly done: Promise<void> } | undefined
  /** During a load: keys of the names that have entries. */
  #known: KeyFilter | undefined

  private constructor(options: LogOptions, lock: ExclusiveLock, stored: StoredLog) {
    this.origin = stored.position.tree.origin
    this.store = stored.store
    this.fold = stored.fold
    this.#options = options
    this.#lock = lock
    this.shown = new Shown(this.origin, this.store, options.witnesses)
    this.#at = stored.position
    this.#superseded = stored.superseded
  }

  /**
   * Opens a log for writing: checks that what is stored is what was signed, or its continuation,
   * and finishes a tree that a crash interrupted. With witnesses that is left to {@link refresh}, since
   * they may take long; what was published before is shown meanwhile.
   *
   * @throws LogError why it must not go on
   */
  static async open(options: LogOptions): Promise<Log> {
    return Log.#opened(options, false, async (log) => {
      testPoint('log.opened')
      if (options.witnesses === undefined) await log.#finish()
      else await log.shown.resume(log.tree, log.fold)
    })
  }

  /** Opens a log whose first import is under way, or that is fresh: see load.ts. Signs nothing. */
  static async openForLoad(options: LogOptions): Promise<Log> {
    return Log.#opened(options, true, async (log) => {
      log.#known = new KeyFilter()
      for await (const page of log.fold.pages(KEYS_AT_ONCE)) {
        for (const { key } of page) log.#known.add(key)
      }
    })
  }

  /** @param begin what else has to be done first; if it fails, the log is let go of */
  static async #opened(
    options: LogOptions,
    loading: boolean,
    begin: (log: Log) => Promise<void>,
  ): Promise<Log> {
    const lock = await options.db.lockExclusive('log', options.onLost ?? (() => {}))
    try {
      const stored = await openStored(options)
      const frozen = (await options.signerRow.read())?.frozen === true
      if (stored.position.tree.loading && !loading) {
        throw new LogError('unfinished-load', 'a first import was interrupted: import again')
      }
      const log = new Log(options, lock, stored)
      log.shown.isFrozen = frozen
      await begin(log)
      return log
    } catch (error) {
      await lock.release()
      throw error
    }
  }

  /** Lets go of the log. */
  async close(): Promise<void> {
    await this.#lock.release()
  }

  /** The tree that readers are shown. @throws Problem `unavailable` before the first is */
  get published(): PublishedTree {
    return this.shown.published
  }

  /** Entries that tiles and bundles are served of: those of the newest signed tree. */
  get readable(): number {
    return this.shown.readable
  }

  get isPublished(): boolean {
    return this.shown.tree !== undefined
  }

  /** Whether there is a tree to be finished by {@link refresh} before anything is sequenced. */
  get isUnfinished(): boolean {
    return this.#isUnfinished
  }

  /** Whether the log was ended for good: nothing is added any more. */
  get isFrozen(): boolean {
    return this.shown.isFrozen
  }

  /**
   * Ends the log for good: signs and publishes what it holds, and records beside what was signed that
   * nothing may follow. Its tree can still be signed and cosigned anew; a larger one cannot.
   */
  async freeze(): Promise<void> {
    await this.#finish()
    const { signerRow } = this.#options
    const signed = (await signerRow.read())!
    if (signed.frozen !== true) await signerRow.advance(signed, { ...signed, frozen: true })
    testPoint('log.frozen')
    await this.shown.end()
  }

  get size(): number {
    return this.#at.tree.size
  }

  get tree(): TreeRow {
    return this.#at.tree
  }

  /** Anchors that evidence is checked against. */
  get anchors(): readonly Anchor[] {
    return this.#options.anchors
  }

  /**
   * Sequences observations: decides about each, commits the new entries as one tree, signs and
   * publishes it.
   *
   * @returns for each batch what became of each of its candidates; all of it is published
   */
  async sequence(batches: readonly Batch[]): Promise<Outcome[]> {
    if (this.isFrozen) throw new LogError('frozen', 'the last tree of this log is signed')
    // Nothing durable yet: a crash loses what nobody was promised.
    const { appended, fold, outcomes, time } = await this.#decide(batches, true)
    if (appended.length === 0) return outcomes
    // The map is hashed while the transaction is under way, when the embedded database answers nobody else.
    await fold.prefetchMap()
    testPoint('log.decided')

    // One transaction: entries, MAP_HEAD, tiles, map, histories, the tree's row. A crash before its
    // end leaves the old tree, one after it leaves a tree that open() will sign and publish.
    await this.#commit(appended, fold, time)
    testPoint('log.committed')

    // From here on the tree can only be finished, now or after a restart.
    this.#isUnfinished = true
    await this.#finish()
    return outcomes
  }

  /** Signs and publishes the same tree anew: witnesses say that they have seen no larger one. */
  async refresh(): Promise<void> {
    await this.#finish()
  }

  /** No longer waits for witnesses: a tree that is waiting is published after the next start. */
  giveUpWaiting(): void {
    this.#options.witnesses?.stop()
  }

  /**
   * Appends entries without a MAP_HEAD and without a map: a load, which nothing is signed after until
   * {@link endLoad}. See load.ts. Their transaction goes on while the next are decided about; they are
   * stored when {@link loaded} resolves.
   */
  async appendLoad(batches: readonly Batch[]): Promise<Outcome[]> {
    const { appended, fold, outcomes } = await this.#decide(batches, false)
    if (appended.length === 0) return outcomes
    const step = await stepFrom(this.#at, await leavesFrom(this.#at, appended), fold, true)
    await this.loaded()
    const done = this.#store(step.changes, step.leaves, Promise.resolve(step))
    // Whoever waits for it gets the error; nothing else is appended after one.
    done.catch(() => {})
    this.#loading = { step, done }
    for (const { key } of step.changes.names) this.#known?.add(key)
    this.#advance(step)
    return outcomes
  }

  /** Waits until everything that was appended is stored. */
  async loaded(): Promise<void> {
    await this.#loading?.done
    this.#loading = undefined
  }

  /** Ends a load: `upper` is the upper tree of the map over everything that was loaded. */
  async endLoad(upper: UpperTree): Promise<void> {
    this.#known = undefined
    const { liveTime, mapHead: newest, mapTime, size } = this.#at.head
    // Nothing was loaded: the tree is complete as it is.
    if (newest === size - 1) return this.#finishLoad()
    this.#at = { ...this.#at, upper }
    const fold = this.#fold()
    const time = Math.max(this.#options.clock(), mapTime + 1, liveTime)
    await this.#commit([], fold, time)
    testPoint('load.covered')
    await this.#finishLoad()
  }

  /** With witnesses the service publishes what was loaded, when it is opened: an import does not wait. */
  async #finishLoad(): Promise<void> {
    if (this.#options.witnesses === undefined) await this.#finish()
  }

  async #decide(
    batches: readonly Batch[],
    readsMap: boolean,
  ): Promise<Decided & { readonly fold: Fold; readonly time: number }> {
    const fold = this.#fold()
    const time = Math.max(this.#options.clock(), this.#at.head.mapTime + 1)
    return { fold, time, ...(await decide(fold, batches, time, readsMap)) }
  }

  /** Commits entries and the MAP_HEAD over them: names and leaves are stored while the map is hashed. */
  async #commit(appended: readonly Appended[], fold: Fold, time: number): Promise<void> {
    const names = fold.changes()
    const leaves = await leavesFrom(this.#at, appended)
    const step = this.#cover(leaves, fold, time)
    // If the transaction fails first, nobody waits for it.
    step.catch(() => {})
    await this.#store(names, leaves, step)
    this.#advance(await step)
  }

  async #cover(leaves: Leaves, fold: Fold, time: number): Promise<Step> {
    return stepFrom(this.#at, leavesWith(leaves, await fold.appendMapHead(time)), fold)
  }

  /**
   * The one transaction of a step.
   *
   * @param names what the step changes, known before its map is
   * @param leaves of its entries, or of all but the MAP_HEAD
   */
  async #store(names: FoldChanges, leaves: Leaves, toCome: Promise<Step>): Promise<void> {
    const { tree: before } = this.#at
    const [superseded, shown] = [this.#superseded, this.shown.tree?.size ?? 0]
    const isLoading = await this.#options.db
      .transaction(async (trx) => {
        await this.store.hold(trx, before)
        await this.fold.map.prune(trx, superseded, shown)
        await this.fold.saveNames(trx, names)
        const idOf = await this.fold.zoneIds(trx, zonesOf(leaves))
        await this.store.insertLeaves(trx, leafRows(leaves, idOf))
        const step = await toCome
        const { loading, size } = step.to.tree
        if (loading && !before.loading) await this.store.beginLoad(trx)
        await this.store.commit(trx, commitOf(step, idOf, leaves.appended.length))
        testPoint('log.stored')
        await this.fold.map.save(trx, step.changes.buckets, size)
        testPoint('log.committing')
        return loading
      })
      .catch((error: unknown) => {
        this.fold.forget()
        throw error
      })
    this.fold.committed(names)
    if (isLoading) testPoint('load.committed')
  }

  #advance(step: Step): void {
    this.#at = step.to
    this.#superseded = step.changes.buckets.map(({ prefix }) => prefix)
  }

  /** Signs and publishes the committed tree. Every step may be repeated after a crash. */
  async #finish(): Promise<void> {
    const { signerRow } = this.#options
    const { origin, root, size } = this.#at.tree

    // The signer row is read anew each time: it may lie in a place of its own, and only it knows what
    // the key has seen. The new tree must continue that one, by proof and not by belief.
    const signed = await signerRow.read()
    if (signed === undefined || !sameTree(signed, this.#at.tree)) {
      if (signed !== undefined) await this.#proveContinues(signed)
      await signerRow.advance(signed, { origin, size, root })
    }
    // Neither the tree nor the record of it may be lost with this server once its signature is out.
    await this.#options.replicated?.()
    // Recorded, not signed: signing the recorded tree again is signing the same.
    testPoint('log.recorded')
    const note = this.#sign()
    this.shown.read(size)
    // Signed, not shown: nobody has seen the signature.
    testPoint('log.signed')
    const cosigned = await this.shown.cosign(note, size)
    // Some witnesses have seen it, and take no other tree of this size: nor is there one, by the signer row.
    testPoint('log.cosigned')
    const publishedAt = this.#options.clock()
    await this.shown.publish({ size, root, note: cosigned, publishedAt, upper: this.#at.upper })
    this.#isUnfinished = false
    testPoint('log.published')
  }

  async #proveContinues(signed: SignedTree): Promise<void> {
    const { root, size } = this.#at.tree
    if (signed.origin !== this.origin) throw new LogError('signer', `it is of ${signed.origin}`)
    if (signed.size > size) throw behind(signed, size)
    const reader = new TreeReader(this.store, size, { cache: this.shown.cache })
    const proof = await reader.consistencyProof(signed.size)
    try {
      verifyConsistency(signed.size, size, proof, signed.root, root)
    } catch (cause) {
      throw new LogError('forked', `the tree of ${size} does not continue the signed one`, {
        cause,
      })
    }
  }

  #sign(): string {
    const { origin, root, size } = this.#at.tree
    const text = formatCheckpoint({ origin, size, root, extensions: [] })
    return signNote(text, this.#options.signers)
  }

  #fold(): Fold {
    const { anchors } = this.#options
    const step = this.#loading?.step
    const ahead = step && { changes: step.changes, from: step.leaves.from }
    const known = this.#known
    const store = known === undefined ? this.fold : new AheadStore(this.fold, known, ahead)
    const { chains, head, upper } = this.#at
    return new Fold(head, upper, {
      store,
      anchors,
      chains,
      flood: FLOOD_RULE,
      pause: () => immediate(),
    })
  }
}

function sameTree(signed: SignedTree, tree: TreeRow): boolean {
  return signed.origin === tree.origin && signed.size === tree.size && equal(signed.root, tree.root)
}
