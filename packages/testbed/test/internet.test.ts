import { webBackend } from '@dslog/dnssec/backend/web'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { judgeDelegation, verifyZoneKeys, type Verdict } from '@dslog/dnssec/chain'
import { nameFromText, nameToText, ROOT, type Name } from '@dslog/dnssec/name'
import { TYPE, type Dnskey } from '@dslog/dnssec/records'
import { selectRRset, selectRrsigs } from '@dslog/dnssec/rrset'
import { verifyZone } from '@dslog/dnssec/zone'
import { toHex } from '@dslog/tlog/bytes'
import { beforeAll, describe, expect, test } from 'vitest'
import { DAY, HOUR } from '@dslog/schema/time'
import { Internet, record } from '../src/internet.ts'
import { SIGNING_ALGORITHMS, ZSK } from '../src/key.ts'
import { ownerDs, STORIES, type StoryName } from '../src/stories.ts'
import { DENIALS } from './sample.ts'

const backend = nodeBackend()

/** What a validator that knows the root's anchors alone finds in the evidence of a name. */
async function judge(net: Internet, owner: Name, signatures = backend): Promise<Verdict> {
  const records = net.evidence(owner)
  const at = net.clock.now()
  const keysOf = async (zone: Name): Promise<readonly Dnskey[]> => {
    const question = {
      zone,
      dnskeys: selectRRset(records, zone, TYPE.DNSKEY)!.rdatas,
      rrsigs: selectRrsigs(records, zone, TYPE.DNSKEY),
      at,
      backend: signatures,
    }
    if (zone.length === 1) {
      return (await verifyZoneKeys({ ...question, trust: { anchors: net.anchors } })).keys
    }
    const parent = net.parentOf(zone).name
    const keys = await keysOf(parent)
    const own = { owner: zone, zone: parent, keys, records, at, backend: signatures }
    const verdict = await judgeDelegation(own)
    if (verdict.verdict !== 'present') throw new Error(`${nameToText(zone)}: ${verdict.verdict}`)
    return (await verifyZoneKeys({ ...question, trust: { ds: verdict.ds } })).keys
  }
  const zone = net.parentOf(owner).name
  const keys = await keysOf(zone)
  return judgeDelegation({ owner, zone, keys, records, at, backend: signatures })
}

function hexes(rdatas: readonly Uint8Array[]): string[] {
  return rdatas.map(toHex).sort()
}

describe('zones', () => {
  test('hang from each other, and each verifies whole', async () => {
    const net = new Internet()
    net.addZone('fi.', { denial: { nsec3: {} } })
    net.addZone('example.fi.', { split: false })
    net.addZone('co.uk.')
    expect(net.zones.map(({ name }) => nameToText(name))).toEqual([
      '.',
      'fi.',
      'example.fi.',
      'co.uk.',
    ])
    const at = net.clock.now()
    for (const { name, zone, parent } of net.zones) {
      const ds = parent?.zone.rrset(name, TYPE.DS).filter(({ type }) => type === TYPE.DS)
      const trust =
        ds === undefined ? { anchors: net.anchors } : { ds: ds.map(({ rdata }) => rdata) }
      const verified = await verifyZone({ records: zone.records, zone: name, trust, at, backend })
      expect(verified.serial).toBe(1)
    }
    expect(nameToText(net.parentOf(nameFromText('example.fi.')).name)).toBe('fi.')
    expect(nameToText(net.zoneOf(nameFromText('example.fi.')).name)).toBe('example.fi.')
    expect(nameToText(net.zoneOf(nameFromText('a.b.uk.')).name)).toBe('.')
    expect(() => net.parentOf(ROOT)).toThrow(RangeError)
    expect(() => net.addZone('fi.')).toThrow(RangeError)
  })

  test('are signed anew after a change, and before they expire', () => {
    const net = new Internet()
    const fi = net.addZone('fi.', { validity: 10 * DAY })
    expect(fi.zone.serial).toBe(1)
    expect(fi.zone).toBe(fi.zone)
    fi.delegate(nameFromText('a.fi.'))
    expect(fi.zone.serial).toBe(2)
    net.clock.advance(5 * DAY - 1)
    expect(fi.zone.serial).toBe(2)
    net.clock.advance(1)
    expect(fi.zone.serial).toBe(3)
    expect(fi.sign().serial).toBe(4)
    const { inception, expiration } = fi.window()
    expect(inception * 1000).toBe(net.clock.now() - HOUR)
    expect(expiration - inception).toBe((10 * DAY) / 1000)
  })

  test('hold what is put into them, and nothing else', () => {
    const net = new Internet()
    const fi = net.addZone('fi.')
    fi.add(record('a.fi.', 'TXT', '"x"'), record('a.fi.', 'TXT', '"y"'))
    const rows = fi.zone.rrset(nameFromText('a.fi.'), TYPE.TXT)
    expect(rows.filter(({ type }) => type === TYPE.TXT)).toHaveLength(2)
    fi.remove(nameFromText('a.fi.'), TYPE.TXT)
    expect(fi.zone.rrset(nameFromText('a.fi.'), TYPE.TXT)).toEqual([])
    expect(() => fi.add(record('a.se.', 'TXT', '"x"'))).toThrow(RangeError)
    expect(() => fi.delegate(nameFromText('fi.'))).toThrow(RangeError)
    expect(() => record('a.fi.', 'NOSUCH', 'x')).toThrow(RangeError)
  })

  test('may be delegated without a DS', async () => {
    const net = new Internet()
    net.addZone('fi.', { secure: false })
    expect(await judge(net, nameFromText('fi.'))).toMatchObject({ verdict: 'absent', kind: 1 })
  })

  test('make the same keys every time', () => {
    const [a, b] = [new Internet().addZone('fi.'), new Internet().addZone('fi.')]
    expect(a.keys.map(({ tag }) => tag)).toEqual(b.keys.map(({ tag }) => tag))
    expect(a.makeKey(ZSK, 13, 2).tag).not.toBe(a.makeKey(ZSK, 13, 1).tag)
    expect(new Internet().anchors).toEqual(new Internet().anchors)
  })
})

