import { nodeBackend } from '@dslog/dnssec/backend/node'
import { webBackend } from '@dslog/dnssec/backend/web'
import { proveNoDs } from '@dslog/dnssec/denial'
import { DnssecError, type DnssecErrorCode } from '@dslog/dnssec/error'
import { nameFromText, nameToText } from '@dslog/dnssec/name'
import { rdataFromText, rdataToText } from '@dslog/dnssec/rdata'
import { parseRrsig, TYPE, type RR } from '@dslog/dnssec/records'
import { verifyZone, type SignedZone, type ZoneQuestion } from '@dslog/dnssec/zone'
import { parseZoneFile } from '@dslog/dnssec/zonefile'
import { describe, expect, test } from 'vitest'
import { record } from '../src/internet.ts'
import { dsOf, KSK, revoked, SIGNING_ALGORITHMS, zoneKey } from '../src/key.ts'
import { signZone, type Denial } from '../src/signer.ts'
import type { Zone } from '../src/zone.ts'
import { accepts, installed } from './ldns.ts'
import { AT, DENIALS, keysOf, NOW, ORIGIN, SAMPLE, signSample } from './sample.ts'

const node = nodeBackend()
const BACKENDS = [
  ['node', node],
  ['web', webBackend()],
] as const

function verify(zone: Zone, question: Partial<ZoneQuestion> = {}): Promise<SignedZone> {
  const [ksk] = keysOf(13)
  const trust = { ds: [dsOf(zone.origin, ksk)] }
  return verifyZone({ records: zone.records, trust, at: AT, backend: node, ...question })
}

describe.each(SIGNING_ALGORITHMS)('algorithm %i', (algorithm) => {
  const keys = keysOf(algorithm)
  const trust = { ds: [dsOf(ORIGIN, keys[0])] }

  test.each(DENIALS)('%s: both backends and ldns accept the zone', async (_, denial) => {
    const zone = signSample({ keys, denial })
    for (const [, backend] of BACKENDS) {
      const verified = await verify(zone, { trust, backend })
      expect(verified.delegations.map(({ owner }) => nameToText(owner))).toEqual([
        'a.example.',
        'deep.a1.a2.a3.example.',
        'y.ent2.example.',
      ])
      expect(verified.insecureDelegations).toBe(2)
      expect(verified.denial).toEqual({
        type: denial === 'nsec' ? TYPE.NSEC : TYPE.NSEC3,
        isOptOut: denial !== 'nsec' && denial.nsec3.optOut === true,
      })
    }
    if (installed) expect(accepts(zone, keys[0], AT)).toBe(true)
  })
})

test('as a master file a zone is the same zone', async () => {
  for (const [, denial] of DENIALS) {
    const zone = signSample({ denial })
    const records = parseZoneFile(zone.toText())
    expect(records).toEqual(zone.records)
    expect((await verify(zone, { records })).serial).toBe(7)
  }
})

test('records may be given instead of text', () => {
  // Ed25519 signs the same in the same way, so the whole zones can be compared.
  const keys = keysOf(15)
  const records = parseZoneFile(SAMPLE, { origin: ORIGIN })
  expect(signSample({ keys, records }).toText()).toBe(signSample({ keys }).toText())
})

describe('keys', () => {
  test('one for both', async () => {
    const csk = zoneKey({ algorithm: 13, seed: 'csk' })
    const zone = signSample({ keys: [csk] })
    expect((await verify(zone, { trust: { ds: [dsOf(ORIGIN, csk)] } })).keys.rdatas).toHaveLength(1)
    if (installed) expect(accepts(zone, csk, AT)).toBe(true)
  })

  test('published, revoked and of two algorithms', async () => {
    const [ksk, zsk] = keysOf(13)
    const old = revoked(zoneKey({ algorithm: 13, seed: 'old' }))
    const next = zoneKey({ algorithm: 13, seed: 'next', flags: KSK })
    const zone = signSample({ keys: [ksk, zsk, old, ...keysOf(15)], published: [next] })
    const verified = await verify(zone)
    expect(verified.keys.rdatas).toHaveLength(6)
    const signers = (owner: string, type: number): number[] =>
      zone
        .rrset(nameFromText(owner), type)
        .filter((rr) => rr.type === TYPE.RRSIG)
        .map((rr) => parseRrsig(rr.rdata).tag)
        .sort((a, b) => a - b)
    const tags = (keys: readonly { tag: number }[]): number[] =>
      keys.map(({ tag }) => tag).sort((a, b) => a - b)
    expect(signers('example.', TYPE.DNSKEY)).toEqual(tags([ksk, old, keysOf(15)[0]]))
    expect(signers('a.example.', TYPE.DS)).toEqual(tags([zsk, keysOf(15)[1]]))
    expect(signers('a.example.', TYPE.NS)).toEqual([])
    expect(signers('ns.a.example.', TYPE.A)).toEqual([])
    if (installed) expect(accepts(zone, ksk, AT)).toBe(true)
  })

  test('there must be one', () => {
    expect(() => signSample({ keys: [] })).toThrow(RangeError)
  })
})

