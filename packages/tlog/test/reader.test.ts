import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { utf8 } from '../src/bytes.ts'
import { EMPTY_ROOT, sha256, type Hash } from '../src/hash.ts'
import { isSubtree, verifyConsistency, verifyInclusion } from '../src/proof.ts'
import { authenticated, TreeReader, type TileSource } from '../src/reader.ts'
import { edgeTiles, tilePath, tilesBetween, tileWidth } from '../src/tile.ts'
import { TileCache } from '../src/tilecache.ts'
import { GROUP_BYTES, TileNodes } from '../src/tilenodes.ts'
import { TileWriter } from '../src/tilewriter.ts'
import { CompactRange } from '../src/tree.ts'
import { codeOfAsync } from './codes.ts'
import { alike, leaves, mth, path, peaksAlike, proof, text } from './reference.ts'

const MAX = Number.MAX_SAFE_INTEGER
const COUNT = 600
const LEAVES = leaves(COUNT)

/** The tiles of a log that published these sizes, and how often each was read. */
class MemoryTiles implements TileSource {
  readonly tiles = new Map<string, Uint8Array>()
  readonly reads: string[] = []

  constructor(hashes: readonly Hash[], sizes: readonly number[]) {
    const writer = new TileWriter()
    for (const size of sizes) {
      for (const hash of hashes.slice(writer.size, size)) writer.append(hash)
      for (const { level, index, data } of writer.take()) {
        this.tiles.set(tilePath({ level, index, width: data.length / 32 }), data)
      }
    }
  }

  tile(level: number, index: number, width: number): Promise<Uint8Array> {
    const name = tilePath({ level, index, width })
    this.reads.push(name)
    const data = this.tiles.get(name)
    return data ? Promise.resolve(data) : Promise.reject(new Error(`no ${name}`))
  }
}

