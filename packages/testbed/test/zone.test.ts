import { RCODE } from '@dslog/dnssec/message'
import { nameFromText, nameToText } from '@dslog/dnssec/name'
import { rdataToText, typeFromText, typeToText } from '@dslog/dnssec/rdata'
import { parseDnskey, parseRrsig, TYPE, type RR } from '@dslog/dnssec/records'
import { rrset } from '@dslog/dnssec/rrset'
import { verifyRrsetWithKeys } from '@dslog/dnssec/rrsig'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { describe, expect, test } from 'vitest'
import type { Answer } from '../src/zone.ts'
import { AT, DENIALS, keysOf, ORIGIN, signSample } from './sample.ts'

const backend = nodeBackend()

/** Records without signatures as lines. */
function show(records: readonly RR[]): string[] {
  return records
    .filter(({ type }) => type !== TYPE.RRSIG)
    .map(({ owner, type, rdata }) =>
      [nameToText(owner), typeToText(type), rdataToText(type, rdata)].join(' '),
    )
}

/** What is signed in a section: the types covered. */
function signedTypes(records: readonly RR[]): string[] {
  return records
    .filter(({ type }) => type === TYPE.RRSIG)
    .map(({ rdata }) => typeToText(parseRrsig(rdata).typeCovered))
}

/** Names of the records of denial in an answer, as the sample knows them. */
function denying({ authority }: Answer): string[] {
  return authority
    .filter(({ type }) => type === TYPE.NSEC || type === TYPE.NSEC3)
    .map(({ owner }) => nameToText(owner))
}

const SOA = 'example. SOA ns.example. Admin.example. 7 1800 900 604800 86400'

