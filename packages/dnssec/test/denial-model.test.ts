/**
 * Absence in zones made at random, against what the zone's own contents say: for each name the proof
 * must be of the kind that the name's place demands, or there must be none.
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  DENIAL,
  proveNoDs,
  type DenialKind,
  type DenialQuestion,
  type NoDsProof,
} from '../src/denial.ts'
import { DnssecError } from '../src/error.ts'
import {
  compareCanonical,
  isBelow,
  labelCount,
  lastLabels,
  nameFromText,
  nameKey,
  nameToText,
  parentOf,
  wildcardOf,
  type Name,
} from '../src/name.ts'
import { nsec3Hash, nsec3Owner } from '../src/nsec3.ts'
import type { RR } from '../src/records.ts'
import { about, expectExact, KEY, ZONE } from './deny.ts'
import { record, signed } from './sign.ts'

type Flavour = 'NSEC' | 'NSEC3' | 'NSEC3 opt-out'

/** Names of the chain by `nameKey`, with their types; empty non-terminals have none. */
type Contents = Map<string, { name: Name; types: string }>

const RUNS = 60

const LABELS = ['a', 'b', '*', '\\000', 'A-z', '\\255']
const TYPES = ['A', 'A', 'NS', 'NS DS', 'CNAME', 'DNAME', 'TXT']

const path = fc.array(fc.constantFrom(...LABELS), { minLength: 1, maxLength: 3 })
const nameIn = path.map((labels) => nameFromText(`${labels.join('.')}.example.`))
const zoneOf = fc.array(fc.tuple(nameIn, fc.constantFrom(...TYPES)), { maxLength: 9 })

function ancestors(name: Name): Name[] {
  const out: Name[] = []
  for (let n = labelCount(name) - 1; n > labelCount(ZONE); n--) out.push(lastLabels(name, n))
  return out
}

const endsAuthority = (types: string): boolean => /^(NS|DNAME)/.test(types)

/** What stands in the chain: no names below a cut, no unsigned delegations under opt-out. */
function contentsOf(names: readonly (readonly [Name, string])[], flavour: Flavour): Contents {
  const given: Contents = new Map()
  for (const [name, types] of names) given.set(nameKey(name), { name, types })
  const contents: Contents = new Map()
  contents.set(nameKey(ZONE), { name: ZONE, types: 'NS SOA' })
  for (const { name, types } of given.values()) {
    if (ancestors(name).some((a) => endsAuthority(given.get(nameKey(a))?.types ?? ''))) continue
    if (flavour === 'NSEC3 opt-out' && types === 'NS') continue
    contents.set(nameKey(name), { name, types })
  }
  for (const { name } of contents.values()) {
    for (const above of ancestors(name)) {
      if (!contents.has(nameKey(above))) contents.set(nameKey(above), { name: above, types: '' })
    }
  }
  return contents
}

async function chainOf(contents: Contents, flavour: Flavour): Promise<RR[]> {
  const nsec3 = flavour !== 'NSEC'
  const owned = [...contents.values()]
    .filter(({ types }) => nsec3 || types !== '')
    .map(({ name, types }) => ({
      types,
      owner: nsec3 ? nsec3Owner(nsec3Hash(name, new Uint8Array(), 0), ZONE) : name,
    }))
    .sort((a, b) => compareCanonical(a.owner, b.owner))
  const records = owned.map(({ owner, types }, i) => {
    const next = nameToText(owned[(i + 1) % owned.length]!.owner)
    const flag = flavour === 'NSEC3 opt-out' ? 1 : 0
    return nsec3
      ? record(nameToText(owner), 'NSEC3', `1 ${flag} 0 - ${next.slice(0, 32)} ${types}`)
      : record(nameToText(owner), 'NSEC', `${next} ${types} RRSIG NSEC`)
  })
  return (await Promise.all(records.map((rr) => signed([rr], KEY, ZONE)))).flat()
}

