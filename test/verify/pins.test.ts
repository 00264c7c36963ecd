/** Statements of pins: their bytes by hand, what a signature covers, and what nobody should sign. */
import { describe, expect, it } from 'vitest'
import { concat, fromHex, toHex, u64be, utf8 } from '@dslog/tlog/bytes'
import { sha256 } from '@dslog/tlog/hash'
import { ALGORITHM } from '@dslog/dnssec/backend/backend'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { nameFromText, ROOT } from '@dslog/dnssec/name'
import { ed25519Signer } from '@dslog/service/crypto'
import { dsOf, KSK, revoked, zoneKey, ZSK } from '@dslog/testbed/key'
import { ownerDs, ownerKey } from '@dslog/testbed/stories'
import { VerifyError } from '@dslog/verify/error'
import {
  decodePinList,
  dsOfPin,
  encodePinList,
  encodePins,
  MAX_PINS,
  ownerText,
  type Pin,
  pinFromText,
  type PinStatement,
  pinToText,
  verifyPins,
} from '@dslog/verify/pins'

const name = nameFromText('example.fi.')
const key = ownerKey(name)
const dnskeyPin: Pin = { kind: 'dnskey', rdata: key.rdata }
const dsPin: Pin = { kind: 'ds', rdata: ownerDs(name, 2) }
const statement: PinStatement = {
  origin: 'monitor.example',
  name,
  seq: 7,
  notAfter: 1_800_000_000_000,
  pins: [dsPin, dnskeyPin],
}
const signer = ed25519Signer(new Uint8Array(32).fill(9))
const signature = signer.sign(encodePins(statement))

function sized(bytes: Uint8Array): Uint8Array {
  return concat(Uint8Array.of(bytes.length >> 8, bytes.length & 255), bytes)
}

describe('the bytes of a statement', () => {
  it('are those of the head comment, pins in order', () => {
    const expected = concat(
      utf8('dslog/pins/v1\0'),
      sized(utf8('monitor.example')),
      name,
      u64be(7),
      u64be(1_800_000_000_000),
      Uint8Array.of(0, 2),
      Uint8Array.of(1),
      sized(key.rdata),
      Uint8Array.of(2),
      sized(dsPin.rdata),
    )
    expect(toHex(encodePins(statement))).toBe(toHex(expected))
  })

  it('do not depend on the order in which the pins are given', () => {
    const turned = { ...statement, pins: [dnskeyPin, dsPin] }
    expect(encodePins(turned)).toEqual(encodePins(statement))
  })

  it('may be without pins, to take them back', () => {
    expect(encodePins({ ...statement, pins: [] }).subarray(-2)).toEqual(Uint8Array.of(0, 0))
  })

  it.each<[string, Partial<PinStatement>]>([
    ['a monitor without a name', { origin: '' }],
    ['a monitor with a name too long', { origin: 'x'.repeat(256) }],
    ['the root', { name: ROOT }],
    ['a number that is none', { seq: Number.NaN }],
    ['a number below zero', { seq: -1 }],
    ['a number above 2^53', { notAfter: 2 ** 53 }],
    ['a fraction', { seq: 1.5 }],
    ['a pin twice', { pins: [dsPin, dsPin] }],
    ['a DS without a digest', { pins: [{ kind: 'ds', rdata: Uint8Array.of(1, 2, 13, 2) }] }],
    ['a DS of nothing', { pins: [{ kind: 'ds', rdata: new Uint8Array(0) }] }],
    ['a DNSKEY of nothing', { pins: [{ kind: 'dnskey', rdata: Uint8Array.of(1) }] }],
    ['a revoked key', { pins: [{ kind: 'dnskey', rdata: revoked(key).rdata }] }],
    ['too many pins', { pins: Array.from({ length: MAX_PINS + 1 }, () => dsPin) }],
  ])('are never made for %s', (_, change) => {
    expect(() => encodePins({ ...statement, ...change })).toThrow(
      expect.objectContaining({ code: 'malformed' }),
    )
  })
})