describe('proofs from tiles', () => {
  test('every proof of every tree up to 70 equals its recursive definition, checked or trusted', async () => {
    for (let size = 0; size <= 70; size++) {
      const tree = LEAVES.slice(0, size)
      const root = mth(tree)
      const source = new MemoryTiles(LEAVES, [size])
      for (const reader of [
        new TreeReader(source, size),
        new TreeReader(source, size, { root }),
        new TreeReader(authenticated(source, size, root), size),
      ]) {
        expect(await reader.root()).toEqual(root)
        expect(await reader.consistencyProof(0)).toEqual([])
        for (let i = 0; i < size; i++) {
          expect(text(await reader.inclusionProof(i))).toBe(text(path(i, tree)))
          expect(text(await reader.consistencyProof(i + 1))).toBe(text(proof(0, i + 1, tree)))
          expect(text([await reader.hash(0, i)])).toBe(text([LEAVES[i]!]))
        }
      }
    }
  })

  test.each([255, 256, 257, 511, 512, 513, 600])('of a tree of %d leaves', async (size) => {
    const tree = LEAVES.slice(0, size)
    const root = mth(tree)
    const reader = new TreeReader(new MemoryTiles(LEAVES, [size]), size, { root })
    expect(await reader.root()).toEqual(root)
    for (let i = 0; i < size; i += 1 + (i % 7)) {
      expect(text(await reader.inclusionProof(i))).toBe(text(path(i, tree)))
      expect(text(await reader.consistencyProof(i + 1))).toBe(text(proof(0, i + 1, tree)))
    }
    for (let level = 0; 2 ** level < 2 * size; level++) {
      for (let index = 0; index * 2 ** level < size; index++) {
        const leavesBelow = tree.slice(index * 2 ** level, (index + 1) * 2 ** level)
        expect(text([await reader.hash(level, index)])).toBe(text([mth(leavesBelow)]))
      }
    }
  })

  test('of every older tree, from the tiles of the newest alone', async () => {
    const size = 300
    const source = new MemoryTiles(LEAVES, [size])
    const reader = new TreeReader(source, size, { root: mth(LEAVES.slice(0, size)) })
    for (const to of [...Array(40).keys(), 255, 256, 257, 299, 300]) {
      const tree = LEAVES.slice(0, to)
      expect(await reader.subtreeHash(0, to)).toEqual(mth(tree))
      for (let i = 0; i < to; i += to < 50 ? 1 : 17) {
        expect(text(await reader.inclusionProof(i, to))).toBe(text(path(i, tree)))
        expect(text(await reader.consistencyProof(i + 1, to))).toBe(text(proof(0, i + 1, tree)))
      }
    }
    expect([...new Set(source.reads)].sort()).toEqual(
      [...tilesBetween(0, size)].map(tilePath).sort(),
    )
  })

  test('of every subtree of small trees, and its inclusion proofs', async () => {
    for (const size of [7, 8, 21, 33]) {
      const reader = new TreeReader(new MemoryTiles(LEAVES, [40]), 40)
      const tree = LEAVES.slice(0, size)
      for (let start = 0; start < size; start++) {
        for (let end = start + 1; end <= size; end++) {
          if (!isSubtree(start, end)) {
            await expect(reader.subtreeHash(start, end)).rejects.toThrow(RangeError)
            await expect(reader.subtreeProof(start, end)).rejects.toThrow(RangeError)
            await expect(reader.subtreeInclusionProof(start, start, end)).rejects.toThrow(
              RangeError,
            )
            continue
          }
          const part = tree.slice(start, end)
          expect(await reader.subtreeHash(start, end)).toEqual(mth(part))
          expect(text(await reader.subtreeProof(start, end, size))).toBe(
            text(proof(start, end, tree)),
          )
          for (let i = start; i < end; i++) {
            expect(text(await reader.subtreeInclusionProof(i, start, end))).toBe(
              text(path(i - start, part)),
            )
          }
        }
      }
    }
  })

  test('of the largest trees: near 2^31, 2^32 and 2^53', async () => {
    // All leaves alike, so any tile can be made up.
    const full = alike(LEAVES[0]!)
    const source: TileSource = {
      tile: (level, _index, width) => {
        const data = new Uint8Array(32 * width)
        for (let i = 0; i < width; i++) data.set(full[8 * level]!, 32 * i)
        return Promise.resolve(data)
      },
    }
    const rootOfSize = (size: number): Hash =>
      CompactRange.from(size, peaksAlike(full, size)).root()
    const size = fc.oneof(
      ...[2 ** 31, 2 ** 32, 2 ** 48, MAX].map((n) =>
        fc.integer({ min: n - 300, max: Math.min(MAX, n + 300) }),
      ),
      fc.integer({ min: 1, max: MAX }),
    )
    await fc.assert(
      fc.asyncProperty(size, fc.double({ min: 0, max: 1, noNaN: true }), async (n, ratio) => {
        const root = rootOfSize(n)
        const reader = new TreeReader(source, n, { root })
        expect(await reader.root()).toEqual(root)
        const index = Math.min(n - 1, Math.floor(ratio * n))
        verifyInclusion(full[0]!, index, n, await reader.inclusionProof(index), root)
        const from = rootOfSize(index + 1)
        expect(await reader.subtreeHash(0, index + 1)).toEqual(from)
        verifyConsistency(index + 1, n, await reader.consistencyProof(index + 1), from, root)
      }),
      { numRuns: 60 },
    )
  })
})

describe('what is asked for must be in the tree', () => {
  const reader = new TreeReader(new MemoryTiles(LEAVES, [10]), 10)

  test('RangeError otherwise', async () => {
    for (const n of [-1, 0.5, 11, MAX + 1, Number.NaN]) {
      await expect(reader.inclusionProof(n)).rejects.toThrow(RangeError)
      await expect(reader.inclusionProof(0, n)).rejects.toThrow(RangeError)
      await expect(reader.consistencyProof(n)).rejects.toThrow(RangeError)
      await expect(reader.consistencyProof(0, n)).rejects.toThrow(RangeError)
      await expect(reader.subtreeHash(0, n)).rejects.toThrow(RangeError)
      await expect(reader.subtreeProof(0, n)).rejects.toThrow(RangeError)
      await expect(reader.subtreeInclusionProof(0, 0, n)).rejects.toThrow(RangeError)
      await expect(reader.hash(0, n)).rejects.toThrow(RangeError)
      await expect(reader.hash(n, 1)).rejects.toThrow(RangeError)
      await expect(reader.tile(0, 0, n)).rejects.toThrow(RangeError)
    }
    await expect(reader.inclusionProof(10)).rejects.toThrow(RangeError)
    await expect(reader.hash(1, 5)).rejects.toThrow(RangeError)
    await expect(reader.tile(0, 1, 1)).rejects.toThrow(RangeError)
    await expect(reader.tile(1, 0, 1)).rejects.toThrow(RangeError)
    await expect(reader.subtreeInclusionProof(4, 0, 4)).rejects.toThrow(RangeError)
    expect(() => new TreeReader(new MemoryTiles(LEAVES, []), -1)).toThrow(RangeError)
  })
})

