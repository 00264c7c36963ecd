/**
 * Threads that share work. A job is begun on the thread that has least to do; threads start when there is work
 * for them. When one dies, another begins what it had anew, and only what has killed two is given up.
 */
import type { Worker } from 'node:worker_threads'

/** How often a job is begun: what ends two threads is not tried on a third. */
const MAX_TRIES = 2

/** What a job may do to the thread that is at it. */
export interface JobThread<To> {
  say(message: To): void
  /** The job has ended; nothing more is heard about it. */
  done(): void
}

/** Something that a thread is to do. */
export interface Job<To, From> {
  /** What it takes, beside other jobs. */
  readonly size: number
  /** What the thread is told first; asked for by each thread that begins it. */
  begin(id: number): To
  /** Something that a thread has to say about it. */
  hear(message: From, thread: JobThread<To>): void
  /** It will not be done: the pool is closed, or it has killed as many threads as it may. */
  giveUp(): void
}

/** What is under way on a thread. */
interface Begun<To, From> {
  readonly job: Job<To, From>
  tries: number
}

/** See the head of this file. */
export class ThreadPool<To, From extends { readonly job: number }> {
  /** Called when a thread has ended by itself. */
  onDeath: (error: Error) => void = () => {}
  readonly #start: () => Worker
  readonly #threads: (PoolThread<To, From> | undefined)[]
  #closing = false
  #jobs = 0

  /** @param start starts a thread, which names the job in each message */
  constructor(threads: number, start: () => Worker) {
    this.#start = start
    this.#threads = Array.from({ length: threads }, () => undefined)
  }

  begin(job: Job<To, From>): void {
    this.#begin({ job, tries: 0 })
  }

  /** The size of what is under way on the thread that has least to do. */
  get least(): number {
    return Math.min(...this.#threads.map((thread) => thread?.load ?? 0))
  }

  /** Ends the threads; what they are at is given up. */
  async close(): Promise<void> {
    this.#closing = true
    await Promise.all(this.#threads.map(async (thread) => thread?.end()))
  }

  #begin(begun: Begun<To, From>): void {
    if (this.#closing || begun.tries === MAX_TRIES) {
      begun.job.giveUp()
      return
    }
    begun.tries++
    this.#leastBusy().take(this.#jobs++, begun)
  }

  #leastBusy(): PoolThread<To, From> {
    let best = 0
    for (const [i, thread] of this.#threads.entries()) {
      if ((thread?.load ?? 0) < (this.#threads[best]?.load ?? 0)) best = i
    }
    return (this.#threads[best] ??= new PoolThread(this.#start(), (error, left) => {
      this.#threads[best] = undefined
      if (!this.#closing) this.onDeath(error)
      for (const begun of left) this.#begin(begun)
    }))
  }
}

/** One thread, and what it is at. */
class PoolThread<To, From extends { readonly job: number }> {
  readonly #worker: Worker
  readonly #begun = new Map<number, Begun<To, From>>()
  #load = 0

  /** @param onEnd is told what the thread was at, once */
  constructor(worker: Worker, onEnd: (error: Error, left: readonly Begun<To, From>[]) => void) {
    this.#worker = worker
    let error: Error | undefined
    worker.on('error', (thrown: Error) => (error = thrown))
    worker.once('exit', (code) => {
      const left = [...this.#begun.values()]
      this.#begun.clear()
      onEnd(error ?? new Error(`exit code ${code}`), left)
    })
    worker.on('message', (message: From) => {
      const id = message.job
      this.#begun.get(id)?.job.hear(message, {
        say: (answer) => worker.postMessage(answer),
        done: () => this.#forget(id),
      })
    })
  }

  get load(): number {
    return this.#load
  }

  take(id: number, begun: Begun<To, From>): void {
    this.#begun.set(id, begun)
    this.#load += begun.job.size
    this.#worker.postMessage(begun.job.begin(id))
  }

  async end(): Promise<void> {
    await this.#worker.terminate()
  }

  #forget(id: number): void {
    const begun = this.#begun.get(id)
    if (begun !== undefined && this.#begun.delete(id)) this.#load -= begun.job.size
  }
}
