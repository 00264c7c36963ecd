/** Which keys a log vouches for at a time (admission rule 2) and which it logs (rule 5). */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { utf8 } from '@dslog/tlog/bytes'
import { type Hash, sha256 } from '@dslog/tlog/hash'
import { type Anchor, ROOT_ANCHORS } from '@dslog/dnssec/anchors'
import { type Name, nameFromText } from '@dslog/dnssec/name'
import type { AnchorLink, ParentLink } from '@dslog/schema/entry'
import { DAY, HOUR } from '@dslog/schema/time'
import {
  anchorOf,
  type Chain,
  chainAbove,
  chainAt,
  chainFrom,
  intersect,
  keysAreNew,
  type KeysLookup,
  REFRESH_BEFORE_MS,
  type Window,
  type ZoneKeys,
} from '@dslog/verify/keys'
import { TIMES } from '../nightly.ts'

const DIGEST = sha256(utf8('anchor'))
const ANCHOR: Anchor = { tag: 1, algorithm: 15, digestType: 2, digest: DIGEST, from: -Infinity }
const ANCHOR_LINK: AnchorLink = { tag: 1, digest: DIGEST }
const NOTHING = new Uint8Array(0)

/** The identity of a key set that has only a name. */
function idOf(set: string): Hash {
  return sha256(utf8(`keys ${set}`))
}

/** The zone of a key set such as `fi 2`; that of the root is `. 1`. */
function zoneOf(set: string): Name {
  return nameFromText(set.split(' ')[0]!)
}

function linkTo(set: string, ds = 1): ParentLink {
  return { zone: zoneOf(set), keysId: idOf(set), ds: [Uint8Array.of(0, ds)], rrsig: NOTHING }
}

interface Made {
  readonly index: number
  readonly set: string
  /** From and to, in days. */
  readonly valid: readonly [number, number]
  /** Key set of the parent; the anchor if left out. */
  readonly under?: string
  readonly ds?: number
  readonly anchor?: AnchorLink
}

/** An entry of which only those fields count that chains are made of. */
function made({
  anchor = ANCHOR_LINK,
  ds = 1,
  index,
  set,
  under,
  valid: [from, to],
}: Made): ZoneKeys {
  return {
    index,
    keysId: idOf(set),
    notBefore: from * DAY,
    notAfter: to * DAY,
    entry: {
      type: 'zone-keys',
      time: from * DAY,
      historical: false,
      zone: zoneOf(set),
      keys: [NOTHING],
      rrsig: NOTHING,
      link: under === undefined ? anchor : linkTo(under, ds),
    },
  }
}

function logOf(...entries: readonly Made[]): KeysLookup {
  const keys = entries.map(made).sort((a, b) => b.index - a.index)
  return async (id) => keys.filter((each) => each.keysId.join() === id.join())
}

async function indices(chain: Promise<Chain | undefined>): Promise<number[] | undefined> {
  return (await chain)?.links.map(({ index }) => index)
}

const at = (set: string, time: number, lookup: KeysLookup, anchors: readonly Anchor[] = [ANCHOR]) =>
  indices(chainAt(idOf(set), time * DAY, lookup, anchors))

