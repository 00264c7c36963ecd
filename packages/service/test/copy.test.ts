import { describe, expect, it } from 'vitest'
import { type CopyColumn, encodeCopy } from '@dslog/service/copy'
import { Turns } from '@dslog/testbed/turns'

const INT2 = 21
const BYTEA = 17
const TEXT = 25

async function chunksOf(
  columns: readonly CopyColumn[],
  rows: Iterable<readonly unknown[]>,
): Promise<Uint8Array<ArrayBuffer>[]> {
  const chunks: Uint8Array<ArrayBuffer>[] = []
  for await (const chunk of encodeCopy(columns, rows)) chunks.push(chunk)
  return chunks
}

async function encode(columns: readonly number[], rows: readonly (readonly unknown[])[]) {
  const named = columns.map((type, i) => ({ name: `c${i}`, type }))
  return Buffer.concat(await chunksOf(named, rows))
}

/** Reads the format back: the fields of each row as bytes. */
function decode(bytes: Buffer): (Buffer | null)[][] {
  expect(bytes.subarray(0, 19).toString('latin1')).toBe('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0')
  let at = 19
  const take = (length: number) => {
    at += length
    return bytes.subarray(at - length, at)
  }
  const field = () => {
    const length = take(4).readInt32BE()
    return length === -1 ? null : take(length)
  }
  const rows: (Buffer | null)[][] = []
  for (let fields = take(2).readInt16BE(); fields !== -1; fields = take(2).readInt16BE()) {
    rows.push(Array.from({ length: fields }, field))
  }
  expect(at).toBe(bytes.length)
  return rows
}

describe('binary COPY', () => {
  it('has the bytes of PostgreSQL’s documentation', async () => {
    const bytes = await encode(
      [INT2, TEXT],
      [
        [-2, 'é'],
        [null, undefined],
      ],
    )
    expect(bytes.toString('hex')).toBe(
      Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1').toString('hex') +
        '0000000000000000' +
        '0002' +
        '00000002' +
        'fffe' +
        '00000002' +
        'c3a9' +
        '0002' +
        'ffffffff' +
        'ffffffff' +
        'ffff',
    )
  })

  it('loses nothing where chunks meet, wherever that is', async () => {
    // Rows of 12 + n bytes around a chunk of 64 KiB: every kind of field falls on the border for some n.
    for (let n = 0; n < 40; n++) {
      const value = new Uint8Array(n).fill(n)
      const rows = Array.from({ length: Math.ceil(70_000 / (14 + n)) }, (_, i) => [
        i % 30_000,
        value,
      ])
      const back = decode(await encode([INT2, BYTEA], rows))
      expect(back.length).toBe(rows.length)
      const wrong = back.findIndex(
        ([number, bytes], i) =>
          number?.readInt16BE() !== rows[i]![0] || bytes?.equals(value) !== true,
      )
      expect(wrong).toBe(-1)
    }
  })

  it('gives chunks that can be handed over: each owns its memory', async () => {
    const rows = Array.from({ length: 100 }, () => [new Uint8Array(10_000)])
    const chunks = await chunksOf([{ name: 'a', type: BYTEA }], rows)
    expect(chunks.length).toBeGreaterThan(2)
    expect(new Set(chunks.map(({ buffer }) => buffer)).size).toBe(chunks.length)
    for (const chunk of chunks) expect(chunk.buffer.byteLength).toBeGreaterThan(50_000)
  })

  it('lets others go on while it encodes many', async () => {
    const turns = new Turns()
    const rows = Array.from({ length: 5_000 }, () => [1])
    const chunks = await chunksOf([{ name: 'a', type: INT2 }], rows)
    turns.stop()
    expect(decode(Buffer.concat(chunks)).length).toBe(5_000)
    expect(turns.count).toBeGreaterThanOrEqual(9)
  })

  it('refuses types it has no form for', async () => {
    await expect(encode([1184], [])).rejects.toThrow('column c0: no binary form for type 1184')
  })
})
