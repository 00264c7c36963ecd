/** A zone's keys by DS or anchor, and the three verdicts on a delegation. */
import { describe, expect, test } from 'vitest'
import type { Anchor } from '../src/anchors.ts'
import {
  judgeDelegation,
  parseKeySet,
  verifyDs,
  verifyZoneKeys,
  type ZoneKeysQuestion,
} from '../src/chain.ts'
import { DENIAL } from '../src/denial.ts'
import { nameFromText, ROOT, type Name } from '../src/name.ts'
import { parseDs, TYPE, type Dnskey, type RR } from '../src/records.ts'
import { rrset } from '../src/rrset.ts'
import { BACKENDS } from './backends.ts'
import { codeOf } from './codes.ts'
import {
  AT,
  DAY,
  dsOf,
  ecdsaKey,
  ed25519Key,
  NOW,
  record,
  rsaKey,
  signed,
  signRRset,
  type SignOptions,
  type TestKey,
} from './sign.ts'

const ZONE = nameFromText('example.')
const KSK = ed25519Key({ seed: 1 })
const ZSK = ed25519Key({ seed: 2, flags: 256 })

function keySet(
  keys: readonly Dnskey[],
  signers: readonly TestKey[],
  { zone = ZONE, ...options }: SignOptions & { zone?: Name } = {},
) {
  const dnskeys = keys.map((key) => key.rdata)
  const set = rrset(zone, TYPE.DNSKEY, dnskeys)
  return Promise.all(signers.map((key) => signRRset(set, key, zone, options))).then((rrsigs) => {
    return { zone, dnskeys, rrsigs, at: AT }
  })
}

