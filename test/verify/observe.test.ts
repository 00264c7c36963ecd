/** What a bag of records proves, in any order and company, and what it does not. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { equal, toHex } from '@dslog/tlog/bytes'
import { ALGORITHM } from '@dslog/dnssec/backend/backend'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { type Name, nameFromText, nameToText, wildcardOf } from '@dslog/dnssec/name'
import { CLASS_IN, type RR, TYPE } from '@dslog/dnssec/records'
import { Internet, record } from '@dslog/testbed/internet'
import { KSK, zoneKey, ZSK } from '@dslog/testbed/key'
import { ownerDs } from '@dslog/testbed/stories'
import { decodeEntry, encodeEntry, isParentLink } from '@dslog/schema/entry'
import { keysId, stateId } from '@dslog/schema/identity'
import { type Candidate, entryOf, isPresent, type StateCandidate } from '@dslog/verify/candidate'
import { type KnownKeys, Observer } from '@dslog/verify/observe'
import { TIMES } from '../nightly.ts'
import { anchorOfRoot, day, days, madeUpDs, nsecRdata, Registry, signed } from './registry.ts'
import { live, NOTHING_KNOWN, refusal, statuses, TestLog, verdictOn } from './testlog.ts'

const backend = nodeBackend()

const ROOT = new Registry('.')
const FI = new Registry('fi.')
const COM = new Registry('com.')
const ANCHORS = [anchorOfRoot(ROOT)]
const NOW = live(day(1))
const WINDOW = days(0, 14)
const A = nameFromText('a.fi.')
const DS = [madeUpDs(1), madeUpDs(2)]

/** Everything above fi. */
const CHAIN = [...ROOT.dnskeys(WINDOW), ...ROOT.delegation(FI, WINDOW), ...FI.dnskeys(WINDOW)]

function observer(known: KnownKeys = NOTHING_KNOWN, anchors = ANCHORS): Observer {
  return new Observer(known, { anchors, backend }, NOW)
}

function observe(records: readonly RR[], owner: Name = A): Promise<Candidate[]> {
  return observer().delegation(owner, records)
}

/** Zones of the key sets and what the state is, in short. */
function spell(candidates: readonly Candidate[]): string {
  return candidates
    .map((each) => {
      if (each.kind === 'keys') return nameToText(each.zone)
      return isPresent(each.evidence) ? `ds by ${nameToText(each.zone)}` : 'no ds'
    })
    .join(' ')
}

const said = (records: readonly RR[], owner: Name = A): Promise<string> =>
  observe(records, owner).then(spell)
const code = (records: readonly RR[], owner: Name = A): Promise<string> =>
  refusal(observe(records, owner))

/** A log that knows what a bag proves, and more about it. */
async function logOf(...bags: readonly (readonly RR[])[]): Promise<TestLog> {
  const log = await TestLog.create({ anchors: ANCHORS, backend, time: day(0) })
  for (const bag of bags) await log.observe(A, bag, NOW)
  return log
}

