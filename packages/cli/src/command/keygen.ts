/** `dslog keygen`: a signer key of a log, witness or auditor, in a file of its own, and what others need to trust it. */
import { join } from 'node:path'
import { formatSkey, formatVkey } from '@dslog/tlog/key'
import type { KeyAlgorithm, KeyRole } from '@dslog/log/key'
import { LOG_FILES } from '@dslog/log/files'
import { policyText } from '@dslog/log/policy'
import { ensureFolder, PRIVATE_FILE } from '@dslog/service/files'
import { namedKey } from '../folder.ts'
import { writeNewFile } from '../newfile.ts'
import type { Session } from '../session.ts'

export interface KeygenOptions {
  readonly origin?: string
  readonly role?: KeyRole
  readonly type?: KeyAlgorithm
  readonly output?: string
}

export async function keygen(
  session: Session,
  { origin, output: named, role = 'log', type = 'ed25519' }: KeygenOptions,
): Promise<void> {
  const key = namedKey(origin, role, type)
  const own = role === 'log' ? LOG_FILES.key : `${role}.key`
  const path = named ?? join(session.data, own)
  if (named === undefined) await ensureFolder(session.data, 0o700)
  await writeNewFile(path, `${formatSkey(key)}\n`, PRIVATE_FILE)
  const vkey = formatVkey(key)
  // A witness's line belongs into the policies of logs, which know it by a name of their own and its URL.
  const policy =
    role === 'log' ? policyText([vkey], undefined) : `witness ${role} ${vkey} https://…\n`
  const { output } = session
  output.event({ event: 'key', file: path, origin: key.name, role, type, vkey, policy })
  const power = role === 'log' ? 'sign' : 'cosign'
  output.line(
    `signer key: ${path} (whoever reads it can ${power} as ${key.name}; keep a copy offline)`,
  )
  output.line(`vkey: ${vkey}`)
  output.line(`policy:\n${policy.trimEnd()}`)
}
