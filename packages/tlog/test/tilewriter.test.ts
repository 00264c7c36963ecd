import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { concat, utf8 } from '../src/bytes.ts'
import { TlogError } from '../src/error.ts'
import { EMPTY_ROOT, leafHash, sha256, type Hash } from '../src/hash.ts'
import { edgeTiles, tilePath, tilesBetween, type Tile } from '../src/tile.ts'
import { TileWriter } from '../src/tilewriter.ts'
import { CompactRange, rangeRoot } from '../src/tree.ts'
import { alike, leaves, mth, peaksAlike } from './reference.ts'

const COUNT = 700
const LEAVES = leaves(COUNT)
const pathOf = ({ level, index, data }: Tile): string =>
  tilePath({ level, index, width: data.length / 32 })

/** A store of tiles that keeps every version, as a log's does, and looks closely at what it is given. */
class Store {
  readonly tiles = new Map<string, Uint8Array>()
  size = 0
  root: Hash = EMPTY_ROOT

  put(writer: TileWriter): void {
    const tiles = writer.take()
    const wanted = [...tilesBetween(this.size, writer.size)].map(tilePath)
    const given = tiles.map(pathOf)
    if (given.sort().join() !== wanted.sort().join()) {
      throw new Error(`tiles ${given.join()} are not ${wanted.join()}`)
    }
    for (const tile of tiles) this.tiles.set(pathOf(tile), tile.data)
    this.size = writer.size
    this.root = writer.root()
  }

  edge(): Tile[] {
    return edgeTiles(this.size).map((id) => ({ ...id, data: this.tiles.get(tilePath(id))! }))
  }
}