describe('a bag', () => {
  test('proves key sets from the top down, then the state', async () => {
    const candidates = await observe([...CHAIN, ...FI.ds(A, DS, WINDOW)])
    expect(spell(candidates)).toBe('. fi. ds by fi.')
    const [rootKeys, fiKeys, state] = candidates
    expect(rootKeys).toMatchObject({ kind: 'keys', zone: ROOT.zone })
    expect(rootKeys).toMatchObject({ link: { tag: ROOT.ksk.tag, digest: ANCHORS[0]!.digest } })
    if (rootKeys?.kind !== 'keys' || fiKeys?.kind !== 'keys' || state?.kind !== 'state') {
      throw new Error('two key sets and a state')
    }
    expect(rootKeys.keysId).toEqual(keysId(ROOT.zone, [ROOT.ksk.rdata, ROOT.zsk.rdata]))
    expect(isParentLink(fiKeys.link) && fiKeys.link).toMatchObject({
      zone: ROOT.zone,
      keysId: rootKeys.keysId,
      ds: [FI.dsRdata()],
    })
    expect(state).toMatchObject({
      owner: A,
      zone: FI.zone,
      keysId: fiKeys.keysId,
      stateId: stateId(A, FI.zone, DS),
      orderKey: WINDOW.inception,
      window: { notBefore: day(0), notAfter: day(14) + 999 },
      insecure: false,
    })
  })

  test('proves that there is no DS', async () => {
    const [, , state] = await observe([...CHAIN, ...FI.noDs(A, days(-1, 5))])
    expect(state).toMatchObject({
      kind: 'state',
      stateId: stateId(A, FI.zone, []),
      orderKey: day(-1) / 1000,
      window: { notBefore: day(-1), notAfter: day(5) + 999 },
      evidence: { proof: 1 },
    })
  })

  test('says the same in any order, twice, and among records of no use', async () => {
    const bag = [...CHAIN, ...FI.ds(A, DS, WINDOW)]
    const expected = await observe(bag)
    const b = nameFromText('b.fi.')
    const ballast = [
      ...FI.ds(b, [madeUpDs(7)], WINDOW),
      ...FI.noDs(b, WINDOW),
      ...COM.dnskeys(WINDOW),
      ...ROOT.delegation(COM, WINDOW),
      ...COM.ds(nameFromText('a.com.'), DS, WINDOW),
      record('a.fi.', 'NS', 'ns.a.fi.'),
      record('fi.', 'SOA', 'ns.fi. root.fi. 1 2 3 4 5'),
      ...signed(
        FI.zone,
        TYPE.SOA,
        [record('fi.', 'SOA', 'a. b. 1 2 3 4 5').rdata],
        FI.zone,
        [FI.zsk],
        WINDOW,
      ),
      // Not of the Internet, malformed, cut off.
      { ...bag[0]!, class: 3, rdata: bag[0]!.rdata.slice(1) },
      { owner: A, type: TYPE.RRSIG, class: CLASS_IN, ttl: 0, rdata: Uint8Array.of(0) },
      { owner: A, type: TYPE.RRSIG, class: CLASS_IN, ttl: 0, rdata: Uint8Array.of(0, 43, 15) },
      { owner: A, type: TYPE.NSEC, class: CLASS_IN, ttl: 0, rdata: Uint8Array.of(1) },
    ]
    const all = [...bag, ...ballast]
    const order = fc.shuffledSubarray([...all, ...all], { minLength: 2 * all.length })
    await fc.assert(
      fc.asyncProperty(order, async (records) => {
        expect(await observe(records)).toEqual(expected)
      }),
      { numRuns: 60 * TIMES },
    )
  })

  test('proves nothing without any one of its records, but by what else it holds', async () => {
    const bag = [...CHAIN, ...FI.ds(A, DS, WINDOW)]
    for (const [i, rr] of bag.entries()) {
      const outcome = await code(bag.toSpliced(i, 1))
      // A set with a record missing has a signature that does not fit.
      const isSet = rr.type === TYPE.DNSKEY || (rr.type === TYPE.DS && equal(rr.owner, A))
      expect(['unproven', ...(isSet ? ['bogus'] : [])]).toContain(outcome)
    }
  })

  test('with a DS and its denial is judged by the DS', async () => {
    const both = [...CHAIN, ...FI.noDs(A, WINDOW), ...FI.ds(A, DS, WINDOW)]
    expect(await said(both)).toBe('. fi. ds by fi.')
    const expired = [...CHAIN, ...FI.noDs(A, WINDOW), ...FI.ds(A, DS, days(-5, 0))]
    expect(await code(expired)).toBe('expired')
    const unsigned = FI.ds(A, DS, WINDOW).filter(({ type }) => type === TYPE.DS)
    expect(await code([...CHAIN, ...FI.noDs(A, WINDOW), ...unsigned])).toBe('unproven')
  })

  test('the newest of several signatures counts', async () => {
    const older = FI.ds(A, DS, days(-3, 5))
    const newer = FI.ds(A, DS, days(0.5, 3))
    const future = FI.ds(A, DS, days(2, 9))
    const state = (await observe([...CHAIN, ...older, ...future, ...newer])).at(-1)
    expect(state).toMatchObject({ orderKey: day(0.5) / 1000, window: { notAfter: day(3) + 999 } })
  })

  test('about another owner says nothing about this one', async () => {
    const records = [...CHAIN, ...FI.ds(nameFromText('b.fi.'), DS, WINDOW)]
    expect(await code(records)).toBe('unproven')
    expect(await code([...CHAIN, ...FI.noDs(nameFromText('b.fi.'), WINDOW)])).toBe('unproven')
    expect(await code([...CHAIN, ...FI.ds(nameFromText('x.a.fi.'), DS, WINDOW)])).toBe('unproven')
  })

  test('that is empty, or about the root, proves nothing', async () => {
    expect(await code([])).toBe('unproven')
    expect(await code(CHAIN, ROOT.zone)).toBe('unproven')
    expect(await code([...CHAIN, ...ROOT.ds(ROOT.zone, DS, WINDOW)], ROOT.zone)).toBe('unproven')
  })

  test('a set of DS that no resolver can use is told', async () => {
    const strange = [...CHAIN, ...FI.ds(A, [Uint8Array.of(0, 1, 253, 2, 1, 2, 3)], WINDOW)]
    expect((await observe(strange)).at(-1)).toMatchObject({ insecure: true })
    const malformed = [...CHAIN, ...FI.ds(A, [Uint8Array.of(0)], WINDOW)]
    expect((await observe(malformed)).at(-1)).toMatchObject({ insecure: true })
    const mixed = [...CHAIN, ...FI.ds(A, [Uint8Array.of(0), madeUpDs(1)], WINDOW)]
    expect((await observe(mixed)).at(-1)).toMatchObject({ insecure: false })
  })
})

