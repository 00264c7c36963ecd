import { describe, expect, test } from 'vitest'
import { u64be } from '@dslog/tlog/bytes'
import { type Hash, sha256 } from '@dslog/tlog/hash'
import { KeyFilter } from '../src/keyfilter.ts'

const COUNT = 100_000

function key(i: number): Hash {
  return sha256(u64be(i))
}

describe('a filter of keys', () => {
  test('knows all that were added, and hardly any other', () => {
    const filter = new KeyFilter()
    for (let i = 0; i < COUNT; i++) filter.add(key(i))
    let known = 0
    let mistaken = 0
    for (let i = 0; i < COUNT; i++) {
      if (filter.mayHave(key(i))) known++
      if (filter.mayHave(key(COUNT + i))) mistaken++
    }
    expect(known).toBe(COUNT)
    expect(mistaken).toBeLessThan(COUNT / 1000)
  })
})
