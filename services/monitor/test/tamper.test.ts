/** Every way in which a log can lie: found, of the right kind, and kept so that it verifies. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { concat, utf8 } from '@dslog/tlog/bytes'
import { parseCheckpoint } from '@dslog/tlog/checkpoint'
import { TlogError } from '@dslog/tlog/error'
import { sha256 } from '@dslog/tlog/hash'
import { parseNote } from '@dslog/tlog/note'
import { encodeBundle } from '@dslog/tlog/tile'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { nameFromText } from '@dslog/dnssec/name'
import { decodeEntry, encodeEntry, type Entry } from '@dslog/schema/entry'
import { dsNumber } from '@dslog/testbed/key'
import { LyingLog, Scribe } from '@dslog/testbed/lyinglog'
import { entryOf } from '@dslog/verify/candidate'
import { Observer } from '@dslog/verify/observe'
import { decodeFinding, type Finding, type FindingKind, verifyFinding } from '../src/evidence.ts'
import type { Follower } from '../src/follow.ts'
import { evidenceAfter } from '../src/findings.ts'
import {
  follower,
  grow,
  history,
  type History,
  logOf,
  quickPlace,
  type Place,
  RUNNING,
  settingOf,
} from './world.ts'

/** So long a smaller tree may be a copy that is late, ms. */
const TEN_MINUTES = 600_000

let past: History
let here: Place

beforeAll(async () => {
  past = await history(10)
  here = await quickPlace()
})
beforeEach(async () => {
  await here.empty()
})
afterAll(() => here.close())

const setting = (log: LyingLog) => settingOf(log, past, here)

/** Everything kept, decoded; each piece verifies with the log's key, and not with another's. */
async function evidence(log: LyingLog): Promise<Finding[]> {
  const rows = await evidenceAfter(here.db, 0, 100)
  return rows.map((row) => {
    expect(row).toMatchObject({ origin: log.origin, found_at: past.net.clock.now() })
    const finding = decodeFinding(row.kind, row.evidence)
    verifyFinding(finding, [log.key])
    const stranger = new LyingLog('stranger.example')
    expect(() => verifyFinding(finding, [stranger.key])).toThrow(TlogError)
    return finding
  })
}

interface Scene {
  readonly log: LyingLog
  readonly world: Parameters<typeof follower>[0]
  readonly monitor: Follower
}

/** Follows an honest log up to a tree. */
async function followed(size: number = past.trees.at(-3)!): Promise<Scene> {
  const log = logOf(past, size)
  const world = await setting(log)
  const monitor = await follower(world)
  await monitor.round(RUNNING)
  expect(monitor.status).toMatchObject({ state: 'following', size })
  return { log, world, monitor }
}

/** Follows nothing yet: the log lies from its first tree on. */
async function fresh(entries: readonly Uint8Array[]): Promise<Scene> {
  const log = new LyingLog().append(...entries)
  log.sign()
  const world = await setting(log)
  return { log, world, monitor: await follower(world) }
}

/** From now on a log serves what another one does. */
function become(log: LyingLog, other: LyingLog): void {
  log.files.clear()
  for (const [path, file] of other.files) log.files.set(path, file)
}

function sizeShown(log: LyingLog): number {
  return parseCheckpoint(parseNote(log.files.get('checkpoint')!).text).size
}

/** The honest entries of the tree that follows one of `size` entries. */
function treeAfter(size: number): Uint8Array[] {
  return past.scribe.entries.slice(
    size,
    past.trees.find((tree) => tree > size),
  )
}

function changed(bytes: Uint8Array, change: Partial<Entry>): Uint8Array {
  return encodeEntry({ ...decodeEntry(bytes), ...change } as Entry)
}

/**
 * One look finds the log lying. Further looks, and those of another process, find nothing more and
 * verify nothing more, but see how large the log says it is.
 */
