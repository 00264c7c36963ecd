import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { formatCheckpoint } from '@dslog/tlog/checkpoint'
import { EMPTY_ROOT } from '@dslog/tlog/hash'
import { formatSkey, formatVkey, KEY_TYPE } from '@dslog/tlog/key'
import { signNote } from '@dslog/tlog/note'
import { checkPolicy, policyOfLog } from '@dslog/tlog/policy'
import { LogError } from '../src/error.ts'
import { newKey, noteSignerOf, readKeyFile, readKeys } from '../src/key.ts'

const NAME = 'log.example/ds'
const [OLD, NEW, PQ] = [newKey(NAME), newKey(NAME), newKey(NAME, 'log', 'mldsa44')]
const lines = (...keys: { seed: Uint8Array }[]) =>
  keys.map((key) => formatSkey(key as typeof OLD)).join('\n')

describe('the keys of a log', () => {
  test('are one a line, between comments and empty lines', () => {
    const text = `# until 2027-03-01\n${lines(OLD)}\n\n  ${lines(NEW)}  \r\n${lines(PQ)}\n`
    expect(readKeys(text).map(formatSkey)).toEqual([OLD, NEW, PQ].map(formatSkey))
    expect(readKeys(lines(OLD)).map(formatSkey)).toEqual([formatSkey(OLD)])
  })

  test('all sign, and each of their policies is satisfied', () => {
    const text = formatCheckpoint({ origin: NAME, size: 0, root: EMPTY_ROOT, extensions: [] })
    const note = signNote(
      text,
      [OLD, NEW, PQ].map((key) => noteSignerOf(key, () => 1_700_000_000_000)),
    )
    for (const keys of [[OLD], [NEW], [PQ], [PQ, OLD], [newKey(NAME), NEW]]) {
      const { checkpoint } = checkPolicy(policyOfLog(...keys.map(formatVkey)), note)
      expect(checkpoint.origin).toBe(NAME)
    }
    expect(() => checkPolicy(policyOfLog(formatVkey(newKey(NAME))), note)).toThrow(/known key/)
  })

  test.each([
    ['none', ''],
    ['comments alone', '# nothing\n'],
    ['nonsense', 'PRIVATE+KEY+nonsense'],
    ['two names', lines(OLD, newKey('log.example/other'))],
    ['the same twice', lines(OLD, OLD)],
    ["a witness's", lines(OLD, newKey(NAME, 'witness'))],
    ['ML-DSA-44 alone, which not every client knows', lines(PQ)],
  ])('are not %s', (_, text) => {
    expect(() => readKeys(text)).toThrow(LogError)
    expect(() => readKeys(text)).toThrow(expect.objectContaining({ code: 'key' }))
    // Whatever was wrong, no message quotes a secret.
    try {
      readKeys(text)
    } catch (error) {
      for (const key of [OLD, PQ]) expect(String(error)).not.toContain(formatSkey(key).slice(-44))
    }
  })

  test('come from a file', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'dslog-key-'))
    try {
      const path = join(folder, 'log.key')
      await expect(readKeyFile(path)).rejects.toMatchObject({ code: 'key' })
      await writeFile(path, `${lines(OLD, PQ)}\n`)
      expect((await readKeyFile(path)).map(formatSkey)).toEqual([OLD, PQ].map(formatSkey))
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})

test('a new key is of the type that its role signs with', () => {
  expect(newKey(NAME).type).toBe(KEY_TYPE.ed25519)
  expect(newKey(NAME, 'witness').type).toBe(KEY_TYPE.cosignature)
  expect(newKey(NAME, 'auditor').type).toBe(KEY_TYPE.cosignature)
  for (const role of ['log', 'witness', 'auditor'] as const) {
    expect(newKey(NAME, role, 'mldsa44').type).toBe(KEY_TYPE.mldsa44)
  }
  expect(newKey(NAME).id).not.toBe(newKey(NAME).id)
})
