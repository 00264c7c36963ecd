import { describe, expect, test, vi } from 'vitest'
import { asHash, type Hash } from '@dslog/tlog/hash'
import { bucketRoot } from '@dslog/tlog/mapbucket'
import { mapValue } from '@dslog/schema/identity'
import { HotNames } from '../src/hot.ts'

/** A bucket of one key. */
function bucketOf(n: number): { bytes: Uint8Array; root: Hash } {
  const bytes = new Uint8Array(64).fill(n)
  return { bytes, root: bucketRoot(bytes)! }
}

describe('what is kept of names', () => {
  test('is read once for each root, and each value', async () => {
    const hot = new HotNames()
    const { bytes, root } = bucketOf(1)
    const indices = [3, 5, 8]
    const readBucket = vi.fn<() => Promise<Uint8Array>>(async () => bytes)
    const readIndices = vi.fn<() => Promise<number[]>>(async () => indices)
    for (let i = 0; i < 3; i++) {
      expect((await hot.bucket(root, readBucket)).bytes).toEqual(bytes)
      expect(await hot.indices(mapValue(indices), readIndices)).toEqual(indices)
    }
    expect([readBucket, readIndices].map(({ mock }) => mock.calls.length)).toEqual([1, 1])
  })

  test('is never what was read in place of it', async () => {
    const hot = new HotNames()
    const { bytes, root } = bucketOf(1)
    expect((await hot.bucket(root, async () => bucketOf(2).bytes)).bytes).not.toEqual(bytes)
    expect((await hot.bucket(root, async () => new Uint8Array(0))).bytes).toHaveLength(0)
    expect((await hot.bucket(root, async () => bytes)).bytes).toEqual(bytes)

    const value = mapValue([3, 5])
    for (const wrong of [[], [3], [5, 3], [3, 5, 8]]) {
      const read = hot.indices(value, async () => wrong)
      await expect(read).rejects.toMatchObject({ code: 'corrupt' })
    }
    const absent = hot.indices(asHash(new Uint8Array(32)), async () => [])
    await expect(absent).rejects.toMatchObject({ code: 'corrupt' })
    expect(await hot.indices(value, async () => [3, 5])).toEqual([3, 5])
  })

  test('fails as its reading does, and is read again', async () => {
    const hot = new HotNames()
    const { bytes, root } = bucketOf(1)
    await expect(hot.bucket(root, () => Promise.reject(new Error('away')))).rejects.toThrow('away')
    expect((await hot.bucket(root, async () => bytes)).bytes).toEqual(bytes)
  })
})
