/**
 * Zones made up at random: whatever is in them, the signer and the verifier agree on what is there and on
 * what is not, and a server's answers prove the same as the verified zone's records.
 */
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { judgeDelegation, type Verdict } from '@dslog/dnssec/chain'
import { DENIAL } from '@dslog/dnssec/denial'
import {
  isBelow,
  isWildcard,
  nameFromText,
  nameKey,
  nameToText,
  type Name,
} from '@dslog/dnssec/name'
import { TYPE, type RR } from '@dslog/dnssec/records'
import { verifyZone } from '@dslog/dnssec/zone'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { record } from '../src/internet.ts'
import { dsOf } from '../src/key.ts'
import { signZone, type Denial } from '../src/signer.ts'
import { accepts, installed } from './ldns.ts'
import { AT, keysOf, NOW, ORIGIN } from './sample.ts'

const backend = nodeBackend()
const keys = keysOf(15)
const trust = { ds: [dsOf(ORIGIN, keys[0])] }

/** Few labels, so that names lie above, below and beside each other. */
const label = fc.constantFrom('a', 'b', 'ab', '*', '\\000', '\\255', '-', 'z')
const owner: fc.Arbitrary<Name> = fc
  .array(label, { minLength: 1, maxLength: 3 })
  .map((labels) => nameFromText(labels.join('.'), ORIGIN))

type Kind = 'secure' | 'insecure' | 'text' | 'alias' | 'dname'
const kinds: Kind[] = ['secure', 'secure', 'insecure', 'text', 'alias', 'dname']

const contents = fc.uniqueArray(fc.tuple(owner, fc.constantFrom(...kinds)), {
  maxLength: 12,
  selector: ([name]) => nameKey(name),
})

const denial: fc.Arbitrary<Denial> = fc.oneof(
  fc.constant<Denial>('nsec'),
  fc
    .record({
      salt: fc.uint8Array({ maxLength: 3 }),
      iterations: fc.integer({ min: 0, max: 3 }),
      optOut: fc.boolean(),
    })
    .map((nsec3): Denial => ({ nsec3 })),
)

const DS = '1 8 2 00'

function recordsOf(name: Name, kind: Kind): RR[] {
  switch (kind) {
    case 'secure':
      return [record(name, 'NS', 'ns.example.org.'), record(name, 'DS', DS)]
    case 'insecure':
      return [record(name, 'NS', 'ns.example.org.')]
    case 'text':
      return [record(name, 'TXT', '"x"')]
    case 'alias':
      return [record(name, 'CNAME', 'example.org.')]
    case 'dname':
      return [record(name, 'DNAME', 'example.org.')]
  }
}

function isBelowInsecure(name: Name, made: readonly (readonly [Name, Kind])[]): boolean {
  return made.some(([above, kind]) => kind === 'insecure' && isBelow(name, above))
}

describe('zones made up at random', () => {
  test('verify whole, and say of every name what there is', async () => {
    const apex = [record(ORIGIN, 'SOA', '. . 7 1 2 3 4'), record(ORIGIN, 'NS', 'ns.example.org.')]
    await fc.assert(
      fc.asyncProperty(
        contents,
        denial,
        fc.array(owner, { minLength: 5, maxLength: 10 }),
        async (made, denying, asked) => {
          // What stands below a delegation or DNAME is not the zone's; a DS there would be a fault.
          const ends = made.filter(([, kind]) => kind !== 'text' && kind !== 'alias')
          const own = made.filter(
            ([name, kind]) =>
              !ends.some(([above]) => isBelow(name, above)) &&
              // RFC 4592 §4: what delegations and DNAME at a wildcard mean is left open.
              (!isWildcard(name) || kind === 'text' || kind === 'alias'),
          )
          const zone = signZone({
            origin: ORIGIN,
            records: [...apex, ...own.flatMap(([name, kind]) => recordsOf(name, kind))],
            keys,
            denial: denying,
            window: { inception: NOW - 5, expiration: NOW + 5 },
          })
          const verified = await verifyZone({ records: zone.records, trust, at: AT, backend })
          const secure = own.filter(([, kind]) => kind === 'secure').map(([name]) => name)
          expect(new Set(verified.delegations.map((d) => nameToText(d.owner)))).toEqual(
            new Set(secure.map((name) => nameToText(name))),
          )
          expect(verified.insecureDelegations).toBe(
            own.filter(([, kind]) => kind === 'insecure').length,
          )

          if (installed) expect(accepts(zone, keys[0], AT)).toBe(true)
          const question = { zone: ORIGIN, keys: verified.keys.keys, at: AT, backend }
          for (const name of [...asked, ...own.map(([each]) => each)]) {
            const kind = own.find(([each]) => nameKey(each) === nameKey(name))?.[1]
            const isOutside = own.some(([above, what]) => {
              return isBelow(name, above) && what !== 'text' && what !== 'alias'
            })
            const served = zone.answer(name, TYPE.DS)
            const bag = [...served.answer, ...served.authority]
            const verdict = await judgeDelegation({ ...question, owner: name, records: bag })
            const isOptOut =
              denying !== 'nsec' && denying.nsec3.optOut && isBelowInsecure(name, own)
            if (isOptOut) {
              // Left out of the chain, with everything below it.
              expect(verdict).toMatchObject({ verdict: 'absent', kind: DENIAL.NSEC3_OPT_OUT })
              const records = verified.denialRecords(name)
              const stored = await judgeDelegation({ ...question, owner: name, records })
              expect(stored).toEqual(verdict)
              continue
            }
            if (kind === 'secure' || isOutside) {
              expect(() => verified.denialRecords(name)).toThrow(/has a DS|is below the/)
              const expected: Verdict['verdict'] = kind === 'secure' ? 'present' : 'unverifiable'
              expect(verdict.verdict).toBe(expected)
              continue
            }
            const records = verified.denialRecords(name)
            const stored = await judgeDelegation({ ...question, owner: name, records })
            if (kind === 'alias') {
              expect(stored.verdict).toBe('unverifiable')
              continue
            }
            if (served.answer.length > 0) {
              // The alias of a wildcard: opt-out denies a DS all the same, nothing else does.
              const proof = stored.verdict === 'absent' ? stored.kind : undefined
              expect([undefined, DENIAL.NSEC3_OPT_OUT]).toContain(proof)
              continue
            }
            expect(stored).toMatchObject({ verdict: 'absent' })
            expect(verdict).toEqual(stored)
            expect(verified.isDelegated(name)).toBe(kind === 'insecure')
          }
        },
      ),
      { numRuns: 150 },
    )
  })
})
