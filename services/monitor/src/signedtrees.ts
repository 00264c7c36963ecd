/**
 * The trees that a log is known to have signed: the newest that it has published and the policy accepts,
 * and, where an auditor was asked to cosign it, a larger one that it has not published yet. Each that is
 * taken note of is checked to extend what was known, and stored before anything is made of it: a fork or a
 * rollback behind it is noticed from then on, also after a crash.
 */
import type { LogClient } from '@dslog/tlog/client'
import { vouchedAt } from '@dslog/tlog/freshness'
import type { Policy, TrustedCheckpoint } from '@dslog/tlog/policy'
import type { Clock } from '@dslog/service/clock'
import { testPoint } from '@dslog/service/testpoint'
import { checkEnd } from './breach.ts'
import type { Followed, MonitorStore } from './store.ts'
import { reopened } from './trust.ts'

/** How often it is recorded that a log without witnesses still answers, ms. */
const RECORD_FRESH_MS = 600_000

/**
 * A cache, or a process that only reads, may serve a tree that is not the newest, after another one has served that:
 * so long after the newest was seen, ms. A log that shows a smaller one for longer has gone back.
 */
const OLD_COPY_MS = 600_000

const MS_PER_SECOND = 1000

export interface SignedTreesOptions {
  readonly client: LogClient
  readonly policy: Policy
  readonly store: Pick<MonitorStore, 'accept' | 'await'>
  readonly clock: Clock
  /** For how long a smaller tree may be an old copy, ms; ten minutes unless told. */
  readonly patience?: number
}

/** Calls must not overlap. */
export class SignedTrees {
  readonly #options: SignedTreesOptions
  #published: TrustedCheckpoint | undefined
  #freshAt: number | undefined
  #pending: TrustedCheckpoint | undefined
  #recordedAt = -Infinity
  /** When a tree was served last that was not smaller than the newest published one, ms. */
  #servedAt: number

  /** @throws MonitorError `policy` if it does not know who signed what is stored */
  constructor(options: SignedTreesOptions, { accepted, pending }: Followed) {
    const { policy } = options
    this.#options = options
    this.#published = accepted && reopened(policy, accepted.note)
    this.#freshAt = accepted?.freshAt
    this.#pending = pending === undefined ? undefined : reopened(policy, pending)
    this.#servedAt = accepted?.freshAt ?? options.clock()
  }

  /** The newest that it has published. */
  get published(): TrustedCheckpoint | undefined {
    return this.#published
  }

  /** The newest that it has signed. */
  get newest(): TrustedCheckpoint | undefined {
    return this.#pending ?? this.#published
  }

  /** Whether the newest is not published yet. */
  get isAhead(): boolean {
    return this.#pending !== undefined
  }

  /** Until when the log is known to be alive, ms. */
  get freshAt(): number | undefined {
    return this.#freshAt
  }

  /**
   * Takes note of a published tree.
   *
   * @returns the newest published one: not this, if this is an older copy
   */
  async publish(tree: TrustedCheckpoint, signal: AbortSignal): Promise<TrustedCheckpoint> {
    const { client, clock, patience = OLD_COPY_MS, store } = this.#options
    const before = this.#published
    if (before !== undefined && tree.checkpoint.size < before.checkpoint.size) {
      if (clock() - this.#servedAt >= patience) await client.advance(before, tree)
      // Not for long: a copy that is late, if it is how the newest tree begins.
      await client.advance(tree, before)
      return before
    }
    this.#servedAt = clock()
    if (before?.note === tree.note) {
      await this.#stayFresh(tree)
      return tree
    }
    if (before !== undefined) await client.advance(before, tree)
    // The log has appended, or nothing: what was verified is how it begins.

    const pending = this.#pending
    const caughtUp = pending !== undefined && pending.checkpoint.size <= tree.checkpoint.size
    if (pending !== undefined) {
      await client.advance(...(caughtUp ? ([pending, tree] as const) : ([tree, pending] as const)))
    }
    // Nor does it exclude the tree that it has signed and not published yet.

    if (before?.checkpoint.size !== tree.checkpoint.size) await checkEnd(client, tree, signal)
    // It ends with a MAP_HEAD. Seen now, since there may be a newer tree before this one is verified.

    await this.#record(tree)
    testPoint('monitor.accepted')
    // From here on a fork or a rollback behind this very tree is noticed, also after a crash.

    if (caughtUp) await store.await(undefined)
    if (caughtUp) this.#pending = undefined
    return tree
  }

  /** Takes note of a tree that is signed, not smaller than the newest, and not published yet. */
  async await(tree: TrustedCheckpoint, signal: AbortSignal): Promise<void> {
    const { client, store } = this.#options
    const before = this.newest
    if (before !== undefined) await client.advance(before, tree)
    if (before?.checkpoint.size === tree.checkpoint.size) return
    await checkEnd(client, tree, signal)
    await store.await(tree.note)
    this.#pending = tree
    // Signed, so the log can show nothing else any more, and published or not it is replayed.
  }

  /** The same note again: under a policy without witnesses that is all the life a log can show. */
  async #stayFresh(tree: TrustedCheckpoint): Promise<void> {
    const { clock, policy } = this.#options
    if (policy.quorum !== undefined) return
    this.#freshAt = clock()
    if (clock() - this.#recordedAt >= RECORD_FRESH_MS) await this.#record(tree)
  }

  async #record(tree: TrustedCheckpoint): Promise<void> {
    const { clock, policy, store } = this.#options
    const vouched = vouchedAt(policy, tree.witnesses)
    // No clock but ours counts for the future.
    const freshAt = Math.min(clock(), vouched === undefined ? Infinity : vouched * MS_PER_SECOND)
    await store.accept(tree.note, freshAt)
    this.#published = tree
    this.#freshAt = freshAt
    this.#recordedAt = clock()
  }
}