describe.each(BACKENDS)('zone keys, %s backend', (_, backend) => {
  const verify = (question: Omit<ZoneKeysQuestion, 'backend'>) =>
    verifyZoneKeys({ ...question, backend })

  test('a DS names the key that signed the set', async () => {
    const ds = await dsOf(ZONE, KSK)
    const question = await keySet([ZSK, KSK], [ZSK, KSK])
    const keys = await verify({ ...question, trust: { ds: [ds] } })
    expect(keys).toMatchObject({ inception: NOW - 3600, expiration: NOW + 3600, weak: false })
    expect(keys.rdatas).toEqual(rrset(ZONE, TYPE.DNSKEY, [ZSK.rdata, KSK.rdata]).rdatas)
    expect(new Set(keys.keys.map((key) => key.tag))).toEqual(new Set([KSK.tag, ZSK.tag]))
    expect(keys.rrsig).toEqual(question.rrsigs[1])
    expect(keys.by).toEqual({ ds: parseDs(ds) })
  })

  test('every algorithm and digest', async () => {
    const keys = [ecdsaKey(13), ecdsaKey(14), await rsaKey(8), await rsaKey(10), await rsaKey(7)]
    for (const key of keys) {
      const question = await keySet([key], [key])
      for (const type of [1, 2, 4] as const) {
        const trust = { ds: [await dsOf(ZONE, key, type)] }
        expect((await verify({ ...question, trust })).weak).toBe(key.algorithm === 7)
      }
    }
  })

  test('a signature by a key that no DS names is not enough', async () => {
    const trust = { ds: [await dsOf(ZONE, KSK)] }
    const byZsk = await keySet([ZSK, KSK], [ZSK])
    expect(await codeOf(verify({ ...byZsk, trust }))).toBe('no-matching-key')
    const outsider = ed25519Key({ seed: 3 })
    const byOutsider = await keySet([ZSK, KSK], [outsider])
    expect(await codeOf(verify({ ...byOutsider, trust }))).toBe('no-matching-key')
    // Nor is a DS of a key that is not in the set, though it signed.
    const absent = await keySet([ZSK], [KSK])
    expect(await codeOf(verify({ ...absent, trust }))).toBe('no-secure-entry')
  })

  test('an unusable DS set, or a DS of another zone, names nothing', async () => {
    const question = await keySet([KSK], [KSK])
    for (const ds of [
      [],
      [(await dsOf(ZONE, KSK)).with(3, 3)],
      [(await dsOf(ZONE, KSK)).with(2, 3)],
      [await dsOf(nameFromText('other.'), KSK)],
      [await dsOf(ZONE, KSK, 1), await dsOf(ZONE, ed25519Key({ seed: 9 }))],
      [Uint8Array.of(1)],
    ]) {
      expect(await codeOf(verify({ ...question, trust: { ds } }))).toBe('no-secure-entry')
    }
  })

  test('revoked keys, keys without the Zone flag and odd protocols sign nothing', async () => {
    for (const options of [{ flags: 257 | 128 }, { flags: 1 }, { protocol: 2 }]) {
      const key = ed25519Key(options)
      const question = await keySet([key], [key])
      const trust = { ds: [await dsOf(ZONE, key)] }
      expect(await codeOf(verify({ ...question, trust }))).toBe('no-matching-key')
    }
    // A revoked key beside a good one is no obstacle: the root of 2019.
    const revoked = ed25519Key({ seed: 5, flags: 257 | 128 })
    const question = await keySet([revoked, KSK], [revoked, KSK])
    const trust = { ds: [await dsOf(ZONE, revoked), await dsOf(ZONE, KSK)] }
    expect((await verify({ ...question, trust })).rrsig).toEqual(question.rrsigs[1])
  })

  test('the newest signature by any named key', async () => {
    const other = ecdsaKey(13)
    const old = await keySet([KSK, other], [KSK], { inception: NOW - 500 })
    const fresh = await keySet([KSK, other], [other], { inception: NOW - 100 })
    const trust = { ds: [await dsOf(ZONE, KSK), await dsOf(ZONE, other)] }
    const rrsigs = [...old.rrsigs, ...fresh.rrsigs]
    const keys = await verify({ ...old, rrsigs, trust })
    expect(keys.rrsig).toEqual(fresh.rrsigs[0])
    expect(keys.by).toEqual({ ds: parseDs(trust.ds[1]!) })
    const only = { ds: [trust.ds[0]!] }
    expect((await verify({ ...old, rrsigs, trust: only })).rrsig).toEqual(old.rrsigs[0])
  })

  test('the whole set is signed: no key may be added, dropped or changed', async () => {
    const question = await keySet([KSK, ZSK], [KSK])
    const trust = { ds: [await dsOf(ZONE, KSK)] }
    for (const dnskeys of [
      [KSK.rdata],
      [KSK.rdata, ZSK.rdata, ed25519Key({ seed: 7 }).rdata],
      [KSK.rdata, ZSK.rdata.with(1, 1)],
      [KSK.rdata, ZSK.rdata, Uint8Array.of(1, 0)],
    ]) {
      expect(await codeOf(verify({ ...question, dnskeys, trust }))).toBe('bad-signature')
    }
    const shuffled = [ZSK.rdata, KSK.rdata, ZSK.rdata]
    expect(await codeOf(verify({ ...question, dnskeys: shuffled, trust }))).toBe('accepted')
    expect(await codeOf(verify({ ...question, dnskeys: [], trust }))).toBe('bad-record')
  })

  test('windows, signers and wildcards', async () => {
    const trust = { ds: [await dsOf(ZONE, KSK)] }
    const late = await keySet([KSK], [KSK], { inception: NOW - 9, expiration: NOW - 1 })
    expect(await codeOf(verify({ ...late, trust }))).toBe('expired')
    const early = await keySet([KSK], [KSK], { inception: NOW + 1 })
    expect(await codeOf(verify({ ...early, trust }))).toBe('not-yet-valid')
    const set = rrset(ZONE, TYPE.DNSKEY, [KSK.rdata])
    const foreign = { ...late, rrsigs: [await signRRset(set, KSK, ROOT)] }
    expect(await codeOf(verify({ ...foreign, trust }))).toBe('no-signature')
    // A DNSKEY RRset at *.example., posed as one of a zone below.
    const child = nameFromText('a.example.')
    const star = rrset(nameFromText('*.example.'), TYPE.DNSKEY, [KSK.rdata])
    const made = {
      ...late,
      zone: child,
      rrsigs: [await signRRset(star, KSK, child)],
      trust: { ds: [await dsOf(child, KSK)] },
    }
    expect(await codeOf(verify(made))).toBe('wildcard-expanded')
  })

  test('anchors count in their interval', async () => {
    const root = await keySet([KSK, ZSK], [KSK], {
      zone: ROOT,
      inception: NOW - 10 * 86400,
      expiration: NOW + 10 * 86400,
    })
    const { tag, algorithm, digestType, digest } = parseDs(await dsOf(ROOT, KSK))
    const anchor: Anchor = { tag, algorithm, digestType, digest, from: AT - DAY, until: AT + DAY }
    const trust = { anchors: [anchor] }
    const keys = await verify({ ...root, trust })
    expect(keys.by).toEqual({ anchor })
    expect(await codeOf(verify({ ...root, trust, at: AT - DAY }))).toBe('accepted')
    expect(await codeOf(verify({ ...root, trust, at: AT - DAY - 1 }))).toBe('no-secure-entry')
    expect(await codeOf(verify({ ...root, trust, at: AT + DAY - 1 }))).toBe('accepted')
    expect(await codeOf(verify({ ...root, trust, at: AT + DAY }))).toBe('no-secure-entry')
    expect(await codeOf(verify({ ...root, trust: { anchors: [] } }))).toBe('no-secure-entry')
  })

  test('malformed keys stay in the set and verify nothing', async () => {
    const junk = Uint8Array.of(1, 2, 3)
    expect(parseKeySet([junk, KSK.rdata])).toHaveLength(1)
    const set = rrset(ZONE, TYPE.DNSKEY, [junk, KSK.rdata])
    const keys = await verify({
      zone: ZONE,
      dnskeys: set.rdatas,
      rrsigs: [await signRRset(set, KSK, ZONE)],
      trust: { ds: [await dsOf(ZONE, KSK)] },
      at: AT,
    })
    expect(keys.rdatas).toHaveLength(2)
    expect(keys.keys).toHaveLength(1)
  })
})