async function expectCaught(kind: FindingKind, { log, monitor, world }: Scene): Promise<Finding> {
  const before = monitor.status.size
  await monitor.round(RUNNING)
  await monitor.round(RUNNING)
  const again = await follower(world)
  expect(again.status.findings.get(kind)).toBe(1)
  await again.round(RUNNING)
  for (const { status } of [monitor, again]) {
    expect(status).toMatchObject({ state: 'misbehaving', size: before, published: sizeShown(log) })
    expect(status.detail).not.toBe('')
    expect([...status.findings]).toEqual([[kind, 1]])
  }
  const found = await evidence(log)
  expect(found.map((finding) => finding.kind)).toEqual([kind])
  return found[0]!
}

/** What a log was caught at for good: it cannot make up for it. */
async function expectCaughtForGood(kind: FindingKind, scene: Scene): Promise<Finding> {
  const finding = await expectCaught(kind, scene)
  const { log, monitor } = scene
  const { size } = monitor.status
  become(log, logOf(past))
  await monitor.round(RUNNING)
  expect(monitor.status).toMatchObject({ state: 'misbehaving', size, published: past.scribe.size })
  log.files.clear()
  await monitor.round(RUNNING)
  expect(monitor.status.state).toBe('misbehaving')
  expect(await evidence(log)).toHaveLength(1)
  return finding
}

/** A breach by the entry at `index`, with what should have been there. */
async function expectCaughtAt(
  kind: FindingKind,
  scene: Scene,
  { index, expected }: { index: number; expected?: Uint8Array | undefined },
): Promise<void> {
  const { log } = scene
  const entry = log.entries[index]!
  const finding = await expectCaughtForGood(kind, scene)
  expect(finding.evidence).toMatchObject({ index, entry })
  const evidence = finding.evidence as { expected?: Uint8Array; reason: string }
  expect(evidence.reason).not.toBe('')
  expect(evidence.expected).toEqual(expected)
}

describe('what is served is not what was signed', () => {
  /** The log shows what it signed, and is followed again; the evidence stays. */
  async function expectRecovered({ log, monitor }: Scene): Promise<void> {
    become(log, logOf(past))
    await monitor.round(RUNNING)
    expect(monitor.status).toMatchObject({ state: 'following', size: past.scribe.size, backlog: 0 })
    expect(monitor.status.findings.size).toBe(1)
    expect(await evidence(log)).toHaveLength(1)
  }

  test('a bit of an entry', async () => {
    const scene = await followed()
    const { log } = scene
    const from = log.size
    grow(log, past.scribe)
    const path = `tile/entries/000.p/${log.size}`
    const start = log.entries.slice(0, from + 1).reduce((sum, { length }) => sum + 2 + length, 0)
    log.flip(path, start + 2)
    const { evidence } = await expectCaught('bad-entry', scene)
    expect(evidence).toMatchObject({ index: from + 1 })
    await expectRecovered(scene)
  })

  test('the length of an entry', async () => {
    const scene = await followed()
    const { log } = scene
    grow(log, past.scribe)
    log.flip(`tile/entries/000.p/${log.size}`, 0)
    const { evidence } = await expectCaught('bad-bundle', scene)
    expect(evidence).toMatchObject({ index: 0, width: log.size })
    await expectRecovered(scene)
  })

  test('a swapped pair of entries', async () => {
    const scene = await followed()
    const { log } = scene
    grow(log, past.scribe)
    const [a, b] = [log.size - 3, log.size - 2]
    const served = log.entries.map(
      (entry, i) => log.entries[i === a ? b : i === b ? a : i] ?? entry,
    )
    log.files.set(`tile/entries/000.p/${log.size}`, encodeBundle(served))
    const { evidence } = await expectCaught('bad-entry', scene)
    expect(evidence).toMatchObject({ index: a, entry: log.entries[b]! })
    await expectRecovered(scene)
  })

  test('a bit of a tile', async () => {
    const scene = await followed()
    const { log } = scene
    grow(log, past.scribe)
    log.flip(`tile/0/000.p/${log.size}`, 5)
    await expectCaught('bad-tile', scene)
    await expectRecovered(scene)
  })

  test('a tree that was there before', async () => {
    const scene = await followed()
    const { log, monitor } = scene
    const seen = new TextDecoder().decode(log.files.get('checkpoint'))
    const served = log.sign(past.trees.at(-4))
    past.net.clock.advance(TEN_MINUTES)
    const finding = await expectCaught('rollback', scene)
    expect(finding.evidence).toEqual({ seen, served })
    expect(monitor.status.published).toBe(past.trees.at(-4))
    await expectRecovered(scene)
  })

  test('but not a copy that is late', async () => {
    const { log, monitor } = await followed()
    const { size } = monitor.status
    // Somebody reads from two copies in turn, one of which stands still.
    for (let turn = 0; turn < 3; turn++) {
      log.sign(past.trees.at(-4))
      past.net.clock.advance(TEN_MINUTES - 1)
      await monitor.round(RUNNING)
      expect(monitor.status).toMatchObject({ state: 'following', size, published: size })
      log.sign(size)
      await monitor.round(RUNNING)
    }
    expect(await evidence(log)).toEqual([])
  })

  test('evidence does not grow with the log', async () => {
    const scene = await followed(past.trees[1])
    const { log, monitor } = scene
    for (const size of past.trees.slice(2)) {
      grow(log, past.scribe, size)
      log.flip(`tile/0/000.p/${size}`, 5)
      await monitor.round(RUNNING)
      expect(monitor.status).toMatchObject({ state: 'misbehaving', published: size })
    }
    expect(await evidence(log)).toHaveLength(1)
    await expectRecovered(scene)
  })
})

