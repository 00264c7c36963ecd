/** `dslog keygen`: a log's signer key, in a file of its own, and what others need to trust it. */
import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { formatSkey, formatVkey } from '@dslog/tlog/key'
import { LOG_FILES } from '@dslog/log/main'
import { policyText } from '@dslog/log/policy'
import { ensureFolder, PRIVATE_FILE, syncFolder } from '@dslog/service/files'
import { EXIT, Failure } from '../failure.ts'
import { newKey } from '../folder.ts'
import type { Session } from '../session.ts'

export interface KeygenOptions {
  readonly origin?: string
  readonly output?: string
}

export async function keygen(
  session: Session,
  { origin, output: named }: KeygenOptions,
): Promise<void> {
  const key = newKey(origin)
  const path = named ?? join(session.data, LOG_FILES.key)
  if (named === undefined) await ensureFolder(session.data, 0o700)
  await writeNew(path, `${formatSkey(key)}\n`)
  const vkey = formatVkey(key)
  const policy = policyText([vkey], undefined)
  const { output } = session
  output.event({ event: 'key', file: path, origin: key.name, vkey, policy })
  output.line(
    `signer key: ${path} (whoever reads it can sign for ${key.name}; keep a copy offline)`,
  )
  output.line(`vkey: ${vkey}`)
  output.line(`policy:\n${policy.trimEnd()}`)
}

/** Writes a file that must not exist: a key that was overwritten is lost, and with it the log. */
async function writeNew(path: string, text: string): Promise<void> {
  let file
  try {
    const { O_CREAT, O_EXCL, O_WRONLY } = constants
    file = await open(path, O_CREAT | O_EXCL | O_WRONLY, PRIVATE_FILE)
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
