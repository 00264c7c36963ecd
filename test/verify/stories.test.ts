/** Every story of the testbed, through observer and fold: the expected entries, each once. */
import { describe, expect, test } from 'vitest'
import { toHex } from '@dslog/tlog/bytes'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { nameFromText, nameToText } from '@dslog/dnssec/name'
import { Internet, type ZoneOptions } from '@dslog/testbed/internet'
import { type Finding, STORIES, type StoryName } from '@dslog/testbed/stories'
import { verifyErrorOf } from '@dslog/verify/evidence'
import { live, refusal, statuses, TestLog, verdictOn } from './testlog.ts'

const NAMES = Object.keys(STORIES) as StoryName[]

const ZONES: readonly (readonly [string, ZoneOptions])[] = [
  ['NSEC', { denial: 'nsec' }],
  ['NSEC3', { denial: { nsec3: {} } }],
  ['NSEC3 with opt-out', { denial: { nsec3: { optOut: true } } }],
  ['NSEC3 of 150 iterations', { denial: { nsec3: { iterations: 150, salt: Uint8Array.of(7) } } }],
  ['one key', { split: false }],
]

function spell(finding: Finding): string {
  if (finding.verdict !== 'present') return '-'
  return finding.ds.map(toHex).sort().join()
}

describe.each(ZONES)('in a zone with %s', (_, options) => {
  test.each(NAMES)('%s', async (story) => {
    const net = new Internet()
    net.addZone('fi.', options)
    const owner = nameFromText(`${story}.fi.`)
    const verifier = { anchors: net.anchors, backend: nodeBackend() }
    const log = await TestLog.create({ ...verifier, time: net.clock.now() })
    let inForce = '-'
    let isFirst = true
    for (const { finding, what } of STORIES[story](net, owner)) {
      const moment = live(net.clock.now())
      const records = net.evidence(owner)
      if (finding.verdict === 'unverifiable') {
        const { code } = verifyErrorOf(finding.code, '')
        const seen = await refusal(log.observe(owner, records, moment))
        expect({ what, seen }).toEqual({ what, seen: code })
        continue
      }
      const isBackdated = what.includes('dated back')
      const added = finding.verdict === 'present' ? 'ds' : 'no-ds'
      const expected = isBackdated
        ? 'ds, out of order'
        : spell(finding) === inForce
          ? 'known'
          : added
      const seen = statuses(await log.observe(owner, records, moment)).at(-1)
      expect({ what, seen }).toEqual({ what, seen: expected })
      // Once is enough, in this tree and after it.
      const rest = isBackdated ? 'stale' : 'known'
      const known = isFirst ? ['known', 'known', rest] : [rest]
      expect(statuses(await log.observe(owner, records, moment)).slice(-known.length)).toEqual(
        known,
      )
      isFirst = false
      await log.mapHead(net.clock.now() + 1)
      net.clock.advance(1)
      expect(statuses(await log.observe(owner, records, live(net.clock.now()))).at(-1)).toBe(rest)
      if (!isBackdated) inForce = spell(finding)
    }
    await log.mapHead(net.clock.now() + 1)
    expect(await verdictOn(log.entries, verifier)).toBe('right')
  })
})

test('a parent that rolls its keys adds key sets and no state', async () => {
  const net = new Internet()
  net.addZone('fi.')
  const owner = nameFromText('a.fi.')
  const verifier = { anchors: net.anchors, backend: nodeBackend() }
  const log = await TestLog.create({ ...verifier, time: net.clock.now() })
  const seen: string[] = []
  for (const { what } of STORIES.parentRoll(net, owner)) {
    const said = statuses(await log.observe(owner, net.evidence(owner), live(net.clock.now())))
    seen.push(`${what}: ${said.join(' ')}`)
  }
  expect(seen).toEqual([
    'delegated with a DS: zone-keys zone-keys ds',
    'the parent publishes a new zone-signing key: known zone-keys known',
    'the parent signs with it: known known known',
    'the parent signs its keys with two key-signing keys: known zone-keys known',
    'the parent revokes the old one: known zone-keys known',
    'the parent removes the old one: known zone-keys known',
  ])
})

test('all stories on one internet, one after the other, in a zone and in the root', async () => {
  const net = new Internet()
  net.addZone('fi.', { denial: { nsec3: { optOut: true } } })
  const verifier = { anchors: net.anchors, backend: nodeBackend() }
  const log = await TestLog.create({ ...verifier, time: net.clock.now() })
  for (const story of NAMES) {
    for (const text of [`${story}.fi.`, `${story}.`]) {
      // What happens to the root's own keys is not followed by its anchor here.
      if (text === `${story}.` && story.startsWith('parent')) continue
      const owner = nameFromText(text)
      for (const { finding } of STORIES[story](net, owner)) {
        const observed = log.observe(owner, net.evidence(owner), live(net.clock.now()))
        const outcome = await observed.then(statuses, () => ['refused'])
        expect(outcome.at(-1) === 'refused').toBe(finding.verdict === 'unverifiable')
      }
    }
    await log.mapHead(net.clock.now() + 1)
    net.clock.advance(1)
  }
  expect(await verdictOn(log.entries, verifier)).toBe('right')
  const states = log.decoded.flatMap((entry) => {
    if (entry.type !== 'ds' && entry.type !== 'no-ds') return []
    return [`${nameToText(entry.owner)} ${entry.type}${entry.outOfOrder ? ' late' : ''}`]
  })
  expect(states.filter((text) => text.includes('.fi.'))).toEqual([
    'signed.fi. ds',
    'replaced.fi. ds',
    'replaced.fi. ds',
    'replaced.fi. ds',
    'swapped.fi. ds',
    'swapped.fi. ds',
    'swapped.fi. ds',
    'insecure.fi. ds',
    'insecure.fi. no-ds',
    'insecure.fi. ds',
    'gone.fi. ds',
    'gone.fi. no-ds',
    'gone.fi. ds',
    'emptynonterminal.fi. ds',
    'emptynonterminal.fi. no-ds',
    'wildcard.fi. ds',
    'wildcard.fi. no-ds',
    'algorithmchange.fi. ds',
    'algorithmchange.fi. ds',
    'algorithmchange.fi. ds',
    'unusable.fi. ds',
    'unusable.fi. ds',
    'parentroll.fi. ds',
    'parentalgorithm.fi. ds',
    'backdated.fi. ds',
    'backdated.fi. ds late',
    'faulty.fi. ds',
  ])
})
