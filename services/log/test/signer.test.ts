import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { utf8 } from '@dslog/tlog/bytes'
import { asHash, sha256 } from '@dslog/tlog/hash'
import type { LogTables } from '@dslog/schema/db'
import type { Database } from '@dslog/service/db'
import { Internet } from '@dslog/testbed/internet'
import { type Kind, Places } from '../../../test/place.ts'
import { openPlace } from '../../../test/testlog.ts'
import { LogError } from '../src/error.ts'
import { SignerFile, SignerInTable, type SignedTree, type SignerRow } from '../src/signer.ts'

const places = await Places.open()
afterAll(() => places.close())
const { anchors, clock } = new Internet()

const tree = (size: number, origin = 'log.example/test'): SignedTree => {
  return { origin, size, root: sha256(utf8(`tree ${size}`)) }
}

/** What a row has, whatever kind of array its hash is. */
async function recorded(row: SignerRow): Promise<SignedTree | undefined> {
  const read = await row.read()
  return read && { ...read, root: asHash(new Uint8Array(read.root)) }
}

const folder = (): Promise<string> => mkdtemp(join(tmpdir(), 'dslog-signer-'))

const inFile = async (): Promise<SignerRow> => {
  const data = await folder()
  onTestFinished(() => rm(data, { recursive: true }))
  return new SignerFile(join(data, 'row.json'))
}

/** One database of each kind is enough. */
const databases = new Map<Kind, Promise<Database<LogTables>>>()
afterAll(async () => {
  for (const db of databases.values()) await (await db).close()
})

function databaseOf(kind: Kind): Promise<Database<LogTables>> {
  const held = databases.get(kind)
  if (held !== undefined) return held
  const made = places
    .make(kind, anchors)
    .then((place) => openPlace(place, clock.now))
    .then(({ db }) => db)
  databases.set(kind, made)
  return made
}

const kinds: [string, () => Promise<SignerRow>][] = [
  ['a file', inFile],
  ...places.kinds.map((kind): [string, () => Promise<SignerRow>] => [
    `a table, ${kind}`,
    async () => {
      const db = await databaseOf(kind)
      await db.kysely.deleteFrom('signer').execute()
      return new SignerInTable(db)
    },
  ]),
]

describe.each(kinds)('the record of what was signed, in %s', (_, make) => {
  test('remembers the newest tree, and replaces only the one it is told of', async () => {
    const row = await make()
    expect(await row.read()).toBeUndefined()
    await expect(row.advance(tree(1), tree(2))).rejects.toMatchObject({ code: 'fenced' })
    await row.advance(undefined, tree(1))
    expect(await recorded(row)).toEqual(tree(1))
    for (const wrong of [
      undefined,
      tree(2),
      tree(1, 'log.example/other'),
      { ...tree(1), root: tree(2).root },
    ]) {
      const advanced = row.advance(wrong, tree(3))
      await expect(advanced).rejects.toThrow(LogError)
      await expect(advanced).rejects.toMatchObject({ code: 'fenced' })
    }
    await row.advance(tree(1), tree(2))
    await row.advance(tree(2), tree(2 ** 53 - 1))
    expect(await recorded(row)).toEqual(tree(2 ** 53 - 1))
  })

  test('gives what it was given', async () => {
    const row = await make()
    const strange = tree(7, 'log.example/ünï "\\ \u2028')
    await row.advance(undefined, strange)
    expect(await recorded(row)).toEqual(strange)
    await row.advance(strange, tree(8, strange.origin))
  })
})

describe.each(places.kinds)('in a table, %s', (kind) => {
  test('one of many writers wins', async () => {
    const db = await databaseOf(kind)
    await db.kysely.deleteFrom('signer').execute()
    const row = new SignerInTable(db)
    await row.advance(undefined, tree(1))
    for (let size = 2; size < 10; size++) {
      const from = (await row.read())!
      const writers = [0, 1, 2, 3].map((n) => row.advance(from, tree(size * 10 + n)))
      const won = (await Promise.allSettled(writers)).filter(({ status }) => status === 'fulfilled')
      expect(won).toHaveLength(1)
    }
  })
})

describe('in a file', () => {
  let data: string
  beforeEach(async () => {
    data = await folder()
  })
  afterEach(() => rm(data, { recursive: true }))

  test('what is no record is refused, not taken for none', async () => {
    const path = join(data, 'row.json')
    const row = new SignerFile(path)
    await row.advance(undefined, tree(3))
    const good = await readFile(path, 'utf8')
    for (let end = 0; end < good.trimEnd().length; end++) {
      await writeFile(path, good.slice(0, end))
      await expect(row.read()).rejects.toMatchObject({ code: 'signer' })
    }
    for (const text of ['null', '7', '[]', '"x"', '{"origin":"x","size":1.5,"root":""}']) {
      await writeFile(path, text)
      await expect(row.read()).rejects.toMatchObject({ code: 'signer' })
    }
    await writeFile(path, good)
    expect(await recorded(row)).toEqual(tree(3))
  })

  test('what cannot be read is refused', async () => {
    await mkdir(join(data, 'row.json'))
    const row = new SignerFile(join(data, 'row.json'))
    await expect(row.read()).rejects.toMatchObject({ code: 'signer' })
    await expect(row.advance(undefined, tree(1))).rejects.toMatchObject({ code: 'signer' })
  })

  test('nothing lies beside it', async () => {
    const row = new SignerFile(join(data, 'row.json'))
    await row.advance(undefined, tree(1))
    await row.advance(tree(1), tree(2))
    expect(await readdir(data)).toEqual(['row.json'])
  })
})
