/**
 * Random zones, and bags of several of their answers: what the observer picks out of one is true, and is a proof
 * that an auditor takes to the byte.
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ALGORITHM } from '@dslog/dnssec/backend/backend'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import {
  isBelow,
  isWildcard,
  type Name,
  nameFromText,
  nameKey,
  nameToText,
  sameName,
} from '@dslog/dnssec/name'
import { type RR, TYPE } from '@dslog/dnssec/records'
import { HOUR } from '@dslog/schema/time'
import { Internet, record, type ZoneOptions } from '@dslog/testbed/internet'
import { ZSK } from '@dslog/testbed/key'
import { VerifyError } from '@dslog/verify/error'
import { rememberingBackend } from '@dslog/resolver/remember'
import { TIMES } from '../nightly.ts'
import { madeUpDs, signed } from './registry.ts'
import { live, statuses, TestLog, verdictOn } from './testlog.ts'

const algorithm = ALGORITHM.ED25519
const backend = rememberingBackend(nodeBackend())

const DENIALS: readonly (readonly [string, Required<ZoneOptions>['denial']])[] = [
  ['NSEC', 'nsec'],
  ['NSEC3', { nsec3: { salt: Uint8Array.of(1, 2, 3), iterations: 2 } }],
  ['NSEC3 with opt-out', { nsec3: { optOut: true } }],
]

/** A name of one to three labels in the zone. */
const owner = fc
  .array(fc.constantFrom('a', 'b', 'c', '*', '\\000'), { minLength: 1, maxLength: 3 })
  .map((labels) => nameFromText(`${labels.join('.')}.fi.`))

/** What is at a name. */
const content = fc.constantFrom('signed', 'unsigned', 'text', 'alias', 'dname')

const zone = fc
  .uniqueArray(fc.tuple(owner, content), { maxLength: 8, selector: ([each]) => nameKey(each) })
  // Delegating a wildcard, or aliasing one, would answer for every name that is not there.
  .map((list) => list.filter(([each, what]) => what === 'text' || !isWildcard(each)))

describe.each(DENIALS)('a zone with %s', (_, denial) => {
  test('is believed in what it says, whatever else is in the bag', async () => {
    await fc.assert(
      fc.asyncProperty(
        zone,
        fc.uniqueArray(owner, { minLength: 1, maxLength: 4, selector: nameKey }),
        fc.infiniteStream(fc.nat(1000)),
        async (contents, owners, order) => {
          const net = new Internet({ root: { algorithm } })
          const fi = net.addZone('fi.', { algorithm, denial })
          const cuts: Name[] = []
          for (const [at, what] of contents) {
            if (what === 'signed' || what === 'unsigned') {
              fi.delegate(at, what === 'signed' ? [madeUpDs(1)] : [])
              cuts.push(at)
            } else if (what === 'text') fi.add(record(at, 'TXT', '"here"'))
            else if (what === 'alias') fi.add(record(at, 'CNAME', 'elsewhere.'))
            else {
              fi.add(record(at, 'DNAME', 'elsewhere.'))
              cuts.push(at)
            }
          }
          const verifier = { anchors: net.anchors, backend }
          const log = await TestLog.create({ ...verifier, time: net.clock.now() })
          const { inception, expiration } = fi.window()
          const zsk = fi.keys.find(({ flags }) => flags === ZSK)!
          // Every owner has had a DS, so that its absence is worth an entry.
          for (const each of owners) {
            const before = { inception: inception - 600, expiration }
            const ds = signed(each, TYPE.DS, [madeUpDs(7)], fi.name, [zsk], before)
            const records = [...ds, ...net.chain(fi.name)]
            expect(statuses(await log.observe(each, records, live(net.clock.now()))).at(-1)).toBe(
              'ds',
            )
          }
          await log.mapHead(net.clock.now() + 1)
          net.clock.advance(HOUR)
          const answers = owners.flatMap((each) => fi.zone.dsOrDenial(each))
          const bag = shuffled([...answers, ...net.chain(fi.name)], () => order.next().value)
          for (const each of owners) {
            const isCut = contents.some(([at, what]) => what === 'signed' && sameName(at, each))
            const isBelowCut = cuts.some((cut) => isBelow(each, cut))
            let said: string
            try {
              const admitted = await log.observe(each, bag, live(net.clock.now()))
              said = statuses(admitted).at(-1)!
            } catch (error) {
              if (!(error instanceof VerifyError)) throw error
              said = error.code
            }
            const seen = { owner: nameToText(each), said }
            if (isBelowCut) {
              // Not the zone's to say, unless opt-out says that nothing secure is there.
              expect(['unproven', 'no-ds', 'unsupported']).toContain(said)
            } else if (isCut) {
              expect(seen).toEqual({ ...seen, said: 'ds' })
            } else {
              const isAlias = contents.some(([at, what]) => what === 'alias' && sameName(at, each))
              expect(seen).toEqual({ ...seen, said: isAlias ? 'unproven' : 'no-ds' })
            }
          }
          await log.mapHead(net.clock.now() + 1)
          expect(await verdictOn(log.entries, verifier)).toBe('right')
        },
      ),
      { numRuns: 60 * TIMES },
    )
  })
})

/** The records in an order that the stream decides. */
function shuffled(records: readonly RR[], next: () => number): RR[] {
  return records
    .map((rr) => ({ rr, at: next() }))
    .sort((a, b) => a.at - b.at)
    .map(({ rr }) => rr)
}