describe('TileWriter', () => {
  test('roots and tiles of every tree up to 700, one leaf at a time', () => {
    const writer = new TileWriter()
    const store = new Store()
    const range = new CompactRange()
    expect(writer.root()).toEqual(EMPTY_ROOT)
    for (let n = 1; n <= COUNT; n++) {
      writer.append(LEAVES[n - 1]!)
      range.append(LEAVES[n - 1]!)
      store.put(writer)
      expect(writer.size).toBe(n)
      expect(store.root).toEqual(range.root())
    }
    for (const { level, index, width } of tilesBetween(0, COUNT)) {
      const step = 256 ** level
      const first = index * 256 * step
      const hashes = Array.from({ length: width }, (_, i) =>
        mth(LEAVES.slice(first + i * step, first + (i + 1) * step)),
      )
      expect(store.tiles.get(tilePath({ level, index, width }))).toEqual(concat(...hashes))
    }
  })

  test('the same tiles in batches of any size, continued from storage between them', () => {
    const whole = new TileWriter()
    for (const leaf of LEAVES) whole.append(leaf)
    const wanted = whole.take().map((tile) => [pathOf(tile), tile.data] as const)
    fc.assert(
      fc.property(fc.array(fc.nat(300), { maxLength: 8 }), (batches) => {
        const store = new Store()
        for (const batch of [...batches, COUNT]) {
          const writer = TileWriter.from(store.size, store.edge(), store.root)
          writer.append(concat(...LEAVES.slice(store.size, store.size + batch)))
          store.put(writer)
          expect(writer.take()).toEqual([])
        }
        expect(store.size).toBe(COUNT)
        for (const [path, data] of wanted) expect(store.tiles.get(path)).toEqual(data)
      }),
      { numRuns: 25 },
    )
  })

  test('takes whole hashes only, and none of those that come with a part of one', () => {
    const writer = new TileWriter()
    for (const length of [1, 31, 33, 8193]) {
      expect(() => writer.append(new Uint8Array(length))).toThrow(RangeError)
    }
    writer.append(new Uint8Array(0))
    expect(writer.size).toBe(0)
    expect(writer.take()).toEqual([])
  })

  test('hashes entries as leafHash does', () => {
    const [a, b] = [new TileWriter(), new TileWriter()]
    for (let i = 0; i < 300; i++) {
      a.appendEntry(utf8(`leaf ${i}`))
      b.append(leafHash(utf8(`leaf ${i}`)))
    }
    expect(a.root()).toEqual(mth(LEAVES.slice(0, 300)))
    expect(a.take()).toEqual(b.take())
  })

  test('tiles once taken belong to the caller: neither side sees what the other does', () => {
    for (const count of [1, 256, 300]) {
      const writer = new TileWriter()
      for (const leaf of LEAVES.slice(0, count)) writer.append(leaf)
      const taken = writer.take()
      const copies = taken.map(({ data }) => data.slice())
      for (const leaf of LEAVES.slice(count, 400)) writer.append(leaf)
      expect(taken.map(({ data }) => data)).toEqual(copies)
      const partial = writer.take().filter(({ data }) => data.length < 8192)
      for (const { data } of [...taken, ...partial]) data.fill(0)
      for (const leaf of LEAVES.slice(400)) writer.append(leaf)
      expect(writer.root()).toEqual(mth(LEAVES))
    }
  })

  test('a fork goes its own way', () => {
    const writer = new TileWriter()
    for (const leaf of LEAVES.slice(0, 260)) writer.append(leaf)
    const root = writer.root()
    const fork = writer.fork()
    for (const leaf of LEAVES.slice(260)) fork.append(leaf)
    expect(writer.root()).toEqual(root)
    expect(writer.size).toBe(260)
    expect(fork.root()).toEqual(mth(LEAVES))
    expect(fork.take().map(pathOf).sort()).toEqual([...tilesBetween(0, COUNT)].map(tilePath).sort())
    expect(writer.take().map(pathOf).sort()).toEqual([...tilesBetween(0, 260)].map(tilePath).sort())
  })

  test('is not continued from other tiles than its own', () => {
    const store = new Store()
    const writer = new TileWriter()
    for (const leaf of LEAVES.slice(0, 600)) writer.append(leaf)
    store.put(writer)
    const edge = store.edge()
    const attempt = (size: number, tiles: Tile[], root = store.root): unknown => {
      try {
        return TileWriter.from(size, tiles, root).size
      } catch (error) {
        if (error instanceof TlogError) return error.code
        throw error
      }
    }
    expect(attempt(600, edge)).toBe(600)
    expect(attempt(600, edge, sha256(utf8('x')))).toBe('bad-tile')
    expect(attempt(600, edge.slice(1))).toBe('bad-tile')
    expect(attempt(600, edge.toReversed())).toBe('bad-tile')
    expect(attempt(600, [...edge, edge[0]!])).toBe('bad-tile')
    expect(attempt(601, edge)).toBe('bad-tile')
    expect(attempt(0, edge)).toBe('bad-tile')
    expect(attempt(0, [], EMPTY_ROOT)).toBe(0)
    for (let i = 0; i < edge.length; i++) {
      const data = edge[i]!.data.slice()
      data[5]! += 1
      expect(attempt(600, edge.with(i, { ...edge[i]!, data }))).toBe('bad-tile')
      expect(attempt(600, edge.with(i, { ...edge[i]!, data: data.subarray(1) }))).toBe('bad-tile')
      expect(attempt(600, edge.with(i, { ...edge[i]!, index: 9 }))).toBe('bad-tile')
    }
    expect(() => TileWriter.from(-1, [], EMPTY_ROOT)).toThrow(RangeError)
  })

  test.each([2 ** 31, 2 ** 32, 2 ** 48, Number.MAX_SAFE_INTEGER])(
    'goes on near %d as a compact range does',
    (limit) => {
      // All leaves alike, so the edge of a tree of any size can be made up.
      const size = limit - 300
      const full = alike(LEAVES[0]!)
      const edge = edgeTiles(size).map(({ level, index, width }) => ({
        level,
        index,
        data: concat(...Array.from({ length: width }, () => full[8 * level]!)),
      }))
      const peaks = peaksAlike(full, size)
      const writer = TileWriter.from(size, edge, rangeRoot(peaks))
      const range = CompactRange.from(size, peaks)
      const end = Math.min(Number.MAX_SAFE_INTEGER, limit + 300)
      for (let i = size; i < end; i++) {
        writer.append(LEAVES[i % COUNT]!)
        range.append(LEAVES[i % COUNT]!)
      }
      expect(writer.size).toBe(end)
      expect(writer.root()).toEqual(range.root())
      expect(writer.take().map(pathOf).sort()).toEqual(
        [...tilesBetween(size, end)].map(tilePath).sort(),
      )
      if (end === Number.MAX_SAFE_INTEGER) {
        expect(() => writer.append(LEAVES[0]!)).toThrow(RangeError)
        expect(writer.size).toBe(end)
      }
    },
  )
})
