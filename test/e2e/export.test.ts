/** A log as static files, served by a server that knows nothing; and a stored log that was tampered with. */
import { createServer, type Server } from 'node:http'
import { cp, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import type { LogTables } from '@dslog/schema/db'
import { openDatabase } from '@dslog/service/db'
import { listenOnLoopback } from '@dslog/testbed/loopback'
import { damage, flip } from '../damage.ts'
import { dslog, Folders, Up } from './dslog.ts'
import { Registry } from './registry.ts'

const folders = new Folders()
const servers: Server[] = []
afterAll(() => {
  for (const server of servers) server.closeAllConnections()
  for (const server of servers) server.close()
  folders.remove()
})

/** Names: more than a tile holds. */
const NAMES = 300

let registry: Registry
/** A data folder with two trees, and the checkpoint of the first. */
let data: string
let old: string
const here = (...args: string[]) => [...args, '--data', data, '--anchors', registry.anchors]

beforeAll(async () => {
  registry = new Registry(folders.make())
  for (let i = 0; i < NAMES; i++) registry.set(`name-${i}`, 1)
  data = folders.make()
  await dslog(here('import', registry.rootFile(), registry.zoneFile()))
  const before = folders.make()
  await dslog(here('export', before))
  old = join(before, 'checkpoint')
  registry.sleep()
  for (let i = 0; i < NAMES; i += 2) registry.set(`name-${i}`, 2)
  await dslog(here('import', registry.zoneFile()))
})

/** Serves files of a folder, and knows of nothing else. */
async function serve(folder: string): Promise<string> {
  const server = createServer((request, response) => {
    readFile(join(folder, request.url!)).then(
      (content) => response.end(content),
      () => {
        response.statusCode = 404
        response.end()
      },
    )
  })
  servers.push(server)
  return `http://127.0.0.1:${await listenOnLoopback(server)}`
}

describe('an exported log', () => {
  it('is the same from the folder and from a service, and can be audited anywhere', async () => {
    const [fromFolder, fromService] = [folders.make(), folders.make()]
    const exported = await dslog(here('export', '--json', fromFolder))
    expect(exported).toMatchObject({ code: 0, stderr: '' })
    expect(exported.events).toMatchObject([{ event: 'exported', tiles: 3, bundles: 2 }])

    const service = await Up.start(data, ['--anchors', registry.anchors])
    onTestFinished(() => service.kill())
    const exports = [1, 2].map(() => here('export', '--json', fromService))
    const [first, again] = [await dslog(exports[0]!), await dslog(exports[1]!)]
    await service.stop()
    expect(first).toMatchObject({ code: 0, events: [{ tiles: 3, bundles: 2 }] })
    // Once more: nothing is new, and nothing is written.
    expect(again).toMatchObject({ code: 0, events: [{ tiles: 0, bundles: 0 }] })
    const { size } = exported.events[0] as { size: number }
    const files = ['checkpoint', 'tile/0/000', `tile/0/001.p/${size - 256}`, 'tile/1/000.p/1']
    for (const file of [...files, 'tile/entries/000', `tile/entries/001.p/${size - 256}`]) {
      const [a, b] = await Promise.all(
        [fromFolder, fromService].map((folder) => readFile(join(folder, file))),
      )
      expect(b!.equals(a!)).toBe(true)
    }

    const log = await serve(fromFolder)
    const policy = join(data, 'policy')
    const trust = ['--log', log, '--policy', policy, '--anchors', registry.anchors]
    const audit = await dslog(['audit', '--json', ...trust])
    expect(audit).toMatchObject({ code: 0, stderr: '', events: [{ size, from: 0 }] })
    // The checkpoint of before is the beginning of this one: by the tiles of the static log.
    const consistent = await dslog(['consistency', '--json', ...trust, old, log])
    expect(consistent).toMatchObject({ code: 0, stderr: '' })
    expect(consistent.events).toMatchObject([{ event: 'consistent', new: { size } }])
    // Proof files are the business of a service.
    const history = await dslog(['history', 'name-1.test', ...trust])
    expect(history.code).toBe(3)
    expect(history.stderr).toMatch(/answered 404/)
  })

  it('goes on where an older export was', async () => {
    const folder = folders.make()
    await cp(join(old, '..'), folder, { recursive: true })
    const exported = await dslog(here('export', '--json', folder))
    expect(exported).toMatchObject({ code: 0, stderr: '' })
    expect(exported.events).toMatchObject([{ bundles: 1 }])
    const log = await serve(folder)
    const trust = ['--log', log, '--policy', join(data, 'policy'), '--anchors', registry.anchors]
    expect(await dslog(['audit', ...trust])).toMatchObject({ code: 0 })
  })
})

describe('a stored log that somebody changed', () => {
  const TAMPERING = [
    [
      'a byte of an entry',
      `update bundle set ${flip('data', '500')} where idx = 0`,
      /entr|bundle|tile/,
    ],
    [
      'a byte of a tile',
      `update tile set ${flip('data', '50')} where level = 0 and idx = 0`,
      /tile 0\/0 is not that of the entries/,
    ],
    [
      'a bucket of the name map',
      'delete from map_bucket where prefix = (select min(prefix) from map_bucket)',
      /bucket \d+ of the name map/,
    ],
    [
      'the history of a name',
      `update name set ${flip('history', '3')} where key = (select min(key) from name)`,
      /stored history of map key/,
    ],
    ['the size that was published', `update published set note = 'x'`, /published checkpoint/],
  ] as const

  it.each(TAMPERING)('is found by fsck: %s', async (_, change, problem) => {
    const folder = folders.make()
    await cp(data, folder, { recursive: true, filter: (path) => !path.endsWith('/monitor') })
    const db = await openDatabase<LogTables>({ folder: join(folder, 'log') })
    onTestFinished(() => db.close())
    await damage(db, change)
    await db.close()
    const args = ['fsck', '--json', '--data', folder, '--anchors', registry.anchors]
    const called = await dslog(args)
    expect(called.code).toBe(1)
    expect(called.stderr).toMatch(/^dslog: [^\n]+: \d+ problems?\n$/)
    const problems = called.events.filter(({ event }) => event === 'problem')
    expect(problems.map(({ detail }) => String(detail)).join('\n')).toMatch(problem)
    expect(called.events.at(-1)).toMatchObject({ event: 'summary', problems: problems.length })
  })
})
