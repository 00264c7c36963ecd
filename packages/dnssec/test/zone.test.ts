import { beforeAll, describe, expect, test } from 'vitest'
import { ROOT_ANCHORS } from '../src/anchors.ts'
import { proveNoDs } from '../src/denial.ts'
import { DnssecError, type DnssecErrorCode } from '../src/error.ts'
import { nameFromText, nameToText, ROOT, type Name } from '../src/name.ts'
import { dsToText, parseNsec, parseRrsig, TYPE, type RR } from '../src/records.ts'
import { rdataFromText, rdataToText, typeToText } from '../src/rdata.ts'
import { verifyZone, zoneTime, type SignedZone, type ZoneQuestion } from '../src/zone.ts'
import { parseZoneFile } from '../src/zonefile.ts'
import { BACKENDS } from './backends.ts'
import { refusalOf } from './codes.ts'
import { computingOnce } from './once.ts'
import { AT, DAY, ed25519Key, HOUR, NOW, record, signed, type TestKey } from './sign.ts'
import { present, readBytes, readJsonLines, readText } from './vectors.ts'

const backend = computingOnce(BACKENDS[0]![1])

function refusal(question: Omit<ZoneQuestion, 'backend'>): Promise<DnssecError> {
  return refusalOf(() => verifyZone({ ...question, backend }))
}

interface Snapshot {
  readonly serial: string
  readonly file: string
  readonly check_time_unix: number
  readonly insecure_delegations: number
  readonly ds_rrsets: number
}

interface Change {
  readonly to_serial: string
  readonly zone: string
  readonly change: 'added' | 'removed' | 'replaced'
  readonly delegated_after: boolean
}

const SNAPSHOTS = present ? (JSON.parse(readText('data/root/index.json')) as Snapshot[]) : []

function rootZone({ file }: Pick<Snapshot, 'file'>): RR[] {
  return parseZoneFile(readBytes(`data/root/${file}`))
}

/** The question whether there is no DS at a name, with what a zone says to it. */
function absence(zone: SignedZone, owner: Name): Parameters<typeof proveNoDs>[0] {
  const records = zone.denialRecords(owner)
  return { owner, zone: zone.zone, keys: zone.keys.keys, records, at: zone.at, backend }
}

describe.skipIf(!present).each(SNAPSHOTS)('the root zone $serial', (snapshot) => {
  let records: RR[]
  beforeAll(() => {
    records = rootZone(snapshot)
  })

  test.each(BACKENDS)(
    'validates at its own time and proves every absence (%s)',
    async (_, plain) => {
      const at = snapshot.check_time_unix * 1000
      const trust = { anchors: ROOT_ANCHORS }
      const signatures = computingOnce(plain)
      const zone = await verifyZone({ records, trust, at, backend: signatures })
      expect(nameToText(zone.zone)).toBe('.')
      expect(String(zone.serial)).toBe(snapshot.serial)
      expect(zone.at).toBe(at)
      expect(zone.denial).toEqual({ type: TYPE.NSEC, isOptOut: false })
      expect(zone.delegations).toHaveLength(snapshot.ds_rrsets)
      expect(zone.insecureDelegations).toBe(snapshot.insecure_delegations)

      const found = zone.delegations.flatMap(({ owner, ds }) =>
        ds.map((rdata) => `${nameToText(owner)} ${dsToText(rdata)}`),
      )
      const truth = readText(`data/root/ds-${snapshot.serial}.txt.gz`).trimEnd().split('\n')
      expect(found.sort()).toEqual(truth.sort())
      for (const { rrsig, inception, expiration } of zone.delegations) {
        expect(parseRrsig(rrsig).typeCovered).toBe(TYPE.DS)
        expect(inception * 1000 <= at && at <= expiration * 1000).toBe(true)
      }

      // Left to itself it takes a time that the zone is valid at as well.
      const again = await verifyZone({ records, trust, backend: signatures })
      expect(again.at % HOUR).toBe(0)
      expect(again.keys.rdatas).toEqual(zone.keys.rdatas)

      const changes = readJsonLines<Change>('data/root/changes.jsonl')
      const gone = changes.filter((c) => c.to_serial === snapshot.serial && c.change === 'removed')
      const owners = [...gone.map((c) => c.zone), 'aaaa.', 'zzzz.', 'local.', 'a.b.c.example.']
      for (const text of owners) {
        const owner = nameFromText(text)
        const proof = await proveNoDs(absence(zone, owner))
        const isDelegated = gone.find((c) => c.zone === text)?.delegated_after ?? false
        expect(zone.isDelegated(owner)).toBe(isDelegated)
        // A delegation that went insecure still matches; one that left is between two others.
        expect(proof.kind).toBe(isDelegated ? 1 : 2)
      }
    },
  )
})

