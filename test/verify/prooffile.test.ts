/** Proof files: what is proven comes back out, and nothing else is. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { compare, concat, u64be, utf8 } from '@dslog/tlog/bytes'
import { backend as tlogBackend, setBackend } from '@dslog/tlog/backend'
import { formatTlogProof, parseTlogProof } from '@dslog/tlog/bundle'
import { formatVkey, KEY_TYPE } from '@dslog/tlog/key'
import { leafHash } from '@dslog/tlog/hash'
import { parsePolicy, policyOfLog } from '@dslog/tlog/policy'
import { nameFromText } from '@dslog/dnssec/name'
import { TYPE } from '@dslog/dnssec/records'
import { decodeEntry, encodeEntry, type ParentLink, type ZoneKeysEntry } from '@dslog/schema/entry'
import { keysId, MapKind } from '@dslog/schema/identity'
import { VerifyError } from '@dslog/verify/error'
import {
  decodeExtra,
  encodeExtra,
  type EntryProof,
  type NameProof,
  type ProofItem,
} from '@dslog/verify/prooffile'
import {
  isVerificationFailure,
  type ProofReport,
  type ProofVerifier,
  verifyProofFile,
} from '@dslog/verify/verify'
import { testKey } from '@dslog/testbed/notekey'
import { LOG_KEY, POLICY, PublishedLog, rememberNotes, tlvsOf, WITNESS } from './published.ts'
import { anchorOfRoot, day, days, madeUpDs, Registry, signed } from './registry.ts'
import { ANCHORS, ARCHIVED, NOBODY, stage, type Staged, VERIFIER, VICTIM } from './stage.ts'
import { TestLog } from './testlog.ts'

const VERIFY: ProofVerifier = { ...VERIFIER, policy: POLICY }
const noble = tlogBackend()
let staged: Staged
let published: PublishedLog

beforeAll(async () => {
  rememberNotes()
  staged = await stage()
  published = staged.published
})
afterAll(() => setBackend(noble))

/** What became of a file: its report in short, or why it was refused. */
async function outcome(file: string | Uint8Array, verifier = VERIFY): Promise<string> {
  try {
    return spell(await verifyProofFile(file, verifier))
  } catch (error) {
    if (!isVerificationFailure(error)) throw error
    return `refused: ${'code' in error ? String(error.code) : ''}`
  }
}

function spell(report: ProofReport): string {
  if (report.kind === 'entry') return `${report.index} ${report.entry.type}`
  return report.history.map(({ entry, index }) => `${index} ${entry.type}`).join(', ') || 'none'
}

function typesOf(log: PublishedLog): string[] {
  return log.entries.map((bytes) => decodeEntry(bytes).type)
}