describe('what cannot be signed', () => {
  test.each([
    ['no SOA', 'ns 300 A 192.0.2.1'],
    ['no NS', '@ 300 SOA . . 1 2 3 4 5'],
    ['a name outside', `${SAMPLE}\nns.example.org. 300 A 192.0.2.1`],
    ['a signature', `${SAMPLE}\n@ 300 RRSIG A 13 1 0 1 1 1 . AAAA`],
    ['a record of denial', `${SAMPLE}\n@ 300 NSEC @ A`],
    ['a key', `${SAMPLE}\n@ 300 DNSKEY 257 3 13 AAAA`],
  ])('%s', (_, records) => {
    expect(() => signSample({ records })).toThrow(RangeError)
  })
})

describe('signatures that are not what they should be', () => {
  const a = nameFromText('a.example.')
  const isA = (owner: Uint8Array, type: number): boolean =>
    type === TYPE.DS && owner.join() === a.join()

  const cases: [
    string,
    'bad' | 'missing' | { window: { inception: number; expiration: number } },
    DnssecErrorCode,
  ][] = [
    ['bad', 'bad', 'bad-signature'],
    ['missing', 'missing', 'no-signature'],
    ['expired', { window: { inception: NOW - 50, expiration: NOW - 1 } }, 'expired'],
    ['in the future', { window: { inception: NOW + 1, expiration: NOW + 9 } }, 'not-yet-valid'],
  ]
  test.each(cases)('%s', async (_, oddity, code) => {
    const zone = signSample({ oddity: (owner, type) => (isA(owner, type) ? oddity : undefined) })
    await expect(verify(zone)).rejects.toMatchObject({ code })
    await expect(verify(zone)).rejects.toThrow(/^a\.example\. DS: /)
    if (installed) expect(accepts(zone, keysOf(13)[0], AT)).toBe(false)
  })

  test('at the ends of their window they count', async () => {
    const window = { inception: NOW, expiration: NOW + 9 }
    const zone = signSample({ window })
    await expect(verify(zone, { at: AT - 1 })).rejects.toMatchObject({ code: 'not-yet-valid' })
    expect((await verify(zone, { at: AT })).serial).toBe(7)
    expect((await verify(zone, { at: AT + 9999 })).serial).toBe(7)
    await expect(verify(zone, { at: AT + 10_000 })).rejects.toMatchObject({ code: 'expired' })
  })

  test('of times after 2106 they count too', async () => {
    const later = 0x1_0000_0000 + 1000
    const zone = signSample({ window: { inception: later, expiration: later + 100 } })
    expect((await verify(zone, { at: (later + 50) * 1000 })).serial).toBe(7)
    await expect(verify(zone, { at: later * 1000 - 1 })).rejects.toMatchObject({
      code: 'not-yet-valid',
    })
  })
})

/** Owners to ask about, and the kind of proof there must be: NSEC, NSEC3, NSEC3 with opt-out. */
const ABSENT: readonly [owner: string, ...kinds: (number | 'cut')[]][] = [
  ['b.example.', 1, 4, 5],
  ['x.ent.example.', 1, 4, 5],
  ['ent.example.', 3, 4, 5],
  ['ent2.example.', 3, 4, 4],
  ['a2.a3.example.', 3, 4, 4],
  ['ns.example.', 1, 4, 4],
  ['caa.example.', 1, 4, 4],
  ['v.w.example.', 1, 4, 4],
  ['*.w.example.', 1, 4, 4],
  ['nosuch.example.', 2, 6, 5],
  ['no.such.example.', 2, 6, 5],
  ['zz.example.', 2, 6, 5],
  ['0.ent2.example.', 2, 6, 5],
  ['x.ns.example.', 2, 6, 5],
  ['q.w.example.', 7, 8, 5],
  ['q.r.w.example.', 7, 8, 5],
  ['\\000.example.', 2, 6, 5],
]

describe.each(DENIALS.map(([what, denial], i) => [what, denial, i] as const))(
  'what a zone with %s says of names without a DS',
  (_, denial, i) => {
    const zone = signSample({ denial })

    test.each(ABSENT)('%s', async (text, ...kinds) => {
      const owner = nameFromText(text)
      const verified = await verify(zone)
      const question = { owner, zone: ORIGIN, keys: verified.keys.keys, at: AT, backend: node }
      const records = verified.denialRecords(owner)
      const proof = await proveNoDs({ ...question, records })
      expect(proof.kind).toBe(kinds[i])
      // A server's own answer proves the same, by the same records.
      const answered = await proveNoDs({ ...question, records: zone.dsOrDenial(owner) })
      expect(answered).toEqual(proof)
    })
  },
)

