/**
 * Follows one log: {@link Follower.round} is the whole story of one look at it, told in the order of
 * its effects; after each step stands what is true from there on. The log is trusted in nothing: it is
 * checked with what the public has, from what this monitor itself has verified and stored.
 *
 * What comes of a look is a state. A log that does not answer, or shows a checkpoint that the policy
 * does not accept, has not been caught at anything: anyone can serve such a thing. What it was caught
 * at is evidence, and kept. After a final piece of it nothing more is verified, since no later tree
 * can take back what was signed; the others are tried again with each look.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { equal } from '@dslog/tlog/bytes'
import type { LogClient, LogEntry } from '@dslog/tlog/client'
import { TlogError } from '@dslog/tlog/error'
import type { Hash } from '@dslog/tlog/hash'
import { vouchedAt } from '@dslog/tlog/freshness'
import { MisbehaviourError } from '@dslog/tlog/misbehaviour'
import type { Policy, TrustedCheckpoint } from '@dslog/tlog/policy'
import { firstOf } from '@dslog/resolver/abort'
import type { MonitorStatus } from '@dslog/schema/api'
import type { MonitorTables } from '@dslog/schema/db'
import { claimsMapHead } from '@dslog/schema/entry'
import { type Clock, Ticker } from '@dslog/service/clock'
import type { Logger } from '@dslog/service/log'
import {
  Replay,
  UNIT_LIMITS,
  type UnitLimits,
  UnitReader,
  ViolationError,
} from '@dslog/service/replay'
import type { Component } from '@dslog/service/run'
import { testPoint } from '@dslog/service/testpoint'
import { Turns } from '@dslog/service/turns'
import type { Verifier } from '@dslog/verify/evidence'
import { MonitorError } from './error.ts'
import { type Breach, BreachError, type Finding, type FindingKind, isFinal } from './evidence.ts'
import { type Followed, type MonitorStore, type Position, rootOf } from './store.ts'
import { failureOf, reopened, signedBy } from './trust.ts'

/** Not known to be fresh for so long, ms, what is verified is old: witnesses are asked every ten minutes. */
export const STALE_AFTER_MS: number = 24 * 3600 * 1000

/** How often it is recorded that a log without witnesses still answers, ms. */
const RECORD_FRESH_MS = 600_000

/** Longest that whoever asks for an audit waits for it, ms; the log's own patience is twice that. */
export const AUDIT_MS = 5_000

const MS_PER_SECOND = 1000

/** Spreads the looks of many monitors. */
const JITTER = 0.1

export type FollowState = MonitorStatus['logs'][number]['state']

/** How it stands with a log. Times are ms since the Unix epoch. */
export interface FollowStatus {
  readonly state: FollowState
  readonly detail: string | undefined
  /** Everything below has been verified, and the root of that tree. */
  readonly size: number
  readonly root: Hash
  /** Size of the newest checkpoint that satisfied the policy. */
  readonly published: number
  readonly backlog: number
  /**
   * Until when the log is known to be alive: when a quorum of witnesses last vouched for its tree. Under a
   * policy without witnesses, when it last answered with a good checkpoint: more cannot be known.
   */
  readonly freshAt: number | undefined
  /** When all of the newest checkpoint was last found right. */
  readonly verifiedAt: number | undefined
  readonly mapRoot: Hash
  readonly mapKeys: number
  /** Pieces of evidence kept, by kind. */
  readonly findings: ReadonlyMap<FindingKind, number>
}

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
  readonly limits?: UnitLimits
}

type Outcome = Pick<FollowStatus, 'state' | 'detail'>

