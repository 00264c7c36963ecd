/**
 * What questions about names are answered from again and again, kept by what the published tree says it is:
 * a bucket of the name map by its root, the entries of a name by the value that the map has for it, so
 * that nothing kept can be out of date, or another's.
 */
import { equal } from '@dslog/tlog/bytes'
import { Generations } from '@dslog/tlog/generations'
import type { Hash } from '@dslog/tlog/hash'
import { hashBucket, type HashedBucket, rootOf } from '@dslog/tlog/mapbucket'
import { mapValue } from '@dslog/schema/identity'
import { keyText } from '@dslog/verify/foldstore'
import { LogError } from './error.ts'

/** Bytes of buckets kept, with their hashes: those that are asked for, not all of a large map. */
const BUCKET_BYTES = 64 * 2 ** 20
/** Names whose entries are kept, some 200 bytes each. */
const LISTS = 100_000

/** See the head of this file. */
export class HotNames {
  readonly #buckets = new Generations<string, HashedBucket>(
    BUCKET_BYTES,
    ({ bytes, hashes }) => bytes.length + hashes.length,
  )
  readonly #lists = new Generations<string, readonly number[]>(LISTS)

  /** A bucket of the map. What is read in place of it is handed on and not kept: who proves from it refuses it. */
  async bucket(root: Hash, read: () => Promise<Uint8Array>): Promise<HashedBucket> {
    const id = keyText(root)
    const held = this.#buckets.get(id)
    if (held !== undefined) return held
    const bucket = hashBucket(await read())
    const found = rootOf(bucket)
    if (found !== null && equal(found, root)) this.#buckets.set(id, bucket)
    return bucket
  }

  /** Indices of the entries that a value of the map commits to. @throws LogError `corrupt` where others are read */
  async indices(value: Hash, read: () => Promise<readonly number[]>): Promise<readonly number[]> {
    const id = keyText(value)
    const held = this.#lists.get(id)
    if (held !== undefined) return held
    const list = await read()
    if (list.length === 0 || !equal(mapValue(list), value)) {
      throw new LogError('corrupt', 'the stored history of a name is not that of the map')
    }
    this.#lists.set(id, list)
    return list
  }
}
