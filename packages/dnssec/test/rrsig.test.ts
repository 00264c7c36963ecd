/** RRSIG verification: which signature counts, when, by which key, and how much is tried. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { concat } from '@dslog/tlog/bytes'
import type { SignatureBackend } from '../src/backend/backend.ts'
import { DnssecError } from '../src/error.ts'
import { nameFromText, nameToText, ROOT } from '../src/name.ts'
import { rdataFromText } from '../src/rdata.ts'
import { parseDnskey, parseRrsig, TYPE, type Dnskey } from '../src/records.ts'
import { rrset } from '../src/rrset.ts'
import {
  isUsableKey,
  isWeakKey,
  signedData,
  verifyRrset,
  verifyRrsetWithKeys,
  windowContains,
  windowOf,
  type RrsetQuestion,
} from '../src/rrsig.ts'
import { BACKENDS } from './backends.ts'
import { codeOf } from './codes.ts'
import {
  AT,
  ecdsaKey,
  ed25519Key,
  ed448Key,
  NOW,
  rsaKey,
  signRRset,
  type SignOptions,
  type TestKey,
} from './sign.ts'

const ZONE = nameFromText('example.')
const OWNER = nameFromText('a.example.')
const KEY = ed25519Key()
const backend = BACKENDS[0]![1]
const SET = rrset(OWNER, TYPE.DS, [
  rdataFromText(TYPE.DS, `1 13 2 ${'ab'.repeat(32)}`),
  rdataFromText(TYPE.DS, `2 13 2 ${'cd'.repeat(32)}`),
])

const sign = (options: SignOptions = {}, key: TestKey = KEY) => signRRset(SET, key, ZONE, options)

function verify(rrsigs: readonly Uint8Array[], more: Partial<RrsetQuestion> = {}) {
  return verifyRrsetWithKeys({
    rrset: SET,
    rrsigs,
    keys: [KEY],
    zone: ZONE,
    at: AT,
    backend,
    ...more,
  })
}

/** A real backend that counts what it is asked. */
function counting(): { backend: SignatureBackend; asked(): number } {
  let asked = 0
  return {
    asked: () => asked,
    backend: {
      digest: (type, data) => backend.digest(type, data),
      verify: (...question) => {
        asked += 1
        return backend.verify(...question)
      },
    },
  }
}

describe.each(BACKENDS)('every algorithm, %s backend', (_, each) => {
  test('signs and verifies an RRset', async () => {
    const keys = [
      await rsaKey(5),
      await rsaKey(7),
      await rsaKey(8),
      await rsaKey(10),
      ecdsaKey(13),
      ecdsaKey(14),
      ed25519Key(),
      ed448Key(),
    ]
    for (const key of keys) {
      const rrsig = await sign({}, key)
      const verified = await verify([rrsig], { keys, backend: each })
      expect(verified).toMatchObject({ rrsig, expanded: false, inception: NOW - 3600 })
      expect(verified.key).toBe(key)
      expect(verified.weak).toBe(key.algorithm < 8)
    }
  })
})