/** All records but those `drop` is true for. */
function leavingOut(records: readonly RR[], drop: (r: RR) => boolean): RR[] {
  const left = records.filter((r) => !drop(r))
  expect(left.length).toBeLessThan(records.length)
  return left
}

/** The records with the data of one changed: of the first of this owner and type. */
function changed(
  records: readonly RR[],
  owner: string,
  type: number,
  change: (rdata: Uint8Array) => Uint8Array,
): RR[] {
  const i = records.findIndex((r) => r.type === type && nameToText(r.owner) === owner)
  expect(i).toBeGreaterThanOrEqual(0)
  return records.with(i, { ...records[i]!, rdata: change(records[i]!.rdata) })
}

function flipped(rdata: Uint8Array, i: number): Uint8Array {
  const copy = rdata.slice()
  copy[i]! ^= 1
  return copy
}

const of = (owner: string, ...types: number[]): ((record: RR) => boolean) => {
  return (r) => nameToText(r.owner) === owner && (types.length === 0 || types.includes(r.type))
}

const covers =
  (type: number) =>
  (r: RR): boolean =>
    r.type === TYPE.RRSIG && type === r.rdata[0]! * 256 + r.rdata[1]!

/** A zone of which each kind of damage is tried, and names in it. */
interface Patient {
  readonly records: readonly RR[]
  readonly at: number
  /** A signed delegation, the one before it, and one without DS. */
  readonly signed: string
  readonly before: string
  readonly unsigned: string
}

type Damage = [
  what: string,
  damage: (p: Patient) => Partial<ZoneQuestion>,
  code: DnssecErrorCode,
  message: (p: Patient) => string,
]

