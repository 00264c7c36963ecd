/**
 * Follows one log: {@link Follower.round} is the whole story of one look at it, told in the order of
 * its effects; after each step stands what is true from there on. The log is trusted in nothing: it is
 * checked with what the public has, from what this monitor itself has verified and stored.
 *
 * What comes of a look is a state. A log that does not answer, or shows a checkpoint that the policy
 * does not accept, has not been caught at anything: anyone can serve such a thing. What it was caught
 * at is evidence, and kept (caught.ts); what is not final is tried again with each look.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { equal } from '@dslog/tlog/bytes'
import type { LogClient } from '@dslog/tlog/client'
import type { Policy, TrustedCheckpoint } from '@dslog/tlog/policy'
import { firstOf } from '@dslog/resolver/abort'
import type { MonitorTables } from '@dslog/schema/db'
import type { Clock } from '@dslog/service/clock'
import type { Logger } from '@dslog/service/log'
import { Periodic } from '@dslog/service/periodic'
import { Replay, type UnitLimits, unitsOf, ViolationError } from '@dslog/service/replay'
import { Turns } from '@dslog/service/turns'
import type { Verifier } from '@dslog/verify/evidence'
import { breachOf } from './breach.ts'
import { Caught } from './caught.ts'
import { MonitorError } from './error.ts'
import { SignedTrees } from './signedtrees.ts'
import { type FollowStatus, type Outcome, outcomeOfFollowing } from './standing.ts'
import { type MonitorStore, type Position, rootOf } from './store.ts'
import { signedBy } from './trust.ts'

/** Longest that whoever asks for an audit waits for it, ms; the log's own patience is twice that. */
export const AUDIT_MS = 5_000

/** Spreads the looks of many monitors. */
const JITTER = 0.1

export interface FollowerOptions {
  readonly client: LogClient
  readonly policy: Policy
  readonly store: MonitorStore
  readonly verifier: Verifier
  readonly clock: Clock
  readonly logger: Logger
  /**
   * From one look to the next, ms. A look goes on verifying for as long: the next is due at once, so
   * that a log that is far ahead is not made to wait, and still asked for what is new.
   */
  readonly interval: number
  /** For how long a smaller tree may be an old copy, ms; see SignedTreesOptions. */
  readonly patience?: number
  readonly limits?: UnitLimits
}

/** What a follower goes on from. */
interface Left {
  readonly replay: Replay<MonitorTables, Position>
  readonly trees: SignedTrees
  readonly caught: Caught
  readonly verifiedAt: number | undefined
}

/** Follows one log. */
export class Follower extends Periodic {
  readonly name = 'follower'
  readonly #options: FollowerOptions
  /** Looks and audits take turns. */
  readonly #turns = new Turns()
  #replay: Replay<MonitorTables, Position>
  #trees: SignedTrees
  #caught: Caught
  #verifiedAt: number | undefined
  /** Whether what is stored may be further than what is in memory. */
  #isUnsure = false
  #published: number
  #outcome: Outcome = { state: 'starting', detail: undefined }

  private constructor(options: FollowerOptions, { caught, replay, trees, verifiedAt }: Left) {
    const { clock, interval } = options
    super({ interval, jitter: JITTER, immediately: true, clock })
    this.#options = options
    this.#replay = replay
    this.#trees = trees
    this.#caught = caught
    this.#verifiedAt = verifiedAt
    this.#published = trees.published?.checkpoint.size ?? 0
  }

  /**
   * Takes up a log where it was left, or at its first entry.
   *
   * @throws MonitorError if what is stored is of another log, or does not fit together
   */
  static async open(options: FollowerOptions): Promise<Follower> {
    return new Follower(options, await leftOf(options))
  }

