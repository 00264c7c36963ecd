/** A log in memory, published as tlog-tiles behind a `fetch`, that can be made to lie. */
import { utf8 } from '../src/bytes.ts'
import { formatCheckpoint } from '../src/checkpoint.ts'
import { signerOf } from '../src/cosignature.ts'
import { HASH_SIZE, leafHash } from '../src/hash.ts'
import type { Fetch } from '../src/http.ts'
import type { SignerKey } from '../src/key.ts'
import { signNote } from '../src/note.ts'
import { encodeBundle, bundlePath, tilePath } from '../src/tile.ts'
import { TileWriter } from '../src/tilewriter.ts'
import { LOG_KEY, LOG_ORIGIN, NOW } from './keys.ts'

/** The entry at an index; `world` tells logs with other contents apart. */
export function entryOf(index: number, world = ''): Uint8Array {
  return utf8(`entry ${index}${world}`)
}

export class TestLog {
  readonly entries: Uint8Array[] = []
  /** Every file ever published, by path. Tests delete and change them at will. */
  readonly files = new Map<string, Uint8Array>()
  /** Paths asked for, in order. */
  readonly asked: string[] = []
  readonly #writer = new TileWriter()

  get size(): number {
    return this.entries.length
  }

  /** Appends entries and publishes the tiles, bundles and the signed checkpoint of the new size; returns the note. */
  grow(entries: readonly Uint8Array[], keys: readonly SignerKey[] = [LOG_KEY]): string {
    const before = this.size
    for (const entry of entries) this.#writer.appendEntry(entry)
    this.entries.push(...entries)
    for (const { level, index, data } of this.#writer.take()) {
      this.files.set(tilePath({ level, index, width: data.length / HASH_SIZE }), data)
    }
    for (let first = before - (before % 256); first < this.size; first += 256) {
      const bundle = this.entries.slice(first, first + 256)
      const path = bundlePath({ index: first / 256, width: bundle.length })
      this.files.set(path, encodeBundle(bundle))
    }
    return this.sign(keys)
  }

  /** Grows to a size with entries of the usual kind, a batch at a time. */
  growTo(size: number, batch = size, world = ''): string {
    let note = ''
    while (this.size < size) {
      const count = Math.min(batch, size - this.size)
      note = this.grow(Array.from({ length: count }, (_, i) => entryOf(this.size + i, world)))
    }
    return note
  }

  /** Signs and publishes the checkpoint of the size it has. */
  sign(keys: readonly SignerKey[] = [LOG_KEY]): string {
    const text = formatCheckpoint({
      origin: LOG_ORIGIN,
      size: this.size,
      root: this.#writer.root(),
      extensions: [],
    })
    const note = signNote(
      text,
      keys.map((key) => signerOf(key, () => NOW)),
    )
    this.files.set('checkpoint', utf8(note))
    return note
  }

  /** Removes the files whose path matches. */
  remove(path: RegExp): void {
    for (const known of this.files.keys()) if (path.test(known)) this.files.delete(known)
  }

  /** Changes one bit of a file. */
  flip(path: string, at: number): void {
    const file = this.files.get(path)!.slice()
    file[at] = file[at]! ^ 1
    this.files.set(path, file)
  }

  /** Leaf hash of an entry it has. */
  leaf(index: number): Uint8Array {
    return leafHash(this.entries[index]!)
  }

  /** Answers for every URL that ends in `/ds/<path>`. */
  readonly fetch: Fetch = (url) => {
    const path = url.replace(/^.*\/ds\//, '')
    this.asked.push(path)
    const file = this.files.get(path)
    return Promise.resolve(
      file === undefined
        ? new Response('no such file', { status: 404 })
        : new Response(new Uint8Array(file)),
    )
  }
}
