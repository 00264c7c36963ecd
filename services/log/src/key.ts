/** The log's keys: how they are made, kept in a file, and turned into signers. */
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { signerOf } from '@dslog/tlog/cosignature'
import { TlogError } from '@dslog/tlog/error'
import {
  formatSkey,
  KEY_TYPE,
  type KeyType,
  parseSkey,
  SEED_SIZE,
  type SignerKey,
  signerKey,
} from '@dslog/tlog/key'
import type { NoteSigner } from '@dslog/tlog/note'
import { ed25519Signer } from '@dslog/service/crypto'
import { PRIVATE_FILE, writeFileAtomic } from '@dslog/service/files'
import { LogError } from './error.ts'

/** Who a key belongs to: that decides what its signatures look like. */
export type KeyRole = 'log' | 'witness' | 'auditor'

/** Algorithms that keys are made for. */
export type KeyAlgorithm = 'ed25519' | 'mldsa44'

/** Types that a log signs with; the others are a cosigner's. */
const LOG_TYPES: ReadonlySet<KeyType> = new Set([KEY_TYPE.ed25519, KEY_TYPE.mldsa44])

/** A new key. An Ed25519 key of a log signs checkpoints (0x01), one of a witness or auditor cosigns them (0x04). */
export function newKey(
  name: string,
  role: KeyRole = 'log',
  algorithm: KeyAlgorithm = 'ed25519',
): SignerKey {
  const ed25519 = role === 'log' ? KEY_TYPE.ed25519 : KEY_TYPE.cosignature
  const type = algorithm === 'mldsa44' ? KEY_TYPE.mldsa44 : ed25519
  return signerKey(name, type, randomBytes(SEED_SIZE))
}

/** Writes a key to a file that only its owner can read. */
export async function writeKeyFile(path: string, key: SignerKey): Promise<void> {
  await writeFileAtomic(path, `${formatSkey(key)}\n`, { mode: PRIVATE_FILE })
}

/** Reads a key file. @throws LogError `key` */
export async function readKeyFile(path: string): Promise<SignerKey[]> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (cause) {
    const { code = 'error' } = cause as NodeJS.ErrnoException
    throw new LogError('key', `cannot read the key file ${path} (${code})`, { cause })
  }
  return readKeys(text)
}

/**
 * Reads the keys of a log, one a line, all of one name. The log signs with each of them: with Ed25519,
 * as C2SP tlog-tiles demands of a public log, beside it with ML-DSA-44, and for a while with the old key
 * and the new when keys change.
 *
 * @throws LogError `key`
 */
export function readKeys(text: string): SignerKey[] {
  const lines = text.split('\n').map((line) => line.trim())
  const keys = lines.filter((line) => line !== '' && !line.startsWith('#')).map(readKey)
  const [first] = keys
  if (first === undefined) throw new LogError('key', 'not a signer key: there is none')
  if (keys.some(({ name }) => name !== first.name)) {
    throw new LogError('key', 'the keys of a log carry one name, its origin')
  }
  if (keys.some(({ type }) => !LOG_TYPES.has(type))) {
    throw new LogError('key', "a witness's key is not a log's")
  }
  if (!keys.some(({ type }) => type === KEY_TYPE.ed25519)) {
    throw new LogError('key', 'a log needs an Ed25519 key; ML-DSA-44 comes beside it')
  }
  if (new Set(keys.map(({ id }) => id)).size < keys.length) {
    throw new LogError('key', 'a key is listed twice')
  }
  return keys
}

function readKey(text: string): SignerKey {
  try {
    return parseSkey(text)
  } catch (cause) {
    if (!(cause instanceof TlogError)) throw cause
    throw new LogError('key', `not a signer key: ${cause.message}`, { cause })
  }
}

/** What signs with a key; Ed25519 by node:crypto. */
export function noteSignerOf(key: SignerKey, now: () => number): NoteSigner {
  if (key.type !== KEY_TYPE.ed25519) return signerOf(key, now)
  const signer = ed25519Signer(key.seed)
  return { key, sign: (text) => signer.sign(text) }
}
