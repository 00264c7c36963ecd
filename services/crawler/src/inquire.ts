/**
 * One task, from the question to the answer of the log: finds the parent, has it looked at, compares what was
 * seen with what the log holds, hands in what is new, and says when the task is due again.
 *
 * A task is finished after the log has answered, so whatever happens to this process before, the name is
 * asked again.
 */
import { concat, equal, toBase64, u64be } from '@dslog/tlog/bytes'
import {
  isAtOrBelow,
  isBelow,
  labelCount,
  type Name,
  nameKey,
  nameToText,
  sameName,
} from '@dslog/dnssec/name'
import { ResolverError } from '@dslog/resolver/error'
import type { Walker } from '@dslog/resolver/walk'
import type { SubmitResult } from '@dslog/schema/api'
import { keysId } from '@dslog/schema/identity'
import type { ProblemName } from '@dslog/schema/problem'
import { HOUR } from '@dslog/schema/time'
import type { Clock } from '@dslog/service/clock'
import type { Logger } from '@dslog/service/log'
import { isOutage } from '@dslog/service/outage'
import { testPoint } from '@dslog/service/testpoint'
import { compareWithLog, markOf } from './compare.ts'
import type { Finished, Frontier, Task } from './frontier.ts'
import type { LoggedState } from './logged.ts'
import { type Looker, LaterError } from './looker.ts'
import type { Counters } from './metrics.ts'
import { done, failed, leftAlone, type Moment, putOff } from './outcome.ts'
import { looksAfter, Source, TaskKind, Tier } from './schedule.ts'
import { SubmitError, type Submitter } from './submit.ts'
import type { Evidence } from './vantage.ts'

/** Keys are submitted again after this long though they are the same: what vouches for them runs out, ms. */
const KEYS_AGAIN_MS = 6 * HOUR
/** What the log answers where it takes nothing that a zone signs. */
const NOT_ADMITTED: ProblemName = 'zone-not-admitted'
/** Wait after there were too many questions under way, ms. */
const BUSY_MS = 5_000

export interface InquirerOptions {
  readonly frontier: Pick<Frontier, 'add'>
  readonly walker: Walker
  readonly looker: Pick<Looker, 'look' | 'keys'>
  readonly submitter: Pick<Submitter, 'submit'>
  readonly counters: Pick<Counters, 'failed' | 'seen' | 'submitted'>
  /** Zones whose operators wish not to be asked. */
  readonly optOut: readonly Name[]
  readonly clock: Clock
  readonly random: () => number
  readonly logger: Logger
}

/** Who takes part in an inquiry. */
export interface Party {
  /** Gives it up. */
  readonly signal: AbortSignal
  /** Hears what was seen, and proven, whatever the log says of it. */
  readonly onSeen: (evidence: readonly Evidence[]) => void
}

/** See the head of this file. */
export class Inquirer {
  readonly #options: InquirerOptions
  /** Whose keys are a task. */
  readonly #zones = new Set<string>()

  constructor(options: InquirerOptions) {
    this.#options = options
  }

