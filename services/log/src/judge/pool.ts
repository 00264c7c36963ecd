/**
 * Threads that judge submissions, so that the one that has the log stays free for who reads it. Judging
 * changes nothing but the purse that pays for it: when a thread dies, another one judges again what it
 * had, and only what has killed two is given up. Threads start when there is work for them.
 */
import type { Worker } from 'node:worker_threads'
import type { Name } from '@dslog/dnssec/name'
import { Problem, spreadRetry } from '@dslog/service/problem'
import { startThread } from '@dslog/service/thread'
import type { Log } from '../log.ts'
import type { Judgement } from './judge.ts'
import {
  type FromJudge,
  JudgedReceiver,
  type JudgeSetup,
  sendKeys,
  type ToJudge,
  type Work,
} from './protocol.ts'

/** How often work is begun: a body that ends two threads is not tried on a third. */
const MAX_TRIES = 2
/** Mean of what its submitter is told to wait, seconds. */
const RETRY_SECONDS = 5

export interface JudgePoolOptions {
  readonly log: Pick<Log, 'anchors' | 'fold'>
  readonly threads: number
  /** Zones admitted besides the usual ones. */
  readonly zones: readonly Name[]
  /** Starts a thread. */
  readonly start?: (setup: JudgeSetup) => Worker
}

function startJudge(workerData: JudgeSetup): Worker {
  return startThread('./worker', import.meta.url, { name: 'dslog-judge', workerData })
}

interface Job {
  readonly work: Work
  readonly resolve: (judgement: Judgement) => void
  readonly reject: (error: unknown) => void
  received: JudgedReceiver
  tries: number
}

/** See the head of this file. */
export class JudgePool {
  /** Called when a thread has ended by itself. */
  onDeath: (error: Error) => void = () => {}
  readonly #options: JudgePoolOptions
  readonly #threads: (JudgeThread | undefined)[]
  #closing = false
  #jobs = 0

  constructor(options: JudgePoolOptions) {
    this.#options = options
    this.#threads = Array.from({ length: options.threads }, () => undefined)
  }

  /** Judges a submission. @throws Problem `unavailable` when it cannot be done */
  judge(work: Work): Promise<Judgement> {
    return new Promise((resolve, reject) => {
      this.#begin({ work, resolve, reject, received: new JudgedReceiver(), tries: 0 })
    })
  }

  /** Ends the threads; what they are at is given up. */
  async close(): Promise<void> {
    this.#closing = true
    await Promise.all(this.#threads.map(async (thread) => thread?.end()))
  }

  #begin(job: Job): void {
    if (this.#closing || job.tries === MAX_TRIES) {
      const retryAfter = spreadRetry(RETRY_SECONDS)
      job.reject(new Problem('unavailable', 'This could not be judged', { retryAfter }))
      return
    }
    job.tries++
    job.received = new JudgedReceiver()
    this.#leastBusy().take(this.#jobs++, job)
  }

  #leastBusy(): JudgeThread {
    let best = 0
    for (const [i, thread] of this.#threads.entries()) {
      if ((thread?.load ?? 0) < (this.#threads[best]?.load ?? 0)) best = i
    }
    return (this.#threads[best] ??= this.#start(best))
  }

  #start(place: number): JudgeThread {
    const { log, start = startJudge, zones } = this.#options
    return new JudgeThread(start({ anchors: log.anchors, zones }), log, (error, jobs) => {
      this.#threads[place] = undefined
      if (!this.#closing) this.onDeath(error)
      for (const job of jobs) this.#begin(job)
    })
  }
}

/** One thread, and what it is at. */
class JudgeThread {
  readonly #worker: Worker
  readonly #log: Pick<Log, 'fold'>
  readonly #jobs = new Map<number, Job>()
  /** Bytes that it has to judge. */
  #load = 0

  /** @param onEnd is told what the thread was at, once */
  constructor(
    worker: Worker,
    log: Pick<Log, 'fold'>,
    onEnd: (error: Error, jobs: readonly Job[]) => void,
  ) {
    this.#log = log
    this.#worker = worker
    let error: Error | undefined
    this.#worker.on('error', (thrown: Error) => (error = thrown))
    this.#worker.once('exit', (code) => {
      const jobs = [...this.#jobs.values()]
      this.#jobs.clear()
      onEnd(error ?? new Error(`exit code ${code}`), jobs)
    })
    this.#worker.on('message', (message: FromJudge) => {
      const job = this.#jobs.get(message.job)
      if (job !== undefined) this.#hear(message, job)
    })
  }

  get load(): number {
    return this.#load
  }

  take(id: number, job: Job): void {
    this.#jobs.set(id, job)
    this.#load += job.work.body.length
    this.#say({ job: id, work: job.work })
  }

  async end(): Promise<void> {
    await this.#worker.terminate()
  }

  #hear(message: FromJudge, job: Job): void {
    if ('question' in message) void this.#answer(message, job)
    else if ('judged' in message) job.received.receive(message.judged)
    else {
      this.#forget(message.job, job)
      if ('done' in message) job.resolve({ judged: job.received.judged })
      else if ('error' in message) job.reject(new Error(message.error))
      else if ('past' in message) job.resolve({ past: true })
      else job.resolve({ faults: message.faults })
    }
  }

  async #answer(about: Extract<FromJudge, { question: number }>, job: Job): Promise<void> {
    const { fold } = this.#log
    const { question } = about
    try {
      const keys = await ('zone' in about
        ? fold.keysOfZone(about.zone)
        : fold.zoneKeys(about.keysId))
      this.#say({ question, keys: sendKeys(keys) })
    } catch (error) {
      this.#forget(about.job, job)
      job.reject(error)
      this.#say({ question, keys: undefined })
    }
  }

  #forget(id: number, job: Job): void {
    if (this.#jobs.delete(id)) this.#load -= job.work.body.length
  }

  #say(message: ToJudge): void {
    this.#worker.postMessage(message)
  }
}