describe('a chain at a time', () => {
  test('goes from the nearest key set up to the root', async () => {
    const lookup = logOf(
      { index: 1, set: '. 1', valid: [0, 20] },
      { index: 2, set: 'uk 1', valid: [1, 12], under: '. 1' },
      { index: 3, set: 'co.uk 1', valid: [2, 10], under: 'uk 1' },
    )
    expect(await at('co.uk 1', 5, lookup)).toEqual([3, 2, 1])
    const chain = await chainAt(idOf('co.uk 1'), 5 * DAY, lookup, [ANCHOR])
    expect(chain).toMatchObject({ notBefore: 2 * DAY, notAfter: 10 * DAY })
    expect(await at('uk 1', 11, lookup)).toEqual([2, 1])
    expect(await at('. 1', 15, lookup)).toEqual([1])
  })

  test('holds from its first to its last millisecond', async () => {
    const lookup = logOf(
      { index: 1, set: '. 1', valid: [0, 10] },
      { index: 2, set: 'fi 1', valid: [3, 20], under: '. 1' },
    )
    const over = (ms: number) => indices(chainAt(idOf('fi 1'), ms, lookup, [ANCHOR]))
    expect(await over(3 * DAY - 1)).toBeUndefined()
    expect(await over(3 * DAY)).toEqual([2, 1])
    expect(await over(10 * DAY)).toEqual([2, 1])
    expect(await over(10 * DAY + 1)).toBeUndefined()
  })

  test('takes the newest entry of a key set that is valid then', async () => {
    const lookup = logOf(
      { index: 1, set: '. 1', valid: [0, 40] },
      { index: 2, set: 'fi 1', valid: [0, 10], under: '. 1' },
      { index: 3, set: 'fi 1', valid: [5, 15], under: '. 1' },
      { index: 4, set: 'fi 1', valid: [12, 30], under: '. 1' },
    )
    expect(await at('fi 1', 4, lookup)).toEqual([2, 1])
    expect(await at('fi 1', 7, lookup)).toEqual([3, 1])
    expect(await at('fi 1', 13, lookup)).toEqual([4, 1])
    expect(await at('fi 1', 31, lookup)).toBeUndefined()
  })

  test('passes over a newer entry whose parent is not valid then', async () => {
    const lookup = logOf(
      { index: 1, set: '. 1', valid: [0, 40] },
      { index: 2, set: '. 2', valid: [0, 5] },
      { index: 3, set: 'fi 1', valid: [0, 30], under: '. 1' },
      { index: 4, set: 'fi 1', valid: [0, 30], under: '. 2' },
    )
    expect(await at('fi 1', 4, lookup)).toEqual([4, 2])
    expect(await at('fi 1', 6, lookup)).toEqual([3, 1])
  })

  test('hangs from a parent that was refreshed after it', async () => {
    const lookup = logOf(
      { index: 1, set: '. 1', valid: [0, 10] },
      { index: 2, set: 'fi 1', valid: [0, 30], under: '. 1' },
      { index: 3, set: '. 1', valid: [8, 20] },
    )
    expect(await at('fi 1', 5, lookup)).toEqual([2, 1])
    expect(await at('fi 1', 9, lookup)).toEqual([2, 3])
    expect(await at('fi 1', 19, lookup)).toEqual([2, 3])
  })

  test('does not hang from other keys of the parent', async () => {
    const lookup = logOf(
      { index: 1, set: '. 1', valid: [0, 10] },
      { index: 2, set: 'fi 1', valid: [0, 30], under: '. 1' },
      { index: 3, set: '. 2', valid: [8, 40] },
    )
    expect(await at('fi 1', 20, lookup)).toBeUndefined()
  })

  test('needs an anchor of that tag and digest', async () => {
    const lookup = logOf({ index: 1, set: '. 1', valid: [0, 10] })
    expect(await at('. 1', 5, lookup, [])).toBeUndefined()
    expect(await at('. 1', 5, lookup, [{ ...ANCHOR, tag: 2 }])).toBeUndefined()
    expect(await at('. 1', 5, lookup, [{ ...ANCHOR, digest: idOf('other') }])).toBeUndefined()
    expect(await at('. 1', 5, lookup, [{ ...ANCHOR, tag: 2 }, ANCHOR])).toEqual([1])
  })

  test('ends where its anchor does, and begins where it does', async () => {
    const lookup = logOf({ index: 1, set: '. 1', valid: [0, 30] })
    const anchors = [{ ...ANCHOR, from: 10 * DAY, until: 20 * DAY }]
    const over = (ms: number) => chainAt(idOf('. 1'), ms, lookup, anchors)
    expect(await over(10 * DAY - 1)).toBeUndefined()
    expect(await over(10 * DAY)).toMatchObject({ notBefore: 10 * DAY, notAfter: 20 * DAY - 1 })
    expect(await over(20 * DAY - 1)).toBeDefined()
    expect(await over(20 * DAY)).toBeUndefined()
  })

  test('is not found for keys that were never logged', async () => {
    expect(await at('fi 1', 5, logOf({ index: 1, set: '. 1', valid: [0, 30] }))).toBeUndefined()
  })

  test('above a link is that of the parent, and nothing but a span above the root', async () => {
    const lookup = logOf({ index: 1, set: '. 1', valid: [0, 30] })
    const above = chainAbove(linkTo('. 1'), 5 * DAY, lookup, [ANCHOR])
    expect(await indices(above)).toEqual([1])
    const root = await chainAbove(ANCHOR_LINK, 5 * DAY, lookup, [{ ...ANCHOR, from: 0 }])
    expect(root).toEqual({ notBefore: 0, notAfter: Number.MAX_SAFE_INTEGER, links: [] })
  })
})

