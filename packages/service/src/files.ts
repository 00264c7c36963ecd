/**
 * Small files that must survive a power cut, such as the signer row. The order of effects is the whole point: write a
 * temporary file, fsync it, rename it over the old one, fsync the folder. After a crash at any moment the name holds either
 * all of the old content or all of the new.
 */
import { constants, existsSync } from 'node:fs'
import { mkdir, open, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { testPoint } from './testpoint.ts'

/** Readable by its owner alone: for keys and tokens. */
export const PRIVATE_FILE = 0o600

/** How to write a file. */
export interface WriteOptions {
  /** Permission bits of the new file, whatever the umask; default 0644. */
  mode?: number
}

let writes = 0

/** Replaces the content of `path`, atomically and durably. The folder must exist. */
export async function writeFileAtomic(
  path: string,
  content: Uint8Array | string,
  options: WriteOptions = {},
): Promise<void> {
  const mode = options.mode ?? 0o644
  const folder = dirname(resolve(path))
  // One name per process and write: two writers of one path never share a temporary file.
  const temporary = join(folder, `.${basename(path)}.${process.pid}.${writes++}.tmp`)
  // What is there already was left by a process that died; in a container the next one has its number.
  await rm(temporary, { force: true })
  const file = await open(
    temporary,
    constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY,
    mode,
  ).catch((error: unknown) => {
    // Nobody knows the temporary file.
    if (error instanceof Error) Object.assign(error, { path })
    throw error
  })
  try {
    try {
      await file.chmod(mode)
      await file.writeFile(content)
      await file.sync()
    } finally {
      await file.close()
    }
    testPoint('file.written')
    await rename(temporary, path)
    testPoint('file.renamed')
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
  await syncFolder(folder)
}

/** Makes renames, creations and deletions in a folder durable. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/**
 * Creates a folder and the folders above it; an existing one is left as it is. One by one: Node's own way never ends where
 * no folder can be made (`/proc`), and says of a file system that is read-only that the folder is not there.
 *
 * @returns the first one that was created, if any
 */
export async function ensureFolder(folder: string, mode = 0o755): Promise<string | undefined> {
  const path = resolve(folder)
  const above = dirname(path)
  const first = existsSync(above) ? undefined : await ensureFolder(above, mode)
  try {
    await mkdir(path, { mode })
    return first ?? path
  } catch (error) {
    // It was there, or somebody has made it in between.
    const found = await stat(path).catch(() => undefined)
    if (found?.isDirectory() !== true) throw error
    return first
  }
}