describe('which signature counts', () => {
  test('the newest inception, whatever the order and however long it lasts', async () => {
    const ages = [500, 100, 300]
    const rrsigs = await Promise.all(
      ages.map((age) => sign({ inception: NOW - age, expiration: NOW + age })),
    )
    for (const order of [
      [0, 1, 2],
      [2, 1, 0],
      [1, 0, 2],
    ]) {
      const verified = await verify(order.map((i) => rrsigs[i]!))
      expect(verified).toMatchObject({ rrsig: rrsigs[1], inception: NOW - 100 })
    }
  })

  test('the first given among equals', async () => {
    const other = ecdsaKey(13)
    const rrsigs = [await sign(), await sign({}, other)]
    for (const given of [rrsigs, [...rrsigs].reverse()]) {
      expect((await verify(given, { keys: [KEY, other] })).rrsig).toEqual(given[0])
    }
  })

  test('a bad newer one does not hide a good older one', async () => {
    const good = await sign({ inception: NOW - 200 })
    const bad = await sign({ inception: NOW - 100 })
    const damaged = bad.with(-1, bad.at(-1)! ^ 1)
    expect((await verify([damaged, good])).rrsig).toEqual(good)
    expect(await codeOf(verify([damaged]))).toBe('bad-signature')
  })

  test('its signer is lower-cased, and its case is not signed', async () => {
    const upper = concat(Uint8Array.of(7), new TextEncoder().encode('EXAMPLE'), Uint8Array.of(0))
    const rrsig = await sign({ signer: upper })
    expect((await verify([rrsig])).rrsig).toEqual(await sign())
    expect(rrsig).not.toEqual(await sign())
  })

  test('what is malformed, foreign or about something else is skipped', async () => {
    const good = await sign()
    const junk = [
      new Uint8Array(),
      good.subarray(0, 17),
      good.subarray(0, 20),
      good.with(1, TYPE.NSEC),
      concat(good.subarray(0, 18), Uint8Array.of(0xc0, 0), good.subarray(27)),
      await signRRset(SET, KEY, ROOT),
      await signRRset(SET, KEY, OWNER),
    ]
    expect((await verify([...junk, good])).rrsig).toEqual(good)
    expect(await codeOf(verify(junk))).toBe('no-signature')
    expect(await codeOf(verify([]))).toBe('no-signature')
  })

  test('the owner is in the zone', async () => {
    for (const zone of ['b.example.', 'a.a.example.', 'xample.', 'org.']) {
      const name = nameFromText(zone)
      const rrsig = await signRRset(SET, KEY, name)
      expect(await codeOf(verify([rrsig], { zone: name }))).toBe('bad-owner')
    }
    expect(await codeOf(verify([await signRRset(SET, KEY, ROOT)], { zone: ROOT }))).toBe('accepted')
  })
})

describe('which key counts', () => {
  test('Zone flag, protocol 3, not revoked, a known algorithm', async () => {
    const cases: [number, number, boolean][] = [
      [256, 3, true],
      [257, 3, true],
      [0x8101, 3, true],
      [0, 3, false],
      [1, 3, false],
      [257 | 128, 3, false],
      [256 | 128, 3, false],
      [257, 0, false],
      [257, 255, false],
    ]
    for (const [flags, protocol, usable] of cases) {
      const key = ed25519Key({ flags, protocol })
      expect(isUsableKey(key)).toBe(usable)
      const rrsig = await sign({}, key)
      expect(await codeOf(verify([rrsig], { keys: [key] }))).toBe(
        usable ? 'accepted' : 'no-matching-key',
      )
      expect(await verifyRrset(SET, parseRrsig(rrsig), key, backend)).toBe(usable)
    }
    for (const algorithm of [0, 1, 3, 6, 12, 17, 23, 253, 254]) {
      const rdata = KEY.rdata.with(3, algorithm)
      expect(isUsableKey(parseDnskey(rdata))).toBe(false)
    }
  })

  test('tag and algorithm agree', async () => {
    const rrsig = await sign()
    const other = ed25519Key({ seed: 2 })
    expect(await codeOf(verify([rrsig], { keys: [other] }))).toBe('no-matching-key')
    expect(await codeOf(verify([rrsig], { keys: [] }))).toBe('no-matching-key')
    const posed: Dnskey = { ...other, tag: KEY.tag }
    expect(await codeOf(verify([rrsig], { keys: [posed] }))).toBe('bad-signature')
    expect((await verify([rrsig], { keys: [posed, KEY] })).key).toBe(KEY)
  })

  test('weak: SHA-1, and RSA below 1024 bits', async () => {
    const weak = await Promise.all([rsaKey(5), rsaKey(7), rsaKey(8, 512), rsaKey(10, 1016)])
    const strong = [await rsaKey(8), ecdsaKey(13), KEY, ed448Key()]
    expect(weak.map(isWeakKey)).toEqual([true, true, true, true])
    expect(strong.map(isWeakKey)).toEqual([false, false, false, false])
    const rrsig = await sign({}, weak[2])
    expect((await verify([rrsig], { keys: weak })).weak).toBe(true)
  })
})

