/**
 * A signature backend on all cores: the thread that asks, and threads beside it that do nothing else and get many
 * signatures at a time. Node's own thread pool takes one at a time, and to go there and back costs a fifth of what a
 * P-256 signature does (measured: 15 µs beside 66).
 *
 * The others always have some to go on with; what they have no room for the asking thread verifies itself. On one core
 * there are no others, and each signature is verified when it is asked for.
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

/** Threads at most, the one that asks among them: it has work for about as many. */
const MAX_THREADS = 5
/** Signatures that travel together at most: a millisecond of a thread, with P-256. */
const AT_ONCE = 16
/** Signatures that a thread has before it at most: as long as the one that asks may be busy with something else. */
const BEFORE_ONE = 4 * AT_ONCE
/** Signatures that are verified here before all else is looked after, two milliseconds. */
const HERE_AT_ONCE = 32

/** A backend that has threads. */
export interface ThreadedBackend extends SignatureBackend {
  /** Ends them. What is under way, or asked later, is verified on the thread that asks. */
  close(): Promise<void>
}

export interface ThreadedOptions {
  /** How many, with the one that asks. Default: as many as the machine runs at a time. */
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
  const pool = new ThreadPool<ToVerifier, FromVerifier>(threads - 1, start)
  if (onDeath !== undefined) pool.onDeath = onDeath
  let waiting: Asked[] = []

  const verifyHere = (asked: Asked): void => {
    const { algorithm, data, publicKey, reject, resolve, signature } = asked
    here.verify(algorithm, publicKey, data, signature).then(resolve, reject)
  }

  /** Hands out what waits to threads that have room for it; of the rest some is verified here. */
  const handOut = (): void => {
    const all = waiting
    let from = 0
    // One by itself is back sooner.
    while (all.length - from > 1 && pool.least < BEFORE_ONE) {
      pool.begin(new Verifying(all.slice(from, (from += AT_ONCE)), verifyHere))
    }
    const end = Math.min(all.length, from + HERE_AT_ONCE)
    while (from < end) verifyHere(all[from++]!)
    waiting = all.slice(from)
    if (waiting.length > 0) setImmediate(handOut)
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
  readonly #otherwise: (asked: Asked) => void

  /** @param otherwise verifies one that no thread will */
  constructor(all: readonly Asked[], otherwise: (asked: Asked) => void) {
    this.size = all.length
    this.#all = all
    this.#otherwise = otherwise
  }

  begin(job: number): ToVerifier {
    return { job, signatures: encodeSignatures(this.#all) }
  }

  hear({ valid }: FromVerifier, thread: JobThread<ToVerifier>): void {
    thread.done()
    for (const [i, { resolve }] of this.#all.entries()) resolve(valid[i]!)
  }

  giveUp(): void {
    for (const asked of this.#all) this.#otherwise(asked)
  }
}