/** Follows one log. Rounds must not overlap. */
export class Follower implements Component {
  readonly name = 'follower'
  readonly #options: FollowerOptions
  readonly #replay: Replay<MonitorTables, Position>
  readonly #findings: Map<FindingKind, number>
  /** Set for good once the log was caught at something final. */
  #caught: Outcome | undefined
  #accepted: { readonly trusted: TrustedCheckpoint; readonly freshAt: number } | undefined
  /** A signed tree, larger than the accepted one, that the log has not published yet: see {@link audit}. */
  #pending: TrustedCheckpoint | undefined
  #recordedAt = -Infinity
  /** Looks and audits take turns. */
  readonly #turns = new Turns()
  #verifiedAt: number | undefined
  #published: number
  #outcome: Outcome = { state: 'starting', detail: undefined }
  #ticker: Ticker | undefined

  private constructor(
    options: FollowerOptions,
    replay: Replay<MonitorTables, Position>,
    findings: Map<FindingKind, number>,
    accepted: { readonly trusted: TrustedCheckpoint; readonly freshAt: number } | undefined,
    { pending, verifiedAt }: Pick<Followed, 'pending' | 'verifiedAt'>,
  ) {
    this.#options = options
    this.#replay = replay
    this.#findings = findings
    this.#accepted = accepted
    this.#verifiedAt = verifiedAt
    this.#pending = pending === undefined ? undefined : reopened(options.policy, pending)
    this.#published = accepted?.trusted.checkpoint.size ?? 0
    const final = [...findings.keys()].find(isFinal)
    if (final !== undefined) this.#caught = { state: 'misbehaving', detail: `caught: ${final}` }
  }

  /**
   * Takes up a log where it was left, or at its first entry.
   *
   * @throws MonitorError if what is stored is of another log, or does not fit together
   */
  static async open(options: FollowerOptions): Promise<Follower> {
    const { policy, store, verifier } = options
    const followed = await store.open()
    const { accepted, position } = followed
    const replay = new Replay(store, verifier, position)
    const stored = accepted && {
      trusted: reopened(policy, accepted.note),
      freshAt: accepted.freshAt,
    }
    return new Follower(options, replay, await store.findings(), stored, followed)
  }

