/** The thread of an embedded database, seen from the thread of its user: started, asked, closed. */
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import type { Worker } from 'node:worker_threads'
import pg from 'pg'
import { DatabaseError } from './database-error.ts'
import type { WorkerNotice, WorkerReply, WorkerRequest, WorkerSetup } from './embedded-worker.ts'
import { startThread } from './thread.ts'

const require = createRequire(import.meta.url)

/** Where PGlite is. */
export const PGLITE: string = dirname(require.resolve('@electric-sql/pglite'))

/** PGlite, compiled once: what one thread has warmed up is warm for all of this process. */
let program: Promise<WebAssembly.Module> | undefined

/** A database thread: requests in order, one reply each. */
export class DatabaseThread {
  /** Resolves when the thread has ended, however. */
  readonly ended: Promise<void>
  /** Called if it ends without having been closed. */
  onEnd: (error: DatabaseError) => void = () => {}
  /** Called when its housekeeping fails. */
  onWarning: (reason: string) => void = () => {}
  readonly #worker: Worker
  readonly #waiting: {
    resolve: (bytes: Uint8Array) => void
    reject: (error: Error) => void
  }[] = []
  #error: DatabaseError | undefined
  #closing = false

  /** Resolves when the database is open. */
  static async start(setup: Omit<WorkerSetup, 'program'>): Promise<DatabaseThread> {
    const thread = new DatabaseThread({ ...setup, program: await (program ??= compile()) })
    await new Promise<void>((resolve, reject) => {
      thread.#waiting.push({ resolve: () => resolve(), reject })
    })
    return thread
  }

  constructor(setup: WorkerSetup) {
    this.#worker = startThread('./embedded-worker', import.meta.url, {
      workerData: setup,
      name: 'dslog-database',
    })
    this.ended = new Promise((resolve) => {
      this.#worker.on('error', (error) => this.#end(error.message, error))
      this.#worker.once('exit', (code) => {
        this.#end(`exit code ${code}`)
        resolve()
      })
    })
    this.#worker.on('message', (message: WorkerReply | WorkerNotice) => {
      if ('fatal' in message) this.#end(message.fatal)
      else if ('warning' in message) this.onWarning(message.warning)
      else if ('ready' in message) this.#waiting.shift()!.resolve(new Uint8Array(0))
      else if ('bytes' in message) this.#waiting.shift()!.resolve(message.bytes)
      else this.#waiting.shift()!.reject(toDatabaseError(message.error))
    })
    this.#closing = setup.create
  }

  call(request: WorkerRequest, transfer: ArrayBuffer[] = []): Promise<Uint8Array> {
    if (this.#error !== undefined) return Promise.reject(this.#error)
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject })
      this.#worker.postMessage(request, transfer)
    })
  }

  /** Flushes and ends. */
  async close(): Promise<void> {
    if (this.#error === undefined) {
      this.#closing = true
      await this.call({ close: true })
    }
    await this.ended
  }

  #end(reason: string, cause?: Error): void {
    if (this.#error !== undefined) return
    this.#error = new DatabaseError('ended', `the embedded database has ended: ${reason}`, {
      cause,
    })
    for (const { reject } of this.#waiting.splice(0)) reject(this.#error)
    if (!this.#closing) this.onEnd(this.#error)
  }
}

/**
 * Makes an empty data folder from nothing: initdb, seconds of work and hundreds of megabytes of memory, which only the end
 * of a thread gives back. Always the same bytes.
 */
export async function createCluster(folder: string): Promise<void> {
  const creator = await DatabaseThread.start({ folder, create: true, vacuumInterval: 0 })
  await creator.ended
}

async function compile(): Promise<WebAssembly.Module> {
  return WebAssembly.compile(await readFile(join(PGLITE, 'pglite.wasm')))
}

function toDatabaseError({ message, ...fields }: { message: string }): Error {
  return Object.assign(new pg.DatabaseError(message, message.length, 'error'), fields)
}