describe('a signature', () => {
  it('of the owner key over the statement counts', () => {
    expect(() => verifyPins(statement, signer.publicKey, signature)).not.toThrow()
  })

  it.each<[string, Partial<PinStatement>]>([
    ['another monitor', { origin: 'monitor.example2' }],
    ['another name', { name: nameFromText('example.se.') }],
    ['another number', { seq: 8 }],
    ['another end', { notAfter: statement.notAfter + 1 }],
    ['fewer pins', { pins: [dsPin] }],
    ['no pins', { pins: [] }],
    ['other pins', { pins: [dsPin, { kind: 'ds', rdata: ownerDs(name, 3) }] }],
  ])('does not count for %s', (_, change) => {
    expect(() => verifyPins({ ...statement, ...change }, signer.publicKey, signature)).toThrow(
      expect.objectContaining({ code: 'bogus' }),
    )
  })

  it('does not count with any bit of it, or of the key, changed', () => {
    for (let at = 0; at < signature.length; at++) {
      const bent = signature.slice()
      bent[at]! ^= 1
      expect(() => verifyPins(statement, signer.publicKey, bent)).toThrow(VerifyError)
    }
    for (let at = 0; at < signer.publicKey.length; at++) {
      const bent = signer.publicKey.slice()
      bent[at]! ^= 1
      expect(() => verifyPins(statement, bent, signature)).toThrow(VerifyError)
    }
    expect(() => verifyPins(statement, signer.publicKey, signature.subarray(1))).toThrow(
      VerifyError,
    )
    expect(() => verifyPins(statement, new Uint8Array(0), signature)).toThrow(VerifyError)
  })
})

describe('a pin as text', () => {
  it.each([
    ['a DS', dsPin],
    ['a DNSKEY', dnskeyPin],
    [
      'a zone-signing key',
      { kind: 'dnskey', rdata: zoneKey({ ...key, flags: ZSK, seed: 'z' }).rdata },
    ],
  ] as [string, Pin][])('comes back as %s', (_, pin) => {
    expect(pinFromText(pinToText(pin))).toEqual(pin)
    expect(
      pinFromText(` ${pinToText(pin).toLowerCase().slice(0, 3)}${pinToText(pin).slice(3)} `),
    ).toEqual(pin)
  })

  it.each([
    '',
    'DS',
    'TXT "x"',
    'DS 1 13 2',
    'DS 1 13 2 00',
    'DS 1 13 3 00',
    'DNSKEY 257 3 13',
    'DNSKEY 257 3 13 !',
    'DS 1 13 2 zz',
    'DSX 1 2 3',
    'DNSKEY 257 3 250 AAAA',
  ])('is refused: %j', (text) => {
    expect(() => pinFromText(text)).toThrow(expect.objectContaining({ code: 'malformed' }))
  })
})

describe('a list of pins', () => {
  const list = encodePinList([dsPin, dnskeyPin])

  it('comes back, in order', () => {
    expect(decodePinList(list)).toEqual([dnskeyPin, dsPin])
    expect(decodePinList(encodePinList([]))).toEqual([])
  })

  it('is refused cut short, with more behind it, or out of order', () => {
    const refused = (bytes: Uint8Array): void =>
      expect(() => decodePinList(bytes)).toThrow(expect.objectContaining({ code: 'malformed' }))
    for (let end = 0; end < list.length; end++) refused(list.subarray(0, end))
    refused(concat(list, Uint8Array.of(0)))
    const [first, second] = [encodePinList([dnskeyPin]), encodePinList([dsPin])]
    refused(concat(Uint8Array.of(0, 2), second.subarray(2), first.subarray(2)))
    refused(concat(Uint8Array.of(0, 2), second.subarray(2), second.subarray(2)))
    refused(concat(Uint8Array.of(0, 1, 3), second.subarray(3)))
  })
})

describe('what a pin allows', () => {
  it('is every digest of a key', async () => {
    const allowed = await dsOfPin(dnskeyPin, name, nodeBackend())
    const digests = ([1, 2, 4] as const).map((type) => dsOf(name, key, type))
    expect(allowed.map(toHex).sort()).toEqual(digests.map(toHex).sort())
  })

  it('is these very bytes of a DS', async () => {
    expect(await dsOfPin(dsPin, name, nodeBackend())).toEqual([dsPin.rdata])
  })

  it('is not another key of the same algorithm and flags', async () => {
    const other = zoneKey({ algorithm: ALGORITHM.ECDSAP256SHA256, flags: KSK, seed: 'other' })
    const allowed = await dsOfPin(dnskeyPin, name, nodeBackend())
    expect(allowed.map(toHex)).not.toContain(toHex(dsOf(name, other)))
  })
})

it('the TXT record names the hash of the owner key', () => {
  const [, hash] = /^v=dslog1; owner=([0-9a-f]{64})$/.exec(ownerText(signer.publicKey)) ?? []
  expect(fromHex(hash ?? '')).toEqual(sha256(signer.publicKey))
})
