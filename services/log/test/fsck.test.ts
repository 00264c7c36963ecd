import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { signNote } from '@dslog/tlog/note'
import { formatCheckpoint } from '@dslog/tlog/checkpoint'
import { asHash, leafHash } from '@dslog/tlog/hash'
import { decodeBundle, encodeBundle } from '@dslog/tlog/tile'
import { TileWriter } from '@dslog/tlog/tilewriter'
import { ALGORITHM } from '@dslog/dnssec/backend/backend'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { nameFromText } from '@dslog/dnssec/name'
import { decodeEntry, encodeEntry } from '@dslog/schema/entry'
import { HOUR } from '@dslog/schema/time'
import { Internet } from '@dslog/testbed/internet'
import { ownerDs } from '@dslog/testbed/stories'
import { damage, flip } from '../../../test/damage.ts'
import { ORIGIN, Places } from '../../../test/place.ts'
import { observe, openPlace, TestLog } from '../../../test/testlog.ts'
import { fsck, type FsckReport } from '../src/fsck.ts'
import type { LogOptions } from '../src/log.ts'
import { SignerFile } from '../src/signer.ts'
import { leafPrefix, TreeStore } from '../src/store.ts'
import { emptied } from './emptied.ts'

const places = await Places.open()
afterAll(() => places.close())

const backend = nodeBackend()
const net = new Internet()
const fi = net.addZone('fi.', { algorithm: ALGORITHM.ED25519 })
let options: LogOptions

beforeAll(async () => {
  options = await openPlace(await places.make(places.kinds.at(-1)!, net.anchors), net.clock.now)
})
afterAll(() => options.db.close())

/** A log of two trees and seven entries: MAP_HEAD, keys, keys, DS, MAP_HEAD, DS, MAP_HEAD. */
beforeEach(async () => {
  options = await emptied(options)
  const log = await TestLog.over(options, { clock: net.clock.now })
  for (const generation of [1, 2]) {
    net.clock.advance(HOUR)
    const owner = nameFromText('example.fi.')
    fi.delegate(owner, [ownerDs(owner, generation)])
    const results = await log.submit(observe(net, owner))
    if (results[0]!.status !== 'logged') throw new Error('not logged')
  }
  await log.log.close()
})

/** SQL for a zone, where a row names another one. */
const OTHER_ZONE = '(select min(id) from zone other where id <> zone)'

function check(): Promise<FsckReport> {
  return fsck(options, backend)
}

test('a sound log has no problems', async () => {
  const done: number[] = []
  const report = await fsck(options, backend, (n) => done.push(n))
  expect(report).toEqual({ origin: ORIGIN, size: 7, names: 3, problems: [] })
  expect(done).toEqual([7])
})

test('where there is no log, there is nothing to check', async () => {
  await expect(fsck(await emptied(options), backend)).rejects.toMatchObject({ code: 'missing' })
})