describe('two trees that exclude each other', () => {
  test('of one size', async () => {
    const scene = await followed()
    const { log } = scene
    const other = log.fork(log.size - 2).append(...log.entries.slice(-1), ...log.entries.slice(-1))
    const smaller = new TextDecoder().decode(log.files.get('checkpoint'))
    const larger = other.sign()
    become(log, other)
    const finding = await expectCaughtForGood('fork', scene)
    expect(finding.evidence).toEqual({ smaller, larger })
  })

  test.each(['larger', 'smaller'])('of which the second is the %s', async (which) => {
    const scene = await followed()
    const { log } = scene
    const { entries } = log
    const other = log.fork(log.size - 5).append(...entries.slice(-1))
    if (which === 'larger') other.append(...entries.slice(0, 9))
    const [first, second] = [new TextDecoder().decode(log.files.get('checkpoint')), other.sign()]
    become(log, other)
    const finding = await expectCaughtForGood('fork', scene)
    const [smaller, larger] = which === 'larger' ? [first, second] : [second, first]
    expect(finding.evidence).toMatchObject({ smaller, larger })
    expect(finding.evidence).toHaveProperty('prefix.path')
  })

  test('also if the first was seen, but not verified, before a restart', async () => {
    const { log, world } = await followed()
    grow(log, past.scribe)
    const slow = await follower(world, {
      interval: 0,
      limits: { entries: 1, waiting: 1, bytes: 1 },
    })
    await slow.round(RUNNING)
    expect(slow.status.state).toBe('behind')
    const other = log.fork(log.size - 1).append(log.entries[0]!)
    other.sign()
    become(log, other)
    const monitor = await follower(world)
    await expectCaughtForGood('fork', { log, world, monitor })
  })
})

