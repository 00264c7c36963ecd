/**
 * Bags made to cost: what an attacker without any key, or with keys of zones of his own, can have a log
 * compute. Every bag has at most 512 records, as the log's API allows.
 */
import { describe, expect, test } from 'vitest'
import { compare, concat } from '@dslog/tlog/bytes'
import { ALGORITHM } from '@dslog/dnssec/backend/backend'
import {
  labelCount,
  lastLabels,
  type Name,
  nameFromText,
  nameToText,
  ROOT as ROOT_NAME,
} from '@dslog/dnssec/name'
import { CLASS_IN, parseDnskey, type RR, TYPE } from '@dslog/dnssec/records'
import { dsOf, KSK, type ZoneKey, zoneKey, ZSK } from '@dslog/testbed/key'
import { type KnownKeys, MAX_SIGNATURES, MAX_ZONES, Observer } from '@dslog/verify/observe'
import {
  anchorOfRoot,
  countingBackend,
  day,
  days,
  madeUpDs,
  nsecRdata,
  Registry,
  signed,
} from './registry.ts'
import { live, NOTHING_KNOWN, refusal, TestLog } from './testlog.ts'

const MAX_RECORDS = 512
const ROOT = new Registry('.')
const FI = new Registry('fi.')
const ANCHORS = [anchorOfRoot(ROOT)]
const WINDOW = days(0, 14)
const NOW = live(day(1))
const A = nameFromText('a.fi.')
const CHAIN = [...ROOT.dnskeys(WINDOW), ...ROOT.delegation(FI, WINDOW), ...FI.dnskeys(WINDOW)]

function rr(owner: Name, type: number, rdata: Uint8Array): RR {
  return { owner, type, class: CLASS_IN, ttl: 0, rdata }
}

/** What a bag comes to, and how many signatures it cost. */
async function cost(
  owner: Name,
  bag: readonly RR[],
  known: KnownKeys = NOTHING_KNOWN,
): Promise<{ outcome: string; signatures: number }> {
  expect(bag.length).toBeLessThanOrEqual(MAX_RECORDS)
  const backend = countingBackend()
  const observer = new Observer(known, { anchors: ANCHORS, backend }, NOW)
  const outcome = await refusal(observer.delegation(owner, bag))
  return { outcome, signatures: backend.asked.count }
}

/** RRSIGs that nobody made, each different, for a key of this zone. */
function forgedRrsigs(owner: Name, type: number, zone: Name, key: ZoneKey, count: number): RR[] {
  const [real] = signed(owner, type, [Uint8Array.of(1)], zone, [key], WINDOW).slice(-1)
  return Array.from({ length: count }, (_, i) => {
    const rdata = real!.rdata.slice()
    rdata.set([i & 0xff, i >> 8], rdata.length - 2)
    return rr(owner, TYPE.RRSIG, rdata)
  })
}

/** Keys with the same tag: a tag is a sum of 16-bit words, in any order. */
function collidingKeys(count: number, flags = ZSK): ZoneKey[] {
  const base = zoneKey({ algorithm: ALGORITHM.ED25519, flags, seed: 'colliding' })
  return Array.from({ length: count }, (_, i) => {
    const words = Array.from({ length: 16 }, (__, w) => base.publicKey.slice(2 * w, 2 * w + 2))
    words.push(...words.splice(0, i % 16))
    const [first, second] = [words[0]!, words[1 + (Math.floor(i / 16) % 15)]!]
    words[1 + (Math.floor(i / 16) % 15)] = first
    words[0] = second
    const key = parseDnskey(concat(Uint8Array.of(flags >> 8, flags & 0xff, 3, 15), ...words))
    return { ...key, sign: (data) => base.sign(data) }
  })
}

function unique(keys: readonly ZoneKey[]): ZoneKey[] {
  const sorted = [...keys].sort((a, b) => compare(a.rdata, b.rdata))
  return sorted.filter((key, i) => i === 0 || compare(key.rdata, sorted[i - 1]!.rdata) !== 0)
}

test('an honest bag costs one signature for each set it holds', async () => {
  const bag = [...CHAIN, ...FI.ds(A, [madeUpDs(1)], WINDOW)]
  expect(await cost(A, bag)).toEqual({ outcome: 'accepted', signatures: 4 })
  // While nothing but the state has to be verified.
  const log = await TestLog.create({ anchors: ANCHORS, backend: countingBackend(), time: day(0) })
  await log.observe(A, bag, NOW)
  const state = FI.ds(A, [madeUpDs(2)], WINDOW)
  expect(await cost(A, state, log.known)).toEqual({ outcome: 'accepted', signatures: 1 })
})