describe('the chain', () => {
  const UK = new Registry('uk.')
  const CO_UK = new Registry('co.uk.')
  const owner = nameFromText('example.co.uk.')
  const deep = [
    ...ROOT.dnskeys(WINDOW),
    ...ROOT.delegation(UK, WINDOW),
    ...UK.dnskeys(WINDOW),
    ...UK.delegation(CO_UK, WINDOW),
    ...CO_UK.dnskeys(WINDOW),
  ]

  test('has as many zones as there are', async () => {
    const bag = [...deep, ...CO_UK.ds(owner, DS, WINDOW)]
    expect(await said(bag, owner)).toBe('. uk. co.uk. ds by co.uk.')
    expect(await said(deep, CO_UK.zone)).toBe('. uk. ds by uk.')
    expect(await said(deep, UK.zone)).toBe('. ds by .')
  })

  test('is that of the testbed too', async () => {
    const net = new Internet()
    net.addZone('uk.', { denial: { nsec3: { optOut: true } } })
    const suffix = net.addZone('co.uk.', { denial: { nsec3: {} }, algorithm: ALGORITHM.ED25519 })
    suffix.delegate(owner, [ownerDs(owner)])
    const see = new Observer(
      NOTHING_KNOWN,
      { anchors: net.anchors, backend },
      live(net.clock.now()),
    )
    const see2 = new Observer(
      NOTHING_KNOWN,
      { anchors: net.anchors, backend },
      live(net.clock.now()),
    )
    const present = await see.delegation(owner, net.evidence(owner))
    expect(spell(present)).toBe('. uk. co.uk. ds by co.uk.')
    const absent = await see2.delegation(
      nameFromText('other.co.uk.'),
      net.evidence(nameFromText('other.co.uk.')),
    )
    expect(spell(absent)).toBe('. uk. co.uk. no ds')
  })

  test('may be signed by a zone above the parent', async () => {
    const above = [...deep, ...UK.ds(owner, DS, WINDOW)]
    expect(await said(above, owner)).toBe('. uk. ds by uk.')
    const top = [...deep, ...ROOT.ds(owner, DS, WINDOW)]
    expect(await said(top, owner)).toBe('. ds by .')
    // The nearest that signed is asked first; which zone it was is part of the state.
    const both = [...deep, ...UK.ds(owner, DS, WINDOW), ...CO_UK.ds(owner, DS, WINDOW)]
    expect(await said(both, owner)).toBe('. uk. co.uk. ds by co.uk.')
    expect(stateId(owner, UK.zone, DS)).not.toEqual(stateId(owner, CO_UK.zone, DS))
  })

  test('is that of the nearest signer whose keys are there', async () => {
    const noKeys = deep.filter(
      ({ owner, type }) => !(type === TYPE.DNSKEY && equal(owner, CO_UK.zone)),
    )
    const both = [...noKeys, ...UK.ds(owner, DS, WINDOW), ...CO_UK.ds(owner, DS, WINDOW)]
    expect(await said(both, owner)).toBe('. uk. ds by uk.')
  })

  test('is broken where one link is, and says how', async () => {
    const bag = CO_UK.ds(owner, DS, WINDOW)
    const stale = days(-9, 0)
    const early = days(2, 9)
    const links: [string, RR[]][] = [
      ['expired', [...ROOT.dnskeys(stale), ...deep.slice(3)]],
      ['not-yet-valid', [...ROOT.dnskeys(early), ...deep.slice(3)]],
      ['expired', deep.map((rr) => (rr === deep[4] ? ROOT.delegation(UK, stale)[1]! : rr))],
      ['not-yet-valid', deep.map((rr) => (rr === deep[4] ? ROOT.delegation(UK, early)[1]! : rr))],
      ['expired', [...deep.slice(0, 5), ...UK.dnskeys(stale), ...deep.slice(8)]],
      // Keys that no DS of the parent names.
      [
        'unproven',
        [...deep.slice(0, 5), ...new Registry('uk.', 2).dnskeys(WINDOW), ...deep.slice(8)],
      ],
      // A DS set without a signature.
      ['unproven', deep.toSpliced(4, 1)],
      ['unproven', deep.slice(5)],
    ]
    for (const [expected, chain] of links) {
      expect(await code([...chain, ...bag], owner)).toBe(expected)
    }
  })

  test('needs an anchor', async () => {
    const bag = [...deep, ...CO_UK.ds(owner, DS, WINDOW)]
    const under = (...anchors: typeof ANCHORS) =>
      refusal(observer(NOTHING_KNOWN, anchors).delegation(owner, bag))
    expect(await under()).toBe('unproven')
    expect(await under(anchorOfRoot(new Registry('.', 2)))).toBe('unproven')
    expect(await under(anchorOfRoot(ROOT, day(2)))).toBe('unproven')
    expect(await under(anchorOfRoot(ROOT, day(0), day(1)))).toBe('unproven')
    expect(await under(anchorOfRoot(ROOT, day(1), day(2)))).toBe('accepted')
  })

  test('may bear as many DS as a message can hold', async () => {
    const perRecord = 12 + madeUpDs(0).length
    const many = Array.from({ length: Math.floor(65_000 / perRecord) }, (_, i) => madeUpDs(i))
    const state = (await observe([...CHAIN, ...FI.ds(A, many, WINDOW)])).at(-1)!
    const bytes = encodeEntry(entryOf(state, NOW, false))
    expect(many.length).toBeGreaterThan(1300)
    expect(decodeEntry(bytes)).toMatchObject({ ds: { length: many.length } })
  })
})