const DAMAGES: Damage[] = [
  [
    'one digit of a DS changed',
    (p) => ({ records: changed(p.records, p.signed, TYPE.DS, (r) => flipped(r, r.length - 1)) }),
    'bad-signature',
    (p) => `${p.signed} DS: signature of`,
  ],
  [
    'one bit of a signature changed',
    (p) => {
      const i = p.records.findIndex((r) => of(p.signed)(r) && covers(TYPE.DS)(r))
      const r = p.records[i]!
      return { records: p.records.with(i, { ...r, rdata: flipped(r.rdata, r.rdata.length - 9) }) }
    },
    'bad-signature',
    (p) => `${p.signed} DS: signature of`,
  ],
  [
    'checked a month later',
    (p) => ({ at: p.at + 31 * DAY }),
    'expired',
    () => '. DNSKEY: signature of',
  ],
  [
    'checked a month earlier',
    (p) => ({ at: p.at - 31 * DAY }),
    'not-yet-valid',
    () => '. DNSKEY: signature of',
  ],
  [
    'an NSEC left out',
    (p) => ({ records: leavingOut(p.records, of(p.signed, TYPE.NSEC)) }),
    'bad-zone',
    (p) => `${p.signed} NSEC: a signature, but the records it covers are missing`,
  ],
  [
    'an NSEC left out with its signature',
    (p) => ({
      records: leavingOut(p.records, (r) => {
        return of(p.signed)(r) && (r.type === TYPE.NSEC || covers(TYPE.NSEC)(r))
      }),
    }),
    'bad-zone',
    (p) => `${p.signed} NSEC: missing`,
  ],
  [
    'a delegation left out',
    (p) => ({ records: leavingOut(p.records, of(p.signed)) }),
    'bad-zone',
    (p) => `${p.before} NSEC: names ${p.signed} as the next name, which the zone does not hold`,
  ],
  [
    'the NS of a delegation left out',
    (p) => ({ records: leavingOut(p.records, of(p.signed, TYPE.NS)) }),
    'bad-zone',
    (p) => `${p.signed} DS: without a delegation (NS)`,
  ],
  [
    'a DS left out',
    (p) => ({ records: leavingOut(p.records, of(p.signed, TYPE.DS)) }),
    'bad-zone',
    (p) => `${p.signed} DS: a signature, but the records it covers are missing`,
  ],
  [
    'a DS left out with its signature',
    (p) => ({
      records: leavingOut(p.records, (r) => {
        return of(p.signed)(r) && (r.type === TYPE.DS || covers(TYPE.DS)(r))
      }),
    }),
    'bad-zone',
    (p) => `${p.signed} NSEC: the bitmap says there is DS, which the zone does not hold`,
  ],
  [
    'the signature of a DS left out',
    (p) => ({ records: leavingOut(p.records, (r) => of(p.signed)(r) && covers(TYPE.DS)(r)) }),
    'no-signature',
    (p) => `${p.signed} DS: `,
  ],
  [
    'a DS put in',
    (p) => ({ records: [...p.records, record(p.unsigned, 'DS', '1 8 2 00')] }),
    'bad-zone',
    (p) => `${p.unsigned} NSEC: the bitmap does not say there is DS, which the zone holds`,
  ],
  [
    'a bitmap changed',
    (p) => ({
      records: changed(p.records, p.signed, TYPE.NSEC, (rdata) => {
        const text = rdataToText(TYPE.NSEC, rdata)
        return rdataFromText(TYPE.NSEC, text.replace(' DS ', ' '))
      }),
    }),
    'bad-zone',
    (p) => `${p.signed} NSEC: the bitmap does not say there is DS, which the zone holds`,
  ],
  [
    'a bitmap changed, and the DS taken with it',
    (p) => ({
      records: leavingOut(
        changed(p.records, p.signed, TYPE.NSEC, (rdata) => {
          const text = rdataToText(TYPE.NSEC, rdata)
          return rdataFromText(TYPE.NSEC, text.replace(' DS ', ' '))
        }),
        (r) => of(p.signed)(r) && (r.type === TYPE.DS || covers(TYPE.DS)(r)),
      ),
    }),
    'bad-signature',
    (p) => `${p.signed} NSEC: signature of`,
  ],
  ...[0.1, 0.25, 0.5, 0.75, 0.999].map((part): Damage => [
    `cut off at ${part}`,
    (p) => ({ records: p.records.slice(0, p.records.length * part) }),
    'bad-zone',
    () => 'the zone ends here: it ',
  ]),
  [
    'its beginning missing',
    (p) => ({ records: p.records.slice(1) }),
    'bad-zone',
    () => 'no SOA: not a whole zone, or its beginning is missing',
  ],
  [
    'no SOA',
    (p) => ({ records: leavingOut(p.records, (r) => r.type === TYPE.SOA || covers(TYPE.SOA)(r)) }),
    'bad-zone',
    () => 'no SOA: not a whole zone, or its beginning is missing',
  ],
  [
    'two SOA that differ',
    (p) => {
      const soa = p.records.find((r) => r.type === TYPE.SOA)!
      return {
        records: [...p.records, { ...soa, rdata: flipped(soa.rdata, soa.rdata.length - 1) }],
      }
    },
    'bad-zone',
    () => '. SOA: the SOA stands twice, and differs',
  ],
  [
    'an SOA elsewhere',
    (p) => ({ records: [...p.records, record(p.signed, 'SOA', '. . 1 2 3 4 5')] }),
    'bad-zone',
    (p) => `${p.signed} SOA: a second SOA, beside that of .`,
  ],
  [
    'another zone than the one wanted',
    () => ({ zone: nameFromText('org.') }),
    'bad-zone',
    () => '. SOA: another zone than org.',
  ],
  [
    'not signed',
    (p) => ({
      records: leavingOut(p.records, (r) => {
        return [TYPE.DNSKEY, TYPE.RRSIG, TYPE.NSEC].includes(r.type as 48)
      }),
    }),
    'bad-zone',
    () => '. DNSKEY: missing: the zone is not signed',
  ],
  [
    'no signatures',
    (p) => ({ records: leavingOut(p.records, (r) => r.type === TYPE.RRSIG) }),
    'bad-zone',
    () => '. SOA: not signed',
  ],
  [
    'no chain of denial',
    (p) => ({
      records: leavingOut(p.records, (r) => r.type === TYPE.NSEC || covers(TYPE.NSEC)(r)),
    }),
    'bad-zone',
    () => 'nothing proves it is whole',
  ],
  ['nothing at all', () => ({ records: [] }), 'bad-zone', () => 'the zone holds no records'],
  [
    'other trust anchors',
    () => ({ trust: { anchors: [] } }),
    'no-secure-entry',
    () => '. DNSKEY: no trust anchor names a key of .',
  ],
  [
    'a key left out',
    (p) => ({
      records: leavingOut(p.records, (r) => r.type === TYPE.DNSKEY && r.rdata[1] === 0),
    }),
    'bad-signature',
    () => '. DNSKEY: signature of',
  ],
  [
    'signed glue',
    (p) => {
      const glue = p.records.find((r) => r.type === TYPE.A)!
      const rdata = p.records.find(covers(TYPE.DS))!.rdata
      return { records: [...p.records, { ...glue, type: TYPE.RRSIG, rdata }] }
    },
    'bad-zone',
    () => 'DS: signed below the delegation ',
  ],
  [
    'a name with no place in the chain',
    (p) => ({ records: [...p.records, record('0000.', 'TXT', '"x"')] }),
    'bad-zone',
    () => 'and leaves out 0000.',
  ],
]

