import { expect, test } from 'vitest'
import { counted } from '../src/counted.ts'

test.each([
  [0, '0 entries'],
  [1, '1 entry'],
  [2, '2 entries'],
  [12_345, '12,345 entries'],
  [Number.MAX_SAFE_INTEGER, '9,007,199,254,740,991 entries'],
])('%d is "%s"', (count, text) => {
  expect(counted(count, 'entry', 'entries')).toBe(text)
})

test('most words take an s', () => {
  expect([counted(1, 'key'), counted(2, 'key')]).toEqual(['1 key', '2 keys'])
})