describe('an entry proof', () => {
  test('of every entry there is says which it is, and when it was signed', async () => {
    expect(typesOf(published).join(' ')).toBe(
      'map-head zone-keys zone-keys ds ' +
        'zone-keys zone-keys ds map-head ' +
        'zone-keys zone-keys ds ds map-head ' +
        'zone-keys zone-keys no-ds ds map-head',
    )
    for (const [index, bytes] of published.entries.entries()) {
      const report = await verifyProofFile(await published.entryFile(index), VERIFY)
      expect(report).toMatchObject({ kind: 'entry', index, entry: decodeEntry(bytes) })
      expect(report.trusted.checkpoint.size).toBe(published.entries.length)
      expect(report.trusted.witnesses.map(({ name }) => name)).toEqual(['w'])
    }
    const ds = await verifyProofFile(await published.entryFile(3), VERIFY)
    expect(ds).toMatchObject({ inception: day(-51) / 1000 })
    const mapHead = await verifyProofFile(await published.entryFile(7), VERIFY)
    expect('inception' in mapHead).toBe(false)
  })

  test('holds the keys above it, nearest first', async () => {
    const chains = [0, 1, 2, 3, 6, 10, 15].map((index) => published.chain(index))
    const indices = (await Promise.all(chains)).map((chain) => chain.map(({ index }) => index))
    expect(indices).toEqual([[], [], [1], [2, 1], [5, 4], [9, 8], [14, 13]])
    const root = await published.entryProof(8)
    expect(root.chain).toEqual([])
  })

  test('of an unknown entry proves that it is there', async () => {
    const unknown = Uint8Array.of(1, 200, 5, 6)
    const log = new PublishedLog([...published.entries, unknown], ANCHORS)
    const report = await verifyProofFile(await log.entryFile(published.entries.length), VERIFY)
    expect(report).toMatchObject({ entry: { type: 'unknown', bytes: unknown } })
  })

  test('without its keys, or with too many, too few or others, is refused', async () => {
    const proof = await published.entryProof(10)
    const [own, root] = proof.chain as [ProofItem, ProofItem]
    const old = await published.chain(3)
    const say = (chain: readonly ProofItem[]) => outcome(published.file({ ...proof, chain }, 10))
    expect(await say([own, root])).toBe('10 ds')
    expect(await say([])).toBe('refused: unproven')
    expect(await say([own])).toBe('refused: unproven')
    expect(await say([root])).toBe('refused: unproven')
    expect(await say([root, own])).toBe('refused: proof')
    expect(await say([own, root, root])).toBe('refused: proof')
    expect(await say([own, own, root])).toBe('refused: proof')
    expect(await say([own, root, ...old])).toBe('refused: proof')
    expect(await say([...old, own, root])).toBe('refused: proof')
    // Of the same zone and key, but expired, or not yet logged, when the entry was.
    expect(await say([published.item(5), published.item(4)])).toBe('refused: unproven')
    expect(await say([published.item(14), published.item(13)])).toBe('refused: unproven')
    expect(await say([own, published.item(1)])).toBe('refused: unproven')
    // No keys at all.
    expect(await say([own, root, published.item(3)])).toBe('refused: proof')
    expect(await say([own, { ...root, index: root.index + 1 }])).toBe('refused: bad-proof')
    expect(await say([own, { ...root, path: root.path.slice(1) }])).toBe('refused: bad-proof')
    expect(await say([own, { ...root, entry: own.entry }])).toBe('refused: bad-proof')
  })

  test('at another place, or of another leaf, is refused', async () => {
    const proof = await published.entryProof(10)
    expect(await outcome(published.file(proof, 11))).toBe('refused: bad-proof')
    const other = { ...proof, leaf: published.entries[3]! }
    expect(await outcome(published.file(other, 10))).toBe('refused: bad-proof')
    // The same leaf where it is, under keys of its own time.
    const third = { ...proof, leaf: published.entries[3]! }
    expect(await outcome(published.file(third, 3))).toBe('refused: unproven')
  })

  test('hangs from any key set that was logged before and valid then', async () => {
    const root = new Registry('.')
    const fi = new Registry('fi.')
    const owner = nameFromText('x.fi.')
    const log = await TestLog.create({ ...VERIFIER, anchors: [anchorOfRoot(root)], time: day(0) })
    const bag = (from: number, n: number) => {
      const window = days(from, from + 14)
      return [
        ...root.dnskeys(window),
        ...root.delegation(fi, window),
        ...fi.dnskeys(window),
        ...fi.ds(owner, [madeUpDs(n)], days(12, 14)),
      ]
    }
    await log.observeKeys(fi.zone, bag(0, 1), { time: day(1), historical: false })
    await log.observe(owner, bag(12, 1), { time: day(13), historical: false })
    const tree = new PublishedLog(log.entries, [anchorOfRoot(root)])
    expect(typesOf(tree)).toEqual([
      'map-head',
      'zone-keys',
      'zone-keys',
      'zone-keys',
      'zone-keys',
      'ds',
    ])
    const verifier = { ...VERIFY, anchors: [anchorOfRoot(root)] }
    const say = (...chain: number[]) => {
      const items = chain.map((index) => tree.item(index))
      const proof: EntryProof = { kind: 'entry', leaf: tree.entries[5]!, chain: items }
      return outcome(tree.file(proof, 5), verifier)
    }
    // A log gives the newest; an older one that was still valid proves the same.
    expect((await tree.chain(5)).map(({ index }) => index)).toEqual([4, 3])
    for (const keys of [4, 2]) {
      for (const above of [3, 1]) expect(await say(keys, above)).toBe('5 ds')
    }
    expect(await say(4, 3, 1)).toBe('refused: proof')
    expect(await say(4, 2, 3)).toBe('refused: proof')
  })
})

