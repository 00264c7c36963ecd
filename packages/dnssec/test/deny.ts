/** Asking for proofs of absence in tests: what must hold for every proof, and for every refusal. */
import { expect } from 'vitest'
import {
  checkNoDs,
  decidingInception,
  proveNoDs,
  type DenialKind,
  type DenialQuestion,
  type NoDsProof,
} from '../src/denial.ts'
import type { DnssecErrorCode } from '../src/error.ts'
import { nameFromText, nameToText, sameName, type Name } from '../src/name.ts'
import { TYPE, type RR } from '../src/records.ts'
import { selectRrsigs } from '../src/rrset.ts'
import { BACKENDS } from './backends.ts'
import { codeOf } from './codes.ts'
import { computingOnce } from './once.ts'
import { AT, ed25519Key, type TestKey } from './sign.ts'

export const KEY: TestKey = ed25519Key()
export const ZONE: Name = nameFromText('example.')

const backend = computingOnce(BACKENDS[0]![1])

/** A question about the DS of a name in the zone of these tests. */
export function about(owner: string, zone: Name = ZONE): DenialQuestion {
  return { owner: nameFromText(owner), zone, keys: [KEY], at: AT, backend }
}

/** What must be true of any proof: checking accepts it as it is, and in no other way. */
export async function expectExact(question: DenialQuestion, proof: NoDsProof, bag: readonly RR[]) {
  const { kind, records } = proof
  expect(await checkNoDs({ ...question, kind, records })).toEqual(proof)
  const { at, owner, zone } = question
  expect(decidingInception(owner, zone, records, at)).toBe(proof.inception)
  for (let other = 0; other <= 9; other++) {
    if (other === kind) continue
    expect(await codeOf(checkNoDs({ ...question, kind: other, records }))).toBe('bad-proof')
  }
  for (let i = 0; i < records.length; i++) {
    const fewer = records.filter((_, j) => j !== i)
    expect(await codeOf(checkNoDs({ ...question, kind, records: fewer }))).not.toBe('accepted')
  }
  if (records.length > 1) {
    const reversed = [...records].reverse()
    expect(await codeOf(checkNoDs({ ...question, kind, records: reversed }))).toBe('bad-proof')
  }
  expect(await codeOf(checkNoDs({ ...question, kind, records: [...records, ...records] }))).toBe(
    'bad-proof',
  )
  // Ballast: every record of the bag that the proof does not need, put where it would sort.
  for (const { owner, type, rdata } of bag) {
    if (type !== TYPE.NSEC && type !== TYPE.NSEC3) continue
    if (records.some((record) => sameName(record.owner, owner))) continue
    const [rrsig] = selectRrsigs(bag, owner, type)
    const more = [...records, { owner, type, rdata, rrsig: rrsig! }].sort((a, b) => {
      return nameToBytes(a.owner) < nameToBytes(b.owner) ? -1 : 1
    })
    expect(await codeOf(checkNoDs({ ...question, kind, records: more }))).not.toBe('accepted')
  }
}

/** Wire bytes as a string that compares as they do. */
function nameToBytes(name: Name): string {
  return String.fromCharCode(...name)
}

/** The bag proves absence, by this kind and these records; the first decides the order key. */
export async function expectProof(
  owner: string,
  bag: readonly RR[],
  kind: DenialKind,
  owners: readonly string[],
): Promise<NoDsProof> {
  const question = about(owner)
  const proof = await proveNoDs({ ...question, records: bag })
  expect(proof.kind).toBe(kind)
  expect(proof.records.map((record) => nameToText(record.owner)).sort()).toEqual([...owners].sort())
  await expectExact(question, proof, bag)
  return proof
}

/** The bag proves nothing, for this reason. */
export async function expectRefused(
  owner: string,
  bag: readonly RR[],
  code: DnssecErrorCode = 'not-proven',
): Promise<void> {
  expect(await codeOf(proveNoDs({ ...about(owner), records: bag }))).toBe(code)
}
