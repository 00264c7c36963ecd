/** How well a delegation is protected, whatever its zone publishes. */
import { describe, expect, it } from 'vitest'
import { nameFromText } from '@dslog/dnssec/name'
import { rdataFromText } from '@dslog/dnssec/rdata'
import { CLASS_IN, type RR, TYPE } from '@dslog/dnssec/records'
import { caaRemarks, cdsRemarks, dsRemarks } from '../src/posture.ts'

const DIGEST = 'AB'.repeat(32)
const rr = (type: number, rdata: Uint8Array): RR => ({
  owner: nameFromText('example.fi.'),
  type,
  class: CLASS_IN,
  ttl: 60,
  rdata,
})

describe('DS records', () => {
  it.each([
    [`4711 13 2 ${DIGEST}`, false, 'DS 4711: ECDSA P-256, SHA-256'],
    [`4711 8 4 ${'AB'.repeat(48)}`, false, 'DS 4711: RSA/SHA-256, SHA-384'],
    [`1 7 2 ${DIGEST}`, true, 'DS 1: RSA/SHA-1, SHA-256: SHA-1 is to be replaced'],
    [`5 5 1 ${'AB'.repeat(20)}`, true, 'DS 5: RSA/SHA-1, SHA-1: SHA-1 is to be replaced'],
    [`1 13 1 ${'AB'.repeat(20)}`, true, 'DS 1: ECDSA P-256, SHA-1: SHA-1 is to be replaced'],
    [`1 99 2 ${DIGEST}`, true, 'DS 1: algorithm 99, SHA-256: resolvers may not know it'],
    [`1 15 3 ${DIGEST}`, true, 'DS 1: Ed25519, digest type 3: resolvers may not know it'],
  ])('%s', (ds, weak, text) => {
    expect(dsRemarks([rdataFromText(TYPE.DS, ds)])).toEqual([{ weak, text }])
  })

  it('may be none, or none at all', () => {
    expect(dsRemarks([])).toEqual([{ weak: true, text: 'not signed: no DS records' }])
    for (let size = 0; size < 4; size++) {
      const [remark] = dsRemarks([new Uint8Array(size).fill(7)])
      expect(remark).toMatchObject({ weak: true, text: expect.stringContaining('of no use') })
    }
  })
})

describe('CDS records', () => {
  it('announce, or ask for removal, or are anything', () => {
    expect(cdsRemarks([])).toEqual([{ weak: false, text: 'CDS: none' }])
    expect(cdsRemarks([rr(TYPE.CDS, Uint8Array.of(0, 0, 0, 0, 0))])).toEqual([
      { weak: true, text: 'CDS: asks the parent to remove the DS' },
    ])
    const cds = rr(TYPE.CDS, rdataFromText(TYPE.CDS, `4711 13 2 ${DIGEST}`))
    expect(cdsRemarks([cds])).toEqual([
      { weak: false, text: `CDS: 4711 13 2 ${DIGEST}, announced` },
    ])
    for (let size = 0; size < 4; size++) {
      const [remark] = cdsRemarks([rr(TYPE.CDS, new Uint8Array(size).fill(7))])
      expect(remark!.text).toMatch(/^CDS: \\# \d/)
    }
  })
})

describe('CAA records', () => {
  it.each([
    ['0 issue "ca.example; accounturi=https://ca.example/1"', false],
    ['0 issue "ca.example"', true],
    ['0 issuewild "ca.example"', true],
    ['0 issue ";"', false],
    ['0 iodef "mailto:a@example.fi"', false],
  ])('%s', (caa, weak) => {
    expect(caaRemarks([rr(TYPE.CAA, rdataFromText(TYPE.CAA, caa))])[0]!.weak).toBe(weak)
  })

  it('may be none, or malformed', () => {
    expect(caaRemarks([])[0]!.weak).toBe(true)
    expect(caaRemarks([rr(TYPE.CAA, Uint8Array.of(1))])[0]!.text).toBe('CAA: \\# 1 01')
  })
})
