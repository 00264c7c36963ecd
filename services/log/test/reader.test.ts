import assert from 'node:assert/strict'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { toHex, utf8 } from '@dslog/tlog/bytes'
import { type Hash, leafHash } from '@dslog/tlog/hash'
import { parsePolicy } from '@dslog/tlog/policy'
import { verifyInclusion } from '@dslog/tlog/proof'
import { TreeReader } from '@dslog/tlog/reader'
import { decodeBundle, TILE_WIDTH, tileWidth } from '@dslog/tlog/tile'
import { TileNodes } from '@dslog/tlog/tilenodes'
import { rootOf } from '@dslog/tlog/tree'
import { ALGORITHM } from '@dslog/dnssec/backend/backend'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { type Name, nameFromText, nameToText, ROOT } from '@dslog/dnssec/name'
import { dsToText } from '@dslog/dnssec/records'
import { decodeEntry } from '@dslog/schema/entry'
import { MapKind } from '@dslog/schema/identity'
import { HOUR } from '@dslog/schema/time'
import { Internet } from '@dslog/testbed/internet'
import { ZSK } from '@dslog/testbed/key'
import { ownerDs } from '@dslog/testbed/stories'
import { verifyProofFile } from '@dslog/verify/verify'
import { damage, flip } from '../../../test/damage.ts'
import { Places, policyOf } from '../../../test/place.ts'
import { complaints, observe, TestLog } from '../../../test/testlog.ts'
import { fsck } from '../src/fsck.ts'
import { LogReader } from '../src/reader.ts'
import { emptyEachTime } from './emptied.ts'
import { Hold } from './hold.ts'

const places = await Places.open()
afterAll(() => places.close())
const emptyFor = emptyEachTime(places)

const algorithm = ALGORITHM.ED25519
const backend = nodeBackend()
const policy = parsePolicy(policyOf())

/** An internet, an empty log of it, and a way to hold its next tree. */
class World {
  readonly net = new Internet({ root: { algorithm } })
  readonly hold = new Hold()
  log!: TestLog
  #generation = 0

  static async make(...zones: readonly string[]): Promise<World> {
    const world = new World()
    for (const zone of zones) world.net.addZone(zone, { algorithm })
    const { net } = world
    const options = await emptyFor(net)
    const { wrap } = world.hold
    world.log = await TestLog.over(options, { clock: net.clock.now, wrap })
    return world
  }

  /** One that ends with the test. */
  static async ofTest(...zones: readonly string[]): Promise<World> {
    const world = await World.make(...zones)
    onTestFinished(() => world.log.log.close())
    return world
  }

  get reader(): LogReader {
    return this.log.reader
  }

