/**
 * One process per folder, by a lock file that survives its process and is then recognised as stale:
 *
 *   folder/lock   {"pid": 4711, "start": "1834205", "space": "<boot id> pid:[4026531836]"}
 *
 * A pid alone is used again, so the start time of the process (clock ticks since boot, field 22 of /proc/pid/stat) tells
 * whether it is the same process. Pids mean nothing across boots and containers: a lock from another such space counts as
 * live while its file is touched, which the holder does every few seconds. Without /proc (not Linux) the pid alone decides.
 *
 * The file appears by link(2), complete or not at all. A stale one is replaced, not deleted, and only by the holder of
 * another lock of the same kind, whose name is the hash of the stale text: so of several processes that find it stale one
 * gets it, and a process that dies while it replaces leaves nothing that could not be replaced in turn.
 */
import { createHash } from 'node:crypto'
import { readFileSync, readlinkSync } from 'node:fs'
import { link, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { EmbeddedLocked } from './database-error.ts'

/** A folder that this process has for itself. */
export interface FolderLock {
  release(): Promise<void>
}

interface Holder {
  pid: number
  start: string
  space: string
}

/** How often the holder touches the file, ms. */
const TOUCH_INTERVAL = 2_000

/** A file of another pid space that nobody has touched for so long is stale, ms. */
const TOUCH_LIMIT = 10_000

/** While another process replaces a stale lock: how long until we look again, ms. */
const CLAIM_WAIT = 5

/** Takes the folder, or throws EmbeddedLocked with the pid of its holder. */
export async function lockFolder(folder: string): Promise<FolderLock> {
  const path = join(folder, 'lock')
  const own = JSON.stringify(self())
  const waitUntil = Date.now() + TOUCH_LIMIT
  for (;;) {
    const holder = await acquire(path, own)
    if (holder === undefined) break
    if (holder.state === 'live' || Date.now() > waitUntil) {
      throw new EmbeddedLocked(folder, parse(holder.text)?.pid ?? 0, holder.text)
    }
    // A container that was killed and restarted finds its own young lock: a few seconds show that it is nobody's.
    await sleep(TOUCH_INTERVAL / 4)
  }
  const touch = setInterval(() => {
    const now = new Date()
    utimes(path, now, now).catch(() => {})
  }, TOUCH_INTERVAL)
  touch.unref()
  return {
    async release() {
      clearInterval(touch)
      if ((await readFile(path, 'utf8').catch(ignoreMissing)) === own) await rm(path)
    },
  }
}

/** Who this process is, so that nobody takes another one with its pid for it. For {@link isRunningProcess}. */
export function processIdentity(): string {
  return JSON.stringify(self())
}

/** Whether the process of an identity still runs; undefined where that cannot be seen: in another container, say. */
export function isRunningProcess(identity: string): boolean | undefined {
  const holder = parse(identity)
  return holder?.space === pidSpace() ? isRunning(holder) : undefined
}

/** Makes `path` a lock file with our text; undefined when it is ours, otherwise who may have it. */
async function acquire(
  path: string,
  own: string,
): Promise<{ text: string; state: 'live' | 'unknown' } | undefined> {
  const ours = `${path}.${process.pid}.${process.hrtime.bigint()}`
  await writeFile(ours, own, { mode: 0o600 })
  try {
    for (;;) {
      if (await linked(ours, path)) return undefined
      const text = await readFile(path, 'utf8').catch(ignoreMissing)
      if (text === undefined) continue
      const state = await judge(path, text)
      if (state !== 'stale') return { text, state }
      // From here until the rename nobody changes the file: its holder is dead, creators find it there, and whoever else
      // would replace it needs the claim.
      const claim = `${path}.${createHash('sha256').update(text).digest('hex').slice(0, 16)}`
      if ((await acquire(claim, own)) !== undefined) {
        await sleep(CLAIM_WAIT)
        continue
      }
      try {
        if ((await readFile(path, 'utf8').catch(ignoreMissing)) === text) {
          await rename(ours, path)
          return undefined
        }
      } finally {
        await rm(claim)
      }
    }
  } finally {
    await rm(ours, { force: true })
  }
}

async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

async function judge(path: string, text: string): Promise<'live' | 'unknown' | 'stale'> {
  const holder = parse(text)
  // Never written by this code, which links only whole files.
  if (holder === undefined) return 'live'
  const { space } = self()
  if (holder.space === space) return isRunning(holder) ? 'live' : 'stale'
  const touched = await stat(path).catch(ignoreMissing)
  return touched !== undefined && Date.now() - touched.mtimeMs < TOUCH_LIMIT ? 'unknown' : 'stale'
}

function isRunning({ pid, start }: Holder): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    // EPERM: it runs, as another user.
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
  }
  return startOf(pid) === start
}

function self(): Holder {
  return { pid: process.pid, start: startOf(process.pid), space: pidSpace() }
}

/** Clock ticks from boot to the start of a process; '' without /proc. */
function startOf(pid: number): string {
  try {
    const line = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The second field, the command in parentheses, may hold anything, so count from its end.
    return line.slice(line.lastIndexOf(')') + 2).split(' ')[19] ?? ''
  } catch {
    return ''
  }
}

/** Which pids are comparable: those of one boot and one pid namespace. */
function pidSpace(): string {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
    return `${boot} ${readlinkSync('/proc/self/ns/pid')}`
  } catch {
    return ''
  }
}

function parse(text: string): Holder | undefined {
  try {
    const value = JSON.parse(text) as Partial<Holder> | null
    return typeof value?.pid === 'number' && typeof value.start === 'string'
      ? { pid: value.pid, start: value.start, space: String(value.space) }
      : undefined
  } catch {
    return undefined
  }
}

function ignoreMissing(error: Error): undefined {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  return undefined
}