describe('keys', () => {
  const rolled = new Registry('fi.', 2)
  /** The old keys, with the next zone-signing key published. */
  const published = FI.dnskeys(WINDOW, [rolled.zsk])
  const byNext = signed(A, TYPE.DS, DS, FI.zone, [rolled.zsk], WINDOW)

  test('that the log knows may be left out', async () => {
    const log = await logOf([...CHAIN, ...FI.ds(A, DS, WINDOW)])
    const bag = FI.ds(A, [madeUpDs(3)], WINDOW)
    expect(spell(await log.observer(NOW).delegation(A, bag))).toBe('ds by fi.')
    expect(
      await refusal(log.observer(live(day(15))).delegation(A, FI.ds(A, DS, days(1, 20)))),
    ).toBe('unproven')
  })

  test('may be given without what is above them, if the log knows that', async () => {
    const log = await logOf([...CHAIN, ...FI.ds(A, DS, WINDOW)])
    const bag = [...published, ...byNext]
    expect(spell(await log.observer(NOW).delegation(A, bag))).toBe('fi. ds by fi.')
    expect(statuses(await log.observe(A, bag, NOW))).toEqual(['zone-keys', 'known'])
    await log.mapHead(day(2))
    expect(await verdictOn(log.entries, { anchors: ANCHORS, backend })).toBe('right')
  })

  test('of which the log knows only the old ones have to be there', async () => {
    const log = await logOf([...CHAIN, ...FI.ds(A, DS, WINDOW)])
    expect(await refusal(log.observer(NOW).delegation(A, byNext))).toBe('unproven')
    // Twelve hours later another set is known, and either signs.
    await log.observeKeys(FI.zone, published, NOW)
    expect(spell(await log.observer(NOW).delegation(A, byNext))).toBe('ds by fi.')
    const byOld = FI.ds(A, [madeUpDs(5)], WINDOW)
    expect(spell(await log.observer(NOW).delegation(A, byOld))).toBe('ds by fi.')
  })

  test('that were replaced still vouch for what they signed, and new ones are seen', async () => {
    const log = await logOf([...CHAIN, ...FI.ds(A, DS, WINDOW)])
    const after = signed(
      FI.zone,
      TYPE.DNSKEY,
      [FI.ksk.rdata, rolled.zsk.rdata],
      FI.zone,
      [FI.ksk],
      WINDOW,
    )
    // A slow server: the DS still by the old key, the keys already without it.
    const bag = [...after, ...FI.ds(A, [madeUpDs(9)], WINDOW)]
    const candidates = await log.observer(NOW).delegation(A, bag)
    expect(spell(candidates)).toBe('fi. ds by fi.')
    const [keys, state] = candidates as [Candidate, StateCandidate]
    expect(state.keysId).not.toEqual(keys.keysId)
    expect(state.keysId).toEqual(keysId(FI.zone, [FI.ksk.rdata, FI.zsk.rdata]))
    expect(statuses(await log.admit(candidates, NOW))).toEqual(['zone-keys', 'ds'])
  })

  test('that do not verify do not stand in the way of those that are known', async () => {
    const log = await logOf([...CHAIN, ...FI.ds(A, DS, WINDOW)])
    const forged = FI.dnskeys(WINDOW, [rolled.zsk]).filter(({ type }) => type === TYPE.DNSKEY)
    const bag = [...forged, ...FI.ds(A, [madeUpDs(4)], WINDOW)]
    expect(spell(await log.observer(NOW).delegation(A, bag))).toBe('ds by fi.')
  })

  test('are proven by themselves', async () => {
    expect(spell(await observer().zoneKeys(FI.zone, CHAIN))).toBe('. fi.')
    expect(spell(await observer().zoneKeys(ROOT.zone, ROOT.dnskeys(WINDOW)))).toBe('.')
    expect(await refusal(observer().zoneKeys(COM.zone, CHAIN))).toBe('unproven')
    expect(await refusal(observer().zoneKeys(FI.zone, FI.dnskeys(WINDOW)))).toBe('unproven')
    expect(await refusal(observer().zoneKeys(FI.zone, []))).toBe('unproven')
    expect(await refusal(observer().zoneKeys(ROOT.zone, ROOT.dnskeys(days(-9, 0))))).toBe('expired')
  })

  test('of a zone are those of the bag, not what an earlier bag had', async () => {
    const see = observer()
    await see.zoneKeys(FI.zone, CHAIN)
    expect(await refusal(see.zoneKeys(FI.zone, []))).toBe('unproven')
    const forged = rolled.dnskeys(WINDOW)
    expect(await refusal(see.zoneKeys(FI.zone, forged))).toBe('unproven')
    expect(spell(await see.zoneKeys(FI.zone, FI.dnskeys(WINDOW)))).toBe('. fi.')
  })

  test('of two algorithms are one set', async () => {
    const net = new Internet()
    const fi = net.addZone('fi.')
    fi.setKeys([...fi.keys, fi.makeKey(KSK, ALGORITHM.ED25519), fi.makeKey(ZSK, ALGORITHM.ED25519)])
    fi.delegate(A, DS)
    const see = new Observer(
      NOTHING_KNOWN,
      { anchors: net.anchors, backend },
      live(net.clock.now()),
    )
    const candidates = await see.delegation(A, net.evidence(A))
    expect(spell(candidates)).toBe('. fi. ds by fi.')
    expect(candidates[1]).toMatchObject({ keys: { length: 4 } })
  })

  test('of an unknown algorithm prove nothing', async () => {
    const strange = Uint8Array.of(1, 1, 3, 253, ...new Uint8Array(32))
    const bag = [...CHAIN, ...FI.ds(A, DS, WINDOW)].map((rr) => {
      if (rr.type !== TYPE.RRSIG || !equal(rr.owner, A)) return rr
      return { ...rr, rdata: rr.rdata.with(2, 253) }
    })
    expect(await code(bag)).toBe('unproven')
    const only = signed(FI.zone, TYPE.DNSKEY, [strange], FI.zone, [FI.ksk], WINDOW)
    const chain = [...CHAIN.slice(0, 5), ...only]
    expect(await code([...chain, ...FI.ds(A, DS, WINDOW)])).toBe('unproven')
  })
})

