/** What a DS set names, and when resolvers cannot use it. */
import { describe, expect, test } from 'vitest'
import { concat, toHex } from '@dslog/tlog/bytes'
import type { DigestType, SignatureBackend } from '../src/backend/backend.ts'
import {
  digestOfKey,
  dsMatchesKey,
  isInsecureDsSet,
  MAX_DIGEST_TRIES,
  namedKeys,
  parseDsSet,
  usableDigests,
} from '../src/ds.ts'
import { DnssecError } from '../src/error.ts'
import { nameFromText } from '../src/name.ts'
import { rdataFromText } from '../src/rdata.ts'
import { parseDnskey, parseDs, TYPE, type Dnskey, type Ds } from '../src/records.ts'
import { BACKENDS } from './backends.ts'
import { dsOf, ecdsaKey, ed25519Key } from './sign.ts'

const OWNER = nameFromText('example.')
const KEY = ed25519Key()

async function parsedDs(key: Dnskey, type: DigestType, owner = OWNER): Promise<Ds> {
  return parseDs(await dsOf(owner, key, type))
}

describe.each(BACKENDS)('digests, %s backend', (_, backend) => {
  test('the DS of RFC 4034 §5.4, RFC 4509 §2.3 and its SHA-384', async () => {
    const owner = nameFromText('dskey.example.com.')
    const key = parseDnskey(
      rdataFromText(
        TYPE.DNSKEY,
        '256 3 5 AQOeiiR0GOMYkDshWoSKz9XzfwJr1AYtsmx3TGkJaNXVbfi/2pHm822aJ5iI9BMzNXxeYCmZDRD9' +
          '9WYwYqUSdjMmmAphXdvxegXd/M5+X7OrzKBaMbCVdFLUUh6DhweJBjEVv5f2wwjM9XzcnOf+EPbtG9DMBmAD' +
          'jFDc2w/rljwvFw==',
      ),
    )
    const hex = async (type: DigestType) =>
      toHex(await digestOfKey(type, owner, key.rdata, backend))
    expect(await hex(1)).toBe('2bb183af5f22588179a53b0a98631fad1a292118')
    expect(await hex(2)).toBe('d4b7d520e7bb5f0f67674a0cceb1e3e0614b93c4f9e99b8383f6a1e4469da50a')
    expect(await hex(4)).toHaveLength(96)
    for (const type of [1, 2, 4] as const) {
      const ds = await parsedDs(key, type, owner)
      expect(await dsMatchesKey(ds, owner, key, backend)).toBe(true)
      expect(await dsMatchesKey(ds, OWNER, key, backend)).toBe(false)
      expect(await dsMatchesKey({ ...ds, tag: ds.tag ^ 1 }, owner, key, backend)).toBe(false)
      expect(await dsMatchesKey({ ...ds, algorithm: 7 }, owner, key, backend)).toBe(false)
      for (const digestType of [0, 3, 5, 6, 255]) {
        expect(await dsMatchesKey({ ...ds, digestType }, owner, key, backend)).toBe(false)
      }
      for (let i = 0; i < ds.digest.length; i++) {
        const digest = ds.digest.with(i, ds.digest[i]! ^ 1)
        expect(await dsMatchesKey({ ...ds, digest }, owner, key, backend)).toBe(false)
      }
      const short = ds.digest.subarray(0, -1)
      expect(await dsMatchesKey({ ...ds, digest: short }, owner, key, backend)).toBe(false)
      const long = concat(ds.digest, Uint8Array.of(0))
      expect(await dsMatchesKey({ ...ds, digest: long }, owner, key, backend)).toBe(false)
    }
  })
})