describe.skipIf(!present)('damage to a root zone', () => {
  let patient: Patient

  beforeAll(() => {
    const snapshot = SNAPSHOTS[0]!
    const records = rootZone(snapshot)
    const nsec = records.filter((r) => r.type === TYPE.NSEC)
    const has = (r: RR | undefined): boolean => parseNsec(r!.rdata).types.has(TYPE.DS)
    const i = nsec.findIndex((r, n) => n > 100 && has(r))
    const name = (r: RR | undefined): string => nameToText(r!.owner)
    patient = {
      records,
      at: snapshot.check_time_unix * 1000,
      before: name(nsec[i - 1]),
      signed: name(nsec[i]),
      unsigned: name(nsec.find((r, n) => n > 100 && !has(r))),
    }
  })

  test.each(DAMAGES)('%s', async (_, damage, code, message) => {
    const { records, at } = patient
    const question = { records, at, trust: { anchors: ROOT_ANCHORS }, ...damage(patient) }
    const error = await refusal(question)
    expect(error.message).toContain(message(patient))
    expect(error.code).toBe(code)
  })

  test('none: order, duplicates and a second, equal SOA do not matter', async () => {
    const { records, at } = patient
    const soa = records.find((r) => r.type === TYPE.SOA)!
    const ds = records.find((r) => r.type === TYPE.DS)!
    const trust = { anchors: ROOT_ANCHORS }
    const zone = await verifyZone({
      records: [...records, ds, soa].reverse(),
      trust,
      at,
      backend,
      zone: ROOT,
    })
    expect(zone.delegations).toHaveLength(SNAPSHOTS[0]!.ds_rrsets)
    const stream = async function* (): AsyncGenerator<RR> {
      await Promise.resolve()
      yield* records
    }
    const streamed = await verifyZone({ records: stream(), trust, at, backend })
    expect(streamed.delegations).toEqual(zone.delegations)
  })

  test('any record left out, or any byte of it changed, is noticed unless it is glue', async () => {
    // Every 97th record: all kinds of them, in seconds.
    const { records, at } = patient
    const trust = { anchors: ROOT_ANCHORS }
    const verdict = (damaged: RR[]): Promise<string> =>
      verifyZone({ records: damaged, trust, at, backend }).then(
        () => 'accepted',
        (error: unknown) => (error instanceof DnssecError ? 'refused' : String(error)),
      )
    for (let i = 0; i < records.length; i += 97) {
      const r = records[i]!
      const isGlue = [TYPE.A, TYPE.AAAA].includes(r.type as 1)
      const isCut = r.type === TYPE.NS && nameToText(r.owner) !== '.'
      if (isGlue || isCut) continue
      const label = `${nameToText(r.owner)} ${typeToText(r.type)}`
      const rdata = flipped(r.rdata, i % r.rdata.length)
      const without = await verdict(records.toSpliced(i, 1))
      const damaged = await verdict(records.with(i, { ...r, rdata }))
      expect({ label, without, damaged }).toEqual({ label, without: 'refused', damaged: 'refused' })
    }
  })
})

