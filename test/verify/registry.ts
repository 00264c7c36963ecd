/**
 * Registries that sign whatever a test asks for, with any window: evidence without a zone around it. What
 * real zones look like is the testbed's business (`Internet`); here it is times, keys and lies.
 */
import { concat } from '@dslog/tlog/bytes'
import type { Anchor } from '@dslog/dnssec/anchors'
import { ALGORITHM, type SignatureBackend } from '@dslog/dnssec/backend/backend'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { type Name, nameFromText, nameToText, ROOT } from '@dslog/dnssec/name'
import { RdataBuffer } from '@dslog/dnssec/presentation/field'
import { putBitmap } from '@dslog/dnssec/rdata'
import { CLASS_IN, type RR, TYPE } from '@dslog/dnssec/records'
import { rrset } from '@dslog/dnssec/rrset'
import type { SignatureWindow } from '@dslog/dnssec/rrsig'
import { DAY } from '@dslog/schema/time'
import { TEST_EPOCH } from '@dslog/testbed/clock'
import { anchorOf, dsOf, KSK, zoneKey, type ZoneKey, ZSK } from '@dslog/testbed/key'
import { signRRset } from '@dslog/testbed/signer'

/** A moment so many days after day 0, in ms. */
export function day(n: number): number {
  return TEST_EPOCH + n * DAY
}

/** A window from one day to another. */
export function days(from: number, to: number): SignatureWindow {
  return { inception: Math.floor(day(from) / 1000), expiration: Math.floor(day(to) / 1000) }
}

/** Records of one name and type with one signature by each of the keys. */
export function signed(
  owner: Name,
  type: number,
  rdatas: readonly Uint8Array[],
  signer: Name,
  keys: readonly ZoneKey[],
  window: SignatureWindow,
): RR[] {
  const set = rrset(owner, type, rdatas)
  const head = { owner, class: CLASS_IN, ttl: 0 }
  return [
    ...rdatas.map((rdata) => ({ ...head, type, rdata })),
    ...keys.map((key) => {
      const rdata = signRRset(set, 0, key, signer, window)
      return { ...head, type: TYPE.RRSIG, rdata }
    }),
  ]
}

/** RDATA of an NSEC. */
export function nsecRdata(next: Name, types: readonly number[]): Uint8Array {
  const bitmap = new RdataBuffer()
  putBitmap([...types], bitmap)
  return concat(next, bitmap.finish())
}

/** DS RDATA that stand for nothing but themselves. */
export function madeUpDs(n: number): Uint8Array {
  return Uint8Array.of(n >> 8, n & 0xff, 13, 2, ...new Uint8Array(32).fill(n & 0xff))
}

/** A zone's keys, and what it signs with them. */
export class Registry {
  readonly zone: Name
  readonly ksk: ZoneKey
  readonly zsk: ZoneKey

  /** @param generation another one has other keys */
  constructor(zone: string | Name, generation = 1) {
    this.zone = typeof zone === 'string' ? nameFromText(zone) : zone
    const seed = `${nameToText(this.zone)} ${generation}`
    this.ksk = zoneKey({ algorithm: ALGORITHM.ED25519, flags: KSK, seed: `${seed} ksk` })
    this.zsk = zoneKey({ algorithm: ALGORITHM.ED25519, flags: ZSK, seed: `${seed} zsk` })
  }

  /** The DNSKEY RRset, and its signature by the key-signing key. */
  dnskeys(window: SignatureWindow, more: readonly ZoneKey[] = []): RR[] {
    const keys = [this.ksk, this.zsk, ...more].map(({ rdata }) => rdata)
    return signed(this.zone, TYPE.DNSKEY, keys, this.zone, [this.ksk], window)
  }

  /** The DS RDATA that the zone above should have. */
  dsRdata(): Uint8Array {
    return dsOf(this.zone, this.ksk)
  }

  /** A DS RRset of a name below. */
  ds(owner: Name, rdatas: readonly Uint8Array[], window: SignatureWindow): RR[] {
    return signed(owner, TYPE.DS, rdatas, this.zone, [this.zsk], window)
  }

  /** An NSEC of the name itself, which has no DS. */
  noDs(owner: Name, window: SignatureWindow, types: readonly number[] = [TYPE.NS]): RR[] {
    const next = concat(Uint8Array.of(1, 0), owner) as Name
    const rdata = nsecRdata(next, [...types, TYPE.NSEC, TYPE.RRSIG])
    return signed(owner, TYPE.NSEC, [rdata], this.zone, [this.zsk], window)
  }

  /** DS RRset of another registry's zone. */
  delegation(child: Registry, window: SignatureWindow): RR[] {
    return this.ds(child.zone, [child.dsRdata()], window)
  }
}

/** The root's registry as a trust anchor. */
export function anchorOfRoot(root: Registry, from?: number, until?: number): Anchor {
  if (root.zone.length !== ROOT.length) throw new RangeError('not the root')
  return anchorOf(root.ksk, from, until)
}

/** A backend that counts what it is asked. */
export function countingBackend(): SignatureBackend & { readonly asked: { count: number } } {
  const backend = nodeBackend()
  const asked = { count: 0 }
  return {
    asked,
    digest: (type, data) => backend.digest(type, data),
    verify: (...question) => {
      asked.count++
      return backend.verify(...question)
    },
  }
}
