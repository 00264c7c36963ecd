/**
 * Whether there is room to write. A disk that is full in the middle of a write is the worst moment to notice:
 * so the log stops sequencing while there is still enough left to sign, publish and end in order, says so,
 * and goes on when there is room again. Reads go on all the time.
 *
 * What is watched is the data folder, the published folder, and the folder of the database where that is
 * local; a server elsewhere reports by its own error (SQLSTATE 53100), after which the log waits as well.
 */
import { statfs } from 'node:fs/promises'

const MIB = 1024 * 1024

/** How long a look is good for, ms: so much is not written in that time. */
const LOOK_MS = 1_000

/** How long the log waits after the database has said that it is full, ms. */
const FULL_MS = 10_000

/** SQLSTATE disk_full. */
const DISK_FULL = '53100'

/** Free bytes below a path. */
export type FreeBytes = (path: string) => Promise<number>

const freeBytes: FreeBytes = async (path) => {
  const { bavail, bsize } = await statfs(path)
  return bavail * bsize
}

export interface DiskOptions {
  /** Folders, or files in them; those that are not there yet are left out. */
  readonly paths: readonly string[]
  /** What must be free below each of them, MiB; 0 watches nothing. */
  readonly reserve: number
  readonly clock?: () => number
  readonly free?: FreeBytes
}

/** Whether the database refused to write because its disk is full. */
export function isDiskFull(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === DISK_FULL
}

/** See the head of this file. */
export class DiskGuard {
  readonly #options: DiskOptions
  readonly #clock: () => number
  readonly #free: FreeBytes
  #lookedAt = -Infinity
  #fullUntil = -Infinity
  #low: string | undefined

  constructor(options: DiskOptions) {
    this.#options = options
    this.#clock = options.clock ?? Date.now
    this.#free = options.free ?? freeBytes
  }

  /** What was found last: why nothing may be written, without paths, since it is shown to everybody. */
  get low(): string | undefined {
    return this.#low
  }

  /** Looks, if the last look is old. @returns as {@link low} */
  async look(): Promise<string | undefined> {
    const now = this.#clock()
    if (now - this.#lookedAt < LOOK_MS) return this.#low
    this.#lookedAt = now
    const full = now < this.#fullUntil
    this.#low = full ? 'the disk of the database is full' : await this.#lowest()
    return this.#low
  }

  /** The database has said that its disk is full. */
  noteFull(): void {
    this.#fullUntil = this.#clock() + FULL_MS
    this.#low = 'the disk of the database is full'
  }

  async #lowest(): Promise<string | undefined> {
    const { paths, reserve } = this.#options
    if (reserve === 0) return undefined
    for (const path of paths) {
      const free = await this.#free(path).catch(ignoreMissing)
      if (free !== undefined && free < reserve * MIB) return 'the disk is nearly full'
    }
    return undefined
  }
}

function ignoreMissing(error: unknown): undefined {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  return undefined
}