describe.each(DENIALS)('a zone with %s answers', (_, denial) => {
  const zone = signSample({ denial })
  const ask = (name: string, type: string): Answer =>
    zone.answer(nameFromText(name), typeFromText(type)!)

  test('what it holds', () => {
    const found = ask('ns.example.', 'AAAA')
    expect(found).toMatchObject({ rcode: RCODE.NOERROR, authoritative: true, authority: [] })
    expect(show(found.answer)).toEqual(['ns.example. AAAA 2001:db8::1'])
    expect(signedTypes(found.answer)).toEqual(['AAAA'])
    expect(show(ask('example.', 'SOA').answer)).toEqual([SOA])
    expect(show(ask('example.', 'DNSKEY').answer)).toHaveLength(2)
  })

  test('with a referral at and below a delegation', () => {
    for (const name of ['a.example.', 'ns.a.example.', 'nosuch.x.a.example.']) {
      const found = ask(name, 'A')
      expect(found).toMatchObject({ rcode: RCODE.NOERROR, authoritative: false, answer: [] })
      expect(show(found.authority)).toEqual([
        'a.example. NS ns.a.example.',
        'a.example. NS ns.example.',
        `a.example. DS 1 8 2 ${'00'.repeat(32)}`,
      ])
      expect(signedTypes(found.authority)).toEqual(['DS'])
      expect(show(found.additional)).toEqual([
        'ns.a.example. A 192.0.2.3',
        'ns.example. A 192.0.2.1',
        'ns.example. AAAA 2001:db8::1',
      ])
    }
    const insecure = ask('www.b.example.', 'A')
    expect(insecure.authoritative).toBe(false)
    expect(show(insecure.authority)[0]).toBe('b.example. NS ns.b.example.')
    expect(denying(insecure).length).toBeGreaterThan(0)
  })

  test('for the DS of a delegation itself', () => {
    const found = ask('a.example.', 'DS')
    expect(found).toMatchObject({ rcode: RCODE.NOERROR, authoritative: true, authority: [] })
    expect(signedTypes(found.answer)).toEqual(['DS'])
    expect(found.answer).toEqual(zone.dsOrDenial(nameFromText('a.example.')))
    const none = ask('b.example.', 'DS')
    expect(none).toMatchObject({ rcode: RCODE.NOERROR, authoritative: true, answer: [] })
    expect(show(none.authority)[0]).toBe(SOA)
    // At its own apex a zone has none: that is its parent's.
    expect(ask('example.', 'DS').answer).toEqual([])
  })

  test('that a type or a name does not exist', () => {
    for (const name of ['ns.example.', 'ent.example.', 'a2.a3.example.', '\\255.example.']) {
      const found = ask(name, 'TXT')
      expect(found, name).toMatchObject({ rcode: RCODE.NOERROR, authoritative: true, answer: [] })
      expect(show(found.authority)[0]).toBe(SOA)
    }
    for (const name of ['nosuch.example.', 'x.ns.example.', 'a.b.c.d.e.example.']) {
      const found = ask(name, 'TXT')
      expect(found).toMatchObject({ rcode: RCODE.NXDOMAIN, authoritative: true, answer: [] })
      expect(new Set(signedTypes(found.authority))).toEqual(
        new Set(['SOA', denial === 'nsec' ? 'NSEC' : 'NSEC3']),
      )
    }
  })

  test('from a wildcard', async () => {
    const owner = nameFromText('some.q.w.example.')
    const found = ask('some.q.w.example.', 'TXT')
    expect(show(found.answer)).toEqual(['some.q.w.example. TXT "wild" "card"'])
    expect(denying(found)).toHaveLength(1)
    // Signed as the wildcard, valid for the name.
    const verified = await verifyRrsetWithKeys({
      rrset: rrset(owner, TYPE.TXT, [found.answer[0]!.rdata]),
      rrsigs: found.answer.filter(({ type }) => type === TYPE.RRSIG).map(({ rdata }) => rdata),
      keys: keysOf(13).map(({ rdata }) => parseDnskey(rdata)),
      zone: ORIGIN,
      at: AT,
      backend,
    })
    expect(verified.expanded).toBe(true)
    expect(show(ask('v.w.example.', 'TXT').answer)).toEqual(['v.w.example. TXT "tame"'])
    const none = ask('some.q.w.example.', 'A')
    expect(none).toMatchObject({ rcode: RCODE.NOERROR, answer: [] })
    expect(denying(none).length).toBeGreaterThan(0)
  })

  test('through aliases', () => {
    expect(show(ask('c.example.', 'A').answer)).toEqual([
      'c.example. CNAME c2.example.',
      'c2.example. CNAME ns.example.',
      'ns.example. A 192.0.2.1',
    ])
    expect(show(ask('c.example.', 'CNAME').answer)).toEqual(['c.example. CNAME c2.example.'])
    expect(show(ask('out.example.', 'A').answer)).toEqual(['out.example. CNAME ns.example.org.'])
    const dead = ask('c.example.', 'TXT')
    expect(show(dead.answer)).toHaveLength(2)
    expect(show(dead.authority)[0]).toBe(SOA)
    expect(new Set(show(ask('loop.example.', 'A').answer))).toEqual(
      new Set(['loop.example. CNAME loop.example.']),
    )
  })

  test('below a DNAME', () => {
    const found = ask('hidden.d.example.', 'A')
    expect(show(found.answer)).toEqual([
      'd.example. DNAME example.org.',
      'hidden.d.example. CNAME hidden.example.org.',
    ])
    expect(signedTypes(found.answer)).toEqual(['DNAME'])
    expect(show(ask('d.example.', 'DNAME').answer)).toEqual(['d.example. DNAME example.org.'])
  })

  test('nothing about other zones', () => {
    for (const name of ['example.org.', '.', 'notexample.']) {
      expect(ask(name, 'A')).toEqual({
        rcode: RCODE.REFUSED,
        authoritative: false,
        answer: [],
        authority: [],
        additional: [],
      })
    }
  })

  test('with an SOA in front of everything else', () => {
    expect(zone.records[0]!.type).toBe(TYPE.SOA)
    expect(zone.records[1]!.type).toBe(TYPE.RRSIG)
    expect(zone.serial).toBe(7)
    expect(zone.rrset(nameFromText('nosuch.example.'), TYPE.A)).toEqual([])
  })
})
