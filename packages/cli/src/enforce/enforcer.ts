/**
 * Decides whether an answer about some names may go out: every delegation above them has to be in a state that
 * the log knows. One it does not know yet has its grace time, from when it was first seen here; what
 * cannot be found out passes, unless strict. Each finding is reported, and again only after a while.
 */
import { toHex } from '@dslog/tlog/bytes'
import { type Name, nameKey, nameToText, sameName } from '@dslog/dnssec/name'
import { dsToText } from '@dslog/dnssec/records'
import { stateId } from '@dslog/schema/identity'
import { DAY, HOUR } from '@dslog/schema/time'
import { ExpiringCache } from '@dslog/resolver/cache'
import type { Clock } from '@dslog/service/clock'
import { latestOf } from '@dslog/verify/history'
import type { Cut, Cuts } from './cuts.ts'
import { EnforceError, type EnforceErrorCode } from './error.ts'
import { standingOf } from './judge.ts'
import type { KnownState, KnownStates } from './known.ts'
import { EDE } from './query.ts'

/** States that are waited for, and findings reported, that are remembered. */
const MAX_REMEMBERED = 10_000
/** How often one finding is reported, ms. */
const REPORT_MS = HOUR
/** A state that nobody asked about for so long, beyond its grace, is seen anew, ms. */
const FORGET_MS = 30 * DAY

/** What is not as it should be, for programs. Times are ms since the Unix epoch. */
export type Finding =
  | {
      readonly event: 'unlogged' | 'replaced'
      readonly action: 'blocked' | 'passed'
      /** Why it passed. */
      readonly because?: 'grace' | 'report-mode'
      readonly time: number
      readonly name: string
      readonly zone: string
      /** DS records in presentation form, as the resolver shows them. */
      readonly ds: readonly string[]
      /** Those of the state in force, as the log has it. */
      readonly logged: readonly string[]
      readonly first_seen: number
      readonly blocked_from: number
    }
  | {
      readonly event: 'unknown'
      readonly action: 'blocked' | 'passed'
      readonly time: number
      readonly name: string
      readonly code: EnforceErrorCode
      readonly detail: string
    }

/** Why an answer may not go out: an info code (RFC 8914) and words. */
export interface Block {
  readonly infoCode: number
  readonly reason: string
}

/** How strictly is enforced. */
export interface EnforcePolicy {
  /** ms for which a state that the log lacks, or has no longer in force, passes. */
  readonly grace: number
  /** Never blocks. */
  readonly reportOnly: boolean
  /** Blocks what cannot be found out, too. */
  readonly strict: boolean
  /** Host of the log: without it nothing can be found out, so it is let through. */
  readonly exempt?: Name | undefined
}

/** When a state was first seen that the log does not know. */
export interface FirstSeen {
  readonly key: string
  readonly at: number
}

/** See the head of this file. */
export class Enforcer {
  readonly #cuts: Pick<Cuts, 'above'>
  readonly #known: Pick<KnownStates, 'history'>
  readonly #policy: EnforcePolicy
  readonly #now: Clock
  readonly #report: (finding: Finding) => void
  readonly #onFirstSeen: (seen: FirstSeen) => void
  readonly #reported = new ExpiringCache<true>(MAX_REMEMBERED)
  readonly #firstSeen = new ExpiringCache<number>(MAX_REMEMBERED)

  constructor(options: {
    readonly cuts: Pick<Cuts, 'above'>
    readonly known: Pick<KnownStates, 'history'>
    readonly policy: EnforcePolicy
    readonly now: Clock
    readonly report: (finding: Finding) => void
    /** States that wait already, of an earlier run. */
    readonly waiting?: readonly FirstSeen[]
    /** Told of each state that begins to wait. */
    readonly onFirstSeen?: (seen: FirstSeen) => void
  }) {
    this.#cuts = options.cuts
    this.#known = options.known
    this.#policy = options.policy
    this.#now = options.now
    this.#report = options.report
    this.#onFirstSeen = options.onFirstSeen ?? (() => {})
    for (const { at, key } of options.waiting ?? []) this.#remember(key, at)
  }

  /** Why an answer about these names may not go out; `undefined` if it may. */
  async check(names: readonly Name[]): Promise<Block | undefined> {
    const { exempt } = this.#policy
    for (const name of names) {
      if (exempt !== undefined && sameName(name, exempt)) continue
      const block = await this.#checkName(name)
      if (block !== undefined) return block
    }
    return undefined
  }

  async #checkName(name: Name): Promise<Block | undefined> {
    try {
      for (const cut of await this.#cuts.above(name)) {
        const block = await this.#checkCut(cut)
        if (block !== undefined) return block
      }
      return undefined
    } catch (error) {
      if (!(error instanceof EnforceError)) throw error
      return this.#unknown(name, error)
    }
  }

  async #checkCut({ ds, owner, zone }: Cut): Promise<Block | undefined> {
    const seen = { stateId: stateId(owner, zone, ds), present: ds.length > 0 }
    const { grace } = this.#policy
    const now = this.#now()
    let history: readonly KnownState[] = []
    let standing: ReturnType<typeof standingOf> = 'unlogged'
    for (const isNews of [false, true]) {
      history = await this.#known.history(owner, isNews)
      standing = standingOf(history, seen, now, grace)
      if (standing === 'logged') return undefined
    }
    // A name may come back to a state, and be logged in between: then it waits anew.
    const key = `${toHex(seen.stateId)} ${history.length}`
    const firstSeen = this.#firstSeen.get(key, now) ?? this.#wait(key, now)
    const blockedFrom = firstSeen + grace
    const because =
      now < blockedFrom ? 'grace' : this.#policy.reportOnly ? 'report-mode' : undefined
    const inForce = latestOf(history) as KnownState | undefined
    const finding: Finding = {
      event: standing,
      action: because === undefined ? 'blocked' : 'passed',
      ...(because !== undefined && { because }),
      time: now,
      name: nameToText(owner),
      zone: nameToText(zone),
      ds: ds.map(dsToText).sort(),
      logged: inForce?.ds ?? [],
      first_seen: firstSeen,
      blocked_from: blockedFrom,
    }
    this.#tell(`${key} ${because}`, finding)
    if (because !== undefined) return undefined
    const what = seen.present ? 'DS set' : 'lack of a DS'
    const is = standing === 'unlogged' ? 'is not in the log' : 'was replaced in the log'
    return { infoCode: EDE.blocked, reason: `the ${what} of ${finding.name} ${is}` }
  }

  #unknown(name: Name, { code, message }: EnforceError): Block | undefined {
    const isBlocked = this.#policy.strict && !this.#policy.reportOnly
    const action = isBlocked ? 'blocked' : 'passed'
    const time = this.#now()
    const shown = nameToText(name)
    this.#tell(`${code} ${nameKey(name)}`, {
      event: 'unknown',
      action,
      time,
      name: shown,
      code,
      detail: message,
    })
    if (!isBlocked) return undefined
    return { infoCode: EDE.networkError, reason: `whether ${shown} is logged is unknown: ${code}` }
  }

  #wait(key: string, at: number): number {
    this.#remember(key, at)
    this.#onFirstSeen({ key, at })
    return at
  }

  #remember(key: string, at: number): void {
    this.#firstSeen.set(key, at, at + this.#policy.grace + FORGET_MS)
  }

  #tell(key: string, finding: Finding): void {
    const now = this.#now()
    if (this.#reported.get(key, now) === true) return
    this.#reported.set(key, true, now + REPORT_MS)
    this.#report(finding)
  }
}