function flipped(rdata: Uint8Array, i: number): Uint8Array {
  const copy = rdata.slice()
  copy[i]! ^= 1
  return copy
}

const isAt = (owner: string, ...types: number[]): ((rr: RR) => boolean) => {
  return (rr) => nameToText(rr.owner) === owner && (types.length === 0 || types.includes(rr.type))
}

/** The type that a record is or, of a signature, covers. */
function subject(rr: RR): number {
  return rr.type === TYPE.RRSIG ? parseRrsig(rr.rdata).typeCovered : rr.type
}

describe('damage to a zone with NSEC3', () => {
  const plain: Denial = { nsec3: { salt: Uint8Array.of(1), iterations: 2 } }
  const optOut: Denial = { nsec3: { optOut: true } }

  /** The owner of the NSEC3 record of a name. */
  function hashOf(zone: Zone, owner: string): string {
    const proof = zone.rrset(nameFromText(owner), TYPE.NSEC3)
    expect(proof).toEqual([])
    const found = zone.dsOrDenial(nameFromText(owner)).find((rr) => rr.type === TYPE.NSEC3)
    return nameToText(found!.owner)
  }

  async function refusal(records: readonly RR[]): Promise<string> {
    const zone = signSample({ denial: plain })
    const error: unknown = await verify(zone, { records }).catch((e: unknown) => e)
    expect(error).toBeInstanceOf(DnssecError)
    return (error as DnssecError).message
  }

  test('a record left out', async () => {
    const zone = signSample({ denial: plain })
    const signed = hashOf(zone, 'ns.example.')
    const without = (hash: string): RR[] => zone.records.filter((rr) => !isAt(hash)(rr))
    expect(await refusal(without(signed))).toBe('ns.example. NSEC3: missing')
    const hash = hashOf(zone, 'b.example.')
    expect(await refusal(without(hash))).toBe(
      'b.example. NSEC3: missing, and the record over its hash is not opt-out',
    )
    // Only its record, not the signature.
    const dangling = zone.records.filter((rr) => !isAt(hash, TYPE.NSEC3)(rr))
    expect(await refusal(dangling)).toContain(
      `${hash} NSEC3: a signature, but the records it covers are missing`,
    )
  })

  test('that of an empty non-terminal left out', async () => {
    const zone = signSample({ denial: plain })
    const hash = hashOf(zone, 'ent2.example.')
    expect(await refusal(zone.records.filter((rr) => !isAt(hash)(rr)))).toBe(
      'ent2.example. NSEC3: missing',
    )
  })

  test('a delegation left out', async () => {
    const zone = signSample({ denial: plain })
    const records = zone.records.filter((rr) => !isAt('b.example.')(rr))
    // Its servers stay behind: without the delegation they are names of the zone.
    expect(await refusal(records)).toMatch(/NSEC3: /)
    const neither = records.filter((rr) => !isAt('ns.b.example.')(rr))
    expect(await refusal(neither)).toBe(
      `${hashOf(zone, 'b.example.')} NSEC3: the hash of no name that the zone holds`,
    )
  })

  test('a DS left out, or put in', async () => {
    const zone = signSample({ denial: plain })
    const isDs = (rr: RR): boolean => isAt('a.example.')(rr) && subject(rr) === TYPE.DS
    expect(await refusal(zone.records.filter((rr) => !isDs(rr)))).toBe(
      'a.example. NSEC3: the bitmap says there is DS RRSIG, which the zone does not hold',
    )
    const ds = record('b.example.', 'DS', '1 8 2 00')
    expect(await refusal([...zone.records, ds])).toBe(
      'b.example. NSEC3: the bitmap does not say there is DS, which the zone holds',
    )
  })

  test('a name put in', async () => {
    const zone = signSample({ denial: plain })
    const extra = record('new.example.', 'A', '192.0.2.9')
    expect(await refusal([...zone.records, extra])).toBe('new.example. NSEC3: missing')
  })

  test('a wrong next hash, and a wrong bitmap', async () => {
    const zone = signSample({ denial: plain })
    const hash = hashOf(zone, 'b.example.')
    const i = zone.records.findIndex(isAt(hash, TYPE.NSEC3))
    const rr = zone.records[i]!
    const wrongNext = zone.records.with(i, { ...rr, rdata: flipped(rr.rdata, 10) })
    expect(await refusal(wrongNext)).toContain(`${hash} NSEC3: names `)
    const text = rdataToText(TYPE.NSEC3, rr.rdata)
    expect(text).toMatch(/ NS$/)
    const rdata = rdataFromText(TYPE.NSEC3, `${text} TXT`)
    expect(await refusal(zone.records.with(i, { ...rr, rdata }))).toBe(
      'b.example. NSEC3: the bitmap says there is TXT, which the zone does not hold',
    )
  })

  test('the opt-out flag taken off, where it is needed', async () => {
    const zone = signSample({ denial: optOut })
    const records = zone.records.map((rr) => {
      return rr.type === TYPE.NSEC3 ? { ...rr, rdata: flipped(rr.rdata, 1) } : rr
    })
    const error: unknown = await verify(zone, { records }).catch((e: unknown) => e)
    expect(String(error)).toContain('missing, and the record over its hash is not opt-out')
  })

  test('no NSEC3PARAM, no NSEC3, and too many iterations', async () => {
    const zone = signSample({ denial: plain })
    expect(await refusal(zone.records.filter((rr) => subject(rr) !== TYPE.NSEC3PARAM))).toContain(
      'nothing proves it is whole',
    )
    expect(await refusal(zone.records.filter((rr) => subject(rr) !== TYPE.NSEC3))).toBe(
      'example. NSEC3: missing, and with it all others',
    )
    const slow = signSample({ denial: { nsec3: { iterations: 501 } } })
    await expect(verify(slow)).rejects.toMatchObject({ code: 'too-many-iterations' })
    const marked = signSample({ denial: { nsec3: { iterations: 101 } } })
    const verified = await verify(marked)
    const owner = nameFromText('b.example.')
    const records = verified.denialRecords(owner)
    const keys = verified.keys.keys
    const proof = await proveNoDs({ owner, zone: ORIGIN, keys, records, at: AT, backend: node })
    expect(proof.insecure).toBe(true)
  })

  test.each([
    ['NSEC', 'nsec'],
    ['NSEC3', plain],
    ['NSEC3 opt-out', optOut],
  ] as const)('any signed record left out or changed is noticed (%s)', async (_, denial) => {
    const zone = signSample({ denial })
    const cuts = ['a.', 'b.', 'x.ent.', 'y.ent2.', 'deep.a1.a2.a3.'].map((n) => `${n}example.`)
    const isUnsigned = (rr: RR): boolean => {
      const owner = nameToText(rr.owner)
      const isGlue = cuts.some((cut) => owner.endsWith(`.${cut}`)) || owner === 'hidden.d.example.'
      return isGlue || (cuts.includes(owner) && rr.type === TYPE.NS)
    }
    const accepted: string[] = []
    for (const [i, rr] of zone.records.entries()) {
      if (isUnsigned(rr)) continue
      const changed = { ...rr, rdata: flipped(rr.rdata, i % rr.rdata.length) }
      for (const records of [zone.records.toSpliced(i, 1), zone.records.with(i, changed)]) {
        const error: unknown = await verify(zone, { records }).catch((e: unknown) => e)
        if (!(error instanceof DnssecError)) {
          accepted.push(
            `${nameToText(rr.owner)} ${rdataToText(rr.type, rr.rdata)}: ${String(error)}`,
          )
        }
      }
    }
    expect(accepted).toEqual([])
  })
})