/** A small zone made by hand. */
async function smallZone(key: TestKey): Promise<RR[]> {
  const zone = nameFromText('example.')
  const plain = [
    record('example.', 'SOA', 'ns.example. admin.example. 7 1800 900 604800 86400'),
    record('example.', 'NS', 'ns.example.'),
    record('example.', 'NS', 'ns2.example.'),
    { ...record('example.', 'DS', '0 0 0 00'), type: TYPE.DNSKEY, rdata: key.rdata },
    record('example.', 'NSEC', 'a.b.example. NS SOA RRSIG NSEC DNSKEY'),
    record('a.b.example.', 'DS', '1 15 2 00'),
    record('a.b.example.', 'NSEC', 'ns.example. NS DS RRSIG NSEC'),
    record('ns.example.', 'A', '192.0.2.1'),
    record('ns.example.', 'NSEC', 'example. A RRSIG NSEC'),
  ]
  const sets = new Map<string, RR[]>()
  for (const r of plain) {
    const id = `${nameToText(r.owner)} ${r.type}`
    sets.set(id, [...(sets.get(id) ?? []), r])
  }
  const all = await Promise.all([...sets.values()].map((set) => signed(set, key, zone)))
  return [...all.flat(), record('a.b.example.', 'NS', 'x.a.b.example.'), ...GLUE]
}

const GLUE = [
  record('x.a.b.example.', 'A', '192.0.2.2'),
  record('deep.x.a.b.example.', 'NS', 'x.a.b.example.'),
]