  /** What becomes of a task; `undefined` if it was given up, to be given back. */
  async inquire(
    task: Task,
    logged: LoggedState | undefined,
    party: Party,
  ): Promise<Finished | undefined> {
    const { counters, logger } = this.#options
    try {
      if (this.#optedOut(task)) return leftAlone(task, this.#moment)
      return await (task.kind === TaskKind.keys
        ? this.#keys(task, party.signal)
        : this.#delegation(task, logged, party))
    } catch (error) {
      if (party.signal.aborted) return undefined
      if (error instanceof LaterError) return putOff(task, error.ms, error.reason, this.#moment)
      if (error instanceof SubmitError) return failed(task, 'log-silent', this.#moment)
      if (isOutage(error)) return putOff(task, BUSY_MS, 'busy', this.#moment)
      if (!(error instanceof ResolverError)) {
        // A bug: the name must not keep the others from being asked.
        logger.error({ err: error, name: nameToText(task.name) }, 'a task failed')
        return failed(task, 'fault', this.#moment)
      }
      if (error.code === 'busy') return putOff(task, BUSY_MS, 'busy', this.#moment)
      counters.failed(reasonOf(error))
      return failed(task, `${reasonOf(error)}: ${error.message}`, this.#moment)
    }
  }

  async #delegation(
    task: Task,
    logged: LoggedState | undefined,
    { onSeen, signal }: Party,
  ): Promise<Finished> {
    const { counters } = this.#options
    const evidence = await this.#look(task, signal)
    // At least one server of the parent has answered, or somebody else who knew.
    onSeen(evidence)
    for (const { signed, vantage } of evidence) {
      counters.seen(signed ? 'present' : 'absent', vantage)
    }
    // Everything here is signed by the parent, up to the root.

    let answered: Uint8Array | undefined
    let isNew = false
    let undecided: SubmitResult | undefined
    const { zone } = evidence[0]!
    // Whose signatures are taken is for the log to say; those of top-level domains always are.
    let isAdmitted = labelCount(zone) <= 1 || (logged !== undefined && equal(logged.zone, zone))
    for (const seen of distinct(evidence)) {
      if (compareWithLog(seen, logged, answered ?? task.answered) !== 'new') continue
      const result = await this.#submit(seen)
      if (isUndecided(result)) {
        undecided = result
        continue
      }
      answered = markOf(seen)
      isNew ||= result.status === 'logged'
      isAdmitted ||= result.status !== 'refused' && sameName(seen.zone, zone)
    }
    // What the log lacked it has now, or has said why not.

    if (isAdmitted) await this.#watchKeys(zone)
    if (isNew) await this.#lookAgain(task)
    if (undecided !== undefined) return this.#soon(task, undecided)
    const isSigned = isAdmitted && evidence.some((seen) => seen.signed)
    const signed = logged?.signed === true || isSigned
    return done(task, signed ? Tier.signed : Tier.other, answered, this.#moment)
  }

  /** Finds the parent and asks. Where it says that the name is not its own any more, it is found anew, once. */
  async #look(task: Task, signal: AbortSignal): Promise<Evidence[]> {
    const { looker, walker } = this.#options
    const parent = await walker.parentOf(task.name, { signal })
    try {
      return await looker.look(task, parent, signal)
    } catch (error) {
      if (!(error instanceof ResolverError) || error.code !== 'other-zone') throw error
      const fresh = await walker.parentOf(task.name, { signal, fresh: true })
      return looker.look(task, fresh, signal)
    }
  }

  async #keys(task: Task, signal: AbortSignal): Promise<Finished> {
    const { clock, looker, submitter, walker } = this.#options
    const zone = await walker.zoneOf(task.name, { signal })
    const over = { ...done(task, task.tier, undefined, this.#moment), due: undefined }
    // What was a zone is a name of the one above now.
    if (!sameName(zone.zone, task.name)) return over
    let answered: Uint8Array | undefined
    const slice = u64be(Math.floor(clock() / KEYS_AGAIN_MS))
    for (const { messages, rdatas } of await looker.keys(zone, signal)) {
      const mark = concat(keysId(zone.zone, rdatas), slice)
      if (task.answered !== undefined && toBase64(mark) === toBase64(task.answered)) continue
      const observation = { owner: nameToText(zone.zone), kind: 'keys' as const }
      const result = await submitter.submit({ ...observation, messages: messages.map(toBase64) })
      this.#count(result, zone.zone)
      if (result.reason === NOT_ADMITTED) {
        this.#zones.delete(nameKey(zone.zone))
        return over
      }
      if (isUndecided(result)) return this.#soon(task, result)
      answered = mark
    }
    if (labelCount(zone.zone) > 0) {
      await this.#watchKeys((await walker.parentOf(zone.zone, { signal })).zone)
    }
    return done(task, Tier.keys, answered, this.#moment)
  }

  /** What the log has not decided upon is asked about in minutes, and not with the next round. */
  #soon(task: Task, { reason, status }: SubmitResult): Finished {
    return failed(task, `log: ${reason ?? status}`, this.#moment)
  }

  async #submit(seen: Evidence): Promise<SubmitResult> {
    const { submitter } = this.#options
    const owner = nameToText(seen.owner)
    const result = await submitter.submit({ owner, messages: seen.messages.map(toBase64) })
    this.#count(result, seen.owner)
    testPoint('crawler.submitted')
    return result
  }

  #count(result: SubmitResult, owner: Name): void {
    const { counters, logger } = this.#options
    const { detail, out_of_order: late, reason, status } = result
    counters.submitted(
      status === 'refused' ? `refused: ${reason}` : late === true ? 'out-of-order' : status,
    )
    if (status === 'logged') logger.info({ owner: nameToText(owner), ...result }, 'logged')
    else if (status === 'refused') {
      logger.warn({ owner: nameToText(owner), reason, detail }, 'the log refused an observation')
    }
  }

  /** The keys of a zone that signs are a task of their own, where the log takes what it signs. */
  async #watchKeys(zone: Name): Promise<void> {
    const { clock, frontier } = this.#options
    const key = nameKey(zone)
    if (this.#zones.has(key)) return
    this.#zones.add(key)
    const due = clock()
    const task = { kind: TaskKind.keys, tier: Tier.keys, due, source: Source.zone }
    await frontier.add([{ name: zone, ...task }])
  }

  /** After a first sighting: other servers, soon; for a watched name all of them, again and again. */
  async #lookAgain({ kind, name, tier }: Task): Promise<void> {
    const { clock, frontier, random } = this.#options
    if (kind >= TaskKind.look) return
    const now = clock()
    const looks = looksAfter(tier, random).map(({ after, kind }) => ({
      name,
      kind,
      tier: Tier.watched,
      due: now + after,
      source: Source.zone,
    }))
    await frontier.add(looks)
  }

  /** For when something is due again. */
  get #moment(): Moment {
    const { clock, random } = this.#options
    return { now: clock(), random: random() }
  }

  #optedOut({ kind, name }: Task): boolean {
    return this.#options.optOut.some((zone) => {
      return kind === TaskKind.keys ? isAtOrBelow(name, zone) : isBelow(name, zone)
    })
  }
}

/** The reason of a failure, for a metric: with what was wrong with the proof. */
function reasonOf({ cause, code }: ResolverError): string {
  const rule = cause instanceof Error && 'code' in cause ? cause.code : undefined
  return code === 'unverifiable' && typeof rule === 'string' ? rule : code
}

/** One sighting of each state. */
function distinct(evidence: readonly Evidence[]): Evidence[] {
  const states = new Map<string, Evidence>()
  for (const seen of evidence) {
    const id = toBase64(seen.stateId)
    const held = states.get(id)
    // The newest signature says most: it is what decides the order.
    if (held === undefined || held.inception < seen.inception) states.set(id, seen)
  }
  return [...states.values()]
}

/** Whether an observation was taken and not decided upon, or not looked at. */
function isUndecided({ reason, status }: SubmitResult): boolean {
  return status === 'accepted' || reason === 'rate-limited'
}