describe('usable and insecure sets', () => {
  const ds = (algorithm: number, digestType: number, size = 32): Uint8Array =>
    concat(Uint8Array.of(0, 1, algorithm, digestType), new Uint8Array(size))
  const usable = (...rdatas: Uint8Array[]): string[] =>
    usableDigests(parseDsSet(rdatas)).map((d) => `${d.algorithm}/${d.digestType}`)

  test('unknown algorithms and digest types are skipped', () => {
    expect(usable(ds(13, 2), ds(12, 2), ds(3, 2), ds(13, 3), ds(13, 5), ds(253, 2))).toEqual([
      '13/2',
    ])
    for (const algorithm of [5, 7, 8, 10, 13, 14, 15, 16]) {
      expect(usable(ds(algorithm, 2), ds(algorithm, 4))).toHaveLength(2)
    }
  })

  test('SHA-1 only where nothing stronger that is usable stands beside it (RFC 4509 §3)', () => {
    expect(usable(ds(8, 1))).toEqual(['8/1'])
    expect(usable(ds(8, 1), ds(8, 2))).toEqual(['8/2'])
    expect(usable(ds(8, 1), ds(13, 4))).toEqual(['13/4'])
    expect(usable(ds(8, 1), ds(12, 2))).toEqual(['8/1'])
    expect(usable(ds(8, 1), ds(8, 3))).toEqual(['8/1'])
  })

  test('insecure: nothing usable, however well signed', () => {
    expect(isInsecureDsSet([ds(8, 2)])).toBe(false)
    expect(isInsecureDsSet([ds(8, 1, 20)])).toBe(false)
    expect(isInsecureDsSet([ds(12, 2), ds(8, 2)])).toBe(false)
    expect(isInsecureDsSet([ds(12, 2)])).toBe(true)
    expect(isInsecureDsSet([ds(8, 3), ds(1, 1), ds(252, 4)])).toBe(true)
    // The delete record of RFC 8078 §4, were it ever published as a DS.
    expect(isInsecureDsSet([Uint8Array.of(0, 0, 0, 0, 0)])).toBe(true)
    expect(isInsecureDsSet([Uint8Array.of(1, 2, 8)])).toBe(true)
    // A digest cut short matches no key, but resolvers call that bogus, not unsigned.
    expect(isInsecureDsSet([ds(8, 2, 31)])).toBe(false)
  })
})

describe('named keys', () => {
  const backend = BACKENDS[0]![1]

  test('each key with the first DS that names it', async () => {
    const other = ecdsaKey(13)
    const stranger = ed25519Key({ seed: 9 })
    const set = [await parsedDs(other, 4), await parsedDs(KEY, 2), await parsedDs(KEY, 4)]
    const named = await namedKeys(set, OWNER, [KEY, stranger, other], backend)
    expect(named).toEqual([
      { key: KEY, by: set[1] },
      { key: other, by: set[0] },
    ])
    expect(await namedKeys(set, OWNER, [stranger], backend)).toEqual([])
    expect(await namedKeys([], OWNER, [KEY], backend)).toEqual([])
  })

  test('a SHA-1 DS beside a stronger one names nothing', async () => {
    const weak = await parsedDs(KEY, 1)
    expect(await namedKeys([weak], OWNER, [KEY], backend)).toHaveLength(1)
    const set = [weak, await parsedDs(ed25519Key({ seed: 9 }), 2)]
    expect(await namedKeys(set, OWNER, [KEY], backend)).toEqual([])
  })

  test('eight digests at most, for keys and DS that share a tag', async () => {
    let asked = 0
    const counted: SignatureBackend = {
      verify: (...question) => backend.verify(...question),
      digest: (type, data) => {
        asked += 1
        return backend.digest(type, data)
      },
    }
    const real = await parsedDs(KEY, 2)
    const forged = Array.from({ length: 40 }, (_, i) => ({
      ...real,
      digest: real.digest.with(0, i).with(1, 0),
    }))
    const tries = namedKeys([...forged, real], OWNER, [KEY], counted)
    await expect(tries).rejects.toSatisfy(
      (error) => error instanceof DnssecError && error.code === 'too-many-tries',
    )
    expect(asked).toBe(MAX_DIGEST_TRIES)
    asked = 0
    const late = [...forged.slice(0, 7), real]
    expect(await namedKeys(late, OWNER, [KEY], counted)).toHaveLength(1)
    expect(asked).toBe(8)
    // One found key is enough to go on with.
    const twin = { ...KEY }
    expect(await namedKeys(late, OWNER, [KEY, twin], counted)).toEqual([{ key: KEY, by: real }])
    // Other tags cost nothing.
    asked = 0
    const others = forged.map((ds, i) => ({ ...ds, tag: (ds.tag + 1 + i) % 65536 }))
    expect(await namedKeys([...others, real], OWNER, [KEY], counted)).toHaveLength(1)
    expect(asked).toBe(1)
  })
})
