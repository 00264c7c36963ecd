/** What an entry holds proves what it says: nothing in it can be changed, left out or put elsewhere. */
import { beforeAll, describe, expect, test } from 'vitest'
import { compare, equal } from '@dslog/tlog/bytes'
import type { UpperTree } from '@dslog/tlog/maptree'
import { ALGORITHM } from '@dslog/dnssec/backend/backend'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { webBackend } from '@dslog/dnssec/backend/web'
import { DENIAL, type DenialKind } from '@dslog/dnssec/denial'
import { type Name, nameFromText } from '@dslog/dnssec/name'
import { parseRrsig, signedRrsigFields, TYPE } from '@dslog/dnssec/records'
import { Internet, type ZoneOptions } from '@dslog/testbed/internet'
import { dsOf, KSK, revoked, zoneKey } from '@dslog/testbed/key'
import { STORIES, type StoryName } from '@dslog/testbed/stories'
import {
  decodeEntry,
  type DelegationEntry,
  encodeEntry,
  type Entry,
  isParentLink,
  type ParentLink,
  type ZoneKeysEntry,
} from '@dslog/schema/entry'
import { EntryError } from '@dslog/schema/error'
import { DAY } from '@dslog/schema/time'
import { Auditor, type Violation } from '@dslog/verify/audit'
import { checkKeys, checkState, type Verifier } from '@dslog/verify/evidence'
import { Fold, type FoldHead } from '@dslog/verify/fold'
import type { KeysLookup, ZoneKeys } from '@dslog/verify/keys'
import { MemoryStore } from '@dslog/verify/memory'
import { rememberingBackend } from '@dslog/resolver/remember'
import { anchorOfRoot, day, days, madeUpDs, Registry, signed } from './registry.ts'
import { audit, live, refusal, TestLog, verdictOn } from './testlog.ts'

const backend = rememberingBackend(nodeBackend())

/** A log up to some entry, to hold many others behind it. */
class Prefix {
  readonly #store: MemoryStore
  readonly #head: FoldHead
  readonly #upper: UpperTree
  readonly #verifier: Verifier

  private constructor(store: MemoryStore, fold: Fold, verifier: Verifier) {
    this.#store = store
    this.#head = fold.head
    this.#upper = fold.upper
    this.#verifier = verifier
  }

  static async of(entries: readonly Uint8Array[], verifier: Verifier): Promise<Prefix> {
    const store = new MemoryStore()
    const { fold, violation } = await audit(entries, verifier, { store })
    if (violation !== undefined) throw new Error(violation.reason)
    store.apply(fold.changes())
    return new Prefix(store, fold, verifier)
  }