describe('a submission of several bags', () => {
  const B = nameFromText('b.fi.')

  test('may have the keys in one of them; each answer stands alone', async () => {
    const see = observer()
    const first = await see.delegation(A, [...CHAIN, ...FI.ds(A, DS, WINDOW)])
    const second = await see.delegation(B, FI.ds(B, DS, WINDOW))
    const third = await see.delegation(B, [...CHAIN, ...FI.ds(B, DS, WINDOW)])
    expect(spell(first)).toBe('. fi. ds by fi.')
    expect(spell(second)).toBe('. fi. ds by fi.')
    expect(third).toEqual(second)
    // Proven once, they are the same candidates.
    expect(second[0]).toBe(first[0])
    expect(second[1]).toBe(first[1])
    const log = await TestLog.create({ anchors: ANCHORS, backend, time: day(0) })
    expect(statuses(await log.admit(second, NOW))).toEqual(['zone-keys', 'zone-keys', 'ds'])
    expect(statuses(await log.admit(first, NOW))).toEqual(['known', 'known', 'ds'])
  })

  test('loses no keys with a bag that proves nothing else', async () => {
    const see = observer()
    const bad = [...CHAIN, ...FI.ds(A, DS, days(-9, 0))]
    expect(await refusal(see.delegation(A, bad))).toBe('expired')
    expect(spell(await see.delegation(B, [...CHAIN, ...FI.ds(B, DS, WINDOW)]))).toBe(
      '. fi. ds by fi.',
    )
    expect(spell(await see.delegation(B, FI.ds(B, DS, WINDOW)))).toBe('. fi. ds by fi.')
  })

  test('brings keys that are renewed, though the log knows them', async () => {
    const log = await logOf([...CHAIN, ...FI.ds(A, DS, WINDOW)])
    const later = days(10, 24)
    const renewed = [
      ...ROOT.dnskeys(later),
      ...ROOT.delegation(FI, later),
      ...FI.dnskeys(later),
      ...FI.ds(A, DS, later),
    ]
    const at = live(day(12.5))
    expect(statuses(await log.observe(A, renewed, at))).toEqual(['zone-keys', 'zone-keys', 'known'])
    expect(statuses(await log.observe(A, renewed, at))).toEqual(['known', 'known', 'known'])
  })

  test('tells the keys of one zone from those of the next', async () => {
    const see = observer()
    const com = [...ROOT.delegation(COM, WINDOW), ...COM.dnskeys(WINDOW)]
    await see.delegation(A, [...CHAIN, ...FI.ds(A, DS, WINDOW)])
    const other = nameFromText('a.com.')
    const records = [...com, ...COM.ds(other, DS, WINDOW)]
    expect(spell(await see.delegation(other, records))).toBe('. com. ds by com.')
    expect(await refusal(see.delegation(other, FI.ds(other, DS, WINDOW)))).toBe('unproven')
  })
})