test('the same keys in every bag of a submission are verified once', async () => {
  const backend = countingBackend()
  const observer = new Observer(NOTHING_KNOWN, { anchors: ANCHORS, backend }, NOW)
  for (let i = 0; i < 50; i++) {
    const owner = nameFromText(`n${i}.fi.`)
    await observer.delegation(owner, [...CHAIN, ...FI.ds(owner, [madeUpDs(i)], WINDOW)])
  }
  expect(backend.asked.count).toBe(3 + 50)
})

describe('without any key', () => {
  test('hundreds of signatures over the DS', async () => {
    const forged = forgedRrsigs(A, TYPE.DS, FI.zone, FI.zsk, 400)
    const { outcome, signatures } = await cost(A, [
      ...CHAIN,
      ...forged,
      rr(A, TYPE.DS, madeUpDs(1)),
    ])
    expect(outcome).toBe('unsupported')
    expect(signatures).toBeLessThanOrEqual(3 + 8)
  })

  test('hundreds of signatures over the keys of every zone', async () => {
    const forged = [
      ...forgedRrsigs(ROOT_NAME, TYPE.DNSKEY, ROOT_NAME, ROOT.ksk, 150),
      ...forgedRrsigs(FI.zone, TYPE.DNSKEY, FI.zone, FI.ksk, 150),
      ...forgedRrsigs(FI.zone, TYPE.DS, ROOT_NAME, ROOT.zsk, 150),
    ]
    const bag = [...forged, ...CHAIN, ...FI.ds(A, [madeUpDs(1)], WINDOW)]
    const { outcome, signatures } = await cost(A, bag)
    expect(outcome).not.toBe('accepted')
    expect(signatures).toBeLessThanOrEqual(MAX_SIGNATURES)
  })

  test('hundreds of keys of the root, none of them its own', async () => {
    const keys = unique(collidingKeys(240, KSK))
    expect(keys.length).toBeGreaterThan(200)
    expect(new Set(keys.map(({ tag }) => tag)).size).toBe(1)
    const forged = forgedRrsigs(ROOT_NAME, TYPE.DNSKEY, ROOT_NAME, keys[0]!, 200)
    const bag = [...keys.map(({ rdata }) => rr(ROOT_NAME, TYPE.DNSKEY, rdata)), ...forged]
    const state = FI.ds(A, [madeUpDs(1)], WINDOW)
    expect(await cost(A, [...bag, ...state])).toEqual({ outcome: 'unproven', signatures: 0 })
  })

  test('as many records of denial as fit', async () => {
    const rdata = nsecRdata(nameFromText('z.fi.'), [TYPE.NS])
    const bag = Array.from({ length: 200 }, (_, i) => {
      const owner = nameFromText(`${i}.fi.`)
      const [rrsig] = forgedRrsigs(owner, TYPE.NSEC, FI.zone, FI.zsk, 1)
      return [rr(owner, TYPE.NSEC, rdata), rrsig!]
    })
    const few = await cost(A, [...CHAIN, ...bag.slice(0, 16).flat()])
    expect(few).toEqual({ outcome: 'bogus', signatures: 3 + 16 })
    const many = await cost(A, [...CHAIN, ...bag.flat()])
    expect(many).toEqual({ outcome: 'unsupported', signatures: 3 })
    const each = bag
      .slice(0, 16)
      .flatMap(([nsec]) => [nsec!, ...forgedRrsigs(nsec!.owner, TYPE.NSEC, FI.zone, FI.zsk, 25)])
    const product = await cost(A, [...CHAIN, ...each])
    expect(product.outcome).not.toBe('accepted')
    expect(product.signatures).toBeLessThanOrEqual(MAX_SIGNATURES)
  })

  test.each([10, 50, 90])('three signers for each of %i zones', async (depth) => {
    const owner = nameFromText(`${Array.from({ length: depth }, (_, i) => i % 10).join('.')}.`)
    const key = zoneKey({ algorithm: ALGORITHM.ED25519, seed: 'deep' })
    const bag: RR[] = []
    for (let labels = depth; labels >= 1; labels--) {
      const zone = lastLabels(owner, labels)
      if (labels < depth) bag.push(rr(zone, TYPE.DNSKEY, key.rdata))
      const signers = [1, 2, 3].filter((up) => up <= labels)
      const sets = signers.map((up) => {
        const signer = lastLabels(owner, labels - up)
        return signed(zone, TYPE.DS, [dsOf(zone, key)], signer, [key], WINDOW)
      })
      bag.push(sets[0]![0]!, ...sets.map((set) => set[1]!))
    }
    expect(labelCount(owner)).toBe(depth)
    const { outcome, signatures } = await cost(owner, bag)
    expect(outcome).toBe(depth < MAX_ZONES ? 'unproven' : 'unsupported')
    expect(signatures).toBe(0)
  })
})

