/** Entries of every type, from fixed bytes: what the tests mangle and the vectors publish. */
import { concat, utf8 } from '@dslog/tlog/bytes'
import { type Hash, sha256 } from '@dslog/tlog/hash'
import { nameFromText, ROOT } from '@dslog/dnssec/name'
import { TYPE } from '@dslog/dnssec/records'
import type { DsEntry, Entry, MapHeadEntry, NoDsEntry, ZoneKeysEntry } from '../src/entry.ts'
import { keysId } from '../src/identity.ts'

/** `n` bytes that follow from a label. */
export function filler(label: string, n: number): Uint8Array {
  const blocks: Hash[] = []
  for (let i = 0; 32 * i < n; i++) blocks.push(sha256(utf8(`${label} ${i}`)))
  return concat(...blocks).slice(0, n)
}

export function dsRdata(tag: number, label = 'ds'): Uint8Array {
  return concat(Uint8Array.of(tag >> 8, tag & 0xff, 13, 2), filler(`${label} ${tag}`, 32))
}

export function dnskeyRdata(flags: number, label: string): Uint8Array {
  return concat(Uint8Array.of(flags >> 8, flags & 0xff, 3, 13), filler(label, 64))
}

/** An RRSIG by `signer` with algorithm 13; the signature is filler. */
export function rrsigRdata(covered: number, signer: string, inception = 1_700_000_000): Uint8Array {
  const fixed = new DataView(new ArrayBuffer(18))
  fixed.setUint16(0, covered)
  fixed.setUint8(2, 13)
  fixed.setUint8(3, 2)
  fixed.setUint32(4, 3600)
  fixed.setUint32(8, inception + 14 * 86_400)
  fixed.setUint32(12, inception)
  fixed.setUint16(16, 4711)
  return concat(new Uint8Array(fixed.buffer), nameFromText(signer), filler(`sig ${signer}`, 64))
}

export function nsecRdata(next: string): Uint8Array {
  return concat(nameFromText(next), Uint8Array.of(0, 6, 0x20, 0, 0, 0, 0, 0x03))
}

const org = nameFromText('org.')
const orgKeys = [dnskeyRdata(256, 'zsk'), dnskeyRdata(257, 'ksk')]
const rootKeys = [dnskeyRdata(256, 'root zsk'), dnskeyRdata(257, 'root ksk')]
const TIME = 1_700_100_000_000

export const mapHead: MapHeadEntry = {
  type: 'map-head',
  covers: 9,
  mapRoot: sha256(utf8('map')),
  keyCount: 7,
  previous: 4,
  time: TIME,
}

export const firstMapHead: MapHeadEntry = {
  ...mapHead,
  covers: 0,
  keyCount: 0,
  previous: undefined,
}

export const rootZoneKeys: ZoneKeysEntry = {
  type: 'zone-keys',
  time: TIME,
  historical: true,
  zone: ROOT,
  keys: rootKeys,
  rrsig: rrsigRdata(TYPE.DNSKEY, '.'),
  link: { tag: 20326, digest: sha256(utf8('anchor')) },
}

export const orgZoneKeys: ZoneKeysEntry = {
  type: 'zone-keys',
  time: TIME,
  historical: false,
  zone: org,
  keys: orgKeys,
  rrsig: rrsigRdata(TYPE.DNSKEY, 'org.'),
  link: {
    zone: ROOT,
    keysId: keysId(ROOT, rootKeys),
    ds: [dsRdata(1), dsRdata(2)],
    rrsig: rrsigRdata(TYPE.DS, '.'),
  },
}

export const ds: DsEntry = {
  type: 'ds',
  time: TIME,
  historical: false,
  outOfOrder: true,
  owner: nameFromText('example.org.'),
  zone: org,
  keysId: keysId(org, orgKeys),
  ds: [dsRdata(300), dsRdata(60_000)],
  rrsig: rrsigRdata(TYPE.DS, 'org.'),
}

export const noDs: NoDsEntry = {
  type: 'no-ds',
  time: TIME + 1,
  historical: true,
  outOfOrder: false,
  owner: nameFromText('example.org.'),
  zone: org,
  keysId: keysId(org, orgKeys),
  proof: 2,
  records: [
    {
      owner: nameFromText('org.'),
      type: TYPE.NSEC,
      rdata: nsecRdata('a.org.'),
      rrsig: rrsigRdata(TYPE.NSEC, 'org.'),
    },
    {
      owner: nameFromText('exam.org.'),
      type: TYPE.NSEC,
      rdata: nsecRdata('F.org.'),
      rrsig: rrsigRdata(TYPE.NSEC, 'org.'),
    },
  ],
}

export const samples: readonly (readonly [string, Entry])[] = [
  ['map-head-first', firstMapHead],
  ['map-head', mapHead],
  ['zone-keys-root', rootZoneKeys],
  ['zone-keys', orgZoneKeys],
  ['ds', ds],
  ['no-ds', noDs],
]
