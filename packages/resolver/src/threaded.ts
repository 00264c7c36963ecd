/**
 * A signature backend on all cores: what is to be verified goes to threads that do nothing else, many signatures at
 * a time. Node's own thread pool takes one at a time, and to go there and back costs a fifth of what a P-256
 * signature does (measured: 15 µs beside 66).
 *
 * While the threads are at work more is gathered, so the busier they are the more travels together. Where there
 * is but one core, to verify on the thread that asks is the shortest way.
 */
import { availableParallelism } from 'node:os'
import type { Worker } from 'node:worker_threads'
import type { SignatureBackend } from '@dslog/dnssec/backend/backend'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { startThread } from '@dslog/service/thread'
import { type Job, type JobThread, ThreadPool } from '@dslog/service/threadpool'
import {
  encodeSignatures,
  type FromVerifier,
  type Signature,
  type ToVerifier,
} from './threaded-protocol.ts'

/** Threads at most: one that asks and validates has work for about as many. */
const MAX_THREADS = 4
/** Signatures that travel together at most: a millisecond of a thread, with P-256. */
const AT_ONCE = 16

/** A backend that has threads. */
export interface ThreadedBackend extends SignatureBackend {
  /** Ends them. What is under way, or asked later, is verified on the thread that asks. */
  close(): Promise<void>
}

export interface ThreadedOptions {
  /** How many; one means none. Default: as many as the machine runs at a time. */
  readonly threads?: number
  /** Starts one. */
  readonly start?: () => Worker
  /** A thread has ended by itself, and another one verifies what it had. */
  readonly onDeath?: (error: Error) => void
}

function startVerifier(): Worker {
  return startThread('./threaded-worker', import.meta.url, { name: 'dslog-verifier' })
}

/** See the head of this file. */
export function threadedBackend(options: ThreadedOptions = {}): ThreadedBackend {
  const { onDeath, start = startVerifier } = options
  const threads = Math.min(options.threads ?? availableParallelism(), MAX_THREADS)
  const here = nodeBackend({ here: true })
  if (threads < 2) return { ...here, close: () => Promise.resolve() }
  const pool = new ThreadPool<ToVerifier, FromVerifier>(threads, start)
  if (onDeath !== undefined) pool.onDeath = onDeath
  let waiting: Asked[] = []

  const verifyHere = (asked: Asked): void => {
    const { algorithm, data, publicKey, reject, resolve, signature } = asked
    here.verify(algorithm, publicKey, data, signature).then(resolve, reject)
  }

  /** Hands out what waits, to threads that have little to do. */
  const handOut = (): void => {
    const all = waiting
    waiting = []
    if (all.length === 1 && pool.least === 0) {
      verifyHere(all[0]!)
      return
    }
    let from = 0
    while (from < all.length && pool.least < AT_ONCE) {
      const share = Math.ceil((all.length - from) / threads)
      const batch = all.slice(from, (from += Math.min(share, AT_ONCE)))
      pool.begin(new Verifying(batch, handOut, verifyHere))
    }
    // Synchronously nothing was added meanwhile: what is left waits until a thread is done.
    waiting = all.slice(from)
  }

  return {
    digest: (type, data) => here.digest(type, data),
    verify: (algorithm, publicKey, data, signature) =>
      new Promise((resolve, reject) => {
        // Together with all else that is asked for in this turn of the event loop.
        if (waiting.length === 0) setImmediate(handOut)
        waiting.push({ algorithm, publicKey, data, signature, resolve, reject })
      }),
    close: () => pool.close(),
  }
}

/** A signature that somebody waits for. */
interface Asked extends Signature {
  readonly resolve: (isValid: boolean) => void
  readonly reject: (error: unknown) => void
}

/** Some signatures on their way through a thread. */
class Verifying implements Job<ToVerifier, FromVerifier> {
  readonly size: number
  readonly #all: readonly Asked[]
  readonly #next: () => void
  readonly #otherwise: (asked: Asked) => void

  /**
   * @param next called when they are done
   * @param otherwise verifies one that no thread will
   */
  constructor(all: readonly Asked[], next: () => void, otherwise: (asked: Asked) => void) {
    this.size = all.length
    this.#all = all
    this.#next = next
    this.#otherwise = otherwise
  }

  begin(job: number): ToVerifier {
    return { job, signatures: encodeSignatures(this.#all) }
  }

  hear({ valid }: FromVerifier, thread: JobThread<ToVerifier>): void {
    thread.done()
    this.#next()
    for (const [i, { resolve }] of this.#all.entries()) resolve(valid[i]!)
  }

  giveUp(): void {
    for (const asked of this.#all) this.#otherwise(asked)
    this.#next()
  }
}
