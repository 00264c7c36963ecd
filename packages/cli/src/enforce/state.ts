/**
 * What enforcement remembers between two runs, in the folder that `dslog audit --state` keeps, too:
 *
 *   DIR/checkpoint     newest tree of the log that was seen, as the signed note
 *   DIR/first-seen     a line for each state that the log lacked: `<state id> <entries> <ms since the epoch>`
 *
 * The first makes a log that shows another history after a restart be caught; the second keeps a state from
 * having its grace time again with every restart.
 */
import { appendFile, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { checkPolicy, type Policy, type TrustedCheckpoint } from '@dslog/tlog/policy'
import { ensureFolder, PRIVATE_FILE, writeFileAtomic } from '@dslog/service/files'
import type { FirstSeen } from './enforcer.ts'

const CHECKPOINT_FILE = 'checkpoint'
const FIRST_SEEN_FILE = 'first-seen'
/** Lines that are read again: the newest. */
const MAX_LINES = 10_000

const LINE = /^([0-9a-f]{64} \d{1,16}) (\d{1,16})$/

/** A folder of an enforcer. */
export class EnforceState {
  readonly #folder: string
  #saved: string | undefined
  #writing: Promise<unknown> = Promise.resolve()

  private constructor(folder: string) {
    this.#folder = folder
  }

  static async open(folder: string): Promise<EnforceState> {
    await ensureFolder(folder, 0o700)
    return new EnforceState(folder)
  }

  /** The tree that was seen last. @throws TlogError if it is not of the log of the policy */
  async pin(policy: Policy): Promise<TrustedCheckpoint | undefined> {
    this.#saved = await textIfThere(join(this.#folder, CHECKPOINT_FILE))
    return this.#saved === undefined
      ? undefined
      : checkPolicy(policy, this.#saved, { now: Date.now() })
  }

  /** Keeps a tree. */
  async savePin({ note }: TrustedCheckpoint): Promise<void> {
    if (note === this.#saved) return
    await writeFileAtomic(join(this.#folder, CHECKPOINT_FILE), note, { mode: PRIVATE_FILE })
    this.#saved = note
  }

  /** States that were waited for, oldest first; those of one key as they were first. */
  async waiting(): Promise<FirstSeen[]> {
    const path = join(this.#folder, FIRST_SEEN_FILE)
    const first = new Map<string, FirstSeen>()
    for (const line of ((await textIfThere(path)) ?? '').split('\n').slice(-MAX_LINES)) {
      // A line that was cut by a crash says nothing.
      const [, key, at] = LINE.exec(line) ?? []
      if (key !== undefined && !first.has(key)) first.set(key, { key, at: Number(at) })
    }
    const all = [...first.values()]
    const text = all.map(({ at, key }) => `${key} ${at}\n`).join('')
    await writeFileAtomic(path, text, { mode: PRIVATE_FILE })
    return all
  }

  /** Keeps that a state is waited for; rejects if that could not be written. */
  addWaiting({ at, key }: FirstSeen): Promise<void> {
    const path = join(this.#folder, FIRST_SEEN_FILE)
    const written = this.#writing.then(() => appendFile(path, `${key} ${at}\n`))
    this.#writing = written.catch(() => {})
    return written
  }
}

async function textIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
