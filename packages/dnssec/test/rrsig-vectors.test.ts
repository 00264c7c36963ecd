/** The 829 recorded RRsets of vectors/dnssec, and the root's own key sets, with both backends. */
import { describe, expect, test } from 'vitest'
import { ROOT_ANCHORS } from '../src/anchors.ts'
import { verifyZoneKeys } from '../src/chain.ts'
import { DnssecError } from '../src/error.ts'
import { isAtOrBelow, nameFromText, ROOT } from '../src/name.ts'
import { rdataFromText, typeFromText } from '../src/rdata.ts'
import { parseDnskey, parseRrsig, TYPE } from '../src/records.ts'
import { rrset } from '../src/rrset.ts'
import { isExpanded, verifyRrset, verifyRrsetWithKeys } from '../src/rrsig.ts'
import { BACKENDS } from './backends.ts'
import { type Recorded, recordedRrsets } from './recorded.ts'
import { DAY } from './sign.ts'
import { present, readJsonLines } from './vectors.ts'

interface RootKeys {
  first_serial: string
  dnskey: string[]
  rrsig: string[]
}

const CODE = {
  valid: 'valid',
  bad_signature: 'bad-signature',
  expired: 'expired',
  not_yet_valid: 'not-yet-valid',
  no_matching_dnskey: 'no-matching-key',
} as const

const vectors = recordedRrsets()
const rootKeys = readJsonLines<RootKeys>('data/keys/root-dnskey-rrsets-2023-2026.jsonl')

function parsed(vector: Recorded) {
  const type = typeFromText(vector.type)!
  return {
    rrset: rrset(
      nameFromText(vector.owner),
      type,
      vector.rdata.map((text) => rdataFromText(type, text)),
    ),
    rrsigs: [rdataFromText(TYPE.RRSIG, vector.rrsig)],
    keys: vector.dnskeys.map((text) => parseDnskey(rdataFromText(TYPE.DNSKEY, text))),
    zone: nameFromText(vector.signer),
    at: vector.now * 1000,
  }
}

describe.skipIf(!present).each(BACKENDS)('recorded RRsets, %s backend', (_, backend) => {
  test('there are 829 of them', () => {
    expect(vectors).toHaveLength(829)
  })

  test('each has the outcome that dnspython and ldns give it', async () => {
    const outcomes = await Promise.all(
      vectors.map(async (vector) => {
        const question = parsed(vector)
        const outcome = await verifyRrsetWithKeys({ ...question, backend }).then(
          () => 'valid',
          (error: unknown) => (error instanceof DnssecError ? error.code : error),
        )
        return `${vector.id} ${String(outcome)}`
      }),
    )
    expect(outcomes).toEqual(
      vectors.map((vector) => {
        // Records that a signer put outside its own zone (RFC 4035 §5.3.1): the tools that checked
        // the vectors looked at the signature alone.
        const outside = !isAtOrBelow(nameFromText(vector.owner), nameFromText(vector.signer))
        return `${vector.id} ${outside ? 'bad-owner' : CODE[vector.outcome]}`
      }),
    )
  })

  test('the signature itself agrees, whatever clock and zone say', async () => {
    const seen = { valid: 0, bad_signature: 0, no_matching_dnskey: 0, expanded: 0 }
    for (const vector of vectors) {
      const { rrset, rrsigs, keys } = parsed(vector)
      const rrsig = parseRrsig(rrsigs[0]!)
      const results = await Promise.all(keys.map((key) => verifyRrset(rrset, rrsig, key, backend)))
      const { outcome } = vector
      if (outcome === 'expired' || outcome === 'not_yet_valid') continue
      expect(results.includes(true), vector.id).toBe(outcome === 'valid')
      seen[outcome] += 1
      if (isExpanded(rrset.owner, rrsig)) seen.expanded += 1
    }
    expect(seen).toEqual({ valid: 767, bad_signature: 35, no_matching_dnskey: 10, expanded: 20 })
  })

  test('one flipped bit anywhere in data, signature or key is noticed', async () => {
    const valid = vectors.filter(({ outcome }) => outcome === 'valid')
    for (let i = 0; i < valid.length; i += 7) {
      const vector = valid[i]!
      const { rrset: set, rrsigs, keys } = parsed(vector)
      const rrsig = parseRrsig(rrsigs[0]!)
      const flipped = (bytes: Uint8Array): Uint8Array => {
        const out = bytes.slice()
        const at = (i * 31) % out.length
        out[at] = out[at]! ^ 0x01
        return out
      }
      const signature = { ...rrsig, signature: flipped(rrsig.signature) }
      // TTL and times are what the tag and algorithm do not already give away.
      const times = rrsig.rdata.slice()
      times.set(flipped(times.subarray(4, 16)), 4)
      for (const key of keys) {
        expect(await verifyRrset(set, signature, key, backend), vector.id).toBe(false)
        const damaged = { ...set, rdatas: set.rdatas.map(flipped) }
        expect(await verifyRrset(damaged, rrsig, key, backend), vector.id).toBe(false)
        const wrong = { ...key, publicKey: flipped(key.publicKey) }
        expect(await verifyRrset(set, rrsig, wrong, backend), vector.id).toBe(false)
        expect(await verifyRrset(set, parseRrsig(times), key, backend), vector.id).toBe(false)
      }
    }
  })
})

describe.skipIf(!present).each(BACKENDS)('key sets of the root, %s backend', (_, backend) => {
  const at = (keys: RootKeys): number => {
    const [, year, month, day] = /^(....)(..)(..)/.exec(keys.first_serial)!
    return Date.UTC(Number(year), Number(month) - 1, Number(day), 12)
  }
  const question = (keys: RootKeys) => ({
    zone: ROOT,
    dnskeys: keys.dnskey.map((text) => rdataFromText(TYPE.DNSKEY, text)),
    rrsigs: keys.rrsig.map((text) => rdataFromText(TYPE.RRSIG, text)),
    at: at(keys),
    backend,
  })

  test('all 102 hang from an anchor of their time', async () => {
    expect(rootKeys).toHaveLength(102)
    for (const keys of rootKeys) {
      const trust = { anchors: ROOT_ANCHORS }
      const verified = await verifyZoneKeys({ ...question(keys), trust })
      expect('anchor' in verified.by && verified.by.anchor.tag).toBe(20326)
      expect(verified.rdatas).toHaveLength(keys.dnskey.length)
      expect(verified.weak).toBe(false)
      expect(verified.inception * 1000).toBeLessThanOrEqual(at(keys))
      expect(verified.expiration * 1000).toBeGreaterThanOrEqual(at(keys))
      const { rdatas, rrsig } = verified
      const again = { ...question(keys), dnskeys: rdatas, rrsigs: [rrsig], trust }
      expect((await verifyZoneKeys(again)).rrsig).toEqual(rrsig)
    }
  })

  test('none hangs from an anchor that no longer counts, or before its window', async () => {
    const [old] = ROOT_ANCHORS
    for (const keys of rootKeys.slice(0, 20)) {
      const trust = { anchors: [old!] }
      await expect(verifyZoneKeys({ ...question(keys), trust })).rejects.toMatchObject({
        code: 'no-secure-entry',
      })
      const early = { ...question(keys), at: at(keys) - 60 * DAY }
      await expect(
        verifyZoneKeys({ ...early, trust: { anchors: ROOT_ANCHORS } }),
      ).rejects.toMatchObject({ code: 'not-yet-valid' })
    }
  })
})
