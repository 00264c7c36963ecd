import { Check } from 'typebox/value'
import { describe, expect, test } from 'vitest'
import { fromBase64, toBase64, toHex } from '@dslog/tlog/bytes'
import { EMPTY_ROOT } from '@dslog/tlog/hash'
import { ALGORITHM } from '@dslog/dnssec/backend/backend'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { type Name, nameFromText } from '@dslog/dnssec/name'
import { dsToText, TYPE } from '@dslog/dnssec/records'
import { EntryView } from '@dslog/schema/api'
import { decodeEntry, encodeEntry } from '@dslog/schema/entry'
import { keysId, stateId } from '@dslog/schema/identity'
import { DAY, HOUR } from '@dslog/schema/time'
import { Internet } from '@dslog/testbed/internet'
import { ZSK } from '@dslog/testbed/key'
import { Scribe } from '@dslog/testbed/lyinglog'
import { ownerDs } from '@dslog/testbed/stories'
import { checkState } from '@dslog/verify/evidence'
import { claimedKeys } from '@dslog/verify/verify'
import { viewOf } from '../src/view.ts'

const algorithm = ALGORITHM.ED25519

/** A log of what happened to some names, as its entries. */
class Book {
  readonly net = new Internet({ root: { algorithm } })
  readonly scribe: Scribe

  constructor() {
    this.net.addZone('fi.', { algorithm })
    this.net.addZone('se.', { algorithm, denial: { nsec3: { salt: Uint8Array.of(1) } } })
    this.scribe = new Scribe({ anchors: this.net.anchors, now: this.net.clock.now })
  }

  async write(owner: Name, at?: number): Promise<void> {
    await this.scribe.observe(owner, this.net.evidence(owner), at)
    this.net.clock.advance(HOUR)
  }

  views(): EntryView[] {
    return this.scribe.entries.map((bytes, index) => viewOf(index, bytes))
  }
}