describe('reading', () => {
  test('each tile once, also when asked for at once', async () => {
    const source = new MemoryTiles(LEAVES, [COUNT])
    const reader = new TreeReader(source, COUNT, { root: mth(LEAVES) })
    await Promise.all(Array.from({ length: COUNT }, (_, i) => reader.inclusionProof(i)))
    await Promise.all(Array.from({ length: COUNT }, (_, i) => reader.consistencyProof(i)))
    expect(source.reads.sort()).toEqual([...tilesBetween(0, COUNT)].map(tilePath).sort())
  })

  test('a shared cache serves the full tiles of the next tree', async () => {
    const source = new MemoryTiles(LEAVES, [530, COUNT])
    const cache = new TileCache()
    const first = new TreeReader(source, 530, { root: mth(LEAVES.slice(0, 530)), cache })
    await first.inclusionProof(0)
    await first.inclusionProof(300)
    source.reads.length = 0
    const second = new TreeReader(source, COUNT, { root: mth(LEAVES), cache })
    expect(text(await second.inclusionProof(0))).toBe(text(path(0, LEAVES)))
    expect(text(await second.inclusionProof(300))).toBe(text(path(300, LEAVES)))
    expect(source.reads.sort()).toEqual(edgeTiles(COUNT).map(tilePath).sort())
  })

  test('a cache forgets what was not used for long and keeps what was', () => {
    const cache = new TileCache(4)
    const nodes = [TileNodes.of(new Uint8Array(8192)), TileNodes.of(new Uint8Array(8192))]
    cache.set(0, 7, nodes[0]!)
    for (let i = 100; i < 200; i++) {
      cache.set(1, i, nodes[1]!)
      expect(cache.get(0, 7)).toBe(nodes[0])
      expect(cache.get(1, i)).toBe(nodes[1])
    }
    expect(cache.get(1, 100)).toBeUndefined()
    expect(cache.get(0, 100)).toBeUndefined()
    for (let i = 0; i < 5; i++) cache.set(2, i, nodes[1]!)
    expect(cache.get(0, 7)).toBeUndefined()
  })

  test('a tiny cache still answers right', async () => {
    const source = new MemoryTiles(LEAVES, [COUNT])
    const reader = new TreeReader(source, COUNT, { root: mth(LEAVES), cache: new TileCache(1) })
    for (const i of [0, 300, 1, 301, 599, 2]) {
      expect(text(await reader.inclusionProof(i))).toBe(text(path(i, LEAVES)))
    }
  })

  test('a failure is passed on and not remembered', async () => {
    const tiles = new MemoryTiles(LEAVES, [COUNT])
    let failing = true
    const source: TileSource = {
      tile: (level, index, width) =>
        failing ? Promise.reject(new Error('down')) : tiles.tile(level, index, width),
    }
    const reader = new TreeReader(source, COUNT, { root: mth(LEAVES) })
    await expect(reader.root()).rejects.toThrow('down')
    await expect(reader.inclusionProof(3)).rejects.toThrow('down')
    failing = false
    expect(text(await reader.inclusionProof(3))).toBe(text(path(3, LEAVES)))
    failing = true
    expect(text(await reader.inclusionProof(4))).toBe(text(path(4, LEAVES)))
    await expect(reader.inclusionProof(300)).rejects.toThrow('down')
    failing = false
    expect(text(await reader.inclusionProof(300))).toBe(text(path(300, LEAVES)))
  })
})

