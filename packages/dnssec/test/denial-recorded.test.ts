/** Denial in recorded traffic (vectors/dnssec) and in a root zone as it was published. */
import { describe, expect, test } from 'vitest'
import { verifyZoneKeys, judgeDelegation } from '../src/chain.ts'
import { DENIAL, proveNoDs } from '../src/denial.ts'
import { ROOT_ANCHORS } from '../src/anchors.ts'
import { DnssecError } from '../src/error.ts'
import { isBelow, labelCount, lastLabels, nameFromText, nameToText, ROOT } from '../src/name.ts'
import { rdataFromText, typeFromText } from '../src/rdata.ts'
import { parseDnskey, TYPE, type RR } from '../src/records.ts'
import { selectRRset, selectRrsigs } from '../src/rrset.ts'
import { BACKENDS } from './backends.ts'
import { expectExact } from './deny.ts'
import { type Recorded, recordedRrsets } from './recorded.ts'
import { present, readText } from './vectors.ts'

function recordsOf({ owner, type, rdata, rrsig }: Recorded): RR[] {
  const make = (number: number, text: string): RR => {
    const rdata = rdataFromText(number, text)
    return { owner: nameFromText(owner), type: number, class: 1, ttl: 0, rdata }
  }
  const number = typeFromText(type)!
  return [...rdata.map((text) => make(number, text)), make(TYPE.RRSIG, rrsig)]
}

describe.skipIf(!present)('recorded traffic', () => {
  const groups = new Map<string, Recorded[]>()
  for (const vector of recordedRrsets()) {
    if (vector.outcome !== 'valid') continue
    const key = `${vector.file} ${vector.signer} ${vector.now}`
    groups.set(key, [...(groups.get(key) ?? []), vector])
  }

  test('every proof found is exact, and none denies a DS that was signed', async () => {
    const kinds = new Map<number, number>()
    for (const vectors of groups.values()) {
      const [first] = vectors
      const zone = nameFromText(first!.signer)
      const keys = new Map(vectors.flatMap((v) => v.dnskeys).map((text) => [text, text]))
      const denying = vectors.filter(({ type }) => type === 'NSEC' || type === 'NSEC3').slice(0, 16)
      const bag = denying.flatMap(recordsOf)
      const owners = new Set(
        vectors
          .flatMap((v) => [nameFromText(v.owner), nameFromText('nx', nameFromText(v.owner))])
          .concat(nameFromText('nx', zone))
          .filter((owner) => isBelow(owner, zone))
          .map(nameToText),
      )
      for (const owner of owners) {
        const question = {
          owner: nameFromText(owner),
          zone,
          keys: [...keys.values()].map((text) => parseDnskey(rdataFromText(TYPE.DNSKEY, text))),
          at: first!.now * 1000,
          backend: BACKENDS[0]![1],
        }
        const signed = vectors.some((v) => v.owner === owner && v.type === 'DS')
        const proof = await proveNoDs({ ...question, records: bag }).catch((error: unknown) => {
          if (error instanceof DnssecError) return undefined
          throw error
        })
        if (proof === undefined) continue
        expect(signed, owner).toBe(false)
        kinds.set(proof.kind, (kinds.get(proof.kind) ?? 0) + 1)
        await expectExact(question, proof, bag)
      }
    }
    // Of the eight, only the empty non-terminal and the wildcard of NSEC3 were not recorded.
    for (const kind of [
      DENIAL.NSEC_MATCH,
      DENIAL.NSEC_NAME_ERROR,
      DENIAL.NSEC3_MATCH,
      DENIAL.NSEC3_OPT_OUT,
      DENIAL.NSEC3_NAME_ERROR,
      DENIAL.NSEC_WILDCARD,
    ]) {
      expect(kinds.get(kind) ?? 0, `kind ${kind} of ${[...kinds].join('; ')}`).toBeGreaterThan(0)
    }
  })
})

describe.skipIf(!present).each(BACKENDS)('a root zone, %s backend', (_, backend) => {
  test('every delegation is judged, and names that do not exist', async () => {
    const at = Date.UTC(2014, 5, 25, 1)
    const byOwner = new Map<string, RR[]>()
    for (const line of readText('data/root/root-2014062501.zone.gz').split('\n')) {
      const match = /^(\S+)\s+\d+\s+IN\s+(\S+)\s+(.*)$/.exec(line)
      if (match === null) continue
      const [, owner = '', type = '', text = ''] = match
      if (!['DS', 'NSEC', 'DNSKEY', 'RRSIG'].includes(type)) continue
      const number = typeFromText(type)!
      const rdata = rdataFromText(number, text)
      const rr = { owner: nameFromText(owner), type: number, class: 1, ttl: 0, rdata }
      byOwner.set(nameToText(rr.owner), [...(byOwner.get(nameToText(rr.owner)) ?? []), rr])
    }
    const apex = byOwner.get('.')!
    const { keys } = await verifyZoneKeys({
      zone: ROOT,
      dnskeys: selectRRset(apex, ROOT, TYPE.DNSKEY)!.rdatas,
      rrsigs: selectRrsigs(apex, ROOT, TYPE.DNSKEY),
      trust: { anchors: ROOT_ANCHORS },
      at,
      backend,
    })
    const question = { zone: ROOT, keys, at, backend }
    const tally = { present: 0, absent: 0, unverifiable: 0, ds: 0 }
    for (const [text, records] of byOwner) {
      const owner = nameFromText(text)
      if (labelCount(owner) === 0) continue
      const verdict = await judgeDelegation({ ...question, owner, records })
      tally[verdict.verdict] += 1
      if (verdict.verdict === 'present') tally.ds += verdict.ds.length
      if (verdict.verdict === 'absent') expect(verdict.kind).toBe(DENIAL.NSEC_MATCH)
      // The same records say nothing about a name below: they are the parent's side of a cut.
      const below = nameFromText(`x.${text}`)
      expect(await judgeDelegation({ ...question, owner: below, records })).toMatchObject({
        verdict: 'unverifiable',
      })
      expect(lastLabels(below, 1)).toEqual(owner)
    }
    expect(tally).toEqual({ present: 434, absent: 195, unverifiable: 0, ds: 584 })

    const records = ['.', 'za.', 'zw.', 'museum.'].flatMap((owner) => byOwner.get(owner) ?? [])
    const last = await judgeDelegation({ ...question, owner: nameFromText('zzz.'), records })
    expect(last).toMatchObject({ verdict: 'absent', kind: DENIAL.NSEC_NAME_ERROR })
    const early = await judgeDelegation({ ...question, owner: nameFromText('aa.'), records })
    expect(early).toMatchObject({ verdict: 'absent', kind: DENIAL.NSEC_NAME_ERROR })
    expect('records' in early && early.records).toHaveLength(1)
  })
})
