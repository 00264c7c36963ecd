import { verify, createPublicKey } from 'node:crypto'
import { anchorsAt } from '@dslog/dnssec/anchors'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { webBackend } from '@dslog/dnssec/backend/web'
import { dsMatchesKey } from '@dslog/dnssec/ds'
import { nameFromText, ROOT } from '@dslog/dnssec/name'
import { rdataFromText } from '@dslog/dnssec/rdata'
import { FLAG_REVOKE, parseDnskey, parseDs } from '@dslog/dnssec/records'
import { isUsableKey } from '@dslog/dnssec/rrsig'
import { utf8 } from '@dslog/tlog/bytes'
import { describe, expect, test } from 'vitest'
import { anchorOf, dsOf, KSK, revoked, SIGNING_ALGORITHMS, zoneKey, ZSK } from '../src/key.ts'

const BACKENDS = [nodeBackend(), webBackend()]

describe.each(SIGNING_ALGORITHMS)('a key of algorithm %i', (algorithm) => {
  const key = zoneKey({ algorithm, seed: 'a' })

  test('is the same for the same seed, and another for another', () => {
    expect(zoneKey({ algorithm, seed: 'a' }).rdata).toEqual(key.rdata)
    expect(zoneKey({ algorithm, seed: 'b' }).rdata).not.toEqual(key.rdata)
    expect(zoneKey({ algorithm, seed: 'a', flags: ZSK }).publicKey).toEqual(key.publicKey)
  })

  test('signs what both backends verify', async () => {
    const data = utf8('what is signed')
    const signature = key.sign(data)
    for (const backend of BACKENDS) {
      expect(await backend.verify(algorithm, key.publicKey, data, signature)).toBe(true)
      const other = utf8('what is not')
      expect(await backend.verify(algorithm, key.publicKey, other, signature)).toBe(false)
    }
  })

  test('has DNSKEY and DS records', async () => {
    expect(parseDnskey(key.rdata)).toMatchObject({ flags: KSK, protocol: 3, algorithm })
    const owner = nameFromText('example.')
    for (const digestType of [1, 2, 4] as const) {
      const ds = parseDs(dsOf(owner, key, digestType))
      expect(ds).toMatchObject({ tag: key.tag, algorithm, digestType })
      for (const backend of BACKENDS) {
        expect(await dsMatchesKey(ds, owner, key, backend)).toBe(true)
        expect(await dsMatchesKey(ds, ROOT, key, backend)).toBe(false)
      }
    }
  })

  test('can be revoked', () => {
    const gone = revoked(key)
    expect(gone.flags).toBe(KSK + FLAG_REVOKE)
    expect(gone.publicKey).toEqual(key.publicKey)
    // The flag is 0x80 of the low byte, so the tag moves by as much (RFC 5011 §3).
    expect((gone.tag - key.tag + 0x10000) % 0x10000).toSatisfy((d) => d === 128 || d === 129)
    expect(isUsableKey(key)).toBe(true)
    expect(isUsableKey(gone)).toBe(false)
  })
})

test('an RSA key has the size asked for', () => {
  const { publicKey } = zoneKey({ algorithm: 8, seed: 'small', bits: 1024 })
  expect(publicKey).toHaveLength(1 + 3 + 128)
  expect(zoneKey({ algorithm: 8, seed: 'a' }).publicKey).toHaveLength(1 + 3 + 256)
})

test('a seed is the private key of RFC 8032 and RFC 5915, not something of our own', () => {
  // Node derives the public key from the private one: what it verifies with must agree.
  const key = zoneKey({ algorithm: 15, seed: 'a' })
  const der = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), key.publicKey])
  const publicKey = createPublicKey({ key: der, format: 'der', type: 'spki' })
  expect(verify(null, utf8('x'), publicKey, key.sign(utf8('x')))).toBe(true)
})

test('an anchor names a key of the root, for a time', () => {
  const key = zoneKey({ algorithm: 13, seed: 'root' })
  const anchor = anchorOf(key, 1000, 2000)
  const { tag, digest } = parseDs(dsOf(ROOT, key))
  expect(anchor).toMatchObject({ tag, digest, digestType: 2, algorithm: 13 })
  expect(anchorsAt([anchor], 999)).toEqual([])
  expect(anchorsAt([anchor], 1000)).toEqual([anchor])
  expect(anchorsAt([anchor], 2000)).toEqual([])
  expect(anchorsAt([anchorOf(key)], 0)).toHaveLength(1)
})

test('other algorithms are refused', () => {
  for (const algorithm of [0, 5, 7, 12, 17, 253]) {
    expect(() => zoneKey({ algorithm, seed: 'a' })).toThrow(RangeError)
  }
})

test('the DS of a known key is what registries publish', () => {
  // RFC 4034 §5.4.
  const text =
    '256 3 5 AQOeiiR0GOMYkDshWoSKz9XzfwJr1AYtsmx3TGkJaNXVbfi/2pHm822aJ5iI9BMzNXxeYCmZDRD99WYwYqUSdjM' +
    'mmAphXdvxegXd/M5+X7OrzKBaMbCVdFLUUh6DhweJBjEVv5f2wwjM9XzcnOf+EPbtG9DMBmADjFDc2w/rljwvFw=='
  const key = parseDnskey(rdataFromText(48, text))
  const ds = dsOf(nameFromText('dskey.example.com.'), key, 1)
  expect(ds).toEqual(rdataFromText(43, '60485 5 1 2BB183AF5F22588179A53B0A98631FAD1A292118'))
})
