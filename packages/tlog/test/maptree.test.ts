import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compare, toHex } from '../src/bytes.ts'
import { EMPTY_ROOT, type Hash } from '../src/hash.ts'
import { verifyMap, type MapPair } from '../src/map.ts'
import { BucketBuilder, bucketRoot, prefixOf } from '../src/mapbucket.ts'
import { proveMap, updateBuckets, UpperTree } from '../src/maptree.ts'
import { codeOf, codeOfAsync } from './codes.ts'
import { hashOf, key, mapRoot, pairs } from './mapreference.ts'

/** A map with its buckets, as a log stores it: every version's rows are kept by those who hold them. */
class Stored {
  tree: UpperTree
  rows: ReadonlyMap<number, Uint8Array>

  constructor(tree: UpperTree, rows: ReadonlyMap<number, Uint8Array> = new Map()) {
    this.tree = tree
    this.rows = rows
  }

  with(changes: readonly MapPair[]): Stored {
    const tree = this.tree.fork()
    const rows = new Map(this.rows)
    for (const bucket of updateBuckets(tree, this.rows, changes)) {
      rows.set(bucket.prefix, bucket.bytes)
    }
    return new Stored(tree, rows)
  }

  prove(k: Hash): Promise<{ value: Hash | null; proof: Uint8Array }> {
    return proveMap(this.tree, k, (prefix) => Promise.resolve(this.rows.get(prefix)!))
  }
}

describe('a map in buckets', () => {
  test('is hashed with pauses as without', async () => {
    const hashes = Array.from({ length: 3_000 }, (_, i) => [7 * i, hashOf(String(i))] as const)
    const filled = (): UpperTree => {
      const tree = new UpperTree(16)
      for (const [at, hash] of hashes) tree.set(at, hash)
      return tree
    }
    const root = toHex(filled().root())
    const tree = filled()
    let pauses = 0
    await tree.settle(() => Promise.resolve(pauses++))
    expect(pauses).toBeGreaterThan(3)
    await tree.settle(() => Promise.reject(new Error('nothing is left to be hashed')))
    expect(toHex(tree.root())).toBe(root)
    // Whoever asks in one of the pauses is not answered from half of it, and then the rest is done.
    for (let asked = 0; asked < pauses; asked++) {
      const other = filled()
      let seen = 0
      await other.settle(() => {
        if (seen++ === asked) expect(toHex(other.fork().root())).toBe(root)
        return Promise.resolve()
      })
      expect(seen).toBe(asked + 1)
      expect(toHex(other.root())).toBe(root)
    }
  })

  test('has one root and one proof, whatever the depth', async () => {
    await fc.assert(
      fc.asyncProperty(pairs(40), key, fc.nat(20), async (all, stranger, depth) => {
        const maps = [0, 4, depth].map((d) => new Stored(new UpperTree(d)).with(all))
        const root = mapRoot(all)
        for (const { tree } of maps) expect(tree.root()).toEqual(root)
        for (const k of [stranger, ...all.slice(0, 8).map((pair) => pair.key)]) {
          const [first, ...others] = await Promise.all(maps.map((map) => map.prove(k)))
          for (const other of others) expect(other).toEqual(first)
          verifyMap(root, k, first!.value, first!.proof)
        }
      }),
      { numRuns: 100 },
    )
  })

  test('grown in steps is what it would be if made at once', () => {
    fc.assert(
      fc.property(fc.array(pairs(10), { maxLength: 6 }), fc.nat(16), (steps, depth) => {
        let map = new Stored(new UpperTree(depth))
        const content = new Map<string, MapPair>()
        for (const step of steps) {
          map = map.with(step)
          for (const pair of step) content.set(toHex(pair.key), pair)
          expect(map.tree.root()).toEqual(mapRoot([...content.values()]))
        }
      }),
      { numRuns: 60 },
    )
  })

  test('an update answers the changed buckets in order, with the roots that it set', () => {
    const tree = new UpperTree(5)
    const all = Array.from({ length: 20 }, (_, i) => ({ key: hashOf(i), value: hashOf(-i) }))
    const buckets = updateBuckets(tree, new Map(), all)
    const prefixes = [...new Set(all.map((pair) => prefixOf(pair.key, 5)))]
    expect(buckets.map(({ prefix }) => prefix)).toEqual(prefixes.sort((a, b) => a - b))
    for (const { prefix, bytes, root } of buckets) {
      expect(tree.get(prefix)).toEqual(root)
      expect(bucketRoot(bytes)).toEqual(root)
    }
    expect(updateBuckets(tree, new Map(), [])).toEqual([])
  })

  test('built in one pass over sorted pairs', () => {
    const all = Array.from({ length: 800 }, (_, i) => ({ key: hashOf(i), value: hashOf(-i) }))
    for (const depth of [0, 3, 10]) {
      const tree = new UpperTree(depth)
      const builder = new BucketBuilder(depth)
      const put = (bucket: { prefix: number; root: Hash } | undefined): void => {
        if (bucket) tree.set(bucket.prefix, bucket.root)
      }
      for (const { key: k, value } of all.toSorted((a, b) => compare(a.key, b.key))) {
        put(builder.push(k, value))
      }
      put(builder.finish())
      expect(tree.root()).toEqual(mapRoot(all))
    }
  })
})

