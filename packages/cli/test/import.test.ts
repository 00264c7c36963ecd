/** What an import leaves behind when it is refused: a log that was there, and none that was not. */
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { toHex } from '@dslog/tlog/bytes'
import { formatAnchors } from '@dslog/dnssec/anchors'
import { ALGORITHM } from '@dslog/dnssec/backend/backend'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { nameFromText } from '@dslog/dnssec/name'
import { Internet } from '@dslog/testbed/internet'
import { ownerDs } from '@dslog/testbed/stories'
import { importBackend, importInto } from '../src/command/import.ts'
import { LocalTarget } from '../src/local-target.ts'
import { Session } from '../src/session.ts'
import { type Called, dslog, testIo } from './io.ts'

let folder: string
let good: string
let broken: string
let anchors: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dslog-import-'))
  const net = new Internet({ root: { algorithm: ALGORITHM.ED25519 } })
  const owner = nameFromText('fi.')
  const root = net.parentOf(owner)
  root.delegate(owner, [ownerDs(owner)])
  const text = root.zone.toText()
  ;[good, broken, anchors] = ['good.zone', 'broken.zone', 'anchors'].map((name) =>
    join(folder, name),
  ) as [string, string, string]
  await writeFile(good, text)
  await writeFile(broken, text.slice(0, text.length / 2))
  await writeFile(anchors, formatAnchors(net.anchors))
})
afterAll(() => rm(folder, { recursive: true }))

const into = (data: string, ...files: string[]): Promise<Called> =>
  dslog(['import', '--data', data, '--anchors', anchors, ...files])

describe('a refused import', () => {
  it('leaves no log where there was none', async () => {
    const data = join(folder, 'nothing')
    const called = await into(data, broken)
    expect(called).toMatchObject({ code: 1, stdout: '' })
    expect(called.stderr).toMatch(new RegExp(`^dslog: ${broken}: [^\n]+\n$`))
    expect(existsSync(data)).toBe(false)
  })

  it('takes away what it has made, and nothing else', async () => {
    const data = join(folder, 'something')
    await mkdir(data)
    await dslog(['keygen', '--data', data, '--origin', 'log.example/ds'])
    await writeFile(join(data, 'notes'), 'mine')
    const before = (await readdir(data)).toSorted()
    const key = await readFile(join(data, 'log.key'))
    expect(await into(data, broken)).toMatchObject({ code: 1 })
    expect((await readdir(data)).toSorted()).toEqual(before)
    expect(await readFile(join(data, 'log.key'))).toEqual(key)
  })

  it('keeps the log that an earlier file has made', async () => {
    const data = join(folder, 'half')
    const called = await into(data, good, broken)
    expect(called).toMatchObject({ code: 1 })
    expect(called.stdout).toContain('+ fi. (entry ')
    expect(await into(data, broken)).toMatchObject({ code: 1 })
    // It was signed, and goes on.
    const again = await into(data, good)
    expect(again).toMatchObject({ code: 0 })
    expect(again.stdout).toContain('0 entries added')
  })
})

it('verifies no signature of a good file twice', async () => {
  const verified: string[] = []
  const inner = nodeBackend()
  const backend = importBackend({
    digest: inner.digest,
    verify(algorithm, key, data, signature) {
      verified.push([key, data, signature].map(toHex).join())
      return inner.verify(algorithm, key, data, signature)
    },
  })
  const io = testIo()
  const session = new Session({ data: join(folder, 'once'), anchors }, io)
  const target = await LocalTarget.open(session, backend)
  try {
    const plan = { anchors: await session.anchors(), backend }
    await importInto(async () => target, [good], plan, session.output)
  } finally {
    await target.close()
  }
  expect(io.stdout.text).toContain('+ fi. (entry ')
  expect(verified.length).toBeGreaterThan(1)
  expect(new Set(verified).size).toBe(verified.length)
})