describe('an attack', () => {
  const CHILD = new Registry('a.fi.')
  const SIBLING = new Registry('b.fi.')
  const below = [...FI.delegation(CHILD, WINDOW), ...CHILD.dnskeys(WINDOW)]
  const beside = [...FI.delegation(SIBLING, WINDOW), ...SIBLING.dnskeys(WINDOW)]

  /** A DS RRset signed by these keys in the name of a zone. */
  function signedBy(registry: Registry, signer: Name, window = WINDOW): RR[] {
    return signed(A, TYPE.DS, DS, signer, [registry.zsk, registry.ksk], window)
  }

  test('the child signs its own DS', async () => {
    expect(await code([...CHAIN, ...below, ...signedBy(CHILD, CHILD.zone)])).not.toBe('accepted')
    const own = [...CHAIN, ...CHILD.dnskeys(WINDOW), ...signedBy(CHILD, CHILD.zone)]
    expect(await code(own)).toBe('unproven')
  })

  test('a sibling signs it', async () => {
    const own = [...CHAIN, ...beside, ...signedBy(SIBLING, SIBLING.zone)]
    expect(await code(own)).toBe('unproven')
    expect(await code([...CHAIN, ...beside, ...signedBy(SIBLING, FI.zone)])).toBe('unproven')
  })

  test('another top-level domain signs it', async () => {
    const com = [...ROOT.delegation(COM, WINDOW), ...COM.dnskeys(WINDOW)]
    expect(await code([...CHAIN, ...com, ...signedBy(COM, COM.zone)])).toBe('unproven')
    expect(await code([...CHAIN, ...com, ...signedBy(COM, FI.zone)])).toBe('unproven')
    expect(await code([...CHAIN, ...com, ...signedBy(COM, ROOT.zone)])).toBe('unproven')
  })

  test('the zone signs in another zone’s name', async () => {
    expect(await code([...CHAIN, ...signedBy(FI, ROOT.zone)])).toBe('unproven')
    expect(await code([...CHAIN, ...signedBy(FI, COM.zone)])).toBe('unproven')
    expect(await code([...CHAIN, ...signedBy(ROOT, FI.zone)])).toBe('unproven')
  })

  test('a key that is not there signs under the tag of one that is', async () => {
    const evil = zoneKey({ algorithm: ALGORITHM.ED25519, flags: ZSK, seed: 'evil' })
    const forged = signed(A, TYPE.DS, DS, FI.zone, [{ ...evil, tag: FI.zsk.tag }], WINDOW)
    expect(await code([...CHAIN, ...forged])).toBe('bogus')
  })

  test('any bit of the DS or its signature is changed', async () => {
    const bag = FI.ds(A, DS, WINDOW)
    for (const [i, rr] of bag.entries()) {
      for (let at = 0; at < rr.rdata.length; at++) {
        const forged = { ...rr, rdata: rr.rdata.with(at, rr.rdata[at]! ^ 0x20) }
        const outcome = await code([...CHAIN, ...bag.with(i, forged)])
        // Of an RRSIG the letters of the signer have no case.
        const isCase = rr.type === TYPE.RRSIG && (at === 19 || at === 20)
        expect({ at, accepted: outcome === 'accepted' }).toEqual({ at, accepted: isCase })
      }
    }
  })

  test('the signature has expired, or is of the future', async () => {
    expect(await code([...CHAIN, ...FI.ds(A, DS, days(-5, 0.999))])).toBe('expired')
    expect(await code([...CHAIN, ...FI.ds(A, DS, days(1.001, 9))])).toBe('not-yet-valid')
    expect(await code([...CHAIN, ...FI.noDs(A, days(-5, 0.999))])).toBe('expired')
    expect(await code([...CHAIN, ...FI.noDs(A, days(1.001, 9))])).toBe('not-yet-valid')
  })

  test('a DS is made from a wildcard', async () => {
    const wild = FI.ds(wildcardOf(FI.zone), DS, WINDOW).map((rr) => ({ ...rr, owner: A }))
    expect(await code([...CHAIN, ...wild])).toBe('bogus')
    // The wildcard’s own DS is that of the name `*.fi.`, and no other.
    const own = FI.ds(wildcardOf(FI.zone), DS, WINDOW)
    expect(await said([...CHAIN, ...own], wildcardOf(FI.zone))).toBe('. fi. ds by fi.')
    expect(await code([...CHAIN, ...own])).toBe('unproven')
  })

  test('the apex of the child denies its DS', async () => {
    const apex = [TYPE.NS, TYPE.SOA, TYPE.DNSKEY]
    const byChild = CHILD.noDs(A, WINDOW, apex)
    expect(await code([...CHAIN, ...CHILD.dnskeys(WINDOW), ...byChild])).toBe('unproven')
    // Even by the parent's keys, a record with SOA is not the parent's word.
    expect(await code([...CHAIN, ...FI.noDs(A, WINDOW, apex)])).toBe('unproven')
    expect(await code([...CHAIN, ...FI.noDs(A, WINDOW, [TYPE.NS, TYPE.DS])])).toBe('unproven')
  })

  test('a record of denial is of another name, or covers too little', async () => {
    const deny = (owner: string, next: string): RR[] => {
      const types = owner === 'fi.' ? [TYPE.NS, TYPE.SOA] : [TYPE.NS]
      const rdata = nsecRdata(nameFromText(next), [...types, TYPE.NSEC, TYPE.RRSIG])
      return signed(nameFromText(owner), TYPE.NSEC, [rdata], FI.zone, [FI.zsk], WINDOW)
    }
    expect(await code([...CHAIN, ...deny('0.fi.', 'b.fi.')])).toBe('unproven')
    expect(await said([...CHAIN, ...deny('0.fi.', 'b.fi.'), ...deny('fi.', '0.fi.')])).toBe(
      '. fi. no ds',
    )
    expect(await code([...CHAIN, ...deny('b.fi.', 'c.fi.'), ...deny('fi.', '0.fi.')])).toBe(
      'unproven',
    )
    const forged = deny('0.fi.', 'b.fi.').map((rr) => {
      return rr.type === TYPE.RRSIG ? { ...rr, rdata: rr.rdata.with(-1, rr.rdata.at(-1)! ^ 1) } : rr
    })
    expect(await code([...CHAIN, ...forged, ...deny('fi.', '0.fi.')])).toBe('bogus')
  })

  test('a revoked key signs, or one that may not', async () => {
    for (const flags of [0, 0x0080 + ZSK, 0x0001]) {
      const key = zoneKey({ algorithm: ALGORITHM.ED25519, flags, seed: 'fi odd' })
      const keys = FI.dnskeys(WINDOW, [key])
      const bag = signed(A, TYPE.DS, DS, FI.zone, [key], WINDOW)
      expect(await code([...CHAIN.slice(0, 5), ...keys, ...bag])).toBe('unproven')
    }
  })

  test('the DS of the zone at the root is swapped for one of other keys', async () => {
    const evil = new Registry('fi.', 666)
    const forgedLink = ROOT.delegation(evil, WINDOW).filter(({ type }) => type === TYPE.DS)
    const chain = [...ROOT.dnskeys(WINDOW), ...forgedLink, ...evil.dnskeys(WINDOW)]
    expect(await code([...chain, ...evil.ds(A, DS, WINDOW)])).toBe('unproven')
    const withRealSignature = [...chain, ...ROOT.delegation(FI, WINDOW).slice(1)]
    expect(await code([...withRealSignature, ...evil.ds(A, DS, WINDOW)])).toBe('bogus')
    // Beside the real one it spoils the set.
    const both = [...CHAIN, ...forgedLink, ...evil.ds(A, DS, WINDOW)]
    expect(await code(both)).toBe('bogus')
  })
})

