/** A strict reader and a writer of big-endian binary formats. */
import { TlogError } from './error.ts'

const TWO_32 = 2 ** 32

/** Reads big-endian fields one after the other; every read beyond the end is TlogError `truncated`. */
export class ByteReader {
  readonly #bytes: Uint8Array
  #pos = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  /** Bytes read so far. */
  get pos(): number {
    return this.#pos
  }

  /** Bytes not yet read. */
  get remaining(): number {
    return this.#bytes.length - this.#pos
  }

  u8(): number {
    return this.#bytes[this.#take(1)]!
  }

  u16(): number {
    const at = this.#take(2)
    return this.#bytes[at]! * 0x100 + this.#bytes[at + 1]!
  }

  u32(): number {
    return this.#u32(this.#take(4))
  }

  /** A u64 that must be a safe integer: above 2^53-1 is TlogError `range`. */
  u64(): number {
    const at = this.#take(8)
    const value = this.#u32(at) * TWO_32 + this.#u32(at + 4)
    if (!Number.isSafeInteger(value)) throw new TlogError('range', 'u64 above 2^53-1')
    return value
  }

  u64big(): bigint {
    const at = this.#take(8)
    return BigInt(this.#u32(at)) * BigInt(TWO_32) + BigInt(this.#u32(at + 4))
  }

  /** The next `n` bytes, as a view of the input: copy it to keep it beyond the input's life. */
  bytes(n: number): Uint8Array {
    if (!Number.isSafeInteger(n) || n < 0) throw new RangeError(`not a length: ${n}`)
    const start = this.#take(n)
    return this.#bytes.subarray(start, start + n)
  }

  /** Passes over the next `n` bytes: a view that nobody looks at takes as long to make as what is read. */
  skip(n: number): void {
    this.#take(n)
  }

  /** What has been read since position `start`, as a view: a field whose length only its reading shows. */
  since(start: number): Uint8Array {
    return this.#bytes.subarray(start, this.#pos)
  }

  /** Refuses what is left over: TlogError `trailing`. */
  done(): void {
    if (this.remaining !== 0) throw new TlogError('trailing', `${this.remaining} bytes left over`)
  }

  #u32(at: number): number {
    const bytes = this.#bytes
    return (
      bytes[at]! * 0x1000000 + bytes[at + 1]! * 0x10000 + bytes[at + 2]! * 0x100 + bytes[at + 3]!
    )
  }

  #take(n: number): number {
    const start = this.#pos
    if (n > this.#bytes.length - start) {
      throw new TlogError('truncated', `${n} bytes wanted, ${this.#bytes.length - start} left`)
    }
    this.#pos = start + n
    return start
  }
}

// Most of what is written here (entries, proofs) fits without growing.
const WRITER_START = 512

// A writer begins in a part of a common block: an array of its own takes 0.4 µs to make and as much to collect, which is
// more than writing an entry takes.
const BLOCK_SIZE = 128 * WRITER_START
let block = new Uint8Array(BLOCK_SIZE)
let blockView = new DataView(block.buffer)
let blockUsed = 0

/** Writes big-endian fields; a value that does not fit its field is a bug and throws RangeError. */
export class ByteWriter {
  #bytes: Uint8Array
  #view: DataView
  #start: number
  #end: number
  #limit: number

  constructor() {
    if (blockUsed + WRITER_START > BLOCK_SIZE) {
      block = new Uint8Array(BLOCK_SIZE)
      blockView = new DataView(block.buffer)
      blockUsed = 0
    }
    this.#bytes = block
    this.#view = blockView
    this.#start = blockUsed
    this.#end = blockUsed
    blockUsed += WRITER_START
    this.#limit = blockUsed
  }

  /** Bytes written so far. */
  get length(): number {
    return this.#end - this.#start
  }

  u8(n: number): this {
    const at = this.#reserve(1, n, 0xff) // before #view is read: it may be replaced
    this.#view.setUint8(at, n)
    return this
  }

  u16(n: number): this {
    const at = this.#reserve(2, n, 0xffff) // before #view is read: it may be replaced
    this.#view.setUint16(at, n)
    return this
  }

  u32(n: number): this {
    const at = this.#reserve(4, n, 0xffffffff) // before #view is read: it may be replaced
    this.#view.setUint32(at, n)
    return this
  }

  /** Eight bytes, of a safe integer or of a bigint below 2^64. */
  u64(n: number | bigint): this {
    if (typeof n === 'bigint' ? BigInt.asUintN(64, n) !== n : !Number.isSafeInteger(n) || n < 0) {
      throw new RangeError(`does not fit in a u64: ${n}`)
    }
    const at = this.#reserve(8)
    if (typeof n === 'bigint') {
      this.#view.setBigUint64(at, n)
    } else {
      this.#view.setUint32(at, Math.floor(n / TWO_32))
      this.#view.setUint32(at + 4, n % TWO_32)
    }
    return this
  }

  bytes(bytes: Uint8Array): this {
    const at = this.#reserve(bytes.length)
    this.#bytes.set(bytes, at)
    return this
  }

  /** What was written, as an array of its own. */
  finish(): Uint8Array {
    return this.#bytes.slice(this.#start, this.#end)
  }

  /**
   * What was written, not copied: a view, which keeps the common block alive and so is for what is used up soon. Arrays
   * of more than 64 bytes are allocated one by one, and collecting them takes longer than writing them.
   */
  view(): Uint8Array {
    if (this.#bytes === block && this.#limit === blockUsed) {
      // The next writer begins where this one ended, which from now on would grow elsewhere.
      blockUsed = this.#end
      this.#limit = this.#end
    }
    return this.#bytes.subarray(this.#start, this.#end)
  }

  #reserve(size: number, value = 0, max = 0): number {
    if (!Number.isSafeInteger(value) || value < 0 || value > max) {
      throw new RangeError(`does not fit in ${size} bytes: ${value}`)
    }
    const at = this.#end
    if (at + size > this.#limit) return this.#grow(size)
    this.#end = at + size
    return at
  }

  #grow(size: number): number {
    const { length } = this
    const grown = new Uint8Array(Math.max(length + size, 2 * length))
    grown.set(this.#bytes.subarray(this.#start, this.#end))
    this.#bytes = grown
    this.#view = new DataView(grown.buffer)
    this.#start = 0
    this.#end = length + size
    this.#limit = grown.length
    return length
  }
}
