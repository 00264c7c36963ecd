/**
 * Rows in PostgreSQL's binary COPY format (documentation of COPY, "Binary Format"), all integers big-endian:
 *
 *   "PGCOPY\n" FF "\r\n" 00 | int32 flags = 0 | int32 extension length = 0
 *   per row:   int16 number of fields | per field: int32 length, or -1 for null | the value in its type's binary form
 *   int16 -1
 *
 * COPY converts nothing, so the types of the columns must be known; db.ts asks the catalogue for them.
 */
import { setImmediate as immediate } from 'node:timers/promises'

/** A column to copy into. */
export interface CopyColumn {
  name: string
  /** OID of its type. */
  type: number
}

/**
 * The rows of one COPY, as the only parameter of its statement: the connection that Kysely gives to the statement then
 * knows that it is one (pool.ts).
 */
export class CopyRows {
  /** Each owns its memory. Made as they are asked for, once: while the server takes one, the next is made. */
  readonly chunks: AsyncIterable<Uint8Array<ArrayBuffer>>

  constructor(chunks: AsyncIterable<Uint8Array<ArrayBuffer>>) {
    this.chunks = chunks
  }
}

const SIGNATURE = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1')

/** Bytes of one chunk; a larger value gets a chunk of its own. */
const CHUNK_SIZE = 1 << 16

/** Rows that are encoded without a pause, a millisecond or two: whoever has others to answer does so then. */
const ROWS_AT_ONCE = 500

const JSONB_VERSION = 1

const TWO_32 = 2 ** 32

type Encode = (out: CopyWriter, value: unknown) => void

/** Binary forms by the OID of the type; these OIDs are fixed. */
const ENCODERS: Readonly<Record<number, Encode>> = {
  16: (out, value) => out.int8(asBoolean(value) ? 1 : 0),
  17: (out, value) => out.value(asBytes(value)),
  20: (out, value) => out.int64(value),
  21: (out, value) => out.int16(asNumber(value)),
  23: (out, value) => out.int32(asNumber(value)),
  25: (out, value) => out.value(asText(value)),
  114: (out, value) => out.value(Buffer.from(JSON.stringify(value))),
  // A parameter of an INSERT travels as text, which has no negative zero.
  701: (out, value) => out.float64(asNumber(value) + 0),
  1043: (out, value) => out.value(asText(value)),
  3802: (out, value) =>
    out.value(
      Buffer.concat([Uint8Array.of(JSONB_VERSION), Buffer.from(JSON.stringify(value) ?? 'null')]),
    ),
}

/**
 * Encodes rows, with pauses in which none of them may change. A value that its column cannot hold is a TypeError or RangeError
 * that names the column: a bug.
 */
export async function* encodeCopy(
  columns: readonly CopyColumn[],
  rows: Iterable<readonly unknown[]>,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const encoders = columns.map(({ name, type }) => {
    const encode = ENCODERS[type]
    if (encode === undefined) throw new TypeError(`column ${name}: no binary form for type ${type}`)
    return encode
  })
  const out = new CopyWriter()
  let count = 0
  out.raw(SIGNATURE)
  for (const row of rows) {
    if (++count % ROWS_AT_ONCE === 0) await immediate()
    if (row.length !== columns.length) {
      throw new RangeError(`row of ${row.length} values for ${columns.length} columns`)
    }
    out.fieldCount(columns.length)
    for (let i = 0; i < row.length; i++) {
      const value = row[i]
      if (value === null || value === undefined) {
        out.null()
        continue
      }
      try {
        encoders[i]!(out, value)
      } catch (cause) {
        throw new TypeError(`column ${columns[i]!.name}: ${String(cause)}`, { cause })
      }
    }
    if (out.isFull) yield* out.take()
  }
  out.fieldCount(-1)
  yield* out.finish()
}

class CopyWriter {
  #chunks: Uint8Array<ArrayBuffer>[] = []
  #chunk = Buffer.allocUnsafe(CHUNK_SIZE)
  #used = 0

  /** Whether there is a chunk to be taken. */
  get isFull(): boolean {
    return this.#chunks.length > 0
  }

  /** The chunks that are full. */
  take(): Uint8Array<ArrayBuffer>[] {
    const taken = this.#chunks
    this.#chunks = []
    return taken
  }

  // Reserving may begin a new chunk, so it comes before the chunk is looked at.

  fieldCount(count: number): void {
    const at = this.#reserve(2)
    this.#chunk.writeInt16BE(count, at)
  }

  null(): void {
    const at = this.#reserve(4)
    this.#chunk.writeInt32BE(-1, at)
  }

  raw(bytes: Uint8Array): void {
    const at = this.#reserve(bytes.length)
    this.#chunk.set(bytes, at)
  }

  /** A value of variable length, with its length, as all that follow. */
  value(bytes: Uint8Array): void {
    const at = this.#sized(bytes.length)
    this.#chunk.set(bytes, at)
  }

  int8(value: number): void {
    const at = this.#sized(1)
    this.#chunk.writeInt8(value, at)
  }

  int16(value: number): void {
    const at = this.#sized(2)
    this.#chunk.writeInt16BE(value, at)
  }

  int32(value: number): void {
    const at = this.#sized(4)
    this.#chunk.writeInt32BE(value, at)
  }

  int64(value: unknown): void {
    const at = this.#sized(8)
    if (typeof value === 'bigint') {
      this.#chunk.writeBigInt64BE(value, at)
      return
    }
    if (!Number.isSafeInteger(value)) throw new RangeError(`${String(value)} is no safe integer`)
    const number = value as number
    const high = Math.floor(number / TWO_32)
    this.#chunk.writeInt32BE(high, at)
    this.#chunk.writeUInt32BE(number - high * TWO_32, at + 4)
  }

  float64(value: number): void {
    const at = this.#sized(8)
    this.#chunk.writeDoubleBE(value, at)
  }

  finish(): Uint8Array<ArrayBuffer>[] {
    this.#push()
    return this.take()
  }

  /** Room for a value of that length, behind the length. */
  #sized(length: number): number {
    const at = this.#reserve(4 + length)
    this.#chunk.writeInt32BE(length, at)
    return at + 4
  }

  #reserve(length: number): number {
    if (this.#used + length > this.#chunk.length) {
      this.#push()
      this.#chunk = Buffer.allocUnsafe(Math.max(CHUNK_SIZE, length))
      this.#used = 0
    }
    const at = this.#used
    this.#used += length
    return at
  }

  #push(): void {
    if (this.#used > 0) this.#chunks.push(this.#chunk.subarray(0, this.#used))
  }
}

function asBoolean(value: unknown): boolean {
  if (typeof value !== 'boolean') throw new TypeError(`${typeof value} is no boolean`)
  return value
}

function asNumber(value: unknown): number {
  if (typeof value !== 'number') throw new TypeError(`${typeof value} is no number`)
  return value
}

function asBytes(value: unknown): Uint8Array {
  if (!(value instanceof Uint8Array)) throw new TypeError(`${typeof value} is no Uint8Array`)
  return value
}

function asText(value: unknown): Uint8Array {
  if (typeof value !== 'string') throw new TypeError(`${typeof value} is no string`)
  return Buffer.from(value)
}