describe('a name proof', () => {
  test('says everything the log holds about a name, and no more', async () => {
    const { log } = staged
    expect(log.entries.length).toBe(published.entries.length)
    const say = async (kind: MapKind, text: string) => {
      return outcome(await published.nameFile(kind, nameFromText(text)))
    }
    expect(await say(MapKind.delegation, 'victim.fi.')).toBe('6 ds, 10 ds, 15 no-ds, 16 ds')
    expect(await say(MapKind.delegation, 'archived.com.')).toBe('3 ds')
    expect(await say(MapKind.delegation, 'nobody.fi.')).toBe('none')
    expect(await say(MapKind.delegation, '.')).toBe('none')
    expect(await say(MapKind.zoneKeys, 'fi.')).toBe('5 zone-keys, 9 zone-keys, 14 zone-keys')
    expect(await say(MapKind.zoneKeys, '.')).toBe(
      '1 zone-keys, 4 zone-keys, 8 zone-keys, 13 zone-keys',
    )
    expect(await say(MapKind.zoneKeys, 'org.')).toBe('none')
    // A zone is no delegation, nor the other way round.
    expect(await say(MapKind.delegation, 'fi.')).toBe('none')
    expect(await say(MapKind.zoneKeys, 'victim.fi.')).toBe('none')
  })

  test('reports name, kind, root and every entry with its time', async () => {
    const report = await verifyProofFile(await published.nameFile(1, VICTIM), VERIFY)
    if (report.kind !== 'name') throw new Error('a name proof')
    const head = decodeEntry(published.entries.at(-1)!)
    expect(report).toMatchObject({ mapKind: 1, name: VICTIM })
    expect(head).toMatchObject({ mapRoot: report.mapRoot })
    expect(report.history.map(({ inception }) => inception)).toEqual(
      [0, 19, 42, 45].map((n) => day(n) / 1000),
    )
  })

  test('of the empty log says that there is nothing', async () => {
    const log = await TestLog.create({ ...VERIFIER, time: day(0) })
    const first = new PublishedLog(log.entries, ANCHORS, { log })
    expect(await outcome(await first.nameFile(1, VICTIM))).toBe('none')
    expect((await first.nameProof(1, VICTIM)).mapProof).toHaveLength(0)
  })

  test('has the keys in the order in which they are first needed', async () => {
    const { chain } = await published.nameProof(1, VICTIM)
    expect(chain.map(({ index }) => index)).toEqual([5, 4, 9, 8, 14, 13])
    const zone = await published.nameProof(2, nameFromText('fi.'))
    expect(zone.chain.map(({ index }) => index)).toEqual([4, 8, 13])
  })

  test('of one tree is not that of the next', async () => {
    const { before, earlier } = staged
    expect(await outcome(before.file(earlier))).toBe('6 ds, 10 ds')
    const older = before.entries.length - 1
    // The older MAP_HEAD in the newer tree, every path made anew: true entries, but not all.
    const moved: NameProof = {
      ...earlier,
      history: earlier.history.map(({ index }) => published.item(index)),
      chain: earlier.chain.map(({ index }) => published.item(index)),
    }
    expect(await outcome(published.file(moved, older))).toBe('refused: map')
    expect(await outcome(published.file({ ...moved, leaf: published.entries.at(-1)! }))).toBe(
      'refused: bad-map',
    )
    const stale = formatTlogProof({
      ...parseTlogProof(before.file(earlier)),
      checkpoint: published.note,
    })
    expect(await outcome(stale)).toBe('refused: bad-proof')
  })

  test('that keeps an entry back, or brings another’s, is refused', async () => {
    const proof = await published.nameProof(1, VICTIM)
    const other = await published.nameProof(1, nameFromText('other.fi.'))
    const say = (change: Partial<NameProof>) => outcome(published.file({ ...proof, ...change }))
    expect(await say({})).toBe('6 ds, 10 ds, 15 no-ds, 16 ds')
    for (const i of proof.history.keys()) {
      expect(await say({ history: proof.history.toSpliced(i, 1) })).toBe('refused: bad-map')
    }
    expect(await say({ history: [] })).toBe('refused: bad-map')
    expect(await say({ history: proof.history.toReversed() })).toBe('refused: bad-map')
    expect(await say({ history: [...proof.history, ...other.history] })).toBe('refused: bad-map')
    expect(await say({ history: [...proof.history, proof.history.at(-1)!] })).toBe(
      'refused: bad-map',
    )
    expect(await say({ history: proof.history.with(0, other.history[0]!) })).toBe(
      'refused: bad-map',
    )
    // The place that the list names, with what stands elsewhere.
    const [first, second] = proof.history as [ProofItem, ProofItem]
    const disguised = { ...second, index: first.index }
    expect(await say({ history: proof.history.with(0, disguised) })).toBe('refused: bad-proof')
  })

  test('for another name or kind, or with another map proof, is refused', async () => {
    const proof = await published.nameProof(1, VICTIM)
    const absent = await published.nameProof(1, NOBODY)
    const say = (change: Partial<NameProof>, of = proof) =>
      outcome(published.file({ ...of, ...change }))
    expect(await say({ name: NOBODY })).toBe('refused: bad-map')
    expect(await say({ mapKind: 2 })).toBe('refused: bad-map')
    expect(await say({ mapProof: absent.mapProof })).toBe('refused: bad-map')
    expect(await say({ mapProof: new Uint8Array(0) })).toBe('refused: bad-map')
    expect(await say({ mapProof: proof.mapProof.subarray(33) })).toBe('refused: bad-map')
    // Who is there is not absent, and who is not is not there.
    expect(await say({ history: [], chain: [] })).toBe('refused: bad-map')
    expect(await say({ name: VICTIM }, absent)).toBe('refused: bad-map')
    expect(await say({ history: proof.history, chain: proof.chain }, absent)).toBe(
      'refused: bad-map',
    )
    expect(await say({ name: ARCHIVED }, absent)).toBe('refused: bad-map')
  })

  test('whose leaf is no MAP_HEAD, or not the last, is refused', async () => {
    const proof = await published.nameProof(1, VICTIM)
    for (const index of published.entries.keys()) {
      const leaf = published.entries[index]!
      const expected =
        index === published.entries.length - 1 ? '6 ds, 10 ds, 15 no-ds, 16 ds' : 'refused: map'
      expect(await outcome(published.file({ ...proof, leaf }, index))).toBe(expected)
    }
    // A log that ends with something else proves nothing about names.
    const odd = new PublishedLog([...published.entries, Uint8Array.of(1, 99)], ANCHORS)
    const items = (list: readonly ProofItem[]) => list.map(({ index }) => odd.item(index))
    const moved = { ...proof, history: items(proof.history), chain: items(proof.chain) }
    expect(await outcome(odd.file(moved, published.entries.length - 1))).toBe('refused: map')
    const last = { ...moved, leaf: odd.entries.at(-1)! }
    expect(await outcome(odd.file(last))).toBe('refused: map')
  })

  test('with keys missing, superfluous or out of order is refused', async () => {
    const proof = await published.nameProof(1, VICTIM)
    const say = (chain: readonly ProofItem[]) => outcome(published.file({ ...proof, chain }))
    for (const i of proof.chain.keys()) {
      expect(await say(proof.chain.toSpliced(i, 1))).toBe('refused: unproven')
      expect(await say([...proof.chain, proof.chain[i]!])).toBe('refused: proof')
      if (i === 0) continue
      const swapped = proof.chain.toSpliced(i - 1, 2, proof.chain[i]!, proof.chain[i - 1]!)
      expect(await say(swapped)).toBe('refused: proof')
    }
    expect(await say([...proof.chain, published.item(1)])).toBe('refused: proof')
    expect(await say([])).toBe('refused: unproven')
  })
})

