/** `dslog keygen`: a log's signer key, in a file of its own, and what others need to trust it. */
import { join } from 'node:path'
import { formatSkey, formatVkey } from '@dslog/tlog/key'
import { LOG_FILES } from '@dslog/log/main'
import { policyText } from '@dslog/log/policy'
import { ensureFolder, PRIVATE_FILE } from '@dslog/service/files'
import { newKey } from '../folder.ts'
import { writeNewFile } from '../newfile.ts'
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
  await writeNewFile(path, `${formatSkey(key)}\n`, PRIVATE_FILE)
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
