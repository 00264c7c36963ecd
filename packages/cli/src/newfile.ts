/** Files that must not exist yet: a key that was overwritten is lost. */
import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { dirname } from 'node:path'
import { syncFolder } from '@dslog/service/files'
import { EXIT, Failure } from './failure.ts'

/** Writes a file, durably. @throws Failure `usage` if it exists */
export async function writeNewFile(path: string, text: string, mode: number): Promise<void> {
  let file
  try {
    const { O_CREAT, O_EXCL, O_WRONLY } = constants
    file = await open(path, O_CREAT | O_EXCL | O_WRONLY, mode)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause
    throw new Failure(EXIT.usage, `${path} exists: a key is never overwritten`, { cause })
  }
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
  await syncFolder(dirname(path))
}
