import { describe, expect, test } from 'vitest'
import { nameFromText, nameFromWire, ROOT } from '@dslog/dnssec/name'
import { ZoneList } from '../src/zones.ts'

describe('zones whose signatures are admitted', () => {
  const list = new ZoneList()

  test.each([
    ['com.', 'a top-level domain'],
    ['example.', 'one nobody knows'],
    ['xn--p1ai.', 'one in another script'],
    ['co.uk.', 'a public suffix'],
    ['pvt.k12.ma.us.', 'a long one'],
    ['xn--55qx5d.cn.', 'one in another script'],
    ['anything.ck.', 'one by a wildcard rule'],
    // A name of one label is a top-level domain, whatever is in it.
    ['co\\.uk.', 'a dot inside a label is no dot'],
  ])('%s %s', (zone) => {
    expect(list.admits(nameFromText(zone))).toBe(true)
  })

  test('the root', () => {
    expect(list.admits(ROOT)).toBe(true)
  })

  test.each([
    ['example.com.', 'anybody’s domain'],
    ['example.co.uk.', 'below a public suffix'],
    ['www.ck.', 'an exception of a wildcard rule'],
    ['github.io.', 'a private suffix'],
    ['s3.amazonaws.com.', 'a private suffix'],
    ['a.example.', 'below a top-level domain that nobody knows'],
    ['4.3.2.1.in-addr.arpa.', 'far below a suffix'],
    ['1.2.3.4.', 'an address'],
    ['co_uk.uk.', 'no host name'],
    ['a\\.b.com.', 'a dot inside a label is no dot'],
    ['*.uk.', 'a wildcard'],
    ['co\\000.uk.', 'no host name'],
  ])('not %s: %s', (zone) => {
    expect(list.admits(nameFromText(zone))).toBe(false)
  })

  test('no name is too strange for an answer', () => {
    for (let byte = 0; byte < 256; byte++) {
      const zone = nameFromWire(Uint8Array.of(2, byte, byte, 3, 0x63, 0x6f, 0x6d, 0))
      expect(list.admits(zone)).toBe(false)
    }
    const long = Array.from({ length: 127 }, () => 'a').join('.')
    expect(list.admits(nameFromText(`${long}.`))).toBe(false)
  })

  test('what the operator adds, and nothing beside it', () => {
    const added = new ZoneList(['example.com.', '_x.example.'].map((text) => nameFromText(text)))
    for (const zone of ['example.com.', 'EXAMPLE.com.', '_x.example.', 'com.']) {
      expect(added.admits(nameFromText(zone))).toBe(true)
    }
    for (const zone of ['www.example.com.', 'example.net.', 'x.example.']) {
      expect(added.admits(nameFromText(zone))).toBe(false)
    }
    expect(added.describe()).toEqual([...list.describe(), 'example.com.', '_x.example.'])
  })
})
