/**
 * Which keys may have been seen: a Bloom filter whose bits for a key lie in one line of the processor's cache
 * (Putze, Sanders and Singler, 2007). Keys are hashes, so their own bits say where.
 */
import type { Hash } from '@dslog/tlog/hash'

/** 64 MiB: of 25 million keys, one in a thousand that were never added seems to have been. */
const LINES = 2 ** 20
const WORDS_OF_LINE = 16
/** Words of a line in which a key has a bit. */
const BITS = 4

/** A set of keys that only grows. It errs on one side: of what was added it always says so. */
export class KeyFilter {
  readonly #words = new Uint32Array(LINES * WORDS_OF_LINE)

  add(key: Hash): void {
    const line = lineOf(key)
    for (let i = 0; i < BITS; i++) this.#words[line + wordOf(key, i)]! |= bitOf(key, i)
  }

  /** False if the key was never added. */
  mayHave(key: Hash): boolean {
    const line = lineOf(key)
    for (let i = 0; i < BITS; i++) {
      if ((this.#words[line + wordOf(key, i)]! & bitOf(key, i)) === 0) return false
    }
    return true
  }
}

// Each of a key's last bytes is used once: the first ones say where it lies in the name map, and keys of one bucket are alike.

function lineOf(key: Hash): number {
  const number = key[29]! * 0x10000 + key[30]! * 0x100 + key[31]!
  return (number % LINES) * WORDS_OF_LINE
}

function wordOf(key: Hash, i: number): number {
  return key[20 + 2 * i]! % WORDS_OF_LINE
}

function bitOf(key: Hash, i: number): number {
  return 1 << (key[21 + 2 * i]! % 32)
}