describe('when it counts', () => {
  test('from inception to expiration, both seconds included', async () => {
    const rrsig = await sign({ inception: NOW - 10, expiration: NOW + 10 })
    const at = (seconds: number, ms = 0) =>
      codeOf(verify([rrsig], { at: AT + seconds * 1000 + ms }))
    expect(await at(-11, 999)).toBe('not-yet-valid')
    expect(await at(-10)).toBe('accepted')
    expect(await at(10)).toBe('accepted')
    expect(await at(10, 999)).toBe('accepted')
    expect(await at(11)).toBe('expired')
    expect(await at(-1_000_000)).toBe('not-yet-valid')
    expect(await at(1_000_000_000)).toBe('expired')
  })

  test('by serial arithmetic, before and after 2106', async () => {
    const turn = 2 ** 32
    const window = { inception: turn - 100, expiration: turn + 100 }
    const rrsig = await sign(window)
    expect(parseRrsig(rrsig)).toMatchObject({ inception: turn - 100, expiration: 100 })
    for (const [seconds, outcome] of [
      [turn - 101, 'not-yet-valid'],
      [turn - 100, 'accepted'],
      [turn, 'accepted'],
      [turn + 100, 'accepted'],
      [turn + 101, 'expired'],
    ] as const) {
      expect(await codeOf(verify([rrsig], { at: seconds * 1000 }))).toBe(outcome)
    }
    expect(await verify([rrsig], { at: (turn + 1) * 1000 })).toMatchObject(window)
  })

  test('a window that ends before it begins contains nothing', async () => {
    const around = await sign({ inception: NOW + 10, expiration: NOW - 10 })
    expect(await codeOf(verify([around]))).toBe('not-yet-valid')
    const past = await sign({ inception: NOW - 10, expiration: NOW - 20 })
    expect(await codeOf(verify([past]))).toBe('expired')
  })

  test('a window of 68 years, which serial arithmetic takes for an empty one, contains nothing', async () => {
    const half = 2 ** 31
    const now = 2 ** 32 + 1000
    const outcome = async (length: number, before: number) => {
      const window = { inception: now - before, expiration: now - before + length }
      return codeOf(verify([await sign(window)], { at: now * 1000 }))
    }
    for (const before of [0, 1, half - 101, half - 2]) {
      expect(await outcome(half - 1, before)).toBe('accepted')
      expect(await outcome(half, before)).toBe('expired')
    }
    // Now the inception is in the past; three seconds later it would be in the future.
    expect(await outcome(half + 100, half - 2)).toBe('expired')
  })

  test('the absolute window holds what the fields say, near any time', () => {
    const u32 = fc.nat(2 ** 32 - 1)
    fc.assert(
      fc.property(u32, u32, fc.integer({ min: 2 ** 31, max: 2 ** 34 }), (from, to, seconds) => {
        const window = windowOf({ inception: from, expiration: to }, seconds * 1000 + 999)
        expect(((window.inception % 2 ** 32) + 2 ** 32) % 2 ** 32).toBe(from)
        expect(((window.expiration % 2 ** 32) + 2 ** 32) % 2 ** 32).toBe(to)
        const ahead = (a: number, b: number) => ((b - a) >>> 0) % 2 ** 32 < 2 ** 31
        const now = seconds % 2 ** 32
        const inside = ahead(from, now) && ahead(now, to) && ahead(from, to)
        // Exactly half the circle away is neither before nor after (RFC 1982 §3.2).
        const half = (a: number) => ((a - seconds) >>> 0) % 2 ** 32 === 2 ** 31
        fc.pre(!half(from) && !half(to))
        expect(windowContains(window, seconds * 1000)).toBe(inside)
      }),
      { numRuns: 1000 },
    )
  })
})

describe('wildcards', () => {
  const foo = nameFromText('foo.bar.example.')

  test('an expansion verifies and is told', async () => {
    for (const [wildcard, labels] of [
      ['*.example.', 1],
      ['*.bar.example.', 2],
    ] as const) {
      const made = rrset(nameFromText(wildcard), TYPE.TXT, [Uint8Array.of(1, 0x61)])
      const rrsig = await signRRset(made, KEY, ZONE)
      expect(parseRrsig(rrsig).labels).toBe(labels)
      const expanded = { ...made, owner: foo }
      expect(await verify([rrsig], { rrset: expanded })).toMatchObject({ expanded: true })
      expect(await verify([rrsig], { rrset: made })).toMatchObject({ expanded: false })
      const beside = { ...made, owner: nameFromText('foo.example.') }
      expect(await codeOf(verify([rrsig], { rrset: beside }))).toBe(
        labels === 1 ? 'accepted' : 'bad-signature',
      )
    }
  })

  test('the wildcard of the root', async () => {
    const made = rrset(nameFromText('*.'), TYPE.TXT, [Uint8Array.of(1, 0x61)])
    const rrsig = await signRRset(made, KEY, ROOT)
    expect(await verify([rrsig], { rrset: { ...made, owner: foo }, zone: ROOT })).toMatchObject({
      expanded: true,
    })
  })

  test('more labels than the owner has', async () => {
    const rrsig = await sign({ labels: 3 })
    expect(await codeOf(verify([rrsig]))).toBe('bad-signature')
    expect(() => signedData(SET, parseRrsig(rrsig))).toThrow(
      expect.objectContaining({ code: 'bad-signature' }),
    )
    // The star of a wildcard is not counted.
    const star = rrset(nameFromText('*.example.'), TYPE.TXT, [Uint8Array.of(0)])
    const counted = await signRRset(star, KEY, ZONE, { labels: 2 })
    expect(await codeOf(verify([counted], { rrset: star }))).toBe('bad-signature')
  })
})

