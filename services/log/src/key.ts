/** The log's keys: how they are made, kept in a file, and turned into signers. */
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { signerOf } from '@dslog/tlog/cosignature'
import { TlogError } from '@dslog/tlog/error'
import {
  formatSkey,
  KEY_TYPE,
  parseSkey,
  SEED_SIZE,
  type SignerKey,
  signerKey,
} from '@dslog/tlog/key'
import type { NoteSigner } from '@dslog/tlog/note'
import { ed25519Signer } from '@dslog/service/crypto'
import { PRIVATE_FILE, writeFileAtomic } from '@dslog/service/files'
import { LogError } from './error.ts'

/** A new Ed25519 key of a log (note signature type 0x01). */
export function newLogKey(origin: string): SignerKey {
  return signerKey(origin, KEY_TYPE.ed25519, randomBytes(SEED_SIZE))
}

/** Writes a key to a file that only its owner can read. */
export async function writeKeyFile(path: string, key: SignerKey): Promise<void> {
  await writeFileAtomic(path, `${formatSkey(key)}\n`, { mode: PRIVATE_FILE })
}

/** Reads a key file. @throws LogError `key` */
export async function readKeyFile(path: string): Promise<SignerKey> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (cause) {
    const { code = 'error' } = cause as NodeJS.ErrnoException
    throw new LogError('key', `cannot read the key file ${path} (${code})`, { cause })
  }
  return readKey(text.trim())
}

/** Reads a key's text. @throws LogError `key` */
export function readKey(text: string): SignerKey {
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