describe('with zones of his own', () => {
  test('a hundred zones below each other, all signed as they should be', async () => {
    const zones = [FI]
    for (let i = 0; i < 100; i++) {
      zones.push(new Registry(nameFromText(`x.${nameToText(zones.at(-1)!.zone)}`)))
    }
    const bag = [
      ...ROOT.dnskeys(WINDOW),
      ...ROOT.delegation(FI, WINDOW),
      ...zones.flatMap((zone, i) => {
        const below = zones[i + 1]
        const keys = signed(zone.zone, TYPE.DNSKEY, [zone.ksk.rdata], zone.zone, [zone.ksk], WINDOW)
        if (below === undefined) return keys
        const link = signed(below.zone, TYPE.DS, [below.dsRdata()], zone.zone, [zone.ksk], WINDOW)
        return [...keys, ...link]
      }),
    ]
    const last = zones.at(-1)!
    const owner = nameFromText(`a.${nameToText(last.zone)}`)
    const state = signed(owner, TYPE.DS, [madeUpDs(1)], last.zone, [last.ksk], WINDOW)
    let asked = 0
    const known: KnownKeys = {
      ...NOTHING_KNOWN,
      keysOfZone: async () => {
        asked++
        return []
      },
    }
    const { outcome, signatures } = await cost(owner, [...bag, ...state], known)
    expect(outcome).toBe('unsupported')
    expect(signatures).toBeLessThanOrEqual(MAX_SIGNATURES)
    expect(asked).toBeLessThanOrEqual(MAX_ZONES)
  })

  test('a key set of colliding tags, and signatures for all of them', async () => {
    const keys = unique(collidingKeys(200))
    const bag = [
      ...CHAIN.slice(0, 5),
      ...signed(
        FI.zone,
        TYPE.DNSKEY,
        [FI.ksk.rdata, ...keys.map(({ rdata }) => rdata)],
        FI.zone,
        [FI.ksk],
        WINDOW,
      ),
      rr(A, TYPE.DS, madeUpDs(1)),
      ...forgedRrsigs(A, TYPE.DS, FI.zone, keys[0]!, 200),
    ]
    const { outcome, signatures } = await cost(A, bag)
    expect(outcome).toBe('unsupported')
    expect(signatures).toBeLessThanOrEqual(3 + 8)
  })

  test('DS records that name hundreds of keys', async () => {
    const keys = unique(collidingKeys(120, KSK))
    const link = keys.map((key) => dsOf(FI.zone, { ...key, rdata: ROOT.ksk.rdata }))
    const bag = [
      ...ROOT.dnskeys(WINDOW),
      ...ROOT.ds(FI.zone, link, WINDOW),
      ...keys.map(({ rdata }) => rr(FI.zone, TYPE.DNSKEY, rdata)),
      ...forgedRrsigs(FI.zone, TYPE.DNSKEY, FI.zone, keys[0]!, 100),
      ...FI.ds(A, [madeUpDs(1)], WINDOW),
    ]
    const { outcome, signatures } = await cost(A, bag)
    expect(outcome).toBe('unsupported')
    expect(signatures).toBe(2)
  })

  test('key sets beyond count that the log knows', async () => {
    const backend = countingBackend()
    const log = await TestLog.create({ anchors: ANCHORS, backend, time: day(0) })
    for (let i = 0; i < 12; i++) {
      const next = new Registry('fi.', 100 + i)
      const keys = [...ROOT.dnskeys(WINDOW), ...ROOT.delegation(FI, WINDOW)]
      await log.observeKeys(FI.zone, [...keys, ...FI.dnskeys(WINDOW, [next.zsk])], NOW)
    }
    const forged = forgedRrsigs(A, TYPE.DS, FI.zone, FI.zsk, 300)
    const bag = [...forged, rr(A, TYPE.DS, madeUpDs(1))]
    const { outcome, signatures } = await cost(A, bag, log.known)
    expect(outcome).toBe('unsupported')
    expect(signatures).toBeLessThanOrEqual(4 * 8)
  })

  test('a bag spends nothing of the next one’s', async () => {
    const observer = new Observer(
      NOTHING_KNOWN,
      { anchors: ANCHORS, backend: countingBackend() },
      NOW,
    )
    const forged = forgedRrsigs(A, TYPE.DS, FI.zone, FI.zsk, 300)
    for (let i = 0; i < 12; i++) {
      const bad = [...CHAIN, ...forged, rr(A, TYPE.DS, madeUpDs(1))]
      expect(await refusal(observer.delegation(A, bad))).toBe('unsupported')
    }
    const good = [...CHAIN, ...FI.ds(A, [madeUpDs(1)], WINDOW)]
    expect(await refusal(observer.delegation(A, good))).toBe('accepted')
  })
})
