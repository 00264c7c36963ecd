/** What a whole signed zone says anew, and that the log takes every word of it. */
import { describe, expect, test } from 'vitest'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { DnssecError } from '@dslog/dnssec/error'
import { nameFromText, nameToText } from '@dslog/dnssec/name'
import { dsToText, TYPE } from '@dslog/dnssec/records'
import { recordsOf } from '@dslog/dnssec/rrset'
import { type SignedZone, verifyZone } from '@dslog/dnssec/zone'
import { DAY } from '@dslog/schema/time'
import { type Authority, Internet, type ZoneOptions } from '@dslog/testbed/internet'
import { diffZone, keyRecords, type ZoneChange } from '@dslog/verify/zonediff'
import { madeUpDs } from './registry.ts'
import { live, statuses, TestLog, verdictOn } from './testlog.ts'

const backend = nodeBackend()

const ZONES: readonly (readonly [string, ZoneOptions])[] = [
  ['NSEC', { denial: 'nsec' }],
  ['NSEC3', { denial: { nsec3: { salt: Uint8Array.of(1) } } }],
  ['NSEC3 with opt-out', { denial: { nsec3: { optOut: true } } }],
]

/** Verifies a zone of the testbed as an import would. */
function verified(net: Internet, authority: Authority): Promise<SignedZone> {
  const { name: apex, parent, zone } = authority
  const ds = parent?.zone.rrset(apex, TYPE.DS).filter(({ type }) => type === TYPE.DS)
  const trust = ds === undefined ? { anchors: net.anchors } : { ds: ds.map(({ rdata }) => rdata) }
  return verifyZone({ records: zone.records, zone: apex, trust, at: net.clock.now(), backend })
}

function spell({ change, name: owner, new: now, old }: ZoneChange): string {
  return `${change} ${nameToText(owner)} ${old.length}→${now.length}`
}

/** Takes changes over. */
function follow(known: Map<string, readonly string[]>, changes: readonly ZoneChange[]): void {
  for (const change of changes) known.set(nameToText(change.name), change.new)
}

describe.each(ZONES)('a zone with %s', (_, options) => {
  test('is told by its differences, in canonical order', async () => {
    const net = new Internet()
    const fi = net.addZone('fi.', options)
    const known = new Map<string, readonly string[]>()
    const log = await TestLog.create({ anchors: net.anchors, backend, time: net.clock.now() })

    async function next(): Promise<string[]> {
      net.clock.advance(DAY)
      fi.sign()
      const zone = await verified(net, fi)
      const changes = diffZone(zone, known)
      const moment = live(net.clock.now())
      await log.observeKeys(fi.name, net.chain(fi.name), moment)
      for (const { change, name: owner, records } of changes) {
        const said = statuses(await log.observe(owner, records, moment)).at(-1)
        expect(said).toBe(change === 'removed' ? 'no-ds' : 'ds')
      }
      await log.mapHead(net.clock.now() + 1)
      follow(known, changes)
      // Once taken over there is no difference any more.
      expect(diffZone(zone, known)).toEqual([])
      return changes.map(spell)
    }

    fi.delegate(nameFromText('b.fi.'), [madeUpDs(1)])
    fi.delegate(nameFromText('a.fi.'), [madeUpDs(2), madeUpDs(1)])
    fi.delegate(nameFromText('none.fi.'))
    fi.delegate(nameFromText('x.y.fi.'), [madeUpDs(5)])
    fi.delegate(nameFromText('wild.fi.'), [madeUpDs(6)])
    fi.delegate(nameFromText('z.fi.'), [madeUpDs(7)])
    expect(await next()).toEqual([
      'added a.fi. 0→2',
      'added b.fi. 0→1',
      'added wild.fi. 0→1',
      'added x.y.fi. 0→1',
      'added z.fi. 0→1',
    ])
    expect(known.get('a.fi.')).toEqual([dsToText(madeUpDs(1)), dsToText(madeUpDs(2))])
    expect(await next()).toEqual([])
    fi.delegate(nameFromText('a.fi.'), [madeUpDs(2)])
    fi.delegate(nameFromText('b.fi.'))
    fi.undelegate(nameFromText('x.y.fi.'))
    fi.undelegate(nameFromText('z.fi.'))
    fi.delegate(nameFromText('none.fi.'), [madeUpDs(9)])
    expect(await next()).toEqual([
      'replaced a.fi. 2→1',
      'removed b.fi. 1→0',
      'added none.fi. 0→1',
      'removed x.y.fi. 1→0',
      'removed z.fi. 1→0',
    ])
    fi.undelegate(nameFromText('a.fi.'))
    fi.delegate(nameFromText('below.a.fi.'), [madeUpDs(3)])
    expect(await next()).toEqual(['removed a.fi. 1→0', 'added below.a.fi. 0→1'])
    expect(await verdictOn(log.entries, { anchors: net.anchors, backend })).toBe('right')
  })

  test('has proof for every difference, of records the zone has', async () => {
    const net = new Internet()
    const fi = net.addZone('fi.', options)
    fi.delegate(nameFromText('a.fi.'), [madeUpDs(1), madeUpDs(3)])
    fi.delegate(nameFromText('b.fi.'))
    const zone = await verified(net, fi)
    const gone = dsToText(madeUpDs(4))
    const known = new Map([
      ['b.fi.', [gone]],
      ['never.fi.', [gone]],
      ['a.fi.', [gone, dsToText(madeUpDs(1))]],
      ['empty.fi.', []],
    ])
    const changes = diffZone(zone, known)
    expect(changes.map(spell)).toEqual([
      'replaced a.fi. 2→2',
      'removed b.fi. 1→0',
      'removed never.fi. 1→0',
    ])
    const [replaced] = changes
    expect(replaced!.old).toEqual([dsToText(madeUpDs(1)), gone].toSorted())
    expect(replaced!.records.map(({ type }) => type)).toEqual([TYPE.DS, TYPE.DS, TYPE.RRSIG])
    const has = (rdata: Uint8Array): boolean =>
      fi.zone.records.some((rr) => rr.rdata.join() === rdata.join())
    for (const { records } of changes) {
      for (const { rdata } of records) expect(has(rdata)).toBe(true)
    }
  })
})