describe('a zone on its way from NSEC to NSEC3', () => {
  // Until NSEC3PARAM is published, the second chain is being built (RFC 5155 §10.4).
  const { records } = signSample()
  const nsec3 = signSample({ denial: DENIALS[1]![1] }).records.filter(
    (rr) => subject(rr) === TYPE.NSEC3,
  )

  test('is judged by its NSEC records, whole or half as the other chain is', async () => {
    const zone = signSample()
    for (const built of [nsec3, nsec3.slice(0, 6)]) {
      const verified = await verify(zone, { records: [...records, ...built] })
      expect(verified.denial.type).toBe(TYPE.NSEC)
      expect(verified.delegations).toHaveLength(3)
    }
  })

  test('has all its signatures checked', async () => {
    const i = nsec3.findIndex((rr) => rr.type === TYPE.RRSIG)
    const rr = nsec3[i]!
    const bad = nsec3.with(i, { ...rr, rdata: flipped(rr.rdata, rr.rdata.length - 1) })
    await expect(verify(signSample(), { records: [...records, ...bad] })).rejects.toThrow(
      `${nameToText(rr.owner)} NSEC3: `,
    )
  })
})

test('a root is signed like any other zone', async () => {
  const [ksk, zsk] = keysOf(13)
  const zone = signZone({
    origin: nameFromText('.'),
    records:
      '. 5 SOA . . 1 2 3 4 5\n. 5 NS a.\na. 5 NS ns.a.\na. 5 DS 1 8 2 00\nns.a. 5 A 127.0.0.1',
    keys: [ksk, zsk],
    denial: 'nsec',
    window: { inception: NOW - 5, expiration: NOW + 5 },
  })
  const verified = await verify(zone)
  expect(verified.delegations).toHaveLength(1)
  if (installed) expect(accepts(zone, ksk, AT)).toBe(true)
})