describe.each(BACKENDS)('verdicts, %s backend', (_, backend) => {
  const OWNER = 'a.example.'
  const judge = (records: readonly RR[], more: { owner?: string; at?: number; zone?: Name } = {}) =>
    judgeDelegation({
      owner: nameFromText(more.owner ?? OWNER),
      zone: more.zone ?? ZONE,
      keys: [KSK, ZSK],
      records,
      at: more.at ?? AT,
      backend,
    })
  const ds = (digest: string, owner = OWNER, head = '1 13 2') =>
    record(owner, 'DS', `${head} ${digest.repeat(32)}`)
  const nsec = (types: string, options?: SignOptions) =>
    signed([record(OWNER, 'NSEC', `b.example. ${types}`)], ZSK, ZONE, options)

  test('present', async () => {
    const bag = await signed([ds('cd'), ds('ab')], ZSK, ZONE)
    const verdict = await judge(bag)
    expect(verdict).toEqual({
      verdict: 'present',
      ds: [ds('ab').rdata, ds('cd').rdata],
      rrsig: bag.at(-1)!.rdata,
      inception: NOW - 3600,
      expiration: NOW + 3600,
      insecure: false,
      weak: false,
    })
  })

  test('present, but insecure: nothing a resolver can use', async () => {
    for (const head of ['1 12 2', '1 13 3', '1 253 4', '0 0 0']) {
      const bag = await signed([ds('ab', OWNER, head)], ZSK, ZONE)
      expect(await judge(bag)).toMatchObject({ verdict: 'present', insecure: true })
    }
    const beside = await signed([ds('ab', OWNER, '1 12 2'), ds('cd')], ZSK, ZONE)
    expect(await judge(beside)).toMatchObject({ verdict: 'present', insecure: false })
  })

  test('absent, proven', async () => {
    const verdict = await judge(await nsec('NS RRSIG NSEC'))
    expect(verdict).toMatchObject({
      verdict: 'absent',
      kind: DENIAL.NSEC_MATCH,
      inception: NOW - 3600,
      insecure: false,
      weak: false,
    })
  })

  test('unverifiable is never absent', async () => {
    const late: SignOptions = { inception: NOW - 200, expiration: NOW - 100 }
    const good = await nsec('NS')
    const broken = good.map((r) =>
      r.type === TYPE.RRSIG ? { ...r, rdata: r.rdata.with(-1, r.rdata.at(-1)! ^ 1) } : r,
    )
    const cases: [readonly RR[], string][] = [
      [[], 'not-proven'],
      [[record(OWNER, 'NS', 'ns.example.')], 'not-proven'],
      [await nsec('NS DS'), 'not-proven'],
      [broken, 'bad-signature'],
      [await nsec('NS', late), 'expired'],
      [await signed([ds('ab')], ZSK, ZONE, late), 'expired'],
      [await signed([ds('ab')], ed25519Key({ seed: 8 }), ZONE), 'no-matching-key'],
      [[ds('ab')], 'no-signature'],
    ]
    for (const [bag, code] of cases) {
      const verdict = await judge(bag)
      expect(verdict).toMatchObject({ verdict: 'unverifiable', code })
      expect('reason' in verdict && verdict.reason).toMatch(/./)
    }
  })

  test('a DS that does not verify is not made good by a proof of absence', async () => {
    const bag = [ds('ab'), ...(await nsec('NS'))]
    expect(await judge(bag)).toMatchObject({ verdict: 'unverifiable', code: 'no-signature' })
    // A verified DS stands, whatever is beside it.
    const both = [...(await signed([ds('ab')], ZSK, ZONE)), ...(await nsec('NS'))]
    expect(await judge(both)).toMatchObject({ verdict: 'present' })
  })

  test('a DS made from a wildcard is refused, one at the wildcard is not', async () => {
    const star = await signed([ds('ab', '*.example.')], ZSK, ZONE)
    expect(await judge(star, { owner: '*.example.' })).toMatchObject({ verdict: 'present' })
    const made = star.map((r) => ({ ...r, owner: nameFromText(OWNER) }))
    expect(await judge(made)).toMatchObject({ verdict: 'unverifiable', code: 'wildcard-expanded' })
  })

  test('the owner is strictly below the zone, the signer is exactly the zone', async () => {
    const apex = await signed([ds('ab', 'example.')], ZSK, ZONE)
    expect(await judge(apex, { owner: 'example.' })).toMatchObject({ code: 'bad-owner' })
    const byRoot = await signed([ds('ab')], ZSK, ROOT)
    expect(await judge(byRoot)).toMatchObject({ code: 'no-signature' })
    expect(await judge(byRoot, { zone: ROOT })).toMatchObject({ verdict: 'present' })
    const byChild = await signed([ds('ab')], ZSK, nameFromText(OWNER))
    expect(await judge(byChild)).toMatchObject({ code: 'no-signature' })
    expect(await judge(byChild, { zone: nameFromText(OWNER) })).toMatchObject({ code: 'bad-owner' })
  })

  test('other names, types and classes in the bag do not matter', async () => {
    const bag = await signed([ds('ab')], ZSK, ZONE)
    const noise = [
      ds('ef', 'b.example.'),
      { ...ds('ef'), class: 3 },
      { ...ds('ef'), type: TYPE.CDS },
      record(OWNER, 'NS', 'ns.example.'),
    ]
    const verdict = await judge([...noise, ...bag])
    expect(verdict).toMatchObject({ verdict: 'present', ds: [ds('ab').rdata] })
  })

  test('DS evidence as an entry stores it verifies again', async () => {
    const bag = await signed([ds('cd'), ds('ab')], ZSK, ZONE)
    const verdict = await judge(bag)
    if (verdict.verdict !== 'present') throw new Error(verdict.verdict)
    const { ds: stored, rrsig } = verdict
    const question = { owner: nameFromText(OWNER), zone: ZONE, keys: [ZSK], at: AT, backend }
    const again = await verifyDs({ ...question, ds: stored, rrsigs: [rrsig] })
    expect({ verdict: 'present', ...again }).toEqual(verdict)
    for (const rdatas of [stored.slice(1), [...stored, ds('00').rdata], [stored[0]!.with(0, 9)]]) {
      const mutated = verifyDs({ ...question, ds: rdatas, rrsigs: [rrsig] })
      expect(await codeOf(mutated)).toBe('bad-signature')
    }
  })
})
