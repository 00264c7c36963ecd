/** Files that somebody named: too large, endless, a folder, not there. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readInput, streamInput } from '../src/input.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dslog-input-'))
})
afterAll(() => rm(folder, { recursive: true }))

test('a file is read whole', async () => {
  const path = join(folder, 'file')
  const text = 'x'.repeat(200_000)
  await writeFile(path, text)
  expect((await readInput(path)).toString()).toBe(text)
  await writeFile(path, '')
  expect(await readInput(path)).toHaveLength(0)
})

test.each([
  ['a file that is not there', 'missing', 'ENOENT'],
  ['a folder', '.', 'EISDIR'],
  ['a device without an end', '/dev/zero', 'EFBIG'],
])('%s is told with its path', async (_, name, code) => {
  const path = name.startsWith('/') ? name : join(folder, name)
  await expect(readInput(path)).rejects.toMatchObject({ code, path })
})

test('a stream tells its path, too', async () => {
  const path = join(folder, 'missing')
  await expect(streamInput(path).next()).rejects.toMatchObject({ code: 'ENOENT', path })
})