  /** Gives names other DS records, or none, an hour later; returns those. */
  change(owners: readonly Name[], signed = true): Uint8Array[][] {
    this.net.clock.advance(HOUR)
    this.#generation++
    return owners.map((owner) => {
      const ds = signed ? [ownerDs(owner, this.#generation)] : []
      this.net.parentOf(owner).delegate(owner, ds)
      return ds
    })
  }

  /** Logs what there is about names, as one tree. */
  async submit(owners: readonly Name[]): Promise<void> {
    const results = await this.log.submit(...owners.map((owner) => observe(this.net, owner)))
    for (const { status } of results) assert.equal(status, 'logged')
  }

  /** Starts to log them, and stops before the tree is signed. */
  async start(owners: readonly Name[]): Promise<() => Promise<void>> {
    const arrived = this.hold.close()
    const submitted = this.submit(owners)
    await arrived
    return async () => {
      this.hold.open()
      await submitted
    }
  }

  /** What a name's proof file proves: indices, and whether each entry has a DS. */
  async proven(name: Name, kind: MapKind = MapKind.delegation): Promise<[number, string][]> {
    const file = await this.reader.nameProofFile(kind, name)
    const verifier = { policy, anchors: this.net.anchors, backend }
    const report = await verifyProofFile(file, verifier)
    if (report.kind !== 'name') throw new Error('a proof of something else')
    assert.equal(report.trusted.checkpoint.size, this.reader.tree.size)
    return report.history.map(({ entry, index }) => [index, entry.type])
  }
}

describe('a tree of more than one tile', () => {
  let world: World
  /** Leaf hashes of all entries. */
  let leaves: Hash[]

  beforeAll(async () => {
    world = await World.make('fi.')
    const owners = Array.from({ length: 600 }, (_, i) => nameFromText(`name${i}.fi.`))
    world.change(owners)
    // One full tile to the leaf, then some hashes of the third.
    await world.submit(owners.slice(0, 252))
    assert.equal(world.reader.tree.size, TILE_WIDTH)
    await world.submit(owners.slice(252))
    const { size } = world.reader.tree
    assert.equal(size, 605)
    const entries = await world.reader.entries(0, size)
    leaves = entries.map(({ bytes }) => leafHash(bytes))
  })
  afterAll(() => world.log.log.close())

  test('has the tree of every older size in its tiles', async () => {
    const { reader } = world
    const { size } = reader.tree
    for (let older = 1; older <= size; older++) {
      const tile = async (level: number, index: number, width: number): Promise<Uint8Array> => {
        const blob = await reader.tile(level, index, width)
        return blob!.data
      }
      const root = await new TreeReader({ tile }, older).root()
      expect(toHex(root)).toBe(toHex(rootOf(leaves.slice(0, older))))
    }
  })

  test('gives each tile and bundle in every width up to its own, and in no other', async () => {
    const { reader } = world
    const { size } = reader.tree
    for (const [level, index] of [
      [0, 0],
      [0, 1],
      [0, 2],
      [1, 0],
    ] as const) {
      const whole = tileWidth(size, level, index)
      const { data } = (await reader.tile(level, index, whole))!
      expect(data).toHaveLength(whole * 32)
      for (let width = 1; width <= TILE_WIDTH; width++) {
        const blob = await reader.tile(level, index, width)
        if (width > whole) expect(blob).toBeUndefined()
        else expect(toHex(blob!.data)).toBe(toHex(data.subarray(0, width * 32)))
      }
    }
    for (const index of [0, 1, 2]) {
      const whole = tileWidth(size, 0, index)
      for (let width = 1; width <= TILE_WIDTH; width++) {
        const blob = await reader.bundle(index, width)
        if (width > whole) {
          expect(blob).toBeUndefined()
          continue
        }
        const entries = decodeBundle(blob!.data, width)
        const found = entries.map((entry) => toHex(leafHash(entry)))
        expect(found).toEqual(
          leaves.slice(index * TILE_WIDTH, index * TILE_WIDTH + width).map(toHex),
        )
        // What may yet be told apart from the whole is never the whole.
        expect(blob!.gzipped !== undefined).toBe(width === TILE_WIDTH)
      }
    }
    expect(await reader.tile(0, 3, 1)).toBeUndefined()
    expect(await reader.tile(2, 0, 1)).toBeUndefined()
    expect(await reader.tile(6, 0, 1)).toBeUndefined()
    expect(await reader.bundle(3, 1)).toBeUndefined()
  })

  test('reads a tile or bundle once for all its widths', async () => {
    const { log, options } = world.log
    const reader = new LogReader(log, options.db)
    const reads = [vi.spyOn(log.store, 'tile'), vi.spyOn(log.store, 'bundle')]
    onTestFinished(() => reads.forEach((read) => read.mockRestore()))
    for (const index of [0, 2]) {
      const widths = [1, 7, tileWidth(reader.tree.size, 0, index)]
      for (const width of [...widths, ...widths.toReversed()]) {
        expect((await reader.tile(0, index, width))!.data).toHaveLength(width * 32)
        expect(decodeBundle((await reader.bundle(index, width))!.data)).toHaveLength(width)
      }
    }
    expect(reads.map((read) => read.mock.calls)).toEqual([
      [
        [0, 0, 256],
        [0, 2, 93],
      ],
      [
        [0, 256],
        [2, 93],
      ],
    ])
  })

  test('reads a tile or bundle once for all who ask meanwhile, and again if that failed', async () => {
    const { log, options } = world.log
    const bundle = vi.spyOn(log.store, 'bundle').mockRejectedValueOnce(new Error('away'))
    const tile = vi.spyOn(log.store, 'tile')
    onTestFinished(() => {
      for (const spy of [bundle, tile]) spy.mockRestore()
    })
    const reader = new LogReader(log, options.db)
    const widths = [3, 90, 93, 3]
    const bundles = () => Promise.allSettled(widths.map((width) => reader.bundle(2, width)))
    expect((await bundles()).map(({ status }) => status)).toEqual(widths.map(() => 'rejected'))
    expect((await bundles()).map(({ status }) => status)).toEqual(widths.map(() => 'fulfilled'))
    expect(bundle).toHaveBeenCalledTimes(2)
    const tiles = await Promise.all(widths.map((width) => reader.tile(0, 2, width)))
    expect(tiles.map((found) => found!.data.length / 32)).toEqual(widths)
    expect(tile).toHaveBeenCalledTimes(1)
  })

  test('an entry is read by its place in its bundle, and otherwise out of the whole', async () => {
    const { log, options } = world.log
    const bundles = await world.reader.entries(0, world.reader.tree.size)
    const alone = await Promise.all(bundles.map(({ index }) => log.store.entry(index)))
    expect(alone.map((bytes) => bytes && toHex(bytes))).toEqual(
      bundles.map(({ bytes }) => toHex(bytes)),
    )
    expect(await log.store.entry(world.reader.tree.size)).toBeUndefined()
    // As of a log that was filled before places were stored.
    await damage(options.db, 'update leaf set pos = null where idx % 2 = 1')
    expect(await log.store.entry(301)).toBeUndefined()
    const later = new LogReader(log, options.db)
    for (const index of [0, 1, 255, 256, 301, 604]) {
      const leaf = await later.entry(index)
      expect(leaf).toEqual({ index, bytes: new Uint8Array(bundles[index]!.bytes) })
      // Many are kept: of what was read with one nothing is.
      expect(leaf.bytes.buffer.byteLength).toBe(leaf.bytes.length)
    }
  })

  test('full tiles have their middles beside them, which fsck holds against the entries', async () => {
    const { log, options } = world.log
    const problems = async (): Promise<readonly string[]> => (await fsck(options, backend)).problems
    for (const index of [0, 1]) {
      const { data, middle } = await log.store.fullTile(0, index)
      expect(toHex(middle!)).toBe(toHex(TileNodes.of(data).middle))
    }
    const rows = await options.db.kysely
      .selectFrom('tile')
      .selectAll()
      .orderBy('level')
      .orderBy('idx')
      .execute()
    expect(rows.map(({ middle }) => middle?.length ?? null)).toEqual([512, 512, null, null])
    expect(await problems()).toEqual([])
    const other = `update tile set ${flip('middle', '5')} where level = 0 and idx = 1`
    await damage(options.db, other)
    expect(await problems()).toEqual(['tile 0/1 is not that of the entries'])
    // Whoever reads it notices, and does without.
    const { size } = world.reader.tree
    const root = rootOf(leaves)
    const path = await new TreeReader(log.store, size, { root }).inclusionProof(300)
    verifyInclusion(leaves[300]!, 300, size, path, root)
    await damage(options.db, other)
    expect(await problems()).toEqual([])
  })

  test('tiles that are asked for together are each their own, and a missing one is only its own fault', async () => {
    const { store } = world.log.log
    const places: [number, number, number][] = [
      [0, 0, 256],
      [0, 2, 93],
      [1, 0, 2],
      [0, 1, 1],
      [0, 0, 3],
    ]
    const alone: string[] = []
    for (const place of places) alone.push(toHex(await store.tile(...place)))
    const missing: typeof places = [
      [0, 9, 1],
      [0, 2, 94],
      [3, 0, 1],
    ]
    const asked = [...places, ...missing].map((place) => store.tile(...place))
    const found = await Promise.allSettled(asked)
    expect(found.map((one) => (one.status === 'fulfilled' ? toHex(one.value) : 'none'))).toEqual([
      ...alone,
      'none',
      'none',
      'none',
    ])
    await expect(store.tile(0, 9, 1)).rejects.toMatchObject({ code: 'corrupt' })
  })

  test('so are bundles, and the log goes on before those that wait', async () => {
    const { db, log } = world.log
    const { store } = log
    const widths = [256, 256, 93]
    const alone: string[] = []
    for (const [i, width] of widths.entries()) alone.push(toHex(await store.bundle(i, width)))
    let left = 1_000
    const asked = Array.from({ length: left }, async (_, i) => {
      const found = await store.bundle(i % 4, widths[i % 4] ?? 1).then(toHex, () => 'none')
      left--
      return found
    })
    await db.transaction((trx) => store.hold(trx, log.tree))
    expect(left).toBeGreaterThan(500)
    expect(await Promise.all(asked)).toEqual(asked.map((_, i) => alone[i % 4] ?? 'none'))
  })

  test('finds every leaf by its hash', async () => {
    for (const [index, leaf] of leaves.entries()) {
      expect(await world.reader.indexOf(leaf)).toBe(index)
    }
    expect(await world.reader.indexOf(leafHash(utf8('no leaf')))).toBeUndefined()
    // What has the first bytes of a leaf is not yet that leaf.
    const like = leaves[7]!.slice() as Hash
    like[31]! ^= 1
    expect(await world.reader.indexOf(like)).toBeUndefined()
  })

  test('gives entries by any range', async () => {
    const { reader } = world
    const { size } = reader.tree
    for (const [start, limit, length] of [
      [0, 1, 1],
      [255, 2, 2],
      [250, 300, 300],
      [size - 1, 10, 1],
      [size, 10, 0],
    ] as const) {
      const found = await reader.entries(start, limit)
      expect(found.map(({ index }) => index)).toEqual(Array.from({ length }, (_, i) => start + i))
      expect(found.map(({ bytes }) => toHex(leafHash(bytes)))).toEqual(
        leaves.slice(start, start + length).map(toHex),
      )
    }
    await expect(reader.entry(size)).rejects.toThrow(RangeError)
  })

  test('pages through changes and names', async () => {
    const { reader } = world
    const { size } = reader.tree
    for (const zone of [undefined, nameFromText('fi.')]) {
      const found: number[] = []
      for (let at = 0; at < size;) {
        const page = await reader.changes(at, 100, zone)
        found.push(...page.leaves.map(({ index }) => index))
        expect(page.next).toBeGreaterThan(at)
        at = page.next
      }
      expect(found).toHaveLength(600)
      expect(found).toEqual(found.toSorted((a, b) => a - b))
    }
    expect(await reader.changes(0, 10, nameFromText('se.'))).toMatchObject({
      leaves: [],
      next: size,
    })
    expect(await reader.changes(size, 10, undefined)).toMatchObject({ leaves: [], next: size })
    const names: string[] = []
    for (let after: Name | undefined; ;) {
      const page = await reader.zoneNames(nameFromText('fi.'), after, 64)
      names.push(...page.names.map(({ name }) => nameToText(name)))
      if (page.next === undefined) break
      after = page.next
    }
    expect(new Set(names).size).toBe(600)
    expect(await reader.zoneNames(ROOT, undefined, 10)).toMatchObject({
      names: [],
      next: undefined,
    })
    expect(await reader.zoneCounts(nameFromText('fi.'))).toEqual({ names: 600, signed: 600 })
    expect(await reader.zoneCounts(nameFromText('se.'))).toEqual({ names: 0, signed: 0 })
  })

  test('counts the names of a zone once for all who ask meanwhile', async () => {
    const { log, reader } = world.log
    const count = vi.spyOn(log.fold, 'countNames')
    onTestFinished(() => count.mockRestore())
    const zones = Array.from({ length: 100 }, (_, i) => nameFromText(i % 3 === 0 ? 'se.' : 'fi.'))
    const counts = await Promise.all(zones.map((zone) => reader.zoneCounts(zone)))
    expect(counts.map(({ names }) => names)).toEqual(zones.map((_, i) => (i % 3 === 0 ? 0 : 600)))
    expect(count).toHaveBeenCalledTimes(2)
  })

  test('proves every entry, alone', async () => {
    const { net, reader } = world
    for (const index of [0, 1, 2, 3, 254, 255, 256, 511, 512, reader.tree.size - 1]) {
      const file = await reader.entryProofFile(index)
      const report = await verifyProofFile(file, { policy, anchors: net.anchors, backend })
      expect(report).toMatchObject({ kind: 'entry', index })
    }
    await expect(reader.entryProofFile(reader.tree.size)).rejects.toThrow(RangeError)
  })
})

test('a tile that has grown is read again by whoever asks for more of it', async () => {
  const world = await World.ofTest('fi.')
  const { reader } = world
  world.change([nameFromText('a.fi.'), nameFromText('b.fi.')])
  await world.submit([nameFromText('a.fi.')])
  const before = reader.tree.size
  const old = { tile: await reader.tile(0, 0, before), bundle: await reader.bundle(0, before) }
  await world.submit([nameFromText('b.fi.')])
  const after = reader.tree.size
  expect(after).toBeGreaterThan(before)
  expect((await reader.tile(0, 0, after))!.data).toHaveLength(after * 32)
  expect(decodeBundle((await reader.bundle(0, after))!.data)).toHaveLength(after)
  expect((await reader.tile(0, 0, before))!.data).toEqual(old.tile!.data)
  expect((await reader.bundle(0, before))!.data).toEqual(old.bundle!.data)
})

describe('while a tree is on its way', () => {
  test('everything is answered for the one before', async () => {
    const world = await World.ofTest('fi.')
    const { log, reader } = world
    const [a, b, c] = ['a.fi.', 'b.fi.', 'c.fi.'].map((text) => nameFromText(text)) as [
      Name,
      Name,
      Name,
    ]
    const [before] = world.change([a, b])
    await world.submit([a, b])
    const { note, size } = reader.tree
    const known = [await world.proven(a), await world.proven(b)]

    world.change([a, c])
    world.change([b], false)
    const finish = await world.start([a, b, c])
    expect(log.log.size).toBe(size + 4)

    expect(reader.tree).toMatchObject({ note, size })
    expect(await reader.tile(0, 0, size)).toBeDefined()
    expect(await reader.tile(0, 0, size + 1)).toBeUndefined()
    expect(await reader.bundle(0, size + 1)).toBeUndefined()
    expect(await reader.entries(0, 100)).toHaveLength(size)
    await expect(reader.entry(size)).rejects.toThrow(RangeError)
    const hidden = decodeBundle(await log.log.store.bundle(0, size + 1), size + 1).at(-1)!
    expect(await reader.indexOf(leafHash(hidden))).toBeUndefined()
    for (const zone of [undefined, nameFromText('fi.')]) {
      const { leaves, next } = await reader.changes(0, 100, zone)
      expect(leaves).toHaveLength(2)
      expect(next).toBe(size)
    }

    expect([await world.proven(a), await world.proven(b)]).toEqual(known)
    expect(await world.proven(c)).toEqual([])
    expect((await reader.name(MapKind.delegation, c)).history).toEqual([])
    expect(await reader.zoneCounts(nameFromText('fi.'))).toEqual({ names: 2, signed: 2 })
    const page = await reader.zoneNames(nameFromText('fi.'), undefined, 10)
    expect(page.size).toBe(size)
    expect(page.names.map(({ ds, name }) => [nameToText(name), ds.length])).toEqual([
      ['a.fi.', 1],
      ['b.fi.', 1],
    ])
    expect(page.names[0]!.ds.map(dsToText)).toEqual(before!.map(dsToText))

    await finish()
    expect(reader.tree.size).toBe(size + 4)
    expect((await world.proven(a)).map(([, type]) => type)).toEqual(['ds', 'ds'])
    expect((await world.proven(b)).map(([, type]) => type)).toEqual(['ds', 'no-ds'])
    expect(await reader.zoneCounts(nameFromText('fi.'))).toEqual({ names: 3, signed: 2 })
    expect((await reader.zoneNames(nameFromText('fi.'), undefined, 10)).names).toHaveLength(3)
    expect(await complaints(log)).toEqual([])
  })

  test('new keys are not shown either', async () => {
    const world = await World.ofTest('fi.')
    const { net, reader } = world
    const owner = nameFromText('a.fi.')
    world.change([owner])
    await world.submit([owner])
    const keys = await world.proven(nameFromText('fi.'), MapKind.zoneKeys)
    expect(keys.map(([, type]) => type)).toEqual(['zone-keys'])
    const fi = net.zoneOf(owner)
    fi.setKeys([fi.keys[0]!, fi.makeKey(ZSK, algorithm, 2)])
    world.change([owner])
    const finish = await world.start([owner])
    expect(await world.proven(nameFromText('fi.'), MapKind.zoneKeys)).toEqual(keys)
    expect(await world.proven(owner)).toHaveLength(1)
    await finish()
    expect(await world.proven(nameFromText('fi.'), MapKind.zoneKeys)).toHaveLength(2)
    expect(await world.proven(owner)).toHaveLength(2)
    const chain = await reader.entryProofFile(reader.tree.size - 2)
    await verifyProofFile(chain, { policy, anchors: net.anchors, backend })
  })

  test('a name that another zone signs from now on moves when it is published', async () => {
    const world = await World.ofTest('uk.')
    const { log, net, reader } = world
    const owner = nameFromText('a.co.uk.')
    const [uk, co] = ['uk.', 'co.uk.'].map((text) => nameFromText(text)) as [Name, Name]
    world.change([owner])
    await world.submit([owner])
    const names = async (zone: Name): Promise<string[]> => {
      const page = await reader.zoneNames(zone, undefined, 10)
      return page.names.map(({ name }) => nameToText(name))
    }
    expect([await names(uk), await names(co)]).toEqual([['a.co.uk.'], []])

    net.zoneOf(owner).undelegate(owner)
    net.addZone(co, { algorithm })
    const [now] = world.change([owner])
    const finish = await world.start([owner])
    // It is under neither until then: never under a zone with the state that another one signed.
    expect(await names(co)).toEqual([])
    expect(await world.proven(owner)).toHaveLength(1)
    await finish()
    expect([await names(uk), await names(co)]).toEqual([[], ['a.co.uk.']])
    const { names: found } = await reader.zoneNames(co, undefined, 10)
    expect(found[0]!.ds.map(dsToText)).toEqual(now!.map(dsToText))
    expect(await reader.zoneCounts(uk)).toEqual({ names: 0, signed: 0 })
    expect(await reader.zoneCounts(co)).toEqual({ names: 1, signed: 1 })
    const zones = (await reader.changes(0, 10, uk)).leaves.length
    expect([zones, (await reader.changes(0, 10, co)).leaves.length]).toEqual([1, 1])
    expect(await complaints(log)).toEqual([])
  })
})

describe('names', () => {
  test('are proven, present and absent, in every tree', async () => {
    const world = await World.ofTest('fi.', 'se.')
    const owners = ['a.fi.', 'b.se.', 'c.fi.'].map((text) => nameFromText(text))
    const expected = new Map<Name, number>(owners.map((owner) => [owner, 0]))
    for (const owner of owners) expect(await world.proven(owner)).toEqual([])
    for (let round = 0; round < 6; round++) {
      const owner = owners[round % 3]!
      world.change([owner])
      await world.submit([owner])
      expected.set(owner, expected.get(owner)! + 1)
      for (const [name, count] of expected) expect(await world.proven(name)).toHaveLength(count)
      for (const never of ['never.fi.', 'fi.', '.', 'a.a.fi.']) {
        expect(await world.proven(nameFromText(never))).toEqual([])
      }
      expect(await world.proven(nameFromText('fi.'), MapKind.zoneKeys)).toHaveLength(1)
    }
  })

  test('are proven while trees come and go', async () => {
    const world = await World.ofTest('fi.')
    const owners = Array.from({ length: 8 }, (_, i) => nameFromText(`name${i}.fi.`))
    world.change(owners)
    await world.submit(owners)
    let growing = true
    const reading = Promise.all(
      owners.map(async (owner) => {
        let proofs = 0
        while (growing) {
          const file = await world.reader.nameProofFile(MapKind.delegation, owner)
          const verifier = { policy, anchors: world.net.anchors, backend }
          const report = await verifyProofFile(file, verifier)
          if (report.kind !== 'name') throw new Error('a proof of something else')
          expect(report.history.length).toBeGreaterThan(0)
          proofs++
        }
        return proofs
      }),
    )
    for (let tree = 0; tree < 20; tree++) {
      world.change(owners)
      await world.submit(owners)
    }
    growing = false
    for (const proofs of await reading) expect(proofs).toBeGreaterThan(0)
    expect(await complaints(world.log)).toEqual([])
  })

  test('that change again and again keep all of it', async () => {
    const world = await World.ofTest('fi.')
    const owner = nameFromText('busy.fi.')
    const times = 300
    for (let i = 0; i < times; i += 50) {
      const observations = []
      for (let n = 0; n < 50; n++) {
        world.change([owner])
        observations.push(observe(world.net, owner))
      }
      const results = await world.log.submit(...observations)
      expect(results.map(({ status }) => status)).toEqual(Array(50).fill('logged'))
    }
    const history = await world.proven(owner)
    expect(history).toHaveLength(times)
    const { names } = await world.reader.zoneNames(nameFromText('fi.'), undefined, 10)
    expect(names).toHaveLength(1)
    expect(names[0]!.latest.index).toBe(history.at(-1)![0])
    for (const [index] of history) {
      const { bytes } = await world.reader.entry(index)
      expect(decodeEntry(bytes)).toMatchObject({ type: 'ds', outOfOrder: false })
    }
    expect(await complaints(world.log)).toEqual([])
  })
})