describe('who is trusted', () => {
  test('comes from the verifier: policy, witnesses, anchors', async () => {
    const file = await published.nameFile(1, VICTIM)
    const other = testKey('log.example/ds', KEY_TYPE.ed25519, 9)
    const otherName = testKey('other.example', KEY_TYPE.ed25519, 1)
    const second = testKey('second.example', KEY_TYPE.cosignature, 8)
    const two = `log ${formatVkey(LOG_KEY)}\nwitness w ${formatVkey(WITNESS)}\nwitness v ${formatVkey(second)}\ngroup g all w v\nquorum g\n`
    const under = (policy: typeof POLICY) => outcome(file, { ...VERIFY, policy })
    expect(await under(policyOfLog(formatVkey(LOG_KEY)))).toBe('6 ds, 10 ds, 15 no-ds, 16 ds')
    expect(await under(policyOfLog(formatVkey(other)))).toBe('refused: unverified')
    expect(await under(policyOfLog(formatVkey(otherName)))).toBe('refused: unverified')
    expect(await under(parsePolicy(two))).toBe('refused: quorum')
    expect(await outcome(file, { ...VERIFY, anchors: [] })).toBe('refused: unproven')
    const strange = [anchorOfRoot(new Registry('.', 2))]
    expect(await outcome(file, { ...VERIFY, anchors: strange })).toBe('refused: unproven')
    const late = [anchorOfRoot(new Registry('.'), day(5))]
    expect(await outcome(file, { ...VERIFY, anchors: late })).toBe('refused: unproven')
  })

  test('a witness of the future does not count', async () => {
    const file = await published.nameFile(1, VICTIM)
    expect(await outcome(file, { ...VERIFY, now: day(100) })).toContain('6 ds')
    expect(await outcome(file, { ...VERIFY, now: day(99) })).toBe('refused: quorum')
  })

  test('a note without the log’s signature is nothing', async () => {
    const unsigned = new PublishedLog(published.entries, ANCHORS, { signers: [WITNESS] })
    const proof = await published.entryProof(3)
    expect(await outcome(unsigned.file(proof, 3))).toBe('refused: unknown-log')
    const unwitnessed = new PublishedLog(published.entries, ANCHORS, { signers: [LOG_KEY] })
    expect(await outcome(unwitnessed.file(proof, 3))).toBe('refused: quorum')
  })
})