describe('a small zone below a DS', () => {
  const key = ed25519Key()
  let records: RR[]
  let trust: { ds: Uint8Array[] }
  let zone: SignedZone

  beforeAll(async () => {
    records = await smallZone(key)
    const owner = nameFromText('example.')
    const digest = await backend.digest(2, new Uint8Array([...owner, ...key.rdata]))
    const hex = [...digest].map((byte) => byte.toString(16).padStart(2, '0')).join('')
    trust = { ds: [rdataFromText(TYPE.DS, `${key.tag} 15 2 ${hex}`)] }
    zone = await verifyZone({ records, trust, at: AT, backend })
  })

  test('is verified whole', () => {
    expect(nameToText(zone.zone)).toBe('example.')
    expect(zone.serial).toBe(7)
    expect(zone.delegations.map(({ owner }) => nameToText(owner))).toEqual(['a.b.example.'])
    expect(zone.delegations[0]).toMatchObject({ inception: NOW - 3600, insecure: false })
    expect(zone.insecureDelegations).toBe(0)
    expect(zone.keys.by).toHaveProperty('ds')
  })

  test.each([
    ['b.example.', 3],
    ['0.example.', 2],
    ['c.b.example.', 2],
    ['zz.example.', 2],
    ['x.ns.example.', 2],
    ['ns.example.', 1],
  ])('proves that %s has no DS', async (text, kind) => {
    const owner = nameFromText(text)
    const proof = await proveNoDs(absence(zone, owner))
    expect(proof.kind).toBe(kind)
    expect(zone.isDelegated(owner)).toBe(false)
  })

  test.each([
    ['a.b.example.', 'not-proven', 'has a DS'],
    ['x.a.b.example.', 'not-proven', 'is below the delegation a.b.example.'],
    ['y.x.a.b.example.', 'not-proven', 'is below the delegation a.b.example.'],
    ['example.', 'bad-owner', 'is not below the zone example.'],
    ['org.', 'bad-owner', 'is not below the zone example.'],
  ])('has no proof about %s', (text, code, message) => {
    expect(() => zone.denialRecords(nameFromText(text))).toThrow(
      expect.objectContaining({ code, message: `${text} ${message}` }),
    )
  })

  test('is checked at the time the caller chooses by the signature of the SOA', async () => {
    expect(zone.at).toBe(AT)
    const window = { inception: NOW - 3600, expiration: NOW + 3600 }
    expect(zoneTime(window)).toBe(AT + HOUR)
    expect(zoneTime(window, AT + 5)).toBe(AT + 5)
    expect(zoneTime(window, AT + HOUR)).toBe(AT + HOUR)
    expect(zoneTime(window, AT + HOUR + 1000)).toBe(AT + HOUR)
    expect(zoneTime({ ...window, expiration: NOW })).toBe(AT)
    const chosen = await verifyZone({ records, trust, at: (soa) => zoneTime(soa, AT + 9), backend })
    expect(chosen.at).toBe(AT + 9)
  })

  test('extra signatures of unknown algorithms do no harm; alone they are none', async () => {
    const i = records.findIndex((r) => covers(TYPE.DS)(r))
    const strange = { ...records[i]!, rdata: records[i]!.rdata.slice() }
    strange.rdata[2] = 253
    expect(
      (await verifyZone({ records: [strange, ...records], trust, at: AT, backend })).serial,
    ).toBe(7)
    const error = await refusal({ records: records.with(i, strange), trust, at: AT })
    expect(error.code).toBe('no-matching-key')
    expect(error.message).toContain('a.b.example. DS: ')
  })

  test('names outside it, strange classes and stray records are refused', async () => {
    const say = async (extra: RR): Promise<string> =>
      (await refusal({ records: [...records, extra], trust, at: AT })).message
    expect(await say(record('org.', 'A', '192.0.2.1'))).toBe('org.: not in the zone example.')
    expect(await say({ ...record('ns.example.', 'A', '192.0.2.1'), class: 3 })).toContain('class 3')
    expect(await say(record('example.', 'DS', '1 15 2 00'))).toBe('example. DS: at the apex')
    expect(await say(record('x.a.b.example.', 'NSEC', 'example. A'))).toContain(
      'x.a.b.example. NSEC: present below the delegation a.b.example.',
    )
    expect(await say({ ...record('ns.example.', 'A', '192.0.2.1'), type: TYPE.RRSIG })).toContain(
      'ns.example. TYPE49152: a signature, but the records it covers are missing',
    )
    expect(await say(record('ns.example.', 'NSEC', 'ns.example. A'))).toContain('more than one')
    expect(await say({ ...record('example.', 'NS', 'a.'), type: TYPE.SOA })).toContain('differs')
  })

  test('records made from a wildcard are refused', async () => {
    const apex = nameFromText('example.')
    const wildcard = await signed([record('*.example.', 'TXT', '"x"')], key, apex)
    const copied = wildcard.map((r) => ({ ...r, owner: nameFromText('ns.example.') }))
    const chained = [record('ns.example.', 'NSEC', 'example. A TXT RRSIG NSEC')]
    const nsec = await signed(chained, key, apex)
    const others = records.filter((r) => {
      return !(of('ns.example.')(r) && (r.type === TYPE.NSEC || covers(TYPE.NSEC)(r)))
    })
    const error = await refusal({ records: [...others, ...nsec, ...copied], trust, at: AT })
    expect(error.message).toContain('ns.example. TXT: ')
    expect(error.code).toBe('wildcard-expanded')
  })

  test('a DS for another key does not anchor it', async () => {
    const other = { ds: [rdataFromText(TYPE.DS, `${key.tag} 15 2 ${'00'.repeat(32)}`)] }
    expect((await refusal({ records, trust: other, at: AT })).code).toBe('no-secure-entry')
  })
})