describe('a lookup that lies, as a proof file may', () => {
  test('keys of another zone than the link names are not followed', async () => {
    const lookup = logOf(
      { index: 1, set: '. 1', valid: [0, 10] },
      { index: 2, set: 'com 1', valid: [0, 10], under: '. 1' },
      { index: 3, set: 'a.b 1', valid: [0, 10], under: '. 1' },
    )
    const link = { ...linkTo('com 1'), zone: nameFromText('b') }
    const keys = made({ index: 4, set: 'a.b 1', valid: [0, 10] })
    const odd = { ...keys, entry: { ...keys.entry, link } }
    expect(await chainFrom(odd, 5 * DAY, lookup, [ANCHOR])).toBeUndefined()
  })

  test('keys that hang from themselves, or in a circle, hang from nothing', async () => {
    const circle = (set: string, under: string, zone: string): ZoneKeys => {
      const keys = made({ index: 1, set, valid: [0, 10] })
      const link = { ...linkTo(under), zone: nameFromText(zone) }
      return { ...keys, entry: { ...keys.entry, link } }
    }
    const self = circle('a.b 1', 'a.b 1', 'b')
    expect(await chainFrom(self, DAY, async () => [self], [ANCHOR])).toBeUndefined()
    const first = circle('a.b 1', 'c.b 1', 'b')
    const second = circle('c.b 1', 'a.b 1', 'b')
    const lookup: KeysLookup = async (id) =>
      [first, second].filter((keys) => keys.keysId.join() === id.join())
    expect(await chainFrom(first, DAY, lookup, [ANCHOR])).toBeUndefined()
  })

  test('many entries for each of many zones are looked at once each', async () => {
    const names = Array.from({ length: 60 }, (_, i) => `${'a.'.repeat(i)}a 1`)
    const entries = names.flatMap((set, i): Made[] => {
      const under = i === 0 ? '. 1' : names[i - 1]!
      return [0, 1, 2].map((n) => ({ index: 3 * i + n + 2, set, under, valid: [0, 10] }))
    })
    let asked = 0
    const lookup = logOf({ index: 1, set: '. 1', valid: [0, 1] }, ...entries)
    const counted: KeysLookup = (id) => {
      asked++
      return lookup(id)
    }
    expect(await at(names.at(-1)!, 5, counted)).toBeUndefined()
    expect(asked).toBeLessThan(4 * names.length)
  })
})

describe("the root's anchors", () => {
  const [a19036, a20326, a38696] = ROOT_ANCHORS
  const midnight = (date: string) => Date.parse(`${date}T00:00:00Z`)
  const inForce = (time: number) =>
    ROOT_ANCHORS.filter((anchor) => anchorOf(anchor, ROOT_ANCHORS, time)).map(({ tag }) => tag)

  test('19036 counts from 2010-07-15 until 2019-01-11', () => {
    expect(a19036).toMatchObject({ tag: 19036 })
    expect(inForce(midnight('2010-07-15') - 1)).toEqual([])
    expect(inForce(midnight('2010-07-15'))).toEqual([19036])
    expect(inForce(midnight('2019-01-11') - 1)).toEqual([19036, 20326])
    expect(inForce(midnight('2019-01-11'))).toEqual([20326])
  })

  test('20326 counts from 2017-02-02, 38696 from 2024-07-18', () => {
    expect([a20326?.tag, a38696?.tag]).toEqual([20326, 38696])
    expect(inForce(midnight('2017-02-02') - 1)).toEqual([19036])
    expect(inForce(midnight('2017-02-02'))).toEqual([19036, 20326])
    expect(inForce(midnight('2024-07-18') - 1)).toEqual([20326])
    expect(inForce(midnight('2024-07-18'))).toEqual([20326, 38696])
    expect(inForce(midnight('2100-01-01'))).toEqual([20326, 38696])
  })

  test('a chain under 19036 ends with it, whatever the signatures say', async () => {
    const end = midnight('2019-01-11')
    const { digest, tag } = a19036!
    const keys = {
      ...made({ index: 1, set: '. 1', valid: [0, 0], anchor: { tag, digest } }),
      notBefore: end - 10 * DAY,
      notAfter: end + 10 * DAY,
    }
    const lookup: KeysLookup = async () => [keys]
    const chain = (ms: number) => chainAt(keys.keysId, ms, lookup, ROOT_ANCHORS)
    expect(await chain(end - 1)).toMatchObject({ notAfter: end - 1 })
    expect(await chain(end)).toBeUndefined()
  })

  test('an anchor is looked up by tag and digest', () => {
    const time = midnight('2020-01-01')
    const swapped = { tag: a20326!.tag, digest: a38696!.digest }
    expect(anchorOf(swapped, ROOT_ANCHORS, time)).toBeUndefined()
    expect(anchorOf(a20326!, ROOT_ANCHORS, time)).toBe(a20326)
  })
})