  /** What an auditor says to an entry that comes next. */
  async check(...entries: readonly Uint8Array[]): Promise<Violation | undefined> {
    const { anchors } = this.#verifier
    const fold = new Fold(this.#head, this.#upper, { store: this.#store, anchors })
    return new Auditor(fold, this.#verifier).check(entries)
  }

  get lookup(): KeysLookup {
    return (keysId) => this.#store.zoneKeys(keysId)
  }

  async kind(entry: Entry): Promise<string> {
    const violation = await this.check(encodeEntry(entry))
    if (violation === undefined) return 'right'
    if (violation.index !== this.#head.size) throw new Error(`violation at ${violation.index}`)
    return violation.kind
  }
}

/** Copies of an entry with one byte changed, in two ways each. */
function* changed(bytes: Uint8Array): Generator<{ at: number; bytes: Uint8Array }> {
  for (const at of bytes.keys()) {
    for (const change of [0x01, 0x80]) {
      yield { at, bytes: bytes.with(at, bytes[at]! ^ change) }
    }
  }
}

/** What an entry claims to be proven: all of it but when it was seen. */
function meaning(entry: Entry): unknown {
  if (entry.type === 'map-head' || entry.type === 'unknown') return entry
  const { historical: _historical, time: _time, ...rest } = entry
  return rest
}

/** How each kind of denial comes about. */
const KINDS: readonly (readonly [keyof typeof DENIAL, ZoneOptions['denial'], StoryName])[] = [
  ['NSEC_MATCH', 'nsec', 'insecure'],
  ['NSEC_NAME_ERROR', 'nsec', 'gone'],
  ['NSEC_EMPTY_NON_TERMINAL', 'nsec', 'emptyNonTerminal'],
  ['NSEC3_MATCH', { nsec3: {} }, 'insecure'],
  ['NSEC3_OPT_OUT', { nsec3: { optOut: true } }, 'insecure'],
  ['NSEC3_NAME_ERROR', { nsec3: { iterations: 1 } }, 'gone'],
  ['NSEC_WILDCARD', 'nsec', 'wildcard'],
  ['NSEC3_WILDCARD', { nsec3: { salt: Uint8Array.of(1, 2) } }, 'wildcard'],
]

interface Case {
  readonly owner: Name
  readonly verifier: Verifier
  readonly entries: readonly Uint8Array[]
}

/** A log in which a name gets a DS and loses it, by this kind of proof. */
async function removal([, denial, story]: (typeof KINDS)[number]): Promise<Case> {
  const algorithm = ALGORITHM.ED25519
  const net = new Internet({ root: { algorithm } })
  net.addZone('fi.', { algorithm, ...(denial === undefined ? {} : { denial }) })
  const owner = nameFromText('victim.fi.')
  const verifier = { anchors: net.anchors, backend }
  const log = await TestLog.create({ ...verifier, time: net.clock.now() })
  for (const _ of STORIES[story](net, owner)) {
    await log.observe(owner, net.evidence(owner), live(net.clock.now()))
    if (log.decoded.some(({ type }) => type === 'no-ds')) break
  }
  return { owner, verifier, entries: log.entries }
}

const cases = new Map<string, Case>()
beforeAll(async () => {
  for (const kind of KINDS) cases.set(kind[0], await removal(kind))
})

describe.each(KINDS)('proof of kind %s', (kind, _denial, _story) => {
  const made = (): Case => cases.get(kind)!

  test('is logged and audited', async () => {
    const { entries, owner, verifier } = made()
    const entry = decodeEntry(entries.at(-1)!)
    expect(entry).toMatchObject({ type: 'no-ds', proof: DENIAL[kind], owner })
    expect(entries.map((bytes) => decodeEntry(bytes).type)).toEqual([
      'map-head',
      'zone-keys',
      'zone-keys',
      'ds',
      'no-ds',
    ])
    expect(await verdictOn(entries, verifier)).toBe('right')
    // An auditor in a browser comes to the same.
    expect(await verdictOn(entries, { ...verifier, backend: webBackend() })).toBe('right')
  })

  test('with any byte changed is refused, or says the same of another time', async () => {
    const { entries, verifier } = made()
    const prefix = await Prefix.of(entries.slice(0, -1), verifier)
    const original = decodeEntry(entries.at(-1)!)
    const accepted = new Set<number>()
    for (const { at, bytes } of changed(entries.at(-1)!)) {
      const violation = await prefix.check(bytes)
      if (violation !== undefined) {
        expect(violation).toMatchObject({ index: entries.length - 1, entry: bytes })
        continue
      }
      accepted.add(at)
      const entry = decodeEntry(bytes)
      if (entry.type === 'unknown') continue
      expect(meaning(entry)).toEqual(meaning(original))
    }
    // Version and type: of no kind that is known. Time, in ms: signatures hold for days.
    for (const at of accepted) expect(at).toBeLessThan(10)
    expect(accepted).toContain(9)
  })

  test('of another kind, with other records or in another order is refused', async () => {
    const { entries, verifier } = made()
    const prefix = await Prefix.of(entries.slice(0, -1), verifier)
    const entry = decodeEntry(entries.at(-1)!)
    if (entry.type !== 'no-ds') throw new Error('not a removal')
    expect(await prefix.kind(entry)).toBe('right')
    for (const proof of Object.values(DENIAL) as DenialKind[]) {
      const expected = proof === entry.proof ? 'right' : 'bad-evidence'
      expect(await prefix.kind({ ...entry, proof })).toBe(expected)
    }
    const { records } = entry
    for (const i of records.keys()) {
      if (records.length === 1) break
      expect(await prefix.kind({ ...entry, records: records.toSpliced(i, 1) })).toBe('bad-evidence')
    }
    // A record more, though the zone made it: what other kinds of proof need.
    for (const other of cases.values()) {
      const more = decodeEntry(other.entries.at(-1)!)
      if (more.type !== 'no-ds') continue
      for (const record of more.records) {
        const isThere = records.some(({ owner }) => equal(owner, record.owner))
        if (isThere || records.length === 3) continue
        const all = [...records, record].sort((a, b) => compare(a.owner, b.owner))
        expect(await prefix.kind({ ...entry, records: all })).toBe('bad-evidence')
      }
    }
    const [first] = records
    for (const odd of [[], [...records, first!], [first!, ...records]]) {
      expect(() => encodeEntry({ ...entry, records: odd })).toThrow(EntryError)
    }
    if (records.length > 1) {
      expect(() => encodeEntry({ ...entry, records: records.toReversed() })).toThrow(EntryError)
    }
  })

  test('proves nothing of another owner, zone, key set or time', async () => {
    const { entries, verifier } = made()
    const prefix = await Prefix.of(entries.slice(0, -1), verifier)
    const entry = decodeEntry(entries.at(-1)!) as DelegationEntry
    const keys = entries.slice(1, 3).map((bytes) => decodeEntry(bytes) as ZoneKeysEntry)
    const others: Partial<DelegationEntry>[] = [
      { owner: nameFromText('victim.se.'), zone: nameFromText('se.') },
      { zone: keys[0]!.zone },
      { keysId: (keys[1]!.link as ParentLink).keysId },
      { keysId: (keys[1]!.link as ParentLink).keysId, zone: keys[0]!.zone },
      { time: entry.time - 30 * DAY },
      { time: entry.time + 30 * DAY },
      { time: 0 },
    ]
    for (const other of others) {
      const odd: Entry = { ...entry, ...other } as DelegationEntry
      expect(await prefix.kind(odd)).toBe('bad-evidence')
    }
    // What denies one name may deny its neighbour; but that one had no DS to lose.
    const neighbour = await prefix.kind({ ...entry, owner: nameFromText('victi.fi.') })
    expect(['bad-evidence', 'bad-admission']).toContain(neighbour)
  })
})

describe('a DS entry', () => {
  const root = new Registry('.')
  const fi = new Registry('fi.')
  const com = new Registry('com.')
  const window = days(0, 14)
  const A = nameFromText('a.fi.')
  const DS = [madeUpDs(1), madeUpDs(2)]
  const verifier: Verifier = { anchors: [anchorOfRoot(root)], backend }
  const chain = [
    ...root.dnskeys(window),
    ...root.delegation(fi, window),
    ...root.delegation(com, window),
    ...fi.dnskeys(window),
    ...com.dnskeys(window),
  ]
  let entries: readonly Uint8Array[]
  let prefix: Prefix
  let entry: Extract<Entry, { type: 'ds' }>
  let comKeys: ZoneKeysEntry

  beforeAll(async () => {
    const log = await TestLog.create({ ...verifier, time: day(0) })
    await log.observe(com.zone, chain, live(day(1)))
    await log.observeKeys(com.zone, chain, live(day(1)))
    await log.observe(A, [...chain, ...fi.ds(A, DS, window)], live(day(1)))
    entries = log.entries
    prefix = await Prefix.of(entries.slice(0, -1), verifier)
    entry = decodeEntry(entries.at(-1)!) as typeof entry
    comKeys = log.decoded.find(
      (e) => e.type === 'zone-keys' && equal(e.zone, com.zone),
    ) as ZoneKeysEntry
  })

  test('with any byte changed is refused, or says the same of another time', async () => {
    expect(entry).toMatchObject({ type: 'ds', owner: A, ds: DS })
    const accepted = new Set<number>()
    for (const { at, bytes } of changed(entries.at(-1)!)) {
      const violation = await prefix.check(bytes)
      if (violation !== undefined) {
        expect(violation.index).toBe(entries.length - 1)
        continue
      }
      accepted.add(at)
      const other = decodeEntry(bytes)
      if (other.type !== 'unknown') expect(meaning(other)).toEqual(meaning(entry))
    }
    // Version, type, time, and the flag that says it is of an archive.
    for (const at of accepted) expect(at).toBeLessThan(11)
    expect(accepted).toContain(10)
  })

  test('with a DS more, less, changed or swapped is refused', async () => {
    const sets = [
      [...DS, madeUpDs(3)],
      [DS[0]!],
      [DS[1]!],
      [DS[0]!, madeUpDs(9)],
      [DS[0]!.subarray(0, -1), DS[1]!],
    ]
    for (const ds of sets) expect(await prefix.kind({ ...entry, ds })).toBe('bad-evidence')
    expect(() => encodeEntry({ ...entry, ds: DS.toReversed() })).toThrow(EntryError)
    expect(() => encodeEntry({ ...entry, ds: [DS[0]!, ...DS] })).toThrow(EntryError)
  })

  test('with a signature of another set, name, zone or key is refused', async () => {
    const rrsigs = [
      fi.ds(A, [madeUpDs(1)], window),
      fi.ds(nameFromText('b.fi.'), DS, window),
      com.ds(nameFromText('a.com.'), DS, window),
      root.ds(A, DS, window),
      signed(A, TYPE.DS, DS, fi.zone, [com.zsk], window),
      signed(A, TYPE.NSEC, DS, fi.zone, [fi.zsk], window),
      fi.ds(A, DS, days(-9, 0)),
      fi.ds(A, DS, days(2, 9)),
    ].map((records) => records.at(-1)!.rdata)
    for (const rrsig of rrsigs) expect(await prefix.kind({ ...entry, rrsig })).toBe('bad-evidence')
  })

  test('with another signature that is as good is another entry of the same state', async () => {
    // Which signature the log saw is not for an auditor to say.
    const rrsig = fi.ds(A, DS, days(-1, 3)).at(-1)!.rdata
    expect(await prefix.kind({ ...entry, rrsig })).toBe('right')
  })

  test('under keys of another zone is refused', async () => {
    const rootId = (comKeys.link as ParentLink).keysId
    expect(await prefix.kind({ ...entry, keysId: rootId })).toBe('bad-evidence')
    expect(await prefix.kind({ ...entry, keysId: rootId, zone: root.zone })).toBe('bad-evidence')
    expect(await prefix.kind({ ...entry, zone: root.zone })).toBe('bad-evidence')
    const never = entry.keysId.slice().fill(7) as typeof rootId
    expect(await prefix.kind({ ...entry, keysId: never })).toBe('bad-evidence')
  })

  test('is valid from the first to the last millisecond of its signature', async () => {
    const rrsig = fi.ds(A, DS, days(0.5, 3)).at(-1)!.rdata
    const at = (time: number) =>
      refusal(checkState({ ...entry, rrsig, time }, prefix.lookup, verifier))
    expect(await at(day(0.5) - 1)).toBe('not-yet-valid')
    expect(await at(day(0.5))).toBe('accepted')
    expect(await at(day(3) + 999)).toBe('accepted')
    expect(await at(day(3) + 1000)).toBe('expired')
  })
})

describe('a ZONE_KEYS entry', () => {
  const algorithm = ALGORITHM.ED25519
  const net = new Internet({ root: { algorithm } })
  const fi = net.addZone('fi.', { algorithm })
  net.addZone('com.', { algorithm })
  const verifier: Verifier = { anchors: net.anchors, backend }
  const now = live(net.clock.now())
  let entries: Uint8Array[]
  let rootPrefix: Prefix
  let fiPrefix: Prefix
  let rootKeys: ZoneKeysEntry
  let fiKeys: ZoneKeysEntry
  let link: ParentLink

  beforeAll(async () => {
    const log = await TestLog.create({ ...verifier, time: now.time })
    await log.observeKeys(fi.name, net.chain(fi.name), now)
    entries = log.entries
    rootPrefix = await Prefix.of(entries.slice(0, 1), verifier)
    fiPrefix = await Prefix.of(entries.slice(0, 2), verifier)
    rootKeys = decodeEntry(entries[1]!) as ZoneKeysEntry
    fiKeys = decodeEntry(entries[2]!) as ZoneKeysEntry
    link = fiKeys.link as ParentLink
  })

  test.each([1, 2])('(%i) with any byte changed is refused, or of another time', async (index) => {
    const prefix = index === 1 ? rootPrefix : fiPrefix
    const original = decodeEntry(entries[index]!)
    const accepted = new Set<number>()
    for (const { at, bytes } of changed(entries[index]!)) {
      if ((await prefix.check(bytes)) !== undefined) continue
      accepted.add(at)
      const other = decodeEntry(bytes)
      if (other.type !== 'unknown') expect(meaning(other)).toEqual(meaning(original))
    }
    for (const at of accepted) expect(at).toBeLessThan(11)
  })

  test('with a key more, or less, is refused', async () => {
    const more = zoneKey({ algorithm, flags: KSK, seed: 'more' }).rdata
    const keys = [...fiKeys.keys, more].sort(compare)
    expect(await fiPrefix.kind({ ...fiKeys, keys })).toBe('bad-evidence')
    for (const i of fiKeys.keys.keys()) {
      const fewer = fiKeys.keys.toSpliced(i, 1)
      expect(await fiPrefix.kind({ ...fiKeys, keys: fewer })).toBe('bad-evidence')
    }
  })

  test('by a DS of another zone is refused', async () => {
    const comDs = net.root.zone.rrset(nameFromText('com.'), TYPE.DS)
    const [ds, rrsig] = [[comDs[0]!.rdata], comDs.at(-1)!.rdata]
    expect(await fiPrefix.kind({ ...fiKeys, link: { ...link, ds, rrsig } })).toBe('bad-evidence')
    expect(await fiPrefix.kind({ ...fiKeys, link: { ...link, ds } })).toBe('bad-evidence')
    expect(await fiPrefix.kind({ ...fiKeys, zone: nameFromText('se.') })).toBe('bad-evidence')
    // The same keys, and a DS that names them at another owner.
    const elsewhere = [dsOf(nameFromText('com.'), net.zoneOf(nameFromText('fi.')).keys[0]!)]
    expect(await fiPrefix.kind({ ...fiKeys, link: { ...link, ds: elsewhere } })).toBe(
      'bad-evidence',
    )
  })

  test('under another parent, or another anchor, is refused', async () => {
    const never = link.keysId.slice().fill(1) as typeof link.keysId
    expect(await fiPrefix.kind({ ...fiKeys, link: { ...link, keysId: never } })).toBe(
      'bad-evidence',
    )
    expect(await rootPrefix.kind(fiKeys)).toBe('bad-evidence')
    if (isParentLink(rootKeys.link)) throw new Error('the root has no parent')
    const { digest, tag } = rootKeys.link
    const wrongTag = { tag: tag + 1, digest }
    const wrongDigest = { tag, digest: digest.with(0, digest[0]! ^ 1) }
    for (const odd of [wrongTag, wrongDigest]) {
      expect(await rootPrefix.kind({ ...rootKeys, link: odd })).toBe('bad-evidence')
    }
    expect(() => encodeEntry({ ...fiKeys, link: rootKeys.link })).toThrow(EntryError)
    expect(() => encodeEntry({ ...rootKeys, link })).toThrow(EntryError)
  })

  test('signed by a revoked key is refused, and so is one that only a revoked key is named for', async () => {
    const zone = nameFromText('se.')
    const key = zoneKey({ algorithm, flags: KSK, seed: 'se' })
    const gone = revoked(key)
    const window = { inception: now.time / 1000 - 60, expiration: (now.time + DAY) / 1000 }
    const rootZsk = net.root.keys.find(({ flags }) => flags !== KSK)!
    const make = (signer: typeof key, ...named: (typeof key)[]): ZoneKeysEntry => {
      const keys = [key.rdata, gone.rdata].sort(compare)
      const own = signed(zone, TYPE.DNSKEY, keys, zone, [signer], window)
      const ds = named.map((each) => dsOf(zone, each)).sort(compare)
      const above = signed(zone, TYPE.DS, ds, net.root.name, [rootZsk], window)
      const rrsig = own.at(-1)!.rdata
      return { ...fiKeys, zone, keys, rrsig, link: { ...link, ds, rrsig: above.at(-1)!.rdata } }
    }
    expect(await fiPrefix.kind(make(key, key))).toBe('right')
    expect(await fiPrefix.kind(make(key, key, gone))).toBe('right')
    expect(await fiPrefix.kind(make(gone, gone))).toBe('bad-evidence')
    expect(await fiPrefix.kind(make(gone, key))).toBe('bad-evidence')
    expect(await fiPrefix.kind(make(gone, key, gone))).toBe('bad-evidence')
    expect(await fiPrefix.kind(make(key, gone))).toBe('bad-evidence')
  })

  test('that names itself as its parent is refused', async () => {
    const lookup = async (): Promise<ZoneKeys[]> => [
      { index: 1, keysId: link.keysId, entry: fiKeys, notBefore: 0, notAfter: 1e15 },
    ]
    const odd = { ...fiKeys, link: { ...link } }
    expect(await refusal(checkKeys(odd, lookup, verifier))).toBe('unproven')
  })

  test('that is known, or comes too early for a renewal, is refused by the rules', async () => {
    const known = await Prefix.of(entries, verifier)
    expect(await known.kind({ ...fiKeys, time: fiKeys.time + 1 })).toBe('bad-admission')
    net.clock.advance(5 * DAY)
    net.root.sign()
    fi.sign()
    const log = await TestLog.create({ ...verifier, time: now.time })
    await log.observeKeys(fi.name, net.chain(fi.name), live(net.clock.now()))
    const renewed = log.entries[1]!
    expect((await known.check(renewed))?.kind).toBe('bad-admission')
    net.clock.set(now.time)
  })
})

describe('signatures that can be written in two ways', () => {
  /** Order of the group of P-256 (SEC 2). */
  const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n

  /** The other ECDSA signature of the same message: (r, n - s). */
  function twin(rrsig: Uint8Array): Uint8Array {
    const out = rrsig.slice()
    const s = BigInt(`0x${Buffer.from(rrsig.subarray(-32)).toString('hex')}`)
    const other = (ORDER - s).toString(16).padStart(64, '0')
    out.set(Buffer.from(other, 'hex'), out.length - 32)
    return out
  }

  test('make another entry that says the same: no forgery, for nothing signed is changed', async () => {
    const net = new Internet()
    net.addZone('fi.')
    const owner = nameFromText('a.fi.')
    const verifier = { anchors: net.anchors, backend }
    const log = await TestLog.create({ ...verifier, time: net.clock.now() })
    const [first] = STORIES.swapped(net, owner)
    expect(first).toBeDefined()
    await log.observe(owner, net.evidence(owner), live(net.clock.now()))
    const entry = decodeEntry(log.entries.at(-1)!)
    if (entry.type !== 'ds') throw new Error('not a DS')
    const other = { ...entry, rrsig: twin(entry.rrsig) }
    expect(other.rrsig).not.toEqual(entry.rrsig)
    expect(signedRrsigFields(parseRrsig(other.rrsig))).toEqual(
      signedRrsigFields(parseRrsig(entry.rrsig)),
    )
    const prefix = await Prefix.of(log.entries.slice(0, -1), verifier)
    expect(await prefix.kind(other)).toBe('right')
    // As a second entry it is no new state.
    const after = await Prefix.of(log.entries, verifier)
    expect(await after.kind(other)).toBe('bad-admission')
  })
})

test('violations name the entry, its index, the kind and a reason', async () => {
  const { entries, verifier } = cases.get('NSEC_MATCH')!
  const forged = entries.with(3, entries[3]!.with(-1, entries[3]!.at(-1)! ^ 1))
  const { seen, violation } = await audit(forged, verifier)
  expect(violation).toEqual({
    kind: 'bad-evidence',
    index: 3,
    reason: expect.stringContaining('does not verify'),
    entry: forged[3],
  })
  expect(seen).toEqual([0, 1, 2])
  const twice = await audit(entries.toSpliced(4, 0, entries[3]!), verifier)
  expect(twice.violation).toMatchObject({ kind: 'bad-admission', index: 4 })
  const cut = await audit(entries.with(2, entries[2]!.subarray(0, 40)), verifier)
  expect(cut.violation).toMatchObject({ kind: 'bad-encoding', index: 2 })
})