describe('how much is tried (KeyTrap)', () => {
  /** Keys with one tag: swapping 16-bit words of the public key does not change the sum. */
  function collisions(count: number): Dnskey[] {
    return Array.from({ length: count }, (_, i) => {
      const rdata = KEY.rdata.slice()
      const at = 4 + 2 * i
      const words = [rdata.slice(at, at + 2), rdata.slice(at + 2, at + 4)]
      rdata.set(words[1]!, at)
      rdata.set(words[0]!, at + 2)
      return parseDnskey(rdata)
    })
  }

  test('eight tries, and the answer may be the eighth', async () => {
    const traps = collisions(12)
    expect(new Set(traps.map((key) => key.tag))).toEqual(new Set([KEY.tag]))
    const rrsig = await sign()
    const seven = counting()
    const verified = await verify([rrsig], {
      keys: [...traps.slice(0, 7), KEY],
      backend: seven.backend,
    })
    expect(verified.key).toBe(KEY)
    expect(seven.asked()).toBe(8)
    const eight = counting()
    const keys = [...traps.slice(0, 8), KEY]
    expect(await codeOf(verify([rrsig], { keys, backend: eight.backend }))).toBe('too-many-tries')
    expect(eight.asked()).toBe(8)
  })

  test('many signatures times many keys are still eight', async () => {
    const rrsig = await sign()
    const forged = Array.from({ length: 50 }, (_, i) => rrsig.with(-1, i).with(-2, 0))
    const counted = counting()
    const keys = [...collisions(12), KEY]
    expect(await codeOf(verify(forged, { keys, backend: counted.backend }))).toBe('too-many-tries')
    expect(counted.asked()).toBe(8)
  })

  test('what cannot match costs nothing', async () => {
    const counted = counting()
    const rrsig = await sign()
    const late = await sign({ inception: NOW - 20, expiration: NOW - 10 })
    const others = Array.from({ length: 100 }, (_, i) => ed25519Key({ seed: 2 + i }))
    await verify([...new Array<Uint8Array>(100).fill(late), rrsig], {
      keys: [...others, KEY],
      backend: counted.backend,
    })
    expect(counted.asked()).toBe(1)
  })
})

test('every flipped bit of the evidence is refused', async () => {
  const rrsig = await sign()
  const flips = function* (bytes: Uint8Array): Generator<Uint8Array> {
    for (let i = 0; i < bytes.length; i++) {
      for (const bit of [1, 0x20, 0x80]) yield bytes.with(i, bytes[i]! ^ bit)
    }
  }
  for (const mutated of flips(rrsig)) {
    const answer = await verify([mutated]).catch((error: unknown) => error)
    if (!(answer instanceof DnssecError)) {
      // Only the case of the signer's letters is not signed, and it is undone.
      expect(answer).toMatchObject({ rrsig })
      expect(parseRrsig(mutated).rdata).toEqual(rrsig)
    }
  }
  for (const [i, rdata] of SET.rdatas.entries()) {
    for (const mutated of flips(rdata)) {
      const rdatas = SET.rdatas.map((r, j) => (i === j ? mutated : r))
      const set = rrset(OWNER, TYPE.DS, rdatas)
      expect(await codeOf(verify([rrsig], { rrset: set }))).toBe('bad-signature')
    }
  }
  const fewer = rrset(OWNER, TYPE.DS, SET.rdatas.slice(1))
  expect(await codeOf(verify([rrsig], { rrset: fewer }))).toBe('bad-signature')
  const moved = { ...SET, owner: nameFromText('b.example.') }
  expect(await codeOf(verify([rrsig], { rrset: moved }))).toBe('bad-signature')
  expect(await codeOf(verify([rrsig], { rrset: { ...SET, type: TYPE.CDS } }))).toBe('no-signature')
  expect(nameToText(SET.owner)).toBe('a.example.')
})