describe('a log that lies', () => {
  const root = new Registry('.')
  const anchors = [anchorOfRoot(root)]
  const window = days(0, 1000)
  const verifier = { ...VERIFY, anchors }

  test('cannot make a verifier go round in circles', async () => {
    const zone = nameFromText('a.b.')
    const own = new Registry(zone)
    const id = keysId(zone, [own.ksk.rdata, own.zsk.rdata].sort(compare))
    const records = own.dnskeys(window)
    const ds = own.ds(nameFromText('b.'), [own.dsRdata()], window)
    const link: ParentLink = {
      zone: nameFromText('b.'),
      keysId: id,
      ds: [own.dsRdata()],
      rrsig: ds[1]!.rdata,
    }
    const keys: ZoneKeysEntry = {
      type: 'zone-keys',
      time: day(1),
      historical: false,
      zone,
      keys: [own.ksk.rdata, own.zsk.rdata].sort(compare),
      rrsig: records.at(-1)!.rdata,
      link,
    }
    const owner = nameFromText('x.a.b.')
    const state = own.ds(owner, [madeUpDs(1)], window)
    const entry = encodeEntry({
      type: 'ds',
      time: day(1),
      historical: false,
      outOfOrder: false,
      owner,
      zone,
      keysId: id,
      ds: [madeUpDs(1)],
      rrsig: state.at(-1)!.rdata,
    })
    const log = new PublishedLog([published.entries[0]!, encodeEntry(keys), entry], anchors)
    const proof: EntryProof = { kind: 'entry', leaf: entry, chain: [log.item(1)] }
    expect(await outcome(log.file(proof, 2), verifier)).toBe('refused: unproven')
    const self: EntryProof = { kind: 'entry', leaf: log.entries[1]!, chain: [log.item(1)] }
    expect(await outcome(log.file(self, 1), verifier)).toBe('refused: unproven')
  })

  test('cannot make it try every way up through many zones', async () => {
    const DEPTH = 40
    const zones = Array.from(
      { length: DEPTH },
      (_, i) => new Registry(nameFromText('a.'.repeat(i + 1))),
    )
    const entries = [published.entries[0]!]
    for (const [i, zone] of zones.entries()) {
      const keys = [zone.ksk.rdata, zone.zsk.rdata].sort(compare)
      const above = zones[i - 1] ?? new Registry('.', 2)
      for (const copy of [1, 2]) {
        const link: ParentLink = {
          zone: above.zone,
          keysId: keysId(above.zone, [above.ksk.rdata, above.zsk.rdata].sort(compare)),
          ds: [zone.dsRdata()],
          rrsig: signed(zone.zone, TYPE.DS, [zone.dsRdata()], above.zone, [above.zsk], window)[1]!
            .rdata,
        }
        const rrsig = zone.dnskeys(window).at(-1)!.rdata
        const head = { type: 'zone-keys', historical: false, zone: zone.zone, keys, rrsig } as const
        entries.push(encodeEntry({ ...head, time: day(copy), link }))
      }
    }
    const last = zones.at(-1)!
    const owner = nameFromText(`x.${'a.'.repeat(DEPTH)}`)
    const entry = encodeEntry({
      type: 'ds',
      time: day(5),
      historical: false,
      outOfOrder: false,
      owner,
      zone: last.zone,
      keysId: keysId(last.zone, [last.ksk.rdata, last.zsk.rdata].sort(compare)),
      ds: [madeUpDs(1)],
      rrsig: last.ds(owner, [madeUpDs(1)], window).at(-1)!.rdata,
    })
    entries.push(entry)
    const log = new PublishedLog(entries, anchors)
    const chain = entries.slice(1, -1).map((_, i) => log.item(i + 1))
    const proof: EntryProof = { kind: 'entry', leaf: entry, chain }
    expect(await outcome(log.file(proof, entries.length - 1), verifier)).toBe('refused: unproven')
  })

  test('cannot pass off an entry that it forged', async () => {
    const entry = decodeEntry(published.entries[10]!)
    if (entry.type !== 'ds') throw new Error('a DS')
    const forged = encodeEntry({ ...entry, ds: [madeUpDs(666)] })
    const log = new PublishedLog(published.entries.with(10, forged), ANCHORS)
    expect(await outcome(await log.entryFile(10))).toBe('refused: bogus')
    const keys = decodeEntry(published.entries[9]!) as ZoneKeysEntry
    const evil = new Registry('fi.', 666)
    const swapped = encodeEntry({ ...keys, keys: [evil.ksk.rdata, evil.zsk.rdata].sort(compare) })
    const other = new PublishedLog(published.entries.with(9, swapped), ANCHORS)
    expect(await outcome(await other.entryFile(9))).toBe('refused: unproven')
    expect(await outcome(await other.entryFile(10))).toBe('refused: unproven')
  })

  test('cannot show the keys of later as those of before', async () => {
    // The same leaves in another order: the keys behind what hangs from them.
    const [keys, state] = [published.entries[9]!, published.entries[10]!]
    const log = new PublishedLog(published.entries.with(9, state).with(10, keys), ANCHORS)
    const proof: EntryProof = { kind: 'entry', leaf: state, chain: [log.item(10), log.item(8)] }
    expect(await outcome(log.file(proof, 9))).toBe('refused: unproven')
  })
})