test('a moment of the past is judged by what was valid then', async () => {
  const log = await TestLog.create({ anchors: ANCHORS, backend, time: day(0) })
  const window = days(-100, -90)
  const bag = [
    ...ROOT.dnskeys(window),
    ...ROOT.delegation(FI, window),
    ...FI.dnskeys(window),
    ...FI.ds(A, DS, window),
  ]
  const at = (n: number) => ({ time: day(n), historical: true })
  expect(await refusal(log.observe(A, bag, at(-80)))).toBe('expired')
  expect(await refusal(log.observe(A, bag, at(-101)))).toBe('not-yet-valid')
  expect(statuses(await log.observe(A, bag, at(-95)))).toEqual(['zone-keys', 'zone-keys', 'ds'])
  expect(log.decoded.slice(1).map((entry) => 'historical' in entry && entry.historical)).toEqual([
    true,
    true,
    true,
  ])
  // Present keys do not vouch for the past.
  await log.observe(
    nameFromText('b.fi.'),
    [...CHAIN, ...FI.ds(nameFromText('b.fi.'), DS, WINDOW)],
    NOW,
  )
  const older = FI.ds(A, [madeUpDs(8)], days(-60, -50))
  expect(await refusal(log.observe(A, older, at(-55)))).toBe('unproven')
})

test('an owner is a name like any other', async () => {
  const net = new Internet()
  const fi = net.addZone('fi.')
  const odd = ['\\000.fi.', 'under_score.fi.', 'xn--4gbrim.fi.', '\\255\\065.fi.', 'a.b.c.d.e.fi.']
  for (const text of odd) fi.delegate(nameFromText(text), DS)
  for (const text of odd) {
    const see = new Observer(
      NOTHING_KNOWN,
      { anchors: net.anchors, backend },
      live(net.clock.now()),
    )
    const state = (await see.delegation(nameFromText(text), net.evidence(nameFromText(text)))).at(
      -1,
    ) as StateCandidate
    expect(nameToText(state.owner)).toBe(nameToText(nameFromText(text)))
    expect(isPresent(state.evidence) && state.evidence.ds.map(toHex)).toEqual(DS.map(toHex))
  }
})