describe('is told of', () => {
  test.each([
    ['an entry', `update bundle set ${flip('data', 'length(data) / 2')}`, /stored root/],
    ['a bundle cut off', 'update bundle set data = substr(data, 1, length(data) - 1)', /bundle 0/],
    ['a bundle that is gone', 'delete from bundle', /bundle 0 is not stored/],
    ['a tile', `update tile set ${flip('data', '40')}`, /tile 0\/0 is not that/],
    ['a tile that is gone', 'delete from tile', /tile 0\/0 .* not stored/],
    ['a root', `update tree set ${flip('root', '3')}`, /stored root/],
    ['the root of the map', `update tree set ${flip('map_root', '3')}`, /name map/],
    ['the count of keys', 'update tree set key_count = 4', /count of keys/],
    [
      'the root of a bucket',
      `update map_bucket set ${flip('root', '3')} where tree_size = 7`,
      /bucket \d+ of/,
    ],
    [
      'what is in a bucket',
      `update map_bucket set ${flip('data', '40')} where tree_size = 7`,
      /contents of bucket/,
    ],
    ['a bucket that is gone', 'delete from map_bucket where tree_size = 7', /bucket \d+ of/],
    [
      'a bucket in the place of its neighbour, which leads to the same root',
      'update map_bucket set prefix = prefix # 1 where tree_size = 7',
      /bucket \d+ of/,
    ],
    ['a history', `update name set ${flip('history', '20')} where kind = 1`, /history of map key/],
    [
      'a history cut off',
      'update name set history = substr(history, 1, 57) where kind = 1',
      /history of map key/,
    ],
    [
      'a history that is longer by a byte',
      String.raw`update name set history = history || '\x00' where kind = 1`,
      /history of map key/,
    ],
    [
      'a key of another length',
      'update name set key = substr(key, 1, 31) where kind = 1',
      /history of map key/,
    ],
    ['of what kind a name is', 'update name set kind = 2 where kind = 1', /kind of map key/],
    ['a name', `update name set ${flip('name', '1')} where kind = 1`, /stored name of map key/],
    [
      'the zone of a name',
      `update name set zone = ${OTHER_ZONE} where kind = 1`,
      /zone of map key [0-9a-f]{64} \(example\.fi\.\) is not/,
    ],
    [
      'the zone of keys',
      `update name set zone = ${OTHER_ZONE} where kind = 2 and length(name) > 1`,
      /zone of map key/,
    ],
    ['a zone that is gone', 'delete from zone', /zone of map key/],
    [
      'the DS set of a name',
      `update name set ${flip('latest', 'length(latest) - 1')} where kind = 1`,
      /DS set of map key/,
    ],
    [
      'a DS set where there are keys',
      'update name set latest = (select latest from name where kind = 1) where kind = 2',
      /DS set of map key/,
    ],
    ['a name that is gone', 'delete from name where kind = 1', /2 histories .* make 3/],
    ['keys', `update zone_keys set ${flip('keys_id', '3')} where idx = 2`, /key set of entry 2/],
    [
      'until when keys are valid',
      'update zone_keys set not_after = not_after + 1 where idx = 1',
      /key set of entry 1/,
    ],
    [
      'from when keys are valid',
      'update zone_keys set not_before = not_before - 1 where idx = 1',
      /key set of entry 1/,
    ],
    [
      'the entry of keys',
      `update zone_keys set ${flip('entry', 'length(entry) - 1')} where idx = 2`,
      /key set of entry 2/,
    ],
    ['keys that are gone', 'delete from zone_keys where idx = 2', /1 key sets .* make 2/],
    ['a look-up row', 'update leaf set prefix = prefix + 1 where idx = 3', /look-up rows/],
    ['where an entry begins', 'update leaf set pos = pos + 1 where idx = 3', /look-up rows/],
    ['the zone of an entry', `update leaf set zone = ${OTHER_ZONE} where idx = 3`, /look-up rows/],
    ['a zone that no entry has', 'update leaf set zone = 99 where idx = 3', /look-up rows/],
    ['an entry without its zone', 'update leaf set zone = null where idx = 3', /look-up rows/],
    ['an entry with a zone too many', 'update leaf set zone = 99 where idx = 4', /look-up rows/],
    ['a look-up row that is gone', 'delete from leaf where idx = 3', /look-up rows/],
    ['a load that has no end', 'update tree set loading = true', /load has not been finished/],
    ['a record of another tree', `update signer set ${flip('root', '3')}`, /not those that were/],
    ['a record of a larger tree', 'update signer set size = 8', /a tree of 8 .* not stored/],
    ['a record of another log', "update signer set origin = 'x'", /of x was signed/],
    ['a record that is gone', 'delete from signer', /record of what was signed is gone/],
    ['a checkpoint', "update published set note = note || 'x'", /checkpoint does not verify/],
  ])('%s', async (_, statement, problem) => {
    await damage(options.db, statement)
    const { problems } = await check()
    expect(problems.length).toBeGreaterThan(0)
    expect(problems.join('\n')).toMatch(problem)
  })

  test('a checkpoint of another tree, signed by the log itself', async () => {
    const root = asHash(new Uint8Array(32))
    const text = formatCheckpoint({ origin: ORIGIN, size: 7, root, extensions: [] })
    const note = signNote(text, options.signers)
    await new TreeStore(options.db).publish({ size: 7, root, note, published_at: 0 })
    expect((await check()).problems).toEqual(['the published checkpoint is not of this tree'])
  })

  test('a record that is none', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'dslog-fsck-'))
    onTestFinished(() => rm(folder, { recursive: true }))
    const path = join(folder, 'row.json')
    await writeFile(path, 'nothing')
    const { problems } = await fsck({ ...options, signerRow: new SignerFile(path) }, backend)
    expect(problems).toEqual([expect.stringMatching(/is not a record of a signed tree/)])
  })

  test('every byte of an entry', async () => {
    const { data } = await options.db.kysely
      .selectFrom('bundle')
      .select('data')
      .executeTakeFirstOrThrow()
    for (let at = 0; at < data.length; at += 37) {
      await damage(options.db, `update bundle set ${flip('data', String(at))}`)
      expect((await check()).problems).not.toEqual([])
      await damage(options.db, `update bundle set ${flip('data', String(at))}`)
    }
    expect((await check()).problems).toEqual([])
  })
})