/** The kind of proof the zone's contents demand for a name; undefined if it must have none. */
function expected(owner: Name, contents: Contents, flavour: Flavour): DenialKind | undefined {
  const nsec3 = flavour !== 'NSEC'
  const typesAt = (name: Name): string | undefined => contents.get(nameKey(name))?.types
  if (ancestors(owner).some((above) => endsAuthority(typesAt(above) ?? ''))) return undefined
  const lacksDs = (types: string): boolean => !/DS|CNAME|SOA/.test(types)
  const own = typesAt(owner)
  if (own !== undefined) {
    if (!lacksDs(own)) return undefined
    if (nsec3) return DENIAL.NSEC3_MATCH
    return own === '' ? DENIAL.NSEC_EMPTY_NON_TERMINAL : DENIAL.NSEC_MATCH
  }
  if (flavour === 'NSEC3 opt-out') return DENIAL.NSEC3_OPT_OUT
  let encloser = parentOf(owner)
  while (typesAt(encloser) === undefined) encloser = parentOf(encloser)
  const wildcard = typesAt(wildcardOf(encloser))
  if (wildcard === undefined) return nsec3 ? DENIAL.NSEC3_NAME_ERROR : DENIAL.NSEC_NAME_ERROR
  if (!lacksDs(wildcard)) return undefined
  return nsec3 ? DENIAL.NSEC3_WILDCARD : DENIAL.NSEC_WILDCARD
}

/** What the records prove; undefined where they prove nothing. Any other failure is one. */
function proofOf(question: DenialQuestion, records: readonly RR[]): Promise<NoDsProof | undefined> {
  return proveNoDs({ ...question, records }).catch((error: unknown) => {
    if (error instanceof DnssecError && error.code === 'not-proven') return undefined
    throw error
  })
}

describe.each(['NSEC', 'NSEC3', 'NSEC3 opt-out'] as const)('random zones, %s', (flavour) => {
  test('each name has the proof its place demands, or none', async () => {
    const seen = new Set<DenialKind | undefined>()
    await fc.assert(
      fc.asyncProperty(
        zoneOf,
        fc.array(nameIn, { minLength: 1, maxLength: 6 }),
        async (names, others) => {
          const contents = contentsOf(names, flavour)
          fc.pre(contents.size <= 16)
          const bag = await chainOf(contents, flavour)
          for (const owner of [...others, ...names.map(([name]) => name)]) {
            const question = about(nameToText(owner))
            const proof = await proofOf(question, bag)
            const kind = expected(owner, contents, flavour)
            expect(proof?.kind, nameToText(owner)).toBe(kind)
            seen.add(kind)
            if (proof === undefined) continue
            await expectExact(question, proof, bag)
            // The order of the bag does not matter, nor what else is in it.
            const shuffled = [...bag].reverse()
            expect(await proveNoDs({ ...question, records: shuffled })).toEqual(proof)
          }
        },
      ),
      { numRuns: RUNS },
    )
    const kinds = {
      NSEC: [DENIAL.NSEC_MATCH, DENIAL.NSEC_NAME_ERROR],
      NSEC3: [DENIAL.NSEC3_MATCH, DENIAL.NSEC3_NAME_ERROR],
      'NSEC3 opt-out': [DENIAL.NSEC3_MATCH, DENIAL.NSEC3_OPT_OUT],
    }[flavour]
    for (const kind of [undefined, ...kinds]) expect(seen).toContain(kind)
  })

  test('any part of a chain proves only what the whole chain allows', async () => {
    // Whatever is left out of a reply, no false proof may appear.
    await fc.assert(
      fc.asyncProperty(zoneOf, nameIn, fc.infiniteStream(fc.boolean()), async (names, q, keep) => {
        const contents = contentsOf(names, flavour)
        fc.pre(contents.size <= 16 && isBelow(q, ZONE))
        const bag = await chainOf(contents, flavour)
        const kept: RR[] = []
        for (let i = 0; i < bag.length; i += 2) {
          if (keep.next().value === true) kept.push(bag[i]!, bag[i + 1]!)
        }
        for (const owner of [q, ...names.map(([name]) => name)]) {
          const question = about(nameToText(owner))
          const proof = await proofOf(question, kept)
          if (proof !== undefined) expect(proof.kind).toBe(expected(owner, contents, flavour))
        }
      }),
      { numRuns: RUNS },
    )
  })
})