describe('evidence', () => {
  test.each(SIGNING_ALGORITHMS)('of a name two zones deep, algorithm %i', async (algorithm) => {
    const net = new Internet({ root: { algorithm } })
    net.addZone('fi.', { algorithm, denial: { nsec3: {} } })
    const owner = nameFromText('example.fi.')
    net.parentOf(owner).delegate(owner, [ownerDs(owner)])
    for (const signatures of [backend, webBackend()]) {
      const verdict = await judge(net, owner, signatures)
      expect(verdict).toMatchObject({ verdict: 'present', insecure: false })
    }
    expect(await judge(net, nameFromText('nosuch.fi.'))).toMatchObject({ verdict: 'absent' })
  })

  test('holds the chain once, up to the root', () => {
    const net = new Internet()
    net.addZone('fi.')
    net.addZone('example.fi.')
    const bag = net.evidence(nameFromText('a.example.fi.'))
    const sets = bag
      .filter(({ type }) => type !== TYPE.RRSIG && type !== TYPE.NSEC && type !== TYPE.SOA)
      .map(({ owner, type }) => `${nameToText(owner)} ${type}`)
    expect([...new Set(sets)]).toEqual([
      `example.fi. ${TYPE.DNSKEY}`,
      `example.fi. ${TYPE.DS}`,
      `fi. ${TYPE.DNSKEY}`,
      `fi. ${TYPE.DS}`,
      `. ${TYPE.DNSKEY}`,
    ])
    expect(net.chain(ROOT).filter(({ type }) => type === TYPE.DNSKEY)).toHaveLength(2)
  })
})

describe.each(DENIALS)('stories below a zone with %s', (_, denial) => {
  const names = Object.keys(STORIES) as StoryName[]

  test.each(names)('%s', async (name) => {
    const net = new Internet()
    net.addZone('fi.', { denial })
    const owner = nameFromText(`${name}.fi.`)
    let steps = 0
    for (const { what, finding } of STORIES[name](net, owner)) {
      steps++
      const verdict = await judge(net, owner)
      const seen = { what, verdict: verdict.verdict }
      expect(seen).toEqual({ what, verdict: finding.verdict })
      if (finding.verdict === 'present' && verdict.verdict === 'present') {
        expect(hexes(verdict.ds)).toEqual(hexes(finding.ds))
        expect(verdict.insecure).toBe(finding.insecure ?? false)
      }
      if (finding.verdict === 'unverifiable' && verdict.verdict === 'unverifiable') {
        expect(verdict.code).toBe(finding.code)
      }
    }
    expect(steps).toBeGreaterThan(0)
  })
})

describe('stories', () => {
  let net: Internet

  beforeAll(() => {
    net = new Internet()
    net.addZone('fi.', { split: false })
  })

  test('may follow each other on one internet, and happen in the root', async () => {
    for (const [name, story] of Object.entries(STORIES)) {
      for (const text of [`${name}.fi.`, `${name}.`]) {
        const owner = nameFromText(text)
        for (const { finding } of story(net, owner)) {
          expect((await judge(net, owner)).verdict).toBe(finding.verdict)
        }
      }
    }
  })

  test('a signature that is dated back is older than the one before it', async () => {
    const owner = nameFromText('late.fi.')
    const inceptions: number[] = []
    for (const step of STORIES.backdated(net, owner)) {
      const verdict = await judge(net, owner)
      expect(verdict.verdict).toBe(step.finding.verdict)
      if (verdict.verdict === 'present') inceptions.push(verdict.inception)
    }
    const [first, second, third] = inceptions
    expect(second).toBeLessThan(first!)
    expect(third).toBeGreaterThan(first!)
  })
})