describe('whether observed keys are logged', () => {
  const span = (from: number, to: number): Window => ({ notBefore: from * DAY, notAfter: to * DAY })
  const ROOT: Made = { index: 1, set: '. 1', valid: [-1000, 1000] }
  const isNew = (
    window: Window,
    now: number,
    logged: readonly Made[],
    link: ParentLink | AnchorLink = linkTo('. 1'),
  ) => keysAreNew(idOf('fi 1'), link, window, now * DAY, logOf(ROOT, ...logged), [ANCHOR])
  const fi = (index: number, from: number, to: number, more: Partial<Made> = {}): Made => {
    return { index, set: 'fi 1', valid: [from, to], under: '. 1', ...more }
  }

  test('a set never seen is', async () => {
    expect(await isNew(span(0, 14), 1, [])).toBe(true)
  })

  test('one that was logged, and outlives the next 48 hours, is not', async () => {
    expect(await isNew(span(7, 21), 7, [fi(2, 0, 14)])).toBe(false)
    expect(await isNew(span(11, 25), 11.9, [fi(2, 0, 14)])).toBe(false)
  })

  test('one that expires within 48 hours is, if that buys half a validity', async () => {
    const edge = 14 - REFRESH_BEFORE_MS / DAY
    expect(await isNew(span(11, 25), edge - 1e-6, [fi(2, 0, 14)])).toBe(false)
    expect(await isNew(span(11, 25), edge, [fi(2, 0, 14)])).toBe(true)
    // 14 days of validity: the new end has to be 7 days after the old one.
    expect(await isNew(span(7, 21), 13, [fi(2, 0, 14)])).toBe(true)
    expect(await isNew(span(6.999, 20.999), 13, [fi(2, 0, 14)])).toBe(false)
  })

  test('of short validities a quarter has to be left, not 48 hours', async () => {
    expect(await isNew(span(0.25, 1.25), 0.7, [fi(2, 0, 1)])).toBe(false)
    // A quarter of a day before its end, but the gain of a quarter is too small…
    expect(await isNew(span(0.25, 1.25), 0.76, [fi(2, 0, 1)])).toBe(false)
    // …and one of half a day is enough.
    expect(await isNew(span(0.5, 1.5), 0.74, [fi(2, 0, 1)])).toBe(false)
    expect(await isNew(span(0.5, 1.5), 0.75, [fi(2, 0, 1)])).toBe(true)
    expect(await isNew(span(0.5, 1.5), 0.9, [fi(2, 0, 1)])).toBe(true)
  })

  test('where no logged entry is valid now, it is, whatever it buys', async () => {
    expect(await isNew(span(13, 14.1), 14.05, [fi(2, 0, 14)])).toBe(true)
    expect(await isNew(span(-5, 3), -4, [fi(2, 0, 14)])).toBe(true)
  })

  test('an entry whose parent is no longer valid does not count', async () => {
    const old: Made = { index: 2, set: '. 0', valid: [-10, 3] }
    const logged = [old, fi(3, 0, 14, { under: '. 0' })]
    expect(await isNew(span(0, 14), 0.5, logged)).toBe(false)
    expect(await isNew(span(0, 14), 3.1, logged)).toBe(true)
  })

  test('nor does one that has another DS set at its parent', async () => {
    const other = fi(2, 0, 14, { ds: 7 })
    expect(await isNew(span(0, 14), 1, [other])).toBe(true)
    expect(await isNew(span(0, 14), 1, [other], linkTo('. 1', 7))).toBe(false)
    const both = { ...linkTo('. 1'), ds: [Uint8Array.of(0, 1), Uint8Array.of(0, 7)] }
    expect(await isNew(span(0, 14), 1, [other, fi(3, 0, 14)], both)).toBe(true)
  })

  test('but one under other keys of the parent does, if they are valid', async () => {
    const other: Made = { index: 2, set: '. 2', valid: [-10, 100] }
    expect(await isNew(span(0, 14), 1, [other, fi(3, 0, 14, { under: '. 2' })])).toBe(false)
  })

  test('for the root the anchor is what it hangs from', async () => {
    const second: Anchor = { ...ANCHOR, tag: 2, digest: idOf('second') }
    const roots = (link: AnchorLink) =>
      keysAreNew(idOf('. 1'), link, span(0, 14), DAY, logOf(ROOT), [ANCHOR, second])
    expect(await roots(ANCHOR_LINK)).toBe(false)
    expect(await roots({ tag: 2, digest: second.digest })).toBe(true)
    expect(await roots({ tag: 2, digest: DIGEST })).toBe(true)
  })

  test('an expiry is that of the whole chain, also of what is logged', async () => {
    const root = { ...ROOT, valid: [-10, 5] as const }
    const now = 4 * DAY
    const link = linkTo('. 1')
    const before = logOf(root, fi(2, 0, 14))
    // The parent is what expires: new keys under it buy nothing.
    const whole = intersect(span(3, 17), span(-10, 5))
    expect(await keysAreNew(idOf('fi 1'), link, whole, now, before, [ANCHOR])).toBe(false)
    // Once the parent is refreshed, what is logged outlives the present again.
    const after = logOf(root, fi(2, 0, 14), { index: 3, set: '. 1', valid: [3, 17] })
    expect(await keysAreNew(idOf('fi 1'), link, span(3, 17), now, after, [ANCHOR])).toBe(false)
  })
})

