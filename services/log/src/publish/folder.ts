/**
 * A folder that any web server can serve as the log. Each file appears whole or not at all, and is on
 * the disk, with the folders above it, before the next step: a checkpoint that survives a power cut
 * never names a tile that did not. One process writes to it at a time: the log's lock sees to that. All of it can be read by
 * everybody, whatever the umask: a service has one that keeps its secrets, and a web server is another user.
 */
import { chmod, readFile, rm } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { equal, fromUtf8 } from '@dslog/tlog/bytes'
import { ensureFolder, syncFolder, writeFileAtomic } from '@dslog/service/files'
import { CHECKPOINT_PATH, type HeldCheckpoint, PublishError, type PublishTarget } from './target.ts'

/** Of folders that are made here. */
const PUBLIC_FOLDER = 0o755

/** See the head of this file. */
export class FolderTarget implements PublishTarget {
  readonly name: string
  readonly #folder: string
  /** Folders that are known to be there. */
  readonly #made = new Set<string>()

  constructor(folder: string) {
    this.#folder = resolve(folder)
    this.name = this.#folder
  }

  async checkpoint(): Promise<HeldCheckpoint | undefined> {
    const bytes = await this.read(CHECKPOINT_PATH)
    if (bytes === undefined) return undefined
    try {
      return { note: fromUtf8(bytes) }
    } catch (cause) {
      throw new PublishError('foreign', `the checkpoint in ${this.#folder} is not one`, { cause })
    }
  }

  async put(path: string, data: Uint8Array): Promise<void> {
    const held = await this.read(path)
    if (held !== undefined && equal(held, data)) return
    await this.#makeFolder(dirname(path))
    await writeFileAtomic(join(this.#folder, path), data)
  }

  async dropPartials(path: string): Promise<void> {
    const partials = `${path}.p`
    this.#made.delete(partials)
    await rm(join(this.#folder, partials), { recursive: true, force: true })
  }

  async show(note: string, over: HeldCheckpoint | undefined): Promise<void> {
    // Not atomic with the write: what is closed here is the gap of a whole copy, not that of a moment.
    const held = await this.checkpoint()
    if (held?.note !== over?.note) {
      throw new PublishError('changed', `another checkpoint appeared in ${this.#folder}`)
    }
    await this.#makeFolder('.')
    await writeFileAtomic(join(this.#folder, CHECKPOINT_PATH), note)
  }

  /** The bytes of a file, if it is there. */
  async read(path: string): Promise<Uint8Array | undefined> {
    try {
      return await readFile(join(this.#folder, path))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
  }

  async #makeFolder(path: string): Promise<void> {
    if (this.#made.has(path)) return
    const folder = join(this.#folder, path)
    const first = await ensureFolder(folder)
    // A new folder is durable once the one that holds it is.
    if (first !== undefined) {
      for (let at = folder; ; at = dirname(at)) {
        await chmod(at, PUBLIC_FOLDER)
        await syncFolder(dirname(at))
        if (at === first) break
      }
    }
    this.#made.add(path)
  }
}