test('a name below a delegation is not the zone’s to deny', async () => {
  const net = new Internet()
  const fi = net.addZone('fi.')
  fi.delegate(nameFromText('a.fi.'), [madeUpDs(1)])
  const zone = await verified(net, fi)
  const lost = new Map([['x.a.fi.', [dsToText(madeUpDs(1))]]])
  expect(() => diffZone(zone, lost)).toThrow(DnssecError)
  const elsewhere = new Map([['a.com.', [dsToText(madeUpDs(1))]]])
  expect(() => diffZone(zone, elsewhere)).toThrow(DnssecError)
})

test('a DS that is none is told like any other', async () => {
  const net = new Internet()
  const fi = net.addZone('fi.')
  fi.delegate(nameFromText('a.fi.'), [Uint8Array.of(1, 2), madeUpDs(1)])
  const zone = await verified(net, fi)
  const [change] = diffZone(zone, new Map())
  expect(change!.new).toEqual(['\\# 2 0102', dsToText(madeUpDs(1))].toSorted())
  expect(diffZone(zone, new Map([['a.fi.', change!.new]]))).toEqual([])
  const log = await TestLog.create({ anchors: net.anchors, backend, time: net.clock.now() })
  const bag = [...change!.records, ...net.chain(fi.name)]
  expect(
    statuses(await log.observe(nameFromText('a.fi.'), bag, live(net.clock.now()))).at(-1),
  ).toBe('ds')
})

test('keys are told with the signature that counts', async () => {
  const net = new Internet()
  const fi = net.addZone('fi.')
  const zone = await verified(net, fi)
  const records = keyRecords(zone)
  expect(records.map(({ type }) => type)).toEqual([TYPE.DNSKEY, TYPE.DNSKEY, TYPE.RRSIG])
  const log = await TestLog.create({ anchors: net.anchors, backend, time: net.clock.now() })
  const above = [...net.chain(net.root.name), ...net.root.zone.rrset(fi.name, TYPE.DS)]
  const said = await log.observeKeys(fi.name, [...records, ...above], live(net.clock.now()))
  expect(statuses(said)).toEqual(['zone-keys', 'zone-keys'])
  const [ds, rrsig] = recordsOf(nameFromText('a.fi.'), TYPE.DS, [madeUpDs(1)], Uint8Array.of(7))
  expect([ds, rrsig]).toMatchObject([
    { type: TYPE.DS, rdata: madeUpDs(1), class: 1 },
    { type: TYPE.RRSIG, rdata: Uint8Array.of(7), class: 1 },
  ])
})
