/**
 * The data folder of an embedded log:
 *
 *   log.key       the log's signer key, 0600
 *   policy        tlog-policy that trusts this log, for verifiers on this machine
 *   signer.json   what was signed (services/log)
 *   log/          the log's database
 *   monitor/      the monitor's database
 *   service.json  while `dslog up` runs: where, and the operator's token, 0600
 */
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { formatVkey } from '@dslog/tlog/key'
import { newLogKey, readKeyFile, writeKeyFile } from '@dslog/log/key'
import { LOG_FILES, policyText } from '@dslog/log/main'
import { ensureFolder, writeFileAtomic } from '@dslog/service/files'
import { POLICY_FILE } from './session.ts'

/** Origin of a log that nobody named: unique, and plainly not a public one. */
function localOrigin(): string {
  return `dslog.local/${randomBytes(4).toString('hex')}`
}

/**
 * Makes a folder ready for a log: its key and its policy, where there are none yet.
 *
 * @param origin of a new log, a URL without scheme; a local one if left out
 * @returns whether a new key was made
 */
export async function prepareFolder(data: string, origin?: string): Promise<boolean> {
  await ensureFolder(data, 0o700)
  const path = join(data, LOG_FILES.key)
  const fresh = !existsSync(path)
  if (fresh) await writeKeyFile(path, newLogKey(origin ?? localOrigin()))
  const key = await readKeyFile(path)
  const policy = join(data, POLICY_FILE)
  if (!existsSync(policy)) await writeFileAtomic(policy, policyText([formatVkey(key)], undefined))
  return fresh
}
