/** Audits of logs that lie in every way there is. */
import { cp, readdir, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { concat, utf8 } from '@dslog/tlog/bytes'
import { HttpClient } from '@dslog/tlog/http'
import { parsePolicy } from '@dslog/tlog/policy'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { sha256 } from '@dslog/tlog/hash'
import { decodeEntry, encodeEntry, type Entry } from '@dslog/schema/entry'
import { LyingLog } from '@dslog/testbed/lyinglog'
import { decodeFinding, type FindingKind, verifyFinding } from '@dslog/monitor/evidence'
import { PinnedClient } from '../src/audit/audit.ts'
import { look } from '../src/command/audit.ts'
import { NO_PROGRESS } from '../src/progress.ts'
import { type Called, dslog } from './io.ts'
import { World } from './world.ts'

let world: World
beforeAll(async () => {
  world = await World.make()
})
afterAll(() => world.close())

/** The log was caught, and what is shown of it verifies with its key alone. */
function expectCaught(called: Called, log: LyingLog, kind: FindingKind) {
  const { code, events, stderr } = called
  expect(stderr).toMatch(new RegExp(`^dslog: ${log.origin} was caught: ${kind}: [^\n]+\n$`))
  expect(code).toBe(1)
  const shown = events.filter(({ event }) => event === 'misbehaviour')
  expect(events).toEqual(shown)
  const last = shown.at(-1)!
  expect(last).toMatchObject({ origin: log.origin, kind, found_at: expect.any(Number) })
  const finding = decodeFinding(kind, JSON.stringify(last['evidence']))
  verifyFinding(finding, [log.key])
  return finding
}

/** Entries of the world with some of them changed. */
function changed(change: (entries: Uint8Array[]) => void): LyingLog {
  const entries = world.scribe.entries.slice()
  change(entries)
  return world.logOf(entries)
}

function edited<T extends Entry['type']>(
  bytes: Uint8Array,
  type: T,
  edit: (entry: Extract<Entry, { type: T }>) => Entry,
): Uint8Array {
  const entry = decodeEntry(bytes)
  if (entry.type !== type) throw new Error(`a ${entry.type} where a ${type} should be`)
  return encodeEntry(edit(entry as Extract<Entry, { type: T }>))
}

describe('an honest log', () => {
  it('is found good, whole', async () => {
    const { code, events, stderr } = await world.call(world.log(), 'audit')
    expect(stderr).toBe('')
    expect(code).toBe(0)
    const { size } = world.scribe
    expect(events).toEqual([
      {
        event: 'summary',
        origin: 'log.example/lying',
        from: 0,
        size,
        root: expect.stringMatching(/^[A-Za-z0-9+/]{43}=$/),
        entries: size,
        // The names, and the keys of two zones.
        names: 303,
        unchecked: [],
      },
    ])
  })

  it('is found good also when it has deleted what it may: old partial tiles', async () => {
    const log = world.log()
    const { size } = world.scribe
    for (const path of log.files.keys()) {
      const width = /\.p\/(\d+)$/.exec(path)?.[1]
      if (width !== undefined && ![size % 256, 1].includes(Number(width))) log.files.delete(path)
    }
    expect(await world.call(log, 'audit')).toMatchObject({ code: 0 })
  })

  it('is found good also where it is too large for the memory', async () => {
    const log = world.log()
    const policy = parsePolicy(log.policy)
    const http = new HttpClient({ fetch: log.fetch, now: Date.now, random: () => 0 })
    const context = {
      client: await PinnedClient.open('http://log.example', policy, http),
      policy,
      verifier: { anchors: world.net.anchors, backend: nodeBackend() },
      http,
      progress: NO_PROGRESS,
    }
    const folders = async () =>
      (await readdir(tmpdir())).filter((name) => name.startsWith('dslog-audit-'))
    const before = await folders()
    const { size } = world.scribe
    expect(await look(context, {}, size - 1)).toEqual(await look(context, {}, size))
    expect(await folders()).toEqual(before)
  })

  it('of one tree only is found good', async () => {
    expect(await world.call(world.log(1), 'audit')).toMatchObject({ code: 0 })
  })
})

describe('a file that was changed', () => {
  it.each([
    ['bad-entry', 'tile/entries/000', 500],
    ['bad-entry', `tile/entries/001.p/`, 500],
    ['bad-tile', 'tile/0/000', 32 * 7],
    ['bad-tile', 'tile/0/001.p/', 5],
    ['bad-tile', 'tile/1/000.p/1', 31],
  ] as const)('%s: one bit of %s', async (kind, path, at) => {
    const log = world.log()
    const file = [...log.files.keys()].findLast((name) => name.startsWith(path))!
    log.flip(file, at)
    expectCaught(await world.call(log, 'audit'), log, kind)
  })

  it('bad-bundle: cut off', async () => {
    const log = world.log()
    log.files.set('tile/entries/000', log.files.get('tile/entries/000')!.slice(0, -1))
    expectCaught(await world.call(log, 'audit'), log, 'bad-bundle')
  })

  it('a checkpoint that the log did not sign is nobody’s', async () => {
    const log = world.log()
    log.flip('checkpoint', 25)
    const { code, events, stderr } = await world.call(log, 'audit')
    expect(code).toBe(1)
    expect(events).toEqual([])
    expect(stderr).toMatch(/^dslog: [^\n]*signature[^\n]*\n$/i)
  })

  it('a file that is gone is a failure of the service', async () => {
    const log = world.log()
    log.files.delete('tile/entries/000')
    const { code, stderr } = await world.call(log, 'audit')
    expect(code).toBe(3)
    expect(stderr).toMatch(/tile\/entries\/000 answered 404/)
  })
})

describe('a tree that the log should not have signed', () => {
  const DS = 10
  const KEYS = 1

  it('bad-map: two entries swapped', async () => {
    const log = changed((entries) => {
      ;[entries[DS], entries[DS + 1]] = [entries[DS + 1]!, entries[DS]!]
    })
    const { evidence } = expectCaught(await world.call(log, 'audit'), log, 'bad-map')
    // The MAP_HEAD of the first tree with names: it covers the swapped ones.
    expect(evidence).toMatchObject({ index: world.trees[1]! - 1 })
  })

  it('bad-evidence: keys behind what hangs from them', async () => {
    const log = changed((entries) => {
      ;[entries[KEYS], entries[DS]] = [entries[DS]!, entries[KEYS]!]
    })
    const { evidence } = expectCaught(await world.call(log, 'audit'), log, 'bad-evidence')
    expect(evidence).toMatchObject({ index: KEYS })
  })

  it('bad-evidence: one digit of a DS changed', async () => {
    const log = changed((entries) => {
      entries[DS] = edited(entries[DS]!, 'ds', (entry) => {
        const ds = entry.ds.map((rdata) => rdata.with(20, rdata[20]! ^ 1))
        return { ...entry, ds }
      })
    })
    const { evidence } = expectCaught(await world.call(log, 'audit'), log, 'bad-evidence')
    expect(evidence).toMatchObject({ index: DS })
  })

  it('bad-encoding: an entry with a byte too many', async () => {
    const log = changed((entries) => {
      entries[DS] = concat(entries[DS]!, Uint8Array.of(0))
    })
    expectCaught(await world.call(log, 'audit'), log, 'bad-encoding')
  })

  it('bad-map: a MAP_HEAD with another root', async () => {
    const index = world.trees[1]! - 1
    const log = changed((entries) => {
      entries[index] = edited(entries[index]!, 'map-head', (entry) => {
        return { ...entry, mapRoot: sha256(utf8('another map')) }
      })
    })
    const { evidence } = expectCaught(await world.call(log, 'audit'), log, 'bad-map')
    expect(evidence).toMatchObject({ index, expected: world.scribe.entries[index] })
  })

  it('bad-map: an entry that the map does not cover', async () => {
    const [honest, twin] = await Promise.all([World.make(3), World.make(3)])
    for (const each of [honest, twin]) onTestFinished(() => each.close())
    const { net, scribe } = honest
    const ds = net.parentOf(honest.name).dsRecords()
    net.parentOf(honest.name).delegate(honest.name, ds)
    // What an honest scribe would append is appended, and left out of histories and map.
    twin.net.parentOf(twin.name).delegate(twin.name, ds)
    await twin.scribe.observe(twin.name, twin.net.evidence(twin.name))
    scribe.slip(twin.scribe.entries.at(-1)!)
    await scribe.mapHead()
    const log = honest.logOf(scribe.entries)
    const { evidence } = expectCaught(await honest.call(log, 'audit'), log, 'bad-map')
    expect(evidence).toMatchObject({ index: scribe.size - 1 })
  })

  it('bad-admission: a state that was in force already', async () => {
    const log = changed((entries) => {
      entries.splice(world.trees[1]! - 1, 0, entries[DS]!)
    })
    const { evidence } = expectCaught(await world.call(log, 'audit'), log, 'bad-admission')
    expect(evidence).toMatchObject({ index: world.trees[1]! - 1 })
  })

  it('bad-map: a MAP_HEAD left out', async () => {
    const log = changed((entries) => {
      entries.splice(world.trees[2]! - 1, 1)
    })
    expectCaught(await world.call(log, 'audit'), log, 'bad-map')
  })

  it('no-map-head: a tree that ends with something else', async () => {
    const log = world.logOf(world.scribe.entries.slice(0, DS))
    expectCaught(await world.call(log, 'audit'), log, 'no-map-head')
  })
})

describe('an audit from an entry on', () => {
  const NOT_CHECKED = [
    /entries before/,
    /new to the log when it was appended/,
    /roots of the name map/,
  ]
  const unchecked = ({ events }: Called) => events[0]!['unchecked'] as string[]

  it('says what it did not check', async () => {
    const called = await world.call(world.log(), 'audit', '--from', '1')
    expect(called.code).toBe(0)
    expect(called.events[0]).toMatchObject({ from: 1, size: world.scribe.size, names: null })
    expect(unchecked(called)).toEqual(NOT_CHECKED.map((text) => expect.stringMatching(text)))
  })

  it('says whose keys it did not find, where the log serves files alone', async () => {
    const from = world.trees[1]!
    const called = await world.call(world.log(), 'audit', '--from', String(from))
    expect(called.code).toBe(0)
    expect(unchecked(called).at(-1)).toMatch(/the evidence of \d+ entries: .* keys before/)
  })

  it('from 0 is one of the whole log', async () => {
    const called = await world.call(world.log(), 'audit', '--from', '0')
    expect(called.events[0]).toMatchObject({ from: 0, unchecked: [], names: 303 })
  })

  it('beyond the log is a mistake', async () => {
    const { code, stderr } = await world.call(world.log(), 'audit', '--from', '9999')
    expect(code).toBe(2)
    expect(stderr).toContain(`there is no entry 9999: the log has ${world.scribe.size}`)
  })

  it.each<[FindingKind, (entries: Uint8Array[]) => void]>([
    ['bad-encoding', (entries) => (entries[20] = concat(entries[20]!, Uint8Array.of(0)))],
    [
      'bad-evidence',
      (entries) =>
        (entries[20] = edited(entries[20]!, 'ds', (entry) => {
          return { ...entry, ds: entry.ds.map((rdata) => rdata.with(20, rdata[20]! ^ 1)) }
        })),
    ],
    [
      'bad-evidence',
      (entries) =>
        (entries[2] = edited(entries[2]!, 'zone-keys', (entry) => {
          return { ...entry, rrsig: entry.rrsig.with(-1, entry.rrsig.at(-1)! ^ 1) }
        })),
    ],
    [
      'bad-map',
      (entries) =>
        (entries[302 + 1] = edited(entries[302 + 1]!, 'map-head', (entry) => {
          return { ...entry, previous: 1 }
        })),
    ],
    [
      'bad-map',
      (entries) =>
        (entries[302 + 1] = edited(entries[302 + 1]!, 'map-head', (entry) => {
          return { ...entry, time: 0 }
        })),
    ],
    [
      'bad-admission',
      (entries) => {
        const { time } = decodeEntry(entries[302 + 1]!) as Extract<Entry, { type: 'map-head' }>
        const last = entries.findLastIndex((bytes) => decodeEntry(bytes).type === 'ds')
        entries[last] = edited(entries[last]!, 'ds', (entry) => ({ ...entry, time: time - 1 }))
      },
    ],
    ['no-map-head', (entries) => entries.pop()],
  ])('%s is found', async (kind, change) => {
    const log = changed(change)
    expectCaught(await world.call(log, 'audit', '--from', '1'), log, kind)
  })

  it('finds a changed file', async () => {
    const log = world.log()
    log.flip('tile/entries/000', 500)
    expectCaught(await world.call(log, 'audit', '--from', '1'), log, 'bad-entry')
  })
})

describe('an audit that goes on', () => {
  let first: string
  let firstAudit: Called
  let size: number
  let made = 0

  beforeAll(async () => {
    size = world.trees[2]!
    first = join(world.folder, 'first')
    firstAudit = await world.call(world.log(size), 'audit', '--state', first)
  })

  it('begins at the first entry', () => {
    expect(firstAudit).toMatchObject({ code: 0, stderr: '' })
    expect(firstAudit.events[0]).toMatchObject({ from: 0, size, entries: size })
  })

  /** A state folder as the first audit left it. */
  async function state(): Promise<string> {
    const folder = join(world.folder, `state${made++}`)
    await cp(first, folder, { recursive: true })
    return folder
  }

  const files = async (folder: string) =>
    (await readdir(folder)).filter((name) => name.startsWith('evidence-'))

  it('reads only what is new', async () => {
    const log = world.log()
    const called = await world.call(log, 'audit', '--state', await state())
    expect(called).toMatchObject({ code: 0, stderr: '' })
    const { size: newSize } = world.scribe
    expect(called.events[0]).toMatchObject({
      from: size,
      size: newSize,
      entries: newSize - size,
      names: 303,
    })
    expect(log.asked.filter((path) => path.startsWith('tile/entries/000'))).toEqual([])
  })

  it('has nothing to do where nothing is new', async () => {
    const folder = await state()
    for (let i = 0; i < 2; i++) {
      const called = await world.call(world.log(size), 'audit', '--state', folder)
      expect(called).toMatchObject({ code: 0 })
      expect(called.events[0]).toMatchObject({ from: size, size, entries: 0 })
    }
  })

  it('finds a fork signed with the log’s own key', async () => {
    const folder = await state()
    const log = world.log(size).fork(20)
    log.append(...world.scribe.entries.slice(21))
    log.sign()
    const called = await world.call(log, 'audit', '--state', folder)
    expectCaught(called, log, 'fork')
    const [file] = await files(folder)
    expect(file).toBe('evidence-1-fork.json')
    const kept = JSON.parse(await readFile(join(folder, file!), 'utf8')) as object
    expect(called.events[0]).toMatchObject({ ...kept, file: join(folder, file!) })

    // An honest face afterwards takes nothing back.
    const again = await world.call(world.log(), 'audit', '--state', folder)
    expectCaught(again, log, 'fork')
  })

  it('finds a rollback', async () => {
    const folder = await state()
    const log = world.log(world.trees[1])
    expectCaught(await world.call(log, 'audit', '--state', folder), log, 'rollback')
    expect(await files(folder)).toEqual(['evidence-1-rollback.json'])
  })

  it('finds what is wrong in what is new, and stays where it was', async () => {
    const folder = await state()
    const log = changed((entries) => {
      const index = world.trees[3]! - 1
      entries[index] = edited(entries[index]!, 'map-head', (entry) => {
        return { ...entry, mapRoot: sha256(utf8('another map')) }
      })
    })
    expectCaught(await world.call(log, 'audit', '--state', folder), log, 'bad-map')
    expectCaught(await world.call(log, 'audit', '--state', folder), log, 'bad-map')
    expect(await files(folder)).toEqual(['evidence-1-bad-map.json'])
  })

  it('keeps what it saw of a broken file, and goes on when it is well again', async () => {
    const folder = await state()
    const log = world.log()
    const path = [...log.files.keys()].findLast((name) => name.startsWith('tile/0/001.p/'))!
    const whole = log.files.get(path)!
    log.flip(path, 3)
    expectCaught(await world.call(log, 'audit', '--state', folder), log, 'bad-tile')
    expect(await files(folder)).toHaveLength(1)
    log.files.set(path, whole)
    expect(await world.call(log, 'audit', '--state', folder)).toMatchObject({ code: 0 })
    expect(await files(folder)).toHaveLength(1)
  })

  it('is a service failure where the log does not deliver', async () => {
    const folder = await state()
    const log = world.log()
    for (const path of log.files.keys()) {
      if (path.startsWith('tile/entries/')) log.files.delete(path)
    }
    const { code, stderr } = await world.call(log, 'audit', '--state', folder)
    expect(code).toBe(3)
    expect(stderr).toMatch(/the log is unreachable: .*404/)
  })

  it('does not mix trust anchors', async () => {
    const { url } = await world.serve(world.log())
    const policy = join(world.folder, 'policy')
    const args = ['audit', '--log', url, '--policy', policy, '--state', await state()]
    const { code, stderr } = await dslog(args)
    expect(code).toBe(2)
    expect(stderr).toContain('with other trust anchors')
  })

  it('does not mix logs', async () => {
    const folder = await state()
    const other = new LyingLog('other.example').append(...world.scribe.entries)
    other.sign()
    const { code, stderr } = await world.call(other, 'audit', '--state', folder)
    expect(code).toBe(2)
    expect(stderr).toMatch(/follows log\.example\/lying, not other\.example/)
  })
})
