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
import { readFile, rename, rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { formatVkey, isKeyName, type SignerKey } from '@dslog/tlog/key'
import {
  type KeyAlgorithm,
  type KeyRole,
  newKey,
  readKeyFile,
  readKeys,
  writeKeyFile,
} from '@dslog/log/key'
import { LOG_FILES } from '@dslog/log/files'
import { policyText, readWitnessPolicy } from '@dslog/log/policy'
import { EmbeddedLocked } from '@dslog/service/database-error'
import type { Secret } from '@dslog/service/config'
import { ensureFolder, writeFileAtomic } from '@dslog/service/files'
import { type FolderLock, lockFolder } from '@dslog/service/lock'
import { EXIT, Failure } from './failure.ts'

/** How a folder becomes that of a log. */
export interface FolderOptions {
  /** Origin of the log: a URL without scheme; a new one gets a local name if left out. */
  readonly origin?: string | undefined
  /** A key that is kept elsewhere; then the folder gets none. */
  readonly key?: Secret | undefined
  /** File with the policy of the witnesses that are asked. */
  readonly witnesses?: string | undefined
}

/** A new key under a name, or under one of its own: unique, and plainly no public one. */
export function namedKey(
  wanted: string | undefined,
  role: KeyRole = 'log',
  algorithm: KeyAlgorithm = 'ed25519',
): SignerKey {
  const suffix = role === 'log' ? '' : `/${role}`
  const name = wanted ?? `dslog.local/${randomBytes(4).toString('hex')}${suffix}`
  if (!isKeyName(name)) {
    throw new Failure(EXIT.usage, `an origin has no spaces and no plus sign: ${name}`)
  }
  const [, bare] = /^https?:\/\/(.*)$/i.exec(name) ?? []
  if (bare !== undefined) {
    throw new Failure(EXIT.usage, `an origin is a URL without its scheme: ${bare}`)
  }
  return newKey(name, role, algorithm)
}

/**
 * Makes a folder ready for a log: its key and its policy, where there are none yet.
 *
 * @returns the log's first key
 * @throws Failure `usage` if the log there has another origin than the one wanted
 */
export async function prepareFolder(
  data: string,
  { key: elsewhere, origin, witnesses }: FolderOptions = {},
): Promise<SignerKey> {
  await ensureFolder(data, 0o700)
  const keys = elsewhere === undefined ? await keysIn(data, origin) : readKeys(elsewhere.reveal())
  const key = keys[0]!
  if (origin !== undefined && key.name !== origin) {
    throw new Failure(EXIT.usage, `the log in ${data} is ${key.name}, not ${origin}`)
  }
  const policy = join(data, LOG_FILES.policy)
  const witnessed = witnesses === undefined ? undefined : await readWitnessPolicy(witnesses)
  const text = policyText(keys.map(formatVkey), undefined, witnessed)
  // One that was made here before witnesses were asked is brought up to date; any other is its owner's.
  if (
    !existsSync(policy) ||
    (await readFile(policy, 'utf8')) === policyText([formatVkey(key)], undefined)
  ) {
    await writeFileAtomic(policy, text)
  }
  return key
}

/**
 * Notes what is not in a folder yet.
 *
 * @returns removes what has been put there since; only for a log that nobody has seen, whose database is closed
 */
export function unmakeFolder(data: string): () => Promise<void> {
  const isNew = !existsSync(data)
  const files = [LOG_FILES.database, LOG_FILES.signer, LOG_FILES.policy, LOG_FILES.key]
  const made = files.map((file) => join(data, file)).filter((path) => !existsSync(path))
  const database = join(data, LOG_FILES.database)
  return async () => {
    let lock: FolderLock
    try {
      lock = await lockFolder(database)
    } catch (error) {
      // Somebody else was faster: what is there is a log of theirs.
      if (error instanceof EmbeddedLocked) return
      throw error
    }
    try {
      for (const path of made) if (path !== database) await rm(path, { force: true })
      // The lock goes along: nobody ever opens half of a database, and who comes next begins anew.
      const unmade = `${database}.unmade`
      await rename(database, unmade)
      await rm(unmade, { recursive: true, force: true })
    } finally {
      await lock.release()
    }
    // What somebody else has put there stays.
    if (isNew) await rmdir(data).catch(() => {})
  }
}

async function keysIn(data: string, origin: string | undefined): Promise<SignerKey[]> {
  const path = join(data, LOG_FILES.key)
  if (!existsSync(path)) await writeKeyFile(path, namedKey(origin))
  return readKeyFile(path)
}
