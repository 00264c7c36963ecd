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
import { equal } from '@dslog/tlog/bytes'
import { openCheckpoint } from '@dslog/tlog/checkpoint'
import type { LogClient, LogEntry } from '@dslog/tlog/client'
import { verifierOf } from '@dslog/tlog/cosignature'
import { TlogError, type TlogErrorCode } from '@dslog/tlog/error'
import type { Hash } from '@dslog/tlog/hash'
import { MisbehaviourError } from '@dslog/tlog/misbehaviour'
import type { Policy, TrustedCheckpoint } from '@dslog/tlog/policy'
import type { MonitorStatus } from '@dslog/schema/api'
import { claimsMapHead } from '@dslog/schema/entry'
import { type Clock, Ticker } from '@dslog/service/clock'
import type { Logger } from '@dslog/service/log'
import type { Component } from '@dslog/service/run'
import { testPoint } from '@dslog/service/testpoint'
import type { Verifier } from '@dslog/verify/evidence'
import { MonitorError } from './error.ts'
import { type Breach, BreachError, type Finding, type FindingKind, isFinal } from './evidence.ts'
import { Replay, UNIT_LIMITS, type UnitLimits, UnitReader, ViolationError } from './replay.ts'
import { type MonitorStore, rootOf } from './store.ts'

/** Without a new checkpoint for so long, ms, what is verified is old: a log re-signs every ten minutes. */
export const STALE_AFTER_MS: number = 24 * 3600 * 1000

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
  /** When the log last showed a new checkpoint. */
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

/** Codes of errors of a log that does not deliver. */
const UNREACHABLE: ReadonlySet<TlogErrorCode> = new Set<TlogErrorCode>([
  'network',
  'http',
  'too-large',
  'bad-tile',
])

/** Codes of checkpoints that are not the log's, or not witnessed as the policy demands. */
const UNTRUSTED: ReadonlySet<TlogErrorCode> = new Set<TlogErrorCode>([
  'bad-note',
  'bad-checkpoint',
  'bad-signature',
  'unverified',
  'unknown-log',
  'quorum',
])

/** Follows one log. Rounds must not overlap. */
export class Follower implements Component {
  readonly name = 'follower'
  readonly #options: FollowerOptions
  readonly #replay: Replay
  readonly #findings: Map<FindingKind, number>
  /** Set for good once the log was caught at something final. */
  #caught: Outcome | undefined
  #accepted: { readonly trusted: TrustedCheckpoint; readonly freshAt: number } | undefined
  #verifiedAt: number | undefined
  #published: number
  #outcome: Outcome = { state: 'starting', detail: undefined }
  #ticker: Ticker | undefined

  private constructor(
    options: FollowerOptions,
    replay: Replay,
    findings: Map<FindingKind, number>,
    accepted: { readonly trusted: TrustedCheckpoint; readonly freshAt: number } | undefined,
    verifiedAt: number | undefined,
  ) {
    this.#options = options
    this.#replay = replay
    this.#findings = findings
    this.#accepted = accepted
    this.#verifiedAt = verifiedAt
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
    const { accepted, position, verifiedAt } = await store.open()
    const replay = new Replay(store, verifier, position)
    const stored = accepted && {
      trusted: reopened(accepted.note, policy),
      freshAt: accepted.freshAt,
    }
    return new Follower(options, replay, await store.findings(), stored, verifiedAt)
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

  /** One look at the log. Throws only what needs a restart or an operator. */
  async round(signal: AbortSignal): Promise<void> {
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
    const { client, clock, store } = this.#options
    const before = this.#accepted?.trusted
    if (before?.note === newest.note) return
    if (before !== undefined) await client.advance(before, newest)
    // The log has appended, or nothing: what was verified is how it begins.

    if (before?.checkpoint.size !== newest.checkpoint.size) await this.#checkEnd(newest, signal)
    // It ends with a MAP_HEAD. Seen now, since there may be a newer tree before this one is verified.

    const freshAt = clock()
    await store.accept(newest.note, freshAt)
    this.#accepted = { trusted: newest, freshAt }
    testPoint('monitor.accepted')
    // From here on a fork or a rollback behind this very tree is noticed, also after a crash.
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
      if (clock() - started >= interval) break
    }
    const { position } = this.#replay
    if (position.head.size < size) return
    if (!equal(rootOf(position), root)) {
      throw new MonitorError('corrupt', `the stored entries are not those of the tree of ${size}`)
    }
    // The tree of all verified hashes is the signed one: nothing was left out, nothing added.
    this.#verifiedAt = clock()
    await store.verified(this.#verifiedAt)
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
    if (UNREACHABLE.has(error.code)) return { state: 'unreachable', detail }
    if (UNTRUSTED.has(error.code)) return { state: 'untrusted', detail }
    throw error
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
    const { clock } = this.#options
    const freshAt = this.#accepted?.freshAt
    if (freshAt === undefined || clock() - freshAt < STALE_AFTER_MS) return this.#outcome
    return { state: 'stale', detail: 'the log has shown no new checkpoint for a day' }
  }
}

/** A checkpoint that was accepted once. Only its log's signature matters now: witnesses may change. */
function reopened(note: string, policy: Policy): TrustedCheckpoint {
  try {
    const { checkpoint, verified } = openCheckpoint(
      note,
      policy.logs.map(({ key }) => verifierOf(key)),
    )
    return { checkpoint, note, logKey: verified[0]!.key, witnesses: [] }
  } catch (cause) {
    if (!(cause instanceof TlogError)) throw cause
    const reason = 'the policy does not list the key that signed the stored checkpoint'
    throw new MonitorError('policy', `${reason}: ${cause.message}`, { cause })
  }
}
