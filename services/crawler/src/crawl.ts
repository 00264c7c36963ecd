/**
 * The work of one process: leases tasks, has them asked, compares with the log, submits what is new, and
 * writes down when each is due again. {@link Crawler.work} is the story of one task.
 *
 * A task is finished after the log has answered, so whatever happens to this process before, the name is
 * asked again. What is stopped gives its tasks back, due as they were.
 */
import { setMaxListeners } from 'node:events'
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
import type { CrawlerTables } from '@dslog/schema/crawlerdb'
import { keysId } from '@dslog/schema/identity'
import type { ProblemName } from '@dslog/schema/problem'
import type { Clock } from '@dslog/service/clock'
import type { Database } from '@dslog/service/db'
import type { Logger } from '@dslog/service/log'
import type { Component } from '@dslog/service/run'
import { isOutage, rideOut } from '@dslog/service/outage'
import { testPoint } from '@dslog/service/testpoint'
import { compareWithLog, markOf } from './compare.ts'
import type { Finished, Frontier, Task } from './frontier.ts'
import { type LoggedState, loggedStates } from './logged.ts'
import { type Looker, LaterError } from './looker.ts'
import type { Counters } from './metrics.ts'
import { done, failed, leftAlone, type Moment, putOff } from './outcome.ts'
import { looksAfter, Source, TaskKind, Tier } from './schedule.ts'
import type { Standing } from './standing.ts'
import { SubmitError, type Submitter } from './submit.ts'
import type { Evidence } from './vantage.ts'
import type { Views } from './views.ts'

/** Names being asked at once: at 500 questions a second, what waits some seconds for its turn. */
const MAX_IN_FLIGHT = 1_500
/** Tasks of one lease. */
const LEASE_BATCH = 250
/** How long to wait for answers before what was finished is written, ms. */
const WRITE_MS = 300
/** How long an idle worker sleeps at most, ms: others, and sources, add to the queue. */
const IDLE_MS = 1_000
/** Leases are renewed, and the process shows that it lives, this often, ms. */
const BEAT_MS = 20_000
/** Keys are submitted again after this long though they are the same: what vouches for them runs out, ms. */
const KEYS_AGAIN_MS = 6 * 3600 * 1000
/** What the log answers where it takes nothing that a zone signs. */
const NOT_ADMITTED: ProblemName = 'zone-not-admitted'
/** Wait after there were too many questions under way, ms. */
const BUSY_MS = 5_000

export interface CrawlerOptions {
  readonly db: Database<CrawlerTables>
  readonly frontier: Frontier
  readonly walker: Walker
  readonly looker: Looker
  readonly standing: Standing
  readonly views: Views
  readonly submitter: Submitter
  readonly counters: Counters
  /** Zones whose operators wish not to be asked. */
  readonly optOut: readonly Name[]
  readonly clock: Clock
  readonly random: () => number
  readonly sleep: (ms: number, signal?: AbortSignal) => Promise<void>
  readonly logger: Logger
  /** How many processes share the queue, when that is known anew. */
  readonly onWorkers?: (workers: number) => void
}

/** One process of a crawl. */
export class Crawler implements Component {
  readonly name = 'crawler'
  readonly #options: CrawlerOptions
  readonly #stopping = new AbortController()
  readonly #held = new Map<string, Task>()
  readonly #finished: Finished[] = []
  readonly #seen: Evidence[] = []
  readonly #running = new Set<Promise<void>>()
  readonly #zones = new Set<string>()
  #loop: Promise<void> = Promise.resolve()
  #beat = 0
  #leasing = false

  constructor(options: CrawlerOptions) {
    this.#options = options
    // Each name that is being asked listens: that is no leak.
    setMaxListeners(0, this.#stopping.signal)
  }

  /** Whether nothing is leased, and what became of everything is in the database. */
  get isIdle(): boolean {
    return !this.#leasing && this.#held.size === 0 && this.#finished.length === 0
  }

  /** Names being asked. */
  get inFlight(): number {
    return this.#held.size
  }

  start(fail: (error: unknown) => void): void {
    this.#loop = this.#run().catch((error: unknown) => {
      if (!this.#stopping.signal.aborted) fail(error)
    })
  }

