/**
 * Threads that judge submissions, so that the one that has the log stays free for who reads it. Judging
 * changes nothing but the purse that pays for it: when a thread dies, another one judges again what it
 * had, and only what has killed two is given up.
 */
import type { Worker } from 'node:worker_threads'
import type { Name } from '@dslog/dnssec/name'
import { Problem, spreadRetry } from '@dslog/service/problem'
import { startThread } from '@dslog/service/thread'
import { type Job, type JobThread, ThreadPool } from '@dslog/service/threadpool'
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

/** See the head of this file. */
export class JudgePool {
  readonly #log: Pick<Log, 'fold'>
  readonly #threads: ThreadPool<ToJudge, FromJudge>

  constructor({ log, start = startJudge, threads, zones }: JudgePoolOptions) {
    this.#log = log
    this.#threads = new ThreadPool(threads, () => start({ anchors: log.anchors, zones }))
  }

  /** Called when a thread has ended by itself. */
  set onDeath(onDeath: (error: Error) => void) {
    this.#threads.onDeath = onDeath
  }

  /** Judges a submission. @throws Problem `unavailable` when it cannot be done */
  judge(work: Work): Promise<Judgement> {
    return new Promise((resolve, reject) => {
      this.#threads.begin(new Judging(this.#log, work, resolve, reject))
    })
  }

  /** Ends the threads; what they are at is given up. */
  close(): Promise<void> {
    return this.#threads.close()
  }
}

/** One submission on its way through a thread. */
class Judging implements Job<ToJudge, FromJudge> {
  readonly size: number
  readonly #log: Pick<Log, 'fold'>
  readonly #work: Work
  readonly #resolve: (judgement: Judgement) => void
  readonly #reject: (error: unknown) => void
  #received = new JudgedReceiver()

  constructor(
    log: Pick<Log, 'fold'>,
    work: Work,
    resolve: (judgement: Judgement) => void,
    reject: (error: unknown) => void,
  ) {
    this.size = work.body.length
    this.#log = log
    this.#work = work
    this.#resolve = resolve
    this.#reject = reject
  }

  begin(job: number): ToJudge {
    this.#received = new JudgedReceiver()
    return { job, work: this.#work }
  }

  hear(message: FromJudge, thread: JobThread<ToJudge>): void {
    if ('question' in message) void this.#answer(message, thread)
    else if ('judged' in message) this.#received.receive(message.judged)
    else {
      thread.done()
      if ('done' in message) this.#resolve({ judged: this.#received.judged })
      else if ('error' in message) this.#reject(new Error(message.error))
      else if ('past' in message) this.#resolve({ past: true })
      else this.#resolve({ faults: message.faults })
    }
  }

  giveUp(): void {
    const retryAfter = spreadRetry(RETRY_SECONDS)
    this.#reject(new Problem('unavailable', 'This could not be judged', { retryAfter }))
  }

  async #answer(
    about: Extract<FromJudge, { question: number }>,
    thread: JobThread<ToJudge>,
  ): Promise<void> {
    const { fold } = this.#log
    const { question } = about
    try {
      const keys = await ('zone' in about
        ? fold.keysOfZone(about.zone)
        : fold.zoneKeys(about.keysId))
      thread.say({ question, keys: sendKeys(keys) })
    } catch (error) {
      thread.done()
      this.#reject(error)
      thread.say({ question, keys: undefined })
    }
  }
}