describe('finds what a log has signed and should not have', () => {
  /** Replaces the entries, and everything that follows from their bytes alone. */
  async function rewrite(change: (entries: Uint8Array[]) => Uint8Array[]): Promise<void> {
    const store = new TreeStore(options.db)
    const { size } = (await store.tree())!
    const entries = change(decodeBundle(await store.bundle(0, size), size))
    const writer = new TileWriter()
    for (const entry of entries) writer.append(leafHash(entry))
    const root = writer.root()
    const [tile] = writer.take()
    const { db, signers } = options
    const { zone: zoneOfDs } = await db.kysely
      .selectFrom('leaf')
      .select('zone')
      .where('idx', '=', 3)
      .executeTakeFirstOrThrow()
    await damage(db, 'delete from tile', 'delete from bundle', 'delete from leaf')
    await db.kysely.insertInto('tile').values({ level: 0, idx: 0, data: tile!.data }).execute()
    await db.kysely
      .insertInto('bundle')
      .values({ idx: 0, data: encodeBundle(entries) })
      .execute()
    for (const [idx, entry] of entries.entries()) {
      const isDs = entry[1] === 1
      const leaf = { idx, prefix: leafPrefix(leafHash(entry)), zone: isDs ? zoneOfDs : null }
      await db.kysely.insertInto('leaf').values(leaf).execute()
    }
    const text = formatCheckpoint({ origin: ORIGIN, size, root, extensions: [] })
    const note = signNote(text, signers)
    await db.kysely.updateTable('tree').set({ root }).execute()
    await db.kysely.updateTable('signer').set({ root }).execute()
    await db.kysely.updateTable('published').set({ root, note }).execute()
  }

  async function violation(): Promise<FsckReport['violation']> {
    const { problems, violation } = await check()
    expect(problems).toEqual([`entry ${violation!.index}: ${violation!.reason}`])
    return violation
  }

  test('nothing, in what was only written anew', async () => {
    await rewrite((entries) => entries)
    expect((await check()).problems).toEqual([])
  })

  test('a swapped pair', async () => {
    await rewrite(([a, b, c, d, ...rest]) => [a!, b!, d!, c!, ...rest])
    expect(await violation()).toMatchObject({ kind: 'bad-evidence', index: 2 })
  })

  test('a MAP_HEAD with another root', async () => {
    await rewrite((entries) => {
      const head = decodeEntry(entries[4]!)
      if (head.type !== 'map-head') throw new Error('another type')
      const wrong = { ...head, mapRoot: asHash(new Uint8Array(32)) }
      return entries.with(4, encodeEntry(wrong))
    })
    expect(await violation()).toMatchObject({ kind: 'bad-map', index: 4 })
  })

  test('an entry that the map leaves out', async () => {
    // The root of the second tree is that of the first: as if its entry were not there.
    await rewrite((entries) => {
      const [first, second] = [decodeEntry(entries[4]!), decodeEntry(entries[6]!)]
      if (first.type !== 'map-head' || second.type !== 'map-head') throw new Error('another type')
      return entries.with(6, encodeEntry({ ...second, mapRoot: first.mapRoot }))
    })
    expect(await violation()).toMatchObject({ kind: 'bad-map', index: 6 })
  })

  test('a signature that is bad', async () => {
    await rewrite((entries) => {
      const entry = entries[5]!.slice()
      entry[entry.length - 1]! ^= 1
      return entries.with(5, entry)
    })
    expect(await violation()).toMatchObject({ kind: 'bad-evidence', index: 5 })
  })

  test('an entry for the second time', async () => {
    await rewrite((entries) => entries.with(5, entries[3]!))
    expect(await violation()).toMatchObject({ kind: 'bad-admission', index: 5 })
  })

  test('an entry that does not decode', async () => {
    await rewrite((entries) => entries.with(5, Uint8Array.of(1, 1, 0)))
    expect(await violation()).toMatchObject({ kind: 'bad-encoding', index: 5 })
  })

  test('no MAP_HEAD at the end', async () => {
    await rewrite((entries) => entries.with(6, Uint8Array.of(1, 99)))
    expect((await check()).problems.join('\n')).toMatch(/does not end with a MAP_HEAD/)
  })
})
