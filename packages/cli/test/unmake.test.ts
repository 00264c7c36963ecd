/** A log that nobody has seen is taken away again, unless somebody else has it by then. */
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { lockFolder } from '@dslog/service/lock'
import { unmakeFolder } from '../src/folder.ts'

let place: string
beforeEach(async () => {
  place = await mkdtemp(join(tmpdir(), 'dslog-unmake-'))
})
afterEach(() => rm(place, { recursive: true }))

/** A data folder as a first import leaves it. */
async function make(data: string): Promise<void> {
  await mkdir(join(data, 'log', 'pg'), { recursive: true })
  for (const file of ['signer.json', 'policy', 'log.key', 'log/pg/data']) {
    await writeFile(join(data, file), 'x')
  }
}

it('is gone, with its folder if that is new', async () => {
  const data = join(place, 'data')
  const unmake = unmakeFolder(data)
  await make(data)
  await unmake()
  expect(existsSync(data)).toBe(false)
})

it('leaves what was there before', async () => {
  await writeFile(join(place, 'log.key'), 'mine')
  const unmake = unmakeFolder(place)
  await make(place)
  await unmake()
  expect(await readdir(place)).toEqual(['log.key'])
})

it('is left alone once somebody else has opened it', async () => {
  const data = join(place, 'data')
  const unmake = unmakeFolder(data)
  await make(data)
  const theirs = await lockFolder(join(data, 'log'))
  await unmake()
  expect((await readdir(data)).toSorted()).toEqual(['log', 'log.key', 'policy', 'signer.json'])
  expect(existsSync(join(data, 'log', 'pg', 'data'))).toBe(true)
  await theirs.release()
})