describe('versions', () => {
  test('the published tree proves its own content while forks go on', async () => {
    const all = Array.from({ length: 300 }, (_, i) => ({ key: hashOf(i), value: hashOf(-i) }))
    for (const depth of [0, 5, 12]) {
      const versions = [new Stored(new UpperTree(depth))]
      for (let i = 0; i < 300; i += 60) versions.push(versions.at(-1)!.with(all.slice(i, i + 60)))
      for (const [n, version] of versions.entries()) {
        const root = mapRoot(all.slice(0, 60 * n))
        expect(version.tree.root()).toEqual(root)
        for (const i of [0, 59, 60, 150, 299]) {
          const { value, proof } = await version.prove(hashOf(i))
          expect(value).toEqual(i < 60 * n ? hashOf(-i) : null)
          verifyMap(root, hashOf(i), value, proof)
        }
      }
    }
  })

  test('changes of either side of a fork do not show in the other', () => {
    const tree = new UpperTree(8)
    tree.set(3, hashOf('three'))
    const fork = tree.fork()
    fork.set(4, hashOf('four'))
    tree.set(3, hashOf('other'))
    expect(fork.get(3)).toEqual(hashOf('three'))
    expect(tree.get(4)).toBeNull()
    const alone = new UpperTree(8)
    alone.set(3, hashOf('other'))
    expect(tree.root()).toEqual(alone.root())
    const pair = new UpperTree(8)
    pair.set(4, hashOf('four'))
    pair.set(3, hashOf('three'))
    expect(fork.root()).toEqual(pair.root())
    expect(fork.fork().root()).toEqual(pair.root())
  })

  test('an abandoned fork leaves nothing behind', () => {
    const map = new Stored(new UpperTree(6)).with([{ key: hashOf(1), value: hashOf(2) }])
    const root = map.tree.root()
    map.with(Array.from({ length: 50 }, (_, i) => ({ key: hashOf(i), value: hashOf('x') })))
    expect(map.tree.root()).toEqual(root)
  })
})

describe('the upper tree', () => {
  test('of nothing is empty; a bucket taken out leaves no trace', () => {
    for (const depth of [0, 1, 7]) {
      const tree = new UpperTree(depth)
      expect(tree.root()).toEqual(EMPTY_ROOT)
      expect(tree.path(hashOf(1))).toBeUndefined()
      const last = 2 ** depth - 1
      tree.set(last, hashOf('a'))
      expect(tree.root()).toEqual(hashOf('a'))
      expect(tree.path(hashOf(1))).toEqual({ prefix: last, steps: [] })
      tree.set(0, hashOf('b'))
      tree.set(last, null)
      expect(tree.get(last)).toBeNull()
      expect(tree.root()).toEqual(depth === 0 ? EMPTY_ROOT : hashOf('b'))
      tree.set(0, null)
      expect(tree.root()).toEqual(EMPTY_ROOT)
    }
  })

  test('has buckets 0 to 2^depth - 1, and depths 0 to 20', () => {
    const tree = new UpperTree(5)
    for (const prefix of [-1, 32, 0.5, Number.NaN]) {
      expect(() => tree.set(prefix, null)).toThrow(RangeError)
      expect(() => tree.get(prefix)).toThrow(RangeError)
    }
    for (const depth of [-1, 21, 0.5, Number.NaN]) {
      expect(() => new UpperTree(depth)).toThrow(RangeError)
    }
  })

  test('what it answers is not its own memory', () => {
    const tree = new UpperTree(1)
    tree.set(0, hashOf('a'))
    tree.set(1, hashOf('b'))
    const root = tree.root().slice()
    tree.root().fill(0)
    tree.get(0)!.fill(0)
    tree.path(hashOf(1))!.steps[0]!.sibling.fill(0)
    expect(tree.root()).toEqual(root)
    expect(tree.get(0)).toEqual(hashOf('a'))
  })
})

describe('stored buckets are not trusted', () => {
  const all = Array.from({ length: 200 }, (_, i) => ({ key: hashOf(i), value: hashOf(-i) }))
  const map = new Stored(new UpperTree(3)).with(all)
  const k = hashOf(5)
  const prefix = prefixOf(k, 3)
  const good = map.rows.get(prefix)!
  const wrongs = (): Uint8Array[] => {
    const changed = good.slice()
    changed[40]! += 1
    return [
      changed,
      good.subarray(64),
      good.subarray(0, -64),
      good.subarray(1),
      map.rows.get((prefix + 1) % 8)!,
      new Uint8Array(0),
    ]
  }

  test('no proof is made from other bytes', async () => {
    for (const wrong of wrongs()) {
      expect(await codeOfAsync(proveMap(map.tree, k, () => Promise.resolve(wrong)))).toBe('bad-map')
    }
    const next = map.with([{ key: k, value: hashOf('new') }])
    expect(
      await codeOfAsync(proveMap(map.tree, k, (p) => Promise.resolve(next.rows.get(p)!))),
    ).toBe('bad-map')
    await expect(proveMap(map.tree, k, () => Promise.reject(new Error('down')))).rejects.toThrow(
      'down',
    )
  })

  test('no change is made to other bytes, and none in part', async () => {
    const root = map.tree.root()
    const changes = Array.from({ length: 20 }, (_, i) => ({ key: hashOf(i), value: hashOf('x') }))
    for (const wrong of wrongs()) {
      const tree = map.tree.fork()
      const rows = new Map(map.rows).set(prefix, wrong)
      expect(codeOf(() => updateBuckets(tree, rows, changes))).toBe('bad-map')
      expect(tree.root()).toEqual(root)
    }
    const missing = new Map(map.rows)
    missing.delete(prefix)
    expect(codeOf(() => updateBuckets(map.tree.fork(), missing, changes))).toBe('bad-map')
    const empty = new UpperTree(3)
    expect(codeOf(() => updateBuckets(empty, map.rows, changes))).toBe('bad-map')
  })
})
