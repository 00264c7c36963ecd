import fc from 'fast-check'
import { expect, test } from 'vitest'
import { concat } from '@dslog/tlog/bytes'
import { DnssecError } from '../src/error.ts'
import { nameFromText } from '../src/name.ts'
import { encodeRecord, parseRecord } from '../src/wire.ts'

const record = {
  owner: nameFromText('example.org.'),
  type: 43,
  class: 1,
  ttl: 86_400,
  rdata: Uint8Array.of(1, 2, 3, 4),
}

function codeOf(bytes: Uint8Array): string {
  try {
    parseRecord(bytes)
    return 'accepted'
  } catch (error) {
    if (error instanceof DnssecError) return error.code
    throw error
  }
}

test('a record comes back as it was', () => {
  expect(parseRecord(encodeRecord(record))).toEqual(record)
  const empty = { ...record, rdata: new Uint8Array(0) }
  expect(parseRecord(encodeRecord(empty))).toEqual(empty)
})

test('the bytes are those of RFC 1035', () => {
  const head = [0, 43, 0, 1, 0, 1, 0x51, 0x80, 0, 4, 1, 2, 3, 4]
  expect(encodeRecord(record)).toEqual(concat(record.owner, Uint8Array.from(head)))
})

test('every proper prefix and every trailing byte is refused', () => {
  const bytes = encodeRecord(record)
  for (let n = 0; n < bytes.length; n++) expect(codeOf(bytes.subarray(0, n))).not.toBe('accepted')
  expect(codeOf(concat(bytes, Uint8Array.of(0)))).toBe('bad-record')
})

test('a compressed owner is refused', () => {
  expect(codeOf(concat(Uint8Array.of(0xc0, 0), encodeRecord(record)))).not.toBe('accepted')
})

test('arbitrary bytes never throw anything but DnssecError', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      expect(typeof codeOf(bytes)).toBe('string')
    }),
  )
})
