import { beforeAll, describe, expect, it } from 'vitest'
import { decodeEntry, type Entry } from '@dslog/schema/entry'
import { nameFromText } from '@dslog/dnssec/name'
import { Internet } from '@dslog/testbed/internet'
import { Scribe } from '@dslog/testbed/lyinglog'
import { installNodeCrypto } from '@dslog/service/crypto'
import { STORIES } from '@dslog/testbed/stories'
import type { ProvenEntry } from '@dslog/verify/verify'
import { entryLines, entryObject, historyLines } from '@dslog/verify/describe'

installNodeCrypto()

/** Of a name whose DS is added, replaced out of order and removed, and of all around it. */
const entries: ProvenEntry[] = []
const of = (type: Entry['type']) => entries.filter(({ entry }) => entry.type === type)

beforeAll(async () => {
  const net = new Internet()
  net.addZone('fi.')
  const scribe = new Scribe({ anchors: net.anchors, now: net.clock.now })
  const owner = nameFromText('example.fi.')
  await scribe.mapHead()
  for (const story of [STORIES.backdated, STORIES.insecure]) {
    for (const _ of story(net, owner)) await scribe.observe(owner, net.evidence(owner))
  }
  await scribe.mapHead()
  scribe.slip(Uint8Array.of(1, 99, 1, 2, 3))
  for (const [index, bytes] of scribe.entries.entries()) {
    entries.push({ index, entry: decodeEntry(bytes), inception: 1_700_000_000 })
  }
})

describe('a time that no Date can hold', () => {
  it('is told all the same', () => {
    for (const { entry, index } of entries) {
      if (entry.type === 'unknown') continue
      const [line] = entryLines({ index, entry: { ...entry, time: Number.MAX_SAFE_INTEGER } })
      expect(line).toMatch(/^9007199254740991 ms after 1970 {2}entry \d+/)
    }
  })
})

describe('entries for programs', () => {
  it('of a DS', () => {
    const [{ index }] = of('ds') as [ProvenEntry]
    expect(entryObject(of('ds')[0]!)).toEqual({
      index,
      type: 'ds',
      time: expect.any(Number),
      name: 'example.fi.',
      zone: 'fi.',
      present: true,
      ds: [expect.stringMatching(/^\d+ 13 2 [0-9A-F]{64}$/)],
      out_of_order: false,
      historical: false,
      inception: 1_700_000_000,
    })
  })

  it('of a proven absence', () => {
    expect(entryObject(of('no-ds')[0]!)).toMatchObject({ type: 'no-ds', present: false, ds: [] })
  })

  it('of keys, under an anchor and under a parent', () => {
    const keys = of('zone-keys').map(entryObject)
    expect(keys).toContainEqual(
      expect.objectContaining({ zone: '.', parent: null, anchor: expect.any(Number) }),
    )
    expect(keys).toContainEqual(
      expect.objectContaining({
        zone: 'fi.',
        parent: '.',
        anchor: null,
        keys: [expect.any(Number), expect.any(Number)],
      }),
    )
  })

  it('of a MAP_HEAD', () => {
    expect(entryObject(of('map-head')[0]!)).toMatchObject({
      index: 0,
      covers: 0,
      key_count: 0,
      map_root: '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=',
    })
  })

  it('of what is not known', () => {
    expect(entryObject(of('unknown')[0]!)).toMatchObject({ type: 'unknown', raw: 'AWMBAgM=' })
  })
})

describe('entries for people', () => {
  it('say what they are', () => {
    const lines = entries.map((entry) => entryLines(entry).join('\n'))
    const said = (pattern: RegExp) => lines.filter((line) => pattern.test(line)).length
    expect(said(/example\.fi\. has these DS records; signed by fi\.[^\n]*\n {6}\d+ 13 2 /)).toBe(
      of('ds').length,
    )
    expect(said(/example\.fi\. no DS, proven absent \(nsec match\); signed by fi\.$/)).toBe(
      of('no-ds').length,
    )
    expect(said(/the keys of fi\. are \d+, \d+; vouched for by \./)).toBeGreaterThan(0)
    expect(said(/the keys of \. are \d+, \d+; vouched for by the trust anchor \d+/)).toBe(1)
    expect(said(/MAP_HEAD, the root of a name map of 0 keys/)).toBe(1)
    expect(said(/of a type that this version does not know/)).toBe(1)
    expect(lines[1]).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ {2}entry 1: /)
  })

  it('of a history say what came and what went', () => {
    const history = entries.filter(({ entry }) => entry.type === 'ds' || entry.type === 'no-ds')
    const lines = historyLines(history)
    expect(lines.map((line) => line.replace(/^.*entry \d+: | [0-9A-F]{64}$/g, ''))).toMatchObject([
      'example.fi. DS added; signed by fi.',
      expect.stringMatching(/^ {4}\+ \d+ 13 2$/),
      'example.fi. DS replaced; signed by fi., out of order: signed before the state in force',
      expect.stringMatching(/^ {4}- /),
      expect.stringMatching(/^ {4}\+ /),
      'example.fi. no DS, proven absent (nsec match); signed by fi.',
      expect.stringMatching(/^ {4}- /),
      'example.fi. DS added; signed by fi.',
      expect.stringMatching(/^ {4}\+ /),
    ])
    // What was never in force is not what the next entry replaces.
    expect(lines[6]!.slice(6)).toBe(lines[1]!.slice(6))
  })
})