describe('whatever is logged', () => {
  const SETS = ['. 1', '. 2', 'fi 1', 'fi 2', 'x.fi 1', 'x.fi 2']
  const entry = fc
    .record({
      set: fc.constantFrom(...SETS),
      under: fc.constantFrom('. 1', '. 2', 'fi 1', 'fi 2'),
      from: fc.integer({ min: 0, max: 30 }),
      length: fc.nat(20),
      ds: fc.integer({ min: 1, max: 2 }),
    })
    .map(({ ds, from, length, set, under }) => {
      // Times are whole seconds and both ends count, so no window is empty.
      const valid = [from, from + length + 0.5] as const
      const isBelow = zoneOf(set).length > zoneOf(under).length
      if (zoneOf(set).length === 1) return { set, valid, ds }
      return { set, valid, ds, under: isBelow ? under : '. 1' }
    })
  const log = fc
    .array(entry, { maxLength: 25 })
    .map((list) => list.map((each, i): Made => ({ ...each, index: i + 1 })))

  /** The definition, entry by entry: the newest of those that are valid and hang from a chain. */
  function reference(entries: readonly Made[], set: string, time: number): number[] | undefined {
    for (const { index, set: own, under, valid } of entries.toReversed()) {
      if (own !== set || time < valid[0] || time > valid[1]) continue
      const above = under === undefined ? [] : reference(entries, under, time)
      if (above !== undefined) return [index, ...above]
    }
    return undefined
  }

  test('chains are those of the definition', async () => {
    await fc.assert(
      fc.asyncProperty(log, fc.constantFrom(...SETS), fc.nat(50), async (entries, set, time) => {
        const found = await at(set, time, logOf(...entries))
        expect(found).toEqual(reference(entries, set, time))
      }),
      { numRuns: 300 * TIMES },
    )
  })

  test('a chain is valid at its time and links are of the parents they name', async () => {
    await fc.assert(
      fc.asyncProperty(log, fc.constantFrom(...SETS), fc.nat(50), async (entries, set, time) => {
        const chain = await chainAt(idOf(set), time * DAY, logOf(...entries), [ANCHOR])
        if (chain === undefined) return
        expect(chain.notBefore).toBeLessThanOrEqual(time * DAY)
        expect(chain.notAfter).toBeGreaterThanOrEqual(time * DAY)
        for (const [i, { entry, notAfter, notBefore }] of chain.links.entries()) {
          expect(notBefore).toBeLessThanOrEqual(chain.notBefore)
          expect(notAfter).toBeGreaterThanOrEqual(chain.notAfter)
          const above = chain.links[i + 1]
          if (above === undefined) expect(entry.link).toEqual(ANCHOR_LINK)
          else expect((entry.link as ParentLink).keysId).toEqual(above.keysId)
        }
      }),
      { numRuns: 200 * TIMES },
    )
  })

  test('keys just logged are not logged again', async () => {
    await fc.assert(
      fc.asyncProperty(log, entry, fc.nat(20), async (entries, seen, into) => {
        const next = { ...seen, index: entries.length + 1 }
        const keys = made(next)
        const time = Math.min(keys.notBefore + into * DAY, keys.notAfter)
        const decide = async (logged: readonly Made[]) => {
          const lookup = logOf(...logged)
          const above = await chainAbove(keys.entry.link, time, lookup, [ANCHOR])
          if (above === undefined) return undefined
          const whole = intersect(keys, above)
          return keysAreNew(keys.keysId, keys.entry.link, whole, time, lookup, [ANCHOR])
        }
        if ((await decide(entries)) === true) expect(await decide([...entries, next])).toBe(false)
      }),
      { numRuns: 300 * TIMES },
    )
  })

  test('a zone that signs in time is vouched for without a gap, by few entries', async () => {
    const habits = fc.record({
      /** Hours that signatures are valid, from their making. */
      validity: fc.integer({ min: 6, max: 24 * 40 }),
      /** Part of that after which new ones are made. */
      renewed: fc.double({ min: 0.05, max: 0.8, noNaN: true }),
      /** Hours that they are dated back. */
      back: fc.integer({ min: 0, max: 3 }),
    })
    await fc.assert(
      fc.asyncProperty(habits, habits, async (root, child) => {
        const newest = ({ back, renewed, validity }: typeof root, hour: number): Window => {
          const every = Math.max(1, Math.floor(validity * renewed))
          const signed = hour - (hour % every)
          return { notBefore: (signed - back) * HOUR, notAfter: (signed + validity) * HOUR }
        }
        const logged: ZoneKeys[] = []
        const rootId = idOf('. 1').join()
        const lookup: KeysLookup = async (id) => {
          const isRoot = id.join() === rootId
          return logged.filter(({ entry }) => (entry.zone.length === 1) === isRoot).toReversed()
        }
        const END = 24 * 30
        for (let hour = 0; hour < END; hour += 4) {
          for (const [set, habit] of [
            ['. 1', root],
            ['fi 1', child],
          ] as const) {
            const link = set === '. 1' ? ANCHOR_LINK : linkTo('. 1')
            const window = newest(habit, hour)
            const above = await chainAbove(link, hour * HOUR, lookup, [ANCHOR])
            const whole = intersect(window, above!)
            const keysId = idOf(set)
            if (await keysAreNew(keysId, link, whole, hour * HOUR, lookup, [ANCHOR])) {
              const keys = made({ index: logged.length, set, valid: [0, 0] })
              logged.push({ ...keys, ...window, entry: { ...keys.entry, link } })
            }
          }
          expect(await chainAt(idOf('fi 1'), hour * HOUR, lookup, [ANCHOR])).toBeDefined()
        }
        // Each renewal buys a good part of the shorter validity of the two.
        const shortest = Math.min(root.validity, child.validity)
        expect(logged.length).toBeLessThanOrEqual(2 + 2 * Math.ceil((4 * END) / shortest))
      }),
      { numRuns: 20 * TIMES },
    )
  })
})