describe('an extra line', () => {
  const proofs = async (): Promise<(EntryProof | NameProof)[]> => [
    ...(await Promise.all([0, 1, 2, 3, 10, 15].map((index) => published.entryProof(index)))),
    await published.nameProof(1, VICTIM),
    await published.nameProof(1, NOBODY),
    await published.nameProof(2, nameFromText('fi.')),
    await published.nameProof(2, nameFromText('.')),
  ]

  test('is read as it was written', async () => {
    for (const proof of await proofs()) {
      const extra = encodeExtra(proof)
      expect(decodeExtra(extra)).toEqual(proof)
      expect(encodeExtra(decodeExtra(extra))).toEqual(extra)
    }
  })

  test('begins with its domain, and has its parts in order', async () => {
    const extra = encodeExtra(await published.nameProof(1, VICTIM))
    const { head, tlvs } = tlvsOf(extra)
    expect(head).toEqual(utf8('dslog/proof/v1\0'))
    expect(tlvs.map(([type]) => type)).toEqual([1, 5, 3, 4, 6, 6, 6, 6, 2, 2, 2, 2, 2, 2])
    expect(tlvs[1]!.subarray(5)).toEqual(concat(Uint8Array.of(1), VICTIM))
    expect(tlvs[3]!.subarray(5)).toEqual(concat(...[6, 10, 15, 16].map(u64be)))
    const entry = tlvsOf(encodeExtra(await published.entryProof(10))).tlvs
    expect(entry.map(([type]) => type)).toEqual([1, 2, 2])
    expect(entry[0]!.subarray(5)).toEqual(published.entries[10])
    const absent = tlvsOf(encodeExtra(await published.nameProof(1, NOBODY))).tlvs
    expect(absent.map(([type]) => type)).toEqual([1, 5, 3, 4])
  })

  test('cut off anywhere, or longer, is refused', async () => {
    for (const proof of await proofs()) {
      const extra = encodeExtra(proof)
      for (let end = 0; end < extra.length; end++) {
        // What ends between two parts may be whole; then the proof is another.
        const cut = extra.subarray(0, end)
        if (codeOf(cut) === undefined) expect(decodeExtra(cut)).not.toEqual(proof)
      }
      for (const more of [0, 2, 7]) {
        expect(codeOf(concat(extra, Uint8Array.of(more)))).toBe('malformed')
        expect(codeOf(concat(extra, Uint8Array.of(more, 0, 0, 0, 0)))).toBe('malformed')
      }
    }
  })

  test('with parts left out, repeated, moved, unknown or empty is refused with its file', async () => {
    for (const [proof, index] of [
      [await published.entryProof(10), 10],
      [await published.nameProof(1, VICTIM), published.entries.length - 1],
      [await published.nameProof(1, NOBODY), published.entries.length - 1],
    ] as const) {
      const { head, tlvs } = tlvsOf(encodeExtra(proof))
      const whole = await outcome(published.rawFile(concat(head, ...tlvs), index))
      expect(whole).not.toContain('refused')
      const changed: Uint8Array[][] = []
      for (const [i, tlv] of tlvs.entries()) {
        changed.push(tlvs.toSpliced(i, 1), tlvs.toSpliced(i, 0, tlv))
        changed.push(tlvs.with(i, Uint8Array.of(tlv[0]!, 0, 0, 0, 0)))
        for (const type of [0, 1, 2, 3, 4, 5, 6, 7, 255]) {
          if (type !== tlv[0]) changed.push(tlvs.with(i, tlv.with(0, type)))
        }
        for (let j = 0; j < i; j++) {
          changed.push(tlvs.with(i, tlvs[j]!).with(j, tlv))
        }
        changed.push(tlvs.toSpliced(i, 0, Uint8Array.of(9, 0, 0, 0, 1, 1)))
      }
      for (const list of changed) {
        if (list.length === tlvs.length && list.every((tlv, i) => compare(tlv, tlvs[i]!) === 0)) {
          continue
        }
        const file = published.rawFile(concat(head, ...list), index)
        expect(await outcome(file)).toContain('refused')
      }
    }
  })

  test('of another version or of another application is refused', async () => {
    const extra = encodeExtra(await published.entryProof(3))
    expect(codeOf(concat(utf8('dslog/proof/v2\0'), extra.subarray(15)))).toBe('malformed')
    expect(codeOf(utf8('whatever'))).toBe('malformed')
    expect(codeOf(new Uint8Array(0))).toBe('malformed')
    const bare = { ...parseTlogProof(await published.entryFile(3)) }
    const { extra: _, ...without } = bare
    expect(await outcome(formatTlogProof(without))).toBe('refused: proof')
  })

  test('with a name in capitals, of an unknown kind, or no name is refused', async () => {
    const { head, tlvs } = tlvsOf(encodeExtra(await published.nameProof(1, NOBODY)))
    const withName = (value: Uint8Array) => {
      const tlv = concat(Uint8Array.of(5, 0, 0, 0, value.length), value)
      return codeOf(concat(head, ...tlvs.with(1, tlv)))
    }
    expect(withName(concat(Uint8Array.of(1), NOBODY))).toBeUndefined()
    const capital = NOBODY.slice().with(1, NOBODY[1]! - 32)
    expect(withName(concat(Uint8Array.of(1), capital))).toBe('malformed')
    expect(withName(concat(Uint8Array.of(3), NOBODY))).toBe('malformed')
    expect(withName(concat(Uint8Array.of(1), NOBODY, Uint8Array.of(0)))).toBe('malformed')
    expect(withName(concat(Uint8Array.of(1), NOBODY.subarray(0, -1)))).toBe('malformed')
    expect(withName(new Uint8Array(0))).toBe('malformed')
    expect(withName(Uint8Array.of(1))).toBe('malformed')
  })

  function codeOf(extra: Uint8Array): string | undefined {
    try {
      decodeExtra(extra)
      return undefined
    } catch (error) {
      if (error instanceof VerifyError) return error.code
      throw error
    }
  }
})

test('what was published is what was logged', () => {
  expect(published.entries.map(leafHash)).toEqual(staged.log.entries.map(leafHash))
  expect(isVerificationFailure(new VerifyError('proof', ''))).toBe(true)
  expect(isVerificationFailure(new TypeError('a bug'))).toBe(false)
})