describe('a signed tree', () => {
  test('with a wrong map root', async () => {
    const scene = await followed()
    const { log } = scene
    const entries = treeAfter(log.size)
    const honest = entries.pop()!
    log.append(...entries, changed(honest, { mapRoot: sha256(utf8('lie')) })).sign()
    await expectCaughtAt('bad-map', scene, { index: log.size - 1, expected: honest })
  })

  test.each<[string, Partial<Entry>]>([
    ['count of keys', { keyCount: 7 }],
    ['index', { covers: 7, previous: 0 }],
    ['predecessor', { previous: 0 }],
    ['time', { time: 1 }],
  ])('whose MAP_HEAD has a wrong %s', async (what, lie) => {
    const scene = await followed()
    const { log } = scene
    const entries = treeAfter(log.size)
    const honest = entries.pop()!
    log.append(...entries, changed(honest, lie)).sign()
    const expected = what === 'count of keys' ? honest : undefined
    await expectCaughtAt('bad-map', scene, { index: log.size - 1, expected })
  })

  test('with an entry that the map omits', async () => {
    const { net } = past
    const edges = { anchors: net.anchors, now: net.clock.now }
    const [honest, liar] = [new Scribe(edges), new Scribe(edges)]
    const [a, b] = [past.names.replaced, past.names.gone]
    for (const scribe of [honest, liar]) {
      await scribe.mapHead()
      await scribe.observe(a, net.evidence(a))
      await scribe.observeKeys(net.parentOf(b).name, net.evidence(b))
    }
    await honest.observe(b, net.evidence(b))
    expect(honest.size).toBe(liar.size + 1)
    liar.slip(honest.entries.at(-1)!)
    await liar.mapHead()
    const expected = await honest.mapHead()
    const scene = await fresh(liar.entries)
    await expectCaughtAt('bad-map', scene, { index: liar.size - 1, expected })
  })

  test('with two entries in the wrong order', async () => {
    const scene = await followed(past.trees[0])
    const { log } = scene
    const entries = treeAfter(log.size)
    const [a, b] = [entries.length - 3, entries.length - 2]
    ;[entries[a], entries[b]] = [entries[b]!, entries[a]!]
    log.append(...entries).sign()
    const finding = await expectCaughtForGood('bad-map', scene)
    expect(finding.evidence).toMatchObject({ index: past.trees[1]! - 1 })
  })

  test('with a state that the log holds already', async () => {
    const scene = await followed()
    const { log } = scene
    const [ds, mapHead] = log.entries.slice(-2)
    const { time } = decodeEntry(mapHead!) as Extract<Entry, { type: 'map-head' }>
    log.append(changed(ds!, { time }))
    const previous = log.size - 2
    log.append(changed(mapHead!, { covers: log.size, previous, time: time + 1 })).sign()
    await expectCaughtAt('bad-admission', scene, { index: log.size - 2 })
  })

  test('with a live entry that is older than the tree before', async () => {
    const { net } = past
    const owner = past.names.replaced
    const scribe = new Scribe({ anchors: net.anchors, now: net.clock.now })
    await scribe.mapHead()
    await scribe.mapHead()
    await scribe.observe(owner, net.evidence(owner))
    const index = scribe.size - 1
    await scribe.mapHead()
    const entries = [...scribe.entries]
    entries[index] = changed(entries[index]!, { time: net.clock.now() })
    await expectCaughtAt('bad-admission', await fresh(entries), { index })
  })

  test('with proof of absence for a name that never had a DS', async () => {
    const { net } = past
    const name = nameFromText('never.fi.')
    net.parentOf(name).delegate(name)
    const scribe = new Scribe({ anchors: net.anchors, now: net.clock.now })
    await scribe.mapHead()
    const [, , state] = await scribe.observe(name, net.evidence(name))
    expect(state).toEqual({ status: 'known' })
    const verifier = { anchors: net.anchors, backend: nodeBackend() }
    const moment = { time: net.clock.now(), historical: false }
    const known = { lookup: async () => [], keysOfZone: async () => [] }
    const observer = new Observer(known, verifier, moment)
    const candidates = await observer.delegation(name, net.evidence(name))
    scribe.slip(encodeEntry(entryOf(candidates.at(-1)!, moment, false)))
    await scribe.mapHead()
    net.parentOf(name).undelegate(name)
    const scene = await fresh(scribe.entries)
    await expectCaughtAt('bad-admission', scene, { index: scribe.size - 2 })
  })

  test('with an entry whose out_of_order flag is wrong', async () => {
    const { entries } = past.scribe
    const index = entries.findIndex((bytes) => {
      const entry = decodeEntry(bytes)
      return entry.type === 'ds' && entry.outOfOrder
    })
    const size = past.trees.findLast((tree) => tree <= index)!
    const scene = await followed(size)
    const { log } = scene
    log.append(...entries.slice(size, index), changed(entries[index]!, { outOfOrder: false }))
    log.append(entries.slice(index).find((bytes) => decodeEntry(bytes).type === 'map-head')!).sign()
    await expectCaughtAt('bad-admission', scene, { index, expected: entries[index] })
  })

  test('with a signature that is not the registry’s', async () => {
    const scene = await followed(past.trees.at(-2))
    const { log } = scene
    const entries = treeAfter(log.size)
    const at = entries.findIndex((bytes) => decodeEntry(bytes).type === 'ds')
    const forged = entries[at]!.slice()
    forged[forged.length - 1]! ^= 1
    entries[at] = forged
    const index = log.size + at
    log.append(...entries).sign()
    await expectCaughtAt('bad-evidence', scene, { index })
  })

  test('with a DS that the registry did not sign', async () => {
    const scene = await followed(past.trees.at(-2))
    const { log } = scene
    const entries = treeAfter(log.size)
    const at = entries.findIndex((bytes) => decodeEntry(bytes).type === 'ds')
    entries[at] = changed(entries[at]!, { ds: [dsNumber(666)] })
    const index = log.size + at
    log.append(...entries).sign()
    await expectCaughtAt('bad-evidence', scene, { index })
  })

  test('with keys that hang from nothing', async () => {
    const { entries } = past.scribe
    const at = entries.findIndex((bytes) => decodeEntry(bytes).type === 'zone-keys')
    const lie = entries.filter((_, i) => i !== at)
    const scene = await fresh(lie)
    await expectCaughtAt('bad-evidence', scene, { index: at })
  })

  test('with an entry that does not decode', async () => {
    const scene = await followed()
    const { log } = scene
    const entries = treeAfter(log.size)
    entries[0] = concat(entries[0]!, Uint8Array.of(0))
    const index = log.size
    log.append(...entries).sign()
    await expectCaughtAt('bad-encoding', scene, { index })
  })

  test('with a MAP_HEAD at its end that does not decode', async () => {
    const scene = await followed()
    const { log } = scene
    const entries = treeAfter(log.size)
    log.append(...entries.slice(0, -1), entries.at(-1)!.subarray(0, -1)).sign()
    await expectCaughtAt('bad-encoding', scene, { index: log.size - 1 })
  })

  test('that does not end with a MAP_HEAD', async () => {
    const scene = await followed()
    const { log } = scene
    log.append(...treeAfter(log.size).slice(0, -1)).sign()
    await expectCaughtAt('no-map-head', scene, { index: log.size - 1 })
  })

  test('that did not, though a later one does and neither was verified yet', async () => {
    const scene = await followed()
    const { log, world } = scene
    log.append(...treeAfter(log.size).slice(0, -1)).sign()
    const slow = await follower(world, {
      interval: 0,
      limits: { entries: 1, waiting: 1, bytes: 1 },
    })
    await expectCaughtAt('no-map-head', { ...scene, monitor: slow }, { index: log.size - 1 })
  })

  test('that does not begin with a MAP_HEAD', async () => {
    const { entries } = past.scribe
    const scene = await fresh(entries.slice(1, past.trees[1]))
    await expectCaughtAt('bad-map', scene, { index: 0 })
  })

  test('of no entries', async () => {
    const scene = await fresh([])
    const finding = await expectCaughtForGood('no-map-head', scene)
    expect(finding.evidence).toMatchObject({ index: 0, path: [] })
  })
})

test('entries of unknown types are no lie', async () => {
  const { net } = past
  const scribe = new Scribe({ anchors: net.anchors, now: net.clock.now })
  await scribe.mapHead()
  scribe.slip(Uint8Array.of(1, 200, 1, 2, 3))
  scribe.slip(Uint8Array.of(2, 4))
  scribe.slip(new Uint8Array(65_535).fill(9))
  const { insecure } = past.names
  await scribe.observe(insecure, net.evidence(insecure))
  await scribe.mapHead()
  const { monitor } = await fresh(scribe.entries)
  await monitor.round(RUNNING)
  expect(monitor.status).toMatchObject({ state: 'following', size: scribe.size })
})