  get status(): FollowStatus {
    const { head, upper } = this.#replay.position
    const backlog = Math.max(0, this.#published - head.size)
    const { freshAt } = this.#trees
    return {
      ...this.#standing({ backlog, freshAt }),
      size: head.size,
      root: rootOf(this.#replay.position),
      published: this.#published,
      backlog,
      freshAt,
      verifiedAt: this.#verifiedAt,
      mapRoot: upper.root(),
      mapKeys: head.keyCount,
      mapTime: head.mapTime,
      findings: this.#caught.findings,
    }
  }

  /** Whether the log was caught at something that no later tree can take back. */
  get isCaught(): boolean {
    return this.#caught.final !== undefined
  }

  /** One look at the log. Throws only what needs a restart or an operator. */
  round(signal: AbortSignal): Promise<void> {
    return this.#turn(() => this.#look(signal))
  }

  /**
   * Verifies a tree that the log has signed, whether it is published or not: every entry, every
   * MAP_HEAD, up to the root.
   *
   * @param note opens under a key of the log
   * @returns whether all of it is found right; false where that takes longer than {@link AUDIT_MS}
   */
  async audit(note: string, signal: AbortSignal): Promise<boolean> {
    const target = signedBy(this.#options.policy, note)
    if (this.#isVerified(target)) return true
    const audit = this.#turn(() => this.#audit(target, signal))
    // It goes on when nobody waits any more: whoever asks again finds it done.
    audit.catch(() => {})
    const answered = new AbortController()
    const end = firstOf(signal, answered.signal)
    const late = delay(AUDIT_MS, false, { signal: end.signal, ref: false }).catch(() => false)
    try {
      return await Promise.race([audit, late])
    } finally {
      answered.abort()
      end.release()
    }
  }

  /**
   * Holds a checkpoint that was seen elsewhere against what the log shows here.
   *
   * @param note opens under a key of the log
   */
  async compare(note: string, signal: AbortSignal): Promise<void> {
    const { client, policy } = this.#options
    const other = signedBy(policy, note)
    await this.#turn(() =>
      this.#catching(signal, async () => {
        const own = this.#trees.newest
        if (own === undefined || this.isCaught) return
        const [older, newer] =
          other.checkpoint.size < own.checkpoint.size ? [other, own] : [own, other]
        await client.advance(older, newer)
      }),
    )
  }

  /** An entry of the accepted tree, checked to be in it. Throws what a log that does not deliver does. */
  async entry(index: number, signal: AbortSignal): Promise<Uint8Array | undefined> {
    const tree = this.#trees.published
    if (tree === undefined || index >= tree.checkpoint.size) return undefined
    const found = this.#options.client.entries(index, index + 1, tree, signal)
    for await (const { entry } of found) return entry
    return undefined
  }

  /** After a turn that failed, what it has stored is not known: the next begins as after a start. */
  #turn<T>(work: () => Promise<T>): Promise<T> {
    return this.#turns.run(async () => {
      if (this.#isUnsure) {
        const { caught, replay, trees, verifiedAt } = await leftOf(this.#options)
        this.#replay = replay
        this.#trees = trees
        this.#caught = caught
        this.#verifiedAt = verifiedAt
      }
      this.#isUnsure = true
      const result = await work()
      this.#isUnsure = false
      return result
    })
  }

  async #audit(target: TrustedCheckpoint, signal: AbortSignal): Promise<boolean> {
    if (this.isCaught || target.checkpoint.size < (this.#trees.newest?.checkpoint.size ?? 0)) {
      return false
    }
    await this.#catching(signal, async () => {
      await this.#trees.await(target, signal)
      await this.#replayTo(target, signal, AUDIT_MS)
    })
    return this.#isVerified(target)
  }

  /** Runs what looks at the log; what the log is caught at is kept, what it fails at is no matter here. */
  async #catching(signal: AbortSignal, look: () => Promise<void>): Promise<void> {
    try {
      await look()
    } catch (error) {
      if (signal.aborted) return
      const outcome = await this.#outcomeOf(error)
      if (outcome.state === 'misbehaving') this.#outcome = outcome
    }
  }

  /** Whether exactly this tree has been verified. */
  #isVerified({ checkpoint: { root, size } }: TrustedCheckpoint): boolean {
    const { position } = this.#replay
    return !this.isCaught && position.head.size === size && equal(rootOf(position), root)
  }

  async #look(signal: AbortSignal): Promise<void> {
    const { client, logger } = this.#options
    const before = this.#outcome
    try {
      // Signed by the log and witnessed as the policy demands: nobody else can have made it up.
      const shown = await client.checkpoint(signal)
      this.#published = shown.checkpoint.size
      if (this.isCaught) return

      const newest = await this.#trees.publish(shown, signal)
      this.#published = newest.checkpoint.size
      await this.#verify(newest, signal)
      this.#outcome = { state: 'following', detail: undefined }
    } catch (error) {
      // Being stopped is no state of the log.
      if (signal.aborted) return
      this.#outcome = await this.#outcomeOf(error)
    }
    const { detail, state } = this.#outcome
    if (state !== before.state) logger.info({ state, detail }, 'the state of the log has changed')
  }

  /** Verifies entries of a published tree: all of them, or as many as there is time for. */
  async #verify(target: TrustedCheckpoint, signal: AbortSignal): Promise<void> {
    const { clock, interval, store } = this.#options
    const { root, size } = target.checkpoint
    const isPast = this.#trees.isAhead && this.#replay.position.head.size > size
    if (!isPast && !(await this.#replayTo(target, signal, interval))) return
    if (!isPast && !equal(rootOf(this.#replay.position), root)) {
      throw new MonitorError('corrupt', `the stored entries are not those of the tree of ${size}`)
    }
    // The tree of all verified hashes is the signed one, or begins with it: nothing was left out, nothing
    // added.
    this.#verifiedAt = clock()
    await store.verified(this.#verifiedAt)
  }

  /** Replays entries of a tree for so long, ms. @returns whether there are none left */
  async #replayTo(target: TrustedCheckpoint, signal: AbortSignal, time: number): Promise<boolean> {
    const { client, clock, limits } = this.#options
    const started = clock()
    const { size } = target.checkpoint
    const bundles = client.bundles(this.#replay.position.head.size, size, target, signal)
    for await (const unit of unitsOf(bundles, size, limits)) {
      // Each entry hashes to its leaf of the signed tree.
      try {
        await this.#replay.take(unit)
      } catch (error) {
        if (!(error instanceof ViolationError)) throw error
        throw await breachOf(client, error.violation, target)
      }
      // Each decodes, is proven by the DNSSEC evidence in it, and is what the rules demand; each
      // MAP_HEAD is that of the replayed map; and the position is durable behind them.
      if (clock() - started >= time) break
    }
    return this.#replay.position.head.size >= size
  }

  #outcomeOf(error: unknown): Promise<Outcome> {
    return this.#caught.outcomeOf(error, this.#replay.position.head.size)
  }

  #standing(shown: Pick<FollowStatus, 'backlog' | 'freshAt'>): Outcome {
    const { clock, policy } = this.#options
    if (this.#caught.final !== undefined) return this.#caught.final
    if (this.#outcome.state !== 'following') return this.#outcome
    return outcomeOfFollowing(policy, shown, clock())
  }
}

/** What is stored of a log. @throws MonitorError as {@link Follower.open} does */
async function leftOf(options: FollowerOptions): Promise<Left> {
  const { store, verifier } = options
  const followed = await store.open()
  return {
    replay: new Replay(store, verifier, followed.position),
    trees: new SignedTrees(options, followed),
    caught: new Caught(options, await store.findings()),
    verifiedAt: followed.verifiedAt,
  }
}