describe('authenticated', () => {
  const root = mth(LEAVES)

  test('hands on the tiles of the tree, and older partial ones as prefixes', async () => {
    const source = new MemoryTiles(LEAVES, [COUNT])
    const checked = authenticated(source, COUNT, root)
    for (const { level, index, width } of tilesBetween(0, COUNT)) {
      const data = await checked.tile(level, index, width)
      expect(data).toEqual(source.tiles.get(tilePath({ level, index, width })))
      for (const part of [1, Math.ceil(width / 2)]) {
        expect(await checked.tile(level, index, part)).toEqual(data.subarray(0, 32 * part))
      }
      await expect(checked.tile(level, index, width + 1)).rejects.toThrow(RangeError)
    }
    const older = new TreeReader(checked, 555)
    expect(await older.root()).toEqual(mth(LEAVES.slice(0, 555)))
  })

  test('one changed byte anywhere in any tile is found before the tile is used', async () => {
    const source = new MemoryTiles(LEAVES, [COUNT])
    for (const id of tilesBetween(0, COUNT)) {
      const good = source.tiles.get(tilePath(id))!
      for (let i = 0; i < good.length; i += 37) {
        const damaged = good.slice()
        damaged[i]! += 1
        source.tiles.set(tilePath(id), damaged)
        const checked = authenticated(source, COUNT, root)
        expect(await codeOfAsync(checked.tile(id.level, id.index, id.width))).toBe('bad-tile')
      }
      for (const wrong of [good.subarray(32), good.subarray(1), new Uint8Array(0)]) {
        source.tiles.set(tilePath(id), wrong)
        const checked = authenticated(source, COUNT, root)
        expect(await codeOfAsync(checked.tile(id.level, id.index, id.width))).toBe('bad-tile')
      }
      source.tiles.set(tilePath(id), good)
    }
  })

  test('a damaged tile does not hinder those that are not below it', async () => {
    const source = new MemoryTiles(LEAVES, [COUNT])
    source.tiles.set('tile/0/000', new Uint8Array(8192))
    const reader = new TreeReader(source, COUNT, { root })
    expect(await codeOfAsync(reader.inclusionProof(3))).toBe('bad-tile')
    expect(text(await reader.inclusionProof(300))).toBe(text(path(300, LEAVES)))
    expect(text(await reader.inclusionProof(599))).toBe(text(path(599, LEAVES)))
  })

  test('a tile that is read again is held against what it was, and read once more if it is not', async () => {
    const source = new MemoryTiles(LEAVES, [COUNT])
    const cache = new TileCache()
    const reader = new TreeReader(source, COUNT, { root, cache })
    const good = source.tiles.get('tile/0/000')!
    const damaged = good.slice()
    // In the group of the leaves 16 to 31.
    damaged[20 * 32]! += 1
    for (const checked of [reader, authenticated(source, COUNT, root, cache)]) {
      await reader.inclusionProof(0)
      // As if it had not been used for long.
      cache.delete(0, 0)
      source.tiles.set('tile/0/000', damaged)
      expect(cache.upper(0, 0)).toBeDefined()
      expect(await codeOfAsync(reader.inclusionProof(17))).toBe('bad-tile')
      expect(text(await reader.inclusionProof(3))).toBe(text(path(3, LEAVES)))
      expect(await codeOfAsync(reader.hash(0, 20))).toBe('bad-tile')
      expect(await codeOfAsync(checked.tile(0, 0, 256))).toBe('bad-tile')
      source.tiles.set('tile/0/000', good)
      expect(text(await reader.inclusionProof(17))).toBe(text(path(17, LEAVES)))
      expect(await checked.tile(0, 0, 256)).toEqual(good)
    }
  })

  /** Tiles that can be read in groups, the first one with this middle beside it. */
  function grouped(source: MemoryTiles, middle?: Uint8Array): TileSource & { asked: string[] } {
    const asked: string[] = []
    return {
      asked,
      tile: (level, index, width) => source.tile(level, index, width),
      group: async (tile, group) => {
        asked.push(`${tile}/${group}`)
        const data = source.tiles.get(tilePath({ level: 0, index: tile, width: 256 }))!
        const hashes = data.subarray(group * GROUP_BYTES, (group + 1) * GROUP_BYTES)
        return { hashes, middle: tile === 0 ? middle : undefined }
      },
    }
  }

  test('a middle that is stored beside a tile is a shortcut, and no more than that', async () => {
    const source = new MemoryTiles(LEAVES, [COUNT])
    const { middle: right } = TileNodes.of(source.tiles.get('tile/0/000')!)
    const damaged = right.slice()
    damaged[40]! ^= 1
    for (const middle of [right, damaged, right.slice(1), new Uint8Array(512), undefined]) {
      // Without a root nothing is compared, so a middle is worth nothing.
      for (const options of [{ root }, {}]) {
        const beside = grouped(source, middle)
        source.reads.length = 0
        const reader = new TreeReader(beside, COUNT, options)
        for (const leaf of [0, 17, 255, 256, 599]) {
          expect(text(await reader.inclusionProof(leaf))).toBe(text(path(leaf, LEAVES)))
        }
        const isRead = source.reads.includes('tile/0/000')
        expect(isRead).toBe(middle !== right || !('root' in options))
        if (isRead) continue
        // Each group once, also where a proof takes nodes above it, and whoever else asks meanwhile.
        expect(beside.asked.filter((place) => place.startsWith('0/'))).toEqual([
          '0/0',
          '0/1',
          '0/15',
        ])
        await Promise.all([reader.hash(0, 100), reader.inclusionProof(100), reader.hash(1, 51)])
        expect(beside.asked.filter((place) => place.startsWith('0/'))).toHaveLength(4)
        expect(await reader.tile(0, 0, 256)).toEqual(source.tiles.get('tile/0/000'))
      }
    }
  })

  test('groups that are asked for together are each held against the middle', async () => {
    const source = new MemoryTiles(LEAVES, [COUNT])
    const good = source.tiles.get('tile/0/000')!
    const { middle } = TileNodes.of(good)
    const damaged = good.slice()
    damaged[20 * 32]! += 1
    source.tiles.set('tile/0/000', damaged)
    const reader = new TreeReader(grouped(source, middle), COUNT, { root })
    await Promise.all(
      LEAVES.map(async (_, leaf) => {
        const proof = reader.inclusionProof(leaf)
        if (leaf >= 16 && leaf < 32) expect(await codeOfAsync(proof)).toBe('bad-tile')
        else expect(text(await proof)).toBe(text(path(leaf, LEAVES)))
      }),
    )
    // Whoever asks again has it read again.
    source.tiles.set('tile/0/000', good)
    expect(text(await reader.inclusionProof(17))).toBe(text(path(17, LEAVES)))
    const short: TileSource = {
      tile: (level, index, width) => source.tile(level, index, width),
      group: () => Promise.resolve({ hashes: good.subarray(0, 32), middle }),
    }
    const other = new TreeReader(short, COUNT, { root })
    expect(await codeOfAsync(other.inclusionProof(0))).toBe('bad-tile')
  })

  test('another root, size or history is refused', async () => {
    const source = new MemoryTiles(LEAVES, [COUNT - 1, COUNT])
    expect(await codeOfAsync(new TreeReader(source, COUNT, { root: EMPTY_ROOT }).root())).toBe(
      'bad-tile',
    )
    expect(await codeOfAsync(new TreeReader(source, COUNT - 1, { root }).root())).toBe('bad-tile')
    const other = new MemoryTiles(LEAVES.with(100, sha256(utf8('x'))), [COUNT])
    expect(await codeOfAsync(authenticated(other, COUNT, root).tile(0, 2, 88))).toBe('bad-tile')
    const empty = new TreeReader(source, 0, { root: EMPTY_ROOT })
    expect(await empty.root()).toEqual(EMPTY_ROOT)
    expect(await codeOfAsync(new TreeReader(source, 0, { root }).root())).toBe('bad-tile')
  })

  test('what was verified does not change with the buffer it came in', async () => {
    const source = new MemoryTiles(LEAVES, [COUNT])
    const checked = authenticated(source, COUNT, root)
    const first = (await checked.tile(0, 1, 256)).slice()
    for (const data of source.tiles.values()) data.fill(0)
    expect(await checked.tile(0, 1, 256)).toEqual(first)
  })

  test('reads no tile that the tree does not have', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: COUNT }), fc.nat(COUNT), async (size, at) => {
        const source = new MemoryTiles(LEAVES, [size])
        const reader = new TreeReader(source, size, { root: mth(LEAVES.slice(0, size)) })
        await reader.inclusionProof(at % size)
        const there = new Set([...tilesBetween(0, size)].map(tilePath))
        for (const name of source.reads) expect(there.has(name)).toBe(true)
        expect(tileWidth(size, 0, 0)).toBe(Math.min(size, 256))
      }),
      { numRuns: 50 },
    )
  })
})