  start(fail: (error: unknown) => void): void {
    const { clock, interval } = this.#options
    this.#ticker = new Ticker({
      interval,
      jitter: JITTER,
      immediately: true,
      clock,
      run: (signal) => this.round(signal),
      onError: (error) => {
        fail(error)
        throw error
      },
    })
  }

  async stop(): Promise<void> {
    await this.#ticker?.stop()
  }

  get status(): FollowStatus {
    const { head, upper } = this.#replay.position
    return {
      ...this.#current(),
      size: head.size,
      root: rootOf(this.#replay.position),
      published: this.#published,
      backlog: this.#backlog,
      freshAt: this.#accepted?.freshAt,
      verifiedAt: this.#verifiedAt,
      mapRoot: upper.root(),
      mapKeys: head.keyCount,
      findings: this.#findings,
    }
  }

  /** Whether the log was caught at something that no later tree can take back. */
  get isCaught(): boolean {
    return this.#caught !== undefined
  }

  /** One look at the log. Throws only what needs a restart or an operator. */
  round(signal: AbortSignal): Promise<void> {
    return this.#turns.run(() => this.#look(signal))
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
    const audit = this.#turns.run(() => this.#audit(target, signal))
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
    await this.#turns.run(() =>
      this.#catching(signal, async () => {
        const own = this.#pending ?? this.#accepted?.trusted
        if (own === undefined || this.isCaught) return
        const [older, newer] =
          other.checkpoint.size < own.checkpoint.size ? [other, own] : [own, other]
        await client.advance(older, newer)
      }),
    )
  }

  /** An entry of the accepted tree, checked to be in it. Throws what a log that does not deliver does. */
  async entry(index: number, signal: AbortSignal): Promise<Uint8Array | undefined> {
    const trusted = this.#accepted?.trusted
    if (trusted === undefined || index >= trusted.checkpoint.size) return undefined
    const found = this.#options.client.entries(index, index + 1, trusted, signal)
    for await (const { entry } of found) return entry
    return undefined
  }

  async #audit(target: TrustedCheckpoint, signal: AbortSignal): Promise<boolean> {
    const { client, store } = this.#options
    const before = this.#pending ?? this.#accepted?.trusted
    const { size } = target.checkpoint
    if (this.isCaught || size < (before?.checkpoint.size ?? 0)) return false
    await this.#catching(signal, async () => {
      if (before !== undefined) await client.advance(before, target)
      if (before?.checkpoint.size !== size) {
        await this.#checkEnd(target, signal)
        await store.await(target.note)
        this.#pending = target
        // Signed, so the log can show nothing else any more, and published or not it is replayed.
      }
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
      const newest = await client.checkpoint(signal)
      this.#published = newest.checkpoint.size
      if (this.#caught !== undefined) return

      await this.#accept(newest, signal)
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

  /** Takes note of a checkpoint. */
  async #accept(newest: TrustedCheckpoint, signal: AbortSignal): Promise<void> {
    const { client, store } = this.#options
    const before = this.#accepted?.trusted
    if (before?.note === newest.note) return this.#stayFresh(newest)
    if (before !== undefined) await client.advance(before, newest)
    // The log has appended, or nothing: what was verified is how it begins.

    const pending = this.#pending
    const caughtUp = pending !== undefined && pending.checkpoint.size <= newest.checkpoint.size
    if (pending !== undefined) {
      await client.advance(
        ...(caughtUp ? ([pending, newest] as const) : ([newest, pending] as const)),
      )
    }
    // Nor does it exclude the tree that it has signed and not published yet.

    if (before?.checkpoint.size !== newest.checkpoint.size) await this.#checkEnd(newest, signal)
    // It ends with a MAP_HEAD. Seen now, since there may be a newer tree before this one is verified.

    await this.#record(newest)
    testPoint('monitor.accepted')
    // From here on a fork or a rollback behind this very tree is noticed, also after a crash.

    if (caughtUp) await store.await(undefined)
    if (caughtUp) this.#pending = undefined
  }

  /** The same note again: under a policy without witnesses that is all the life a log can show. */
  async #stayFresh(newest: TrustedCheckpoint): Promise<void> {
    const { clock, policy } = this.#options
    if (policy.quorum !== undefined) return
    this.#accepted = { trusted: newest, freshAt: clock() }
    if (clock() - this.#recordedAt >= RECORD_FRESH_MS) await this.#record(newest)
  }

  async #record(newest: TrustedCheckpoint): Promise<void> {
    const { clock, policy, store } = this.#options
    const vouched = vouchedAt(policy, newest.witnesses)
    // No clock but ours counts for the future.
    const freshAt = Math.min(clock(), vouched === undefined ? Infinity : vouched * MS_PER_SECOND)
    await store.accept(newest.note, freshAt)
    this.#accepted = { trusted: newest, freshAt }
    this.#recordedAt = clock()
  }

  async #checkEnd(newest: TrustedCheckpoint, signal: AbortSignal): Promise<void> {
    const { size } = newest.checkpoint
    const reason = 'the tree does not end with a MAP_HEAD'
    if (size === 0) {
      const evidence = { checkpoint: newest.note, index: 0, entry: new Uint8Array(0), path: [] }
      throw new BreachError({ kind: 'no-map-head', evidence: { ...evidence, reason } })
    }
    for await (const { entry, index } of this.#options.client.entries(
      size - 1,
      size,
      newest,
      signal,
    )) {
      if (claimsMapHead(entry)) continue
      throw await this.#breach({ kind: 'no-map-head', index, entry, reason }, newest)
    }
  }

  /** Verifies entries of an accepted tree: all of them, or as many as there is time for. */
  async #verify(target: TrustedCheckpoint, signal: AbortSignal): Promise<void> {
    const { clock, interval, store } = this.#options
    const { root, size } = target.checkpoint
    const { position } = this.#replay
    const isAhead = this.#pending !== undefined && position.head.size > size
    if (!isAhead && !(await this.#replayTo(target, signal, interval))) return
    if (!isAhead && !equal(rootOf(this.#replay.position), root)) {
      throw new MonitorError('corrupt', `the stored entries are not those of the tree of ${size}`)
    }
    // The tree of all verified hashes is the signed one, or begins with it: nothing was left out, nothing
    // added.
    this.#verifiedAt = clock()
    await store.verified(this.#verifiedAt)
  }

  /** Replays entries of a tree for so long, ms. @returns whether there are none left */
  async #replayTo(target: TrustedCheckpoint, signal: AbortSignal, time: number): Promise<boolean> {
    const { clock } = this.#options
    const started = clock()
    for await (const unit of this.#units(target, signal)) {
      // Each entry hashes to its leaf of the signed tree.
      try {
        await this.#replay.take(unit)
      } catch (error) {
        if (!(error instanceof ViolationError)) throw error
        throw await this.#breach(error.violation, target)
      }
      // Each decodes, is proven by the DNSSEC evidence in it, and is what the rules demand; each
      // MAP_HEAD is that of the replayed map; and the position is durable behind them.
      if (clock() - started >= time) break
    }
    return this.#replay.position.head.size >= target.checkpoint.size
  }

  /** What is not verified yet of a tree. */
  async *#units(
    target: TrustedCheckpoint,
    signal: AbortSignal,
  ): AsyncGenerator<readonly LogEntry[], void, undefined> {
    const { client, limits = UNIT_LIMITS } = this.#options
    const { size } = target.checkpoint
    const reader = new UnitReader(limits)
    const from = this.#replay.position.head.size
    for await (const entries of client.bundles(from, size, target, signal)) {
      yield* reader.add(entries, size)
    }
  }

  async #breach(
    { kind, ...found }: Omit<Breach['evidence'], 'checkpoint' | 'path'> & Pick<Breach, 'kind'>,
    trusted: TrustedCheckpoint,
  ): Promise<BreachError> {
    const path = await this.#options.client.tree(trusted).inclusionProof(found.index)
    return new BreachError({ kind, evidence: { checkpoint: trusted.note, path, ...found } })
  }

  async #outcomeOf(error: unknown): Promise<Outcome> {
    if (error instanceof BreachError) return this.#keep(error.breach, error.message)
    if (error instanceof MisbehaviourError) return this.#keep(error.misbehaviour, error.message)
    if (!(error instanceof TlogError)) throw error
    const detail = error.message
    const state = failureOf(error)
    if (state === undefined) throw error
    return { state, detail }
  }

  async #keep(finding: Finding, detail: string): Promise<Outcome> {
    const { clock, logger, store } = this.#options
    const { kind } = finding
    if (await store.keep(finding, detail, this.#replay.position.head.size, clock())) {
      this.#findings.set(kind, (this.#findings.get(kind) ?? 0) + 1)
      logger.error({ kind, detail }, 'the log was caught: see /v1/evidence')
    }
    const outcome: Outcome = { state: 'misbehaving', detail }
    if (isFinal(kind)) this.#caught = outcome
    return outcome
  }

  get #backlog(): number {
    return Math.max(0, this.#published - this.#replay.position.head.size)
  }

  #current(): Outcome {
    if (this.#caught !== undefined) return this.#caught
    if (this.#outcome.state !== 'following') return this.#outcome
    if (this.#backlog > 0) {
      return { state: 'behind', detail: `${this.#backlog} entries to verify` }
    }
    const { clock, policy } = this.#options
    const freshAt = this.#accepted?.freshAt
    if (freshAt === undefined || clock() - freshAt < STALE_AFTER_MS) return this.#outcome
    const who = policy.quorum === undefined ? 'the log has not answered' : 'no quorum has cosigned'
    return { state: 'stale', detail: `${who} for a day` }
  }
}
