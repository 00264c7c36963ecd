import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { PRIVATE_FILE, ensureFolder, syncFolder, writeFileAtomic } from '@dslog/service/files'

const folder = mkdtempSync(join(tmpdir(), 'dslog-files-'))
afterAll(() => rmSync(folder, { recursive: true }))
const mode = (path: string) => statSync(path).mode & 0o777

it('writes and replaces, and leaves nothing else behind', async () => {
  const path = join(folder, 'signer')
  await writeFileAtomic(path, 'one')
  expect([readFileSync(path, 'utf8'), mode(path)]).toEqual(['one', 0o644])
  const inode = statSync(path).ino
  await writeFileAtomic(path, Uint8Array.of(1, 2, 255))
  const nowhere = join(folder, 'none', 'file')
  await expect(writeFileAtomic(nowhere, 'one')).rejects.toMatchObject({ path: nowhere })
  expect([...readFileSync(path)]).toEqual([1, 2, 255])
  // Never written in place.
  expect(statSync(path).ino).not.toBe(inode)
  expect(readdirSync(folder)).toEqual(['signer'])
})

it('keeps secrets to their owner, whatever the umask', async () => {
  const path = join(folder, 'key')
  const umask = process.umask(0)
  try {
    await writeFileAtomic(path, 'secret', { mode: PRIVATE_FILE })
    expect(mode(path)).toBe(0o600)
    chmodSync(path, 0o644)
    await writeFileAtomic(path, 'secret', { mode: PRIVATE_FILE })
    expect(mode(path)).toBe(0o600)
  } finally {
    process.umask(umask)
  }
})

it('shows one whole content or another to every reader', async () => {
  const path = join(folder, 'contended')
  const contents = Array.from({ length: 20 }, (_, i) => String(i).repeat(10_000))
  await writeFileAtomic(path, contents[0]!)
  const writing = Promise.all(contents.map((content) => writeFileAtomic(path, content)))
  let done = false
  const end = (): void => void (done = true)
  void writing.then(end, end)
  while (!done) {
    expect(contents).toContain(readFileSync(path, 'utf8'))
    await new Promise((resolve) => setImmediate(resolve))
  }
  await writing
  expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([])
})

it('leaves the old content and no litter when it fails', async () => {
  const target = join(folder, 'target')
  await ensureFolder(join(target, 'inside'))
  // A folder that is not empty cannot be replaced by a file.
  await expect(writeFileAtomic(target, 'x')).rejects.toThrow(/EISDIR|ENOTEMPTY|EEXIST/)
  expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([])
  await expect(writeFileAtomic(join(folder, 'no/such/folder'), 'x')).rejects.toThrow('ENOENT')
})

it('is not stopped by what a dead process with our number left behind', async () => {
  const path = join(folder, 'interrupted')
  for (let n = 0; n < 100; n++) {
    writeFileSync(join(folder, `.interrupted.${process.pid}.${n}.tmp`), 'half a cont')
  }
  await writeFileAtomic(path, 'whole')
  expect(readFileSync(path, 'utf8')).toBe('whole')
})

it('creates folders once, and syncs them', async () => {
  const path = join(folder, 'a/b/c')
  expect(await ensureFolder(path, 0o700)).toBe(join(folder, 'a'))
  expect(await ensureFolder(path)).toBeUndefined()
  expect(mode(path)).toBe(0o700)
  await syncFolder(path)
  await expect(syncFolder(join(folder, 'none'))).rejects.toThrow('ENOENT')
})

it('creates folders that others create, too', async () => {
  const paths = ['together/a', 'together/b', 'together'].map((path) => join(folder, path))
  await Promise.all([...paths, ...paths].map((path) => ensureFolder(path)))
  for (const path of paths) expect(statSync(path).isDirectory()).toBe(true)
})

it('says where no folder can be created', async () => {
  const file = join(folder, 'file')
  writeFileSync(file, '')
  await expect(ensureFolder(file)).rejects.toMatchObject({ code: 'EEXIST', path: file })
  const below = join(file, 'a')
  await expect(ensureFolder(join(below, 'b'))).rejects.toMatchObject({
    code: 'ENOTDIR',
    path: below,
  })
})

it.runIf(existsSync('/proc/self'))('gives up where nothing can be created at all', async () => {
  const path = '/proc/dslog'
  await expect(ensureFolder(path)).rejects.toMatchObject({ code: 'ENOENT', path })
  await expect(ensureFolder(join(path, 'data'))).rejects.toMatchObject({ code: 'ENOENT', path })
})
