import { describe, expect, test } from 'vitest'
import { concat } from '../src/bytes.ts'
import { TlogError } from '../src/error.ts'
import { innerNodes, tileHash, tilePeaks } from '../src/tile.ts'
import { GROUP_BYTES, groupOf, subtreeOf, TileNodes } from '../src/tilenodes.ts'
import { leaves } from './reference.ts'

const DATA = concat(...leaves(256))
const LEVELS = innerNodes(DATA)

describe('a tile whose middle is known', () => {
  test('has the nodes of one that is hashed as a whole, asked for in any order', () => {
    const { middle } = TileNodes.of(DATA)
    expect(middle).toEqual(LEVELS[4])
    expect(TileNodes.of(DATA).upper).toEqual(subtreeOf(middle))
    const one = TileNodes.below(subtreeOf(middle), DATA)
    for (let i = 0; i < 256; i += 17) {
      for (const height of [3, 0, 8, 2, 5, 1, 4, 7, 6]) {
        const position = Math.floor(i / 2 ** height)
        expect(one.hash(height, position)).toEqual(tileHash(LEVELS[height]!, position))
      }
    }
    expect(one.data).toEqual(DATA)
    expect(TileNodes.below(subtreeOf(middle), DATA).data).toEqual(DATA)
    expect(TileNodes.of(DATA).data).toEqual(DATA)
  })

  test('has the groups that it is given, and all above them', () => {
    const one = TileNodes.below(subtreeOf(LEVELS[4]!))
    const given = new Set<number>()
    for (const group of [5, 15, 0, ...Array.from({ length: 16 }, (_, i) => i)]) {
      for (let height = 0; height <= 8; height++) {
        for (let position = 0; position < 256 / 2 ** height; position++) {
          const isThere = height >= 4 || given.has(groupOf(height, position))
          expect(one.has(height, position)).toBe(isThere)
          if (isThere) {
            expect(one.hash(height, position)).toEqual(tileHash(LEVELS[height]!, position))
          }
        }
      }
      expect(one.data).toEqual(given.size === 16 ? DATA : undefined)
      one.give(group, DATA.subarray(group * GROUP_BYTES, (group + 1) * GROUP_BYTES))
      given.add(group)
      // Another one's are not taken, and take nothing away.
      const other = DATA.subarray(((group + 1) % 16) * GROUP_BYTES).subarray(0, GROUP_BYTES)
      expect(() => one.give(group, other)).toThrow(TlogError)
    }
    expect(one.data).toEqual(DATA)
  })

  test('hands out nothing of a group that is not below the middle', () => {
    const damaged = DATA.slice()
    damaged[5 * 512 + 100]! += 1
    const one = TileNodes.below(subtreeOf(LEVELS[4]!), damaged)
    for (let group = 0; group < 16; group++) {
      for (const height of [0, 1, 2, 3]) {
        for (let at = 0; at < 16 / 2 ** height; at++) {
          const position = (group * 16) / 2 ** height + at
          const read = () => one.hash(height, position)
          if (group === 5) expect(read).toThrow(TlogError)
          else expect(read()).toEqual(tileHash(LEVELS[height]!, position))
        }
      }
    }
    expect(one.hash(4, 5)).toEqual(tileHash(LEVELS[4]!, 5))
    expect(() => one.data).toThrow(TlogError)
    expect(() => TileNodes.below(subtreeOf(LEVELS[4]!), damaged).data).toThrow(TlogError)
  })
})

test('a partial tile has its complete nodes', () => {
  for (const width of [1, 2, 15, 16, 17, 255]) {
    const data = DATA.subarray(0, width * 32)
    const one = TileNodes.of(data)
    expect(one.data).toEqual(data)
    expect(one.peaks).toEqual(tilePeaks(innerNodes(data)))
    expect(one.hash(0, width - 1)).toEqual(tileHash(DATA, width - 1))
  }
})