  /** What is being asked is given up and given back; what is on its way to the log is waited for. */
  async stop(): Promise<void> {
    const { frontier, submitter } = this.#options
    this.#stopping.abort()
    await this.#loop
    await submitter.stop()
    await Promise.all(this.#running)
    await this.#write()
    await frontier.giveBack([...this.#held.values()])
    await frontier.leave()
  }

  async #run(): Promise<void> {
    const { sleep } = this.#options
    const { signal } = this.#stopping
    while (!signal.aborted) {
      // What an outage of the database keeps from being written is written when that is over.
      const leased = await rideOut(() => this.#turn(), signal, sleep)
      if (leased > 0) continue
      await sleep(this.#held.size > 0 ? WRITE_MS : IDLE_MS, signal).catch(() => {})
    }
  }

  async #turn(): Promise<number> {
    const now = this.#options.clock()
    if (Math.abs(now - this.#beat) >= BEAT_MS) await this.#renew(now)
    await this.#write()
    this.#leasing = true
    try {
      return await this.#lease(now)
    } finally {
      this.#leasing = false
    }
  }

  async #renew(now: number): Promise<void> {
    const { frontier, onWorkers } = this.#options
    const workers = await frontier.beat(now)
    onWorkers?.(workers)
    await frontier.renew([...this.#held.values()], now)
    this.#beat = now
  }

  /** Takes on as much as there is room for; nothing while the log does not take what there is. */
  async #lease(now: number): Promise<number> {
    const { db, frontier, submitter } = this.#options
    const room = Math.min(MAX_IN_FLIGHT - this.#held.size, LEASE_BATCH)
    if (room < LEASE_BATCH / 5 || submitter.isFull) return 0
    if (submitter.silentSince !== undefined && this.#held.size > 0) return 0
    const tasks = await frontier.lease(now, room)
    testPoint('crawler.leased')
    const logged = await loggedStates(
      db,
      tasks.map(({ name }) => name),
    )
    for (const task of tasks) {
      this.#held.set(idOf(task), task)
      const running = this.#take(task, logged.get(nameKey(task.name)))
      const ended = running.finally(() => this.#running.delete(ended))
      this.#running.add(ended)
    }
    return tasks.length
  }

  async #take(task: Task, logged: LoggedState | undefined): Promise<void> {
    const finished = await this.work(task, logged)
    if (finished === undefined) return
    this.#held.delete(idOf(task))
    this.#finished.push(finished)
  }

  async #write(): Promise<void> {
    const { counters, frontier, standing, views } = this.#options
    const finished = this.#finished.slice()
    const seen = this.#seen.slice()
    const disagreeing = await views.write(seen)
    this.#seen.splice(0, seen.length)
    if (disagreeing > 0) counters.disagreed(disagreeing)
    if (finished.length > 0) await frontier.finish(finished)
    this.#finished.splice(0, finished.length)
    await standing.exchange()
  }

  /** One task, from question to answer of the log; `undefined` if it was given up, to be given back. */
  async work(task: Task, logged: LoggedState | undefined): Promise<Finished | undefined> {
    const { counters, logger } = this.#options
    const { signal } = this.#stopping
    try {
      if (this.#optedOut(task)) return leftAlone(task, this.#moment)
      const finished = await (task.kind === TaskKind.keys
        ? this.#keys(task)
        : this.#delegation(task, logged))
      return finished
    } catch (error) {
      if (signal.aborted) return undefined
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

  async #delegation(task: Task, logged: LoggedState | undefined): Promise<Finished> {
    const { counters } = this.#options
    const evidence = await this.#look(task)
    // At least one server of the parent has answered, or somebody else who knew.
    this.#seen.push(...evidence)
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
  async #look(task: Task): Promise<Evidence[]> {
    const { looker, walker } = this.#options
    const { signal } = this.#stopping
    const parent = await walker.parentOf(task.name, { signal })
    try {
      return await looker.look(task, parent, signal)
    } catch (error) {
      if (!(error instanceof ResolverError) || error.code !== 'other-zone') throw error
      const fresh = await walker.parentOf(task.name, { signal, fresh: true })
      return looker.look(task, fresh, signal)
    }
  }

  async #keys(task: Task): Promise<Finished> {
    const { clock, looker, submitter, walker } = this.#options
    const { signal } = this.#stopping
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

function idOf({ kind, name }: Task): string {
  return `${kind} ${nameKey(name)}`
}

/** Whether an observation was taken and not decided upon, or not looked at. */
function isUndecided({ reason, status }: SubmitResult): boolean {
  return status === 'accepted' || reason === 'rate-limited'
}