describe('an entry as JSON', () => {
  test('has the shape of the API, its place and its bytes', async () => {
    const book = new Book()
    await book.scribe.mapHead()
    const owner = nameFromText('example.fi.')
    const zone = book.net.parentOf(owner)
    zone.delegate(owner, [ownerDs(owner)])
    await book.write(owner)
    zone.undelegate(owner)
    await book.write(owner)
    const views = book.views()
    expect(new Set(views.map(({ type }) => type))).toEqual(
      new Set(['map-head', 'zone-keys', 'ds', 'no-ds']),
    )
    for (const [index, view] of views.entries()) {
      expect(Check(EntryView, view)).toBe(true)
      expect(view).toMatchObject({ index, raw: toBase64(book.scribe.entries[index]!) })
    }
  })

  test('keys and a DS set', async () => {
    const book = new Book()
    const { net, scribe } = book
    await scribe.mapHead()
    const owner = nameFromText('example.fi.')
    const ds = [1, 2].map((generation) => ownerDs(owner, generation))
    net.parentOf(owner).delegate(owner, ds)
    const time = net.clock.now()
    const fi = net.zoneOf(owner)
    await book.write(owner)
    const [first, root, keys, state] = book.views()
    expect(first).toEqual({
      index: 0,
      raw: expect.any(String),
      type: 'map-head',
      time,
      covers: 0,
      map_root: toBase64(EMPTY_ROOT),
      key_count: 0,
      previous: null,
    })
    expect(root).toMatchObject({
      type: 'zone-keys',
      zone: '.',
      historical: false,
      parent: null,
      anchor: { tag: net.anchors[0]!.tag, digest: toHex(net.anchors[0]!.digest) },
    })
    const rdatas = fi.keys.map(({ rdata }) => rdata)
    const id = toBase64(keysId(fi.name, rdatas))
    expect(keys).toMatchObject({
      type: 'zone-keys',
      time,
      zone: 'fi.',
      keys_id: id,
      parent: { zone: '.', ds: fi.dsRecords().map(dsToText) },
      anchor: null,
    })
    if (keys?.type !== 'zone-keys') throw new Error('another type')
    expect(
      new Set(keys.keys.map(({ algorithm: n, flags, tag }) => [n, flags, tag].join())),
    ).toEqual(new Set(fi.keys.map((key) => [key.algorithm, key.flags, key.tag].join())))
    expect(keys.parent!.keys_id).toBe((root as { keys_id: string }).keys_id)
    expect(state).toEqual({
      index: 3,
      raw: expect.any(String),
      type: 'ds',
      time,
      name: 'example.fi.',
      zone: 'fi.',
      historical: false,
      out_of_order: false,
      keys_id: id,
      state_id: toBase64(stateId(owner, fi.name, ds)),
      inception: (time - HOUR) / 1000,
      ds: expect.arrayContaining(ds.map(dsToText)),
      rrsig: expect.any(String),
    })
  })

  test('absence, in each kind, with the inception that decides', async () => {
    const book = new Book()
    const { net, scribe } = book
    await scribe.mapHead()
    for (const zone of ['fi.', 'se.'].map((text) => net.zoneOf(nameFromText(text)))) {
      for (const label of ['aaa', 'matched', 'gone', 'zzz']) {
        const owner = nameFromText(label, zone.name)
        zone.delegate(owner, [ownerDs(owner)])
      }
      for (const label of ['matched', 'gone']) await book.write(nameFromText(label, zone.name))
      zone.delegate(nameFromText('matched', zone.name))
      zone.undelegate(nameFromText('gone', zone.name))
      // The records of a proof were signed on different days, as in zones that are signed bit by bit.
      const chain = zone.zone.records.filter(
        ({ type }) => type === TYPE.NSEC || type === TYPE.NSEC3,
      )
      for (const [i, { owner, type }] of chain.entries()) {
        const { expiration, inception } = zone.window()
        const window = { inception: inception - ((i + 1) * HOUR) / 1000, expiration }
        zone.makeOdd(owner, type, { window })
      }
      for (const label of ['matched', 'gone']) await book.write(nameFromText(label, zone.name))
    }
    const absent = book.views().filter((view) => view.type === 'no-ds')
    expect(absent.map(({ name, proof }) => [name, proof])).toEqual([
      ['matched.fi.', 'nsec-match'],
      ['gone.fi.', 'nsec-name-error'],
      ['matched.se.', 'nsec3-match'],
      ['gone.se.', 'nsec3-name-error'],
    ])
    const keys = scribe.entries.flatMap((bytes, index) => {
      const entry = decodeEntry(bytes)
      return entry.type === 'zone-keys' ? [claimedKeys(index, entry)] : []
    })
    const verifier = { anchors: net.anchors, backend: nodeBackend() }
    for (const view of absent) {
      const entry = decodeEntry(fromBase64(view.raw))
      if (entry.type !== 'no-ds') throw new Error('another type')
      const lookup = async (id: Uint8Array) =>
        keys.filter(({ keysId: other }) => toHex(other) === toHex(id))
      const { orderKey } = await checkState(entry, lookup, verifier)
      expect(view.inception, view.name).toBe(orderKey)
      expect(view.records).toHaveLength(entry.records.length)
      for (const record of view.records) expect(record.type).toMatch(/^NSEC3?$/)
    }
    // The first record is not the one that decides.
    expect(absent.some(({ records }) => records.length > 1)).toBe(true)
  })

  test('of the past, and out of order', async () => {
    const book = new Book()
    const { net, scribe } = book
    await scribe.mapHead()
    const owner = nameFromText('example.fi.')
    const zone = net.parentOf(owner)
    zone.delegate(owner, [ownerDs(owner)])
    const then = net.clock.now()
    await book.write(owner, then)
    net.clock.advance(4 * DAY)
    zone.delegate(owner, [ownerDs(owner, 2)])
    await book.write(owner)
    zone.delegate(owner, [ownerDs(owner, 3)])
    const { expiration, inception } = zone.window()
    const window = { inception: inception - (2 * DAY) / 1000, expiration }
    zone.makeOdd(owner, TYPE.DS, { window })
    await book.write(owner)
    const states = book.views().filter((view) => view.type === 'ds')
    expect(states).toMatchObject([
      { historical: true, time: then, out_of_order: false },
      { historical: false, out_of_order: false },
      { historical: false, out_of_order: true, inception: window.inception },
    ])
    expect(book.views().filter(({ type }) => type === 'zone-keys')).toMatchObject([
      { historical: true },
      { historical: true },
    ])
  })

  test('keys that roll', async () => {
    const book = new Book()
    const { net, scribe } = book
    await scribe.mapHead()
    const fi = net.zoneOf(nameFromText('fi.'))
    for (const generation of [1, 2]) {
      fi.setKeys([fi.keys[0]!, fi.makeKey(ZSK, algorithm, generation)])
      await scribe.observeKeys(fi.name, net.chain(fi.name))
      net.clock.advance(HOUR)
    }
    const head = await scribe.mapHead()
    const ids = book
      .views()
      .flatMap((v) => (v.type === 'zone-keys' && v.zone === 'fi.' ? v.keys_id : []))
    expect(new Set(ids).size).toBe(2)
    expect(viewOf(4, head)).toMatchObject({
      type: 'map-head',
      covers: 4,
      key_count: 2,
      previous: 0,
    })
  })

  test('of a type that is not known', () => {
    const bytes = Uint8Array.of(1, 77, 5, 5)
    expect(viewOf(9, bytes)).toEqual({ index: 9, raw: toBase64(bytes), type: 'unknown' })
    expect(encodeEntry(decodeEntry(bytes))).toEqual(bytes)
  })
})
