/**
 * RRSIG verification of any RRset (RFC 4034 §3.1.8.1, RFC 4035 §5.3, RFC 6840 §5.4–5.7).
 *
 * What is signed is rebuilt from the RRset:
 *
 *     RRSIG RDATA without signature | owner | type | class | original TTL | RDLENGTH | RDATA | next…
 *
 * with canonical RDATA in canonical order, and `*.` before the last `labels` labels of an owner that
 * was made from a wildcard. Whether such an expansion is allowed is for the caller to say: the
 * result tells. The clock is a parameter; so are the keys, which are trusted as given.
 */
import { ByteWriter } from '@dslog/tlog/binary'
import { ALGORITHM, SUPPORTED, type SignatureBackend } from './backend/backend.ts'
import { rsaHashOf, rsaKeyBits } from './backend/rsa.ts'
import { DnssecError, wellFormed } from './error.ts'
import {
  isAtOrBelow,
  isWildcard,
  labelCount,
  lastLabels,
  nameToText,
  sameName,
  wildcardOf,
  type Name,
} from './name.ts'
import {
  CLASS_IN,
  FLAG_REVOKE,
  FLAG_ZONE,
  parseRrsig,
  signedRrsigFields,
  unfoldTime,
  type Dnskey,
  type RRset,
  type Rrsig,
} from './records.ts'

/**
 * Signature checks for one RRset. Keys may share a tag and an RRset may carry any number of
 * signatures, so an attacker could ask for a product of both (KeyTrap, CVE-2023-50387). An honest
 * RRset needs one; two in a roll-over; few more even where tags collide.
 */
export const MAX_SIGNATURE_TRIES = 8

/** The only DNSKEY protocol (RFC 4034 §2.1.2). */
const PROTOCOL = 3

/** RSA keys of fewer bits verify but are marked weak evidence. */
export const WEAK_RSA_BITS = 1024

/** When a signature counts, both ends included: absolute seconds since the epoch. */
export interface SignatureWindow {
  readonly inception: number
  readonly expiration: number
}

/** The window of a signature, its 32-bit times unfolded around `at` (ms since the epoch). */
export function windowOf(
  rrsig: Pick<Rrsig, 'inception' | 'expiration'>,
  at: number,
): SignatureWindow {
  const now = Math.floor(at / 1000)
  return {
    inception: unfoldTime(rrsig.inception, now),
    expiration: unfoldTime(rrsig.expiration, now),
  }
}

/**
 * Half the circle of 32-bit times, in seconds. Of a window as long as this, serial arithmetic says that
 * it ends before it begins, and so do resolvers. And whoever looked at one a second later, when the
 * inception is no longer the nearest past, would find it in the future: two would disagree on one proof.
 */
const TOO_LONG = 2 ** 31

/** Is `at` (ms since the epoch) within the window? Signature times are whole seconds. */
export function windowContains(window: SignatureWindow, at: number): boolean {
  const now = Math.floor(at / 1000)
  const { inception, expiration } = window
  return inception <= now && now <= expiration && expiration - inception < TOO_LONG
}

/** May this key verify zone data: Zone flag, protocol 3, not revoked, an algorithm we have? */
export function isUsableKey(key: Dnskey): boolean {
  return (
    (key.flags & FLAG_ZONE) !== 0 &&
    (key.flags & FLAG_REVOKE) === 0 &&
    key.protocol === PROTOCOL &&
    SUPPORTED.has(key.algorithm)
  )
}

/** Is a signature by this key weak evidence: SHA-1, or RSA below 1024 bits? */
export function isWeakKey(key: Pick<Dnskey, 'algorithm' | 'publicKey'>): boolean {
  if (key.algorithm === ALGORITHM.RSASHA1 || key.algorithm === ALGORITHM.RSASHA1_NSEC3_SHA1) {
    return true
  }
  if (rsaHashOf(key.algorithm) === undefined) return false
  return (rsaKeyBits(key.publicKey) ?? 0) < WEAK_RSA_BITS
}

/** Labels that an RRSIG of this owner counts: neither the root nor a leading `*` (RFC 4034 §3.1.3). */
export function signedLabels(owner: Name): number {
  return labelCount(owner) - (isWildcard(owner) ? 1 : 0)
}

/** Was the RRset made from a wildcard, by what its signature says? */
export function isExpanded(owner: Name, rrsig: Pick<Rrsig, 'labels'>): boolean {
  return rrsig.labels < signedLabels(owner)
}

/**
 * The bytes an RRSIG signs, not copied: for what is used up soon. A signer passes an RRSIG whose signature is still empty.
 *
 * @throws DnssecError `bad-signature` if the RRSIG counts more labels than the owner has
 */
export function signedData(rrset: RRset, rrsig: Rrsig): Uint8Array {
  const labels = signedLabels(rrset.owner)
  if (rrsig.labels > labels) {
    throw new DnssecError('bad-signature', 'RRSIG counts more labels than its owner has')
  }
  const owner =
    rrsig.labels === labels ? rrset.owner : wildcardOf(lastLabels(rrset.owner, rrsig.labels))
  const writer = new ByteWriter().bytes(signedRrsigFields(rrsig))
  for (const rdata of rrset.rdatas) {
    writer.bytes(owner).u16(rrset.type).u16(CLASS_IN).u32(rrsig.originalTtl)
    writer.u16(rdata.length).bytes(rdata)
  }
  return writer.view()
}

/**
 * One signature, one key: does it verify? Looks at neither clock nor zone; asks that type, tag and
 * algorithm agree and that the key may sign zone data.
 */
export function verifyRrset(
  rrset: RRset,
  rrsig: Rrsig,
  key: Dnskey,
  backend: SignatureBackend,
): Promise<boolean> {
  const fits =
    rrsig.typeCovered === rrset.type &&
    rrsig.labels <= signedLabels(rrset.owner) &&
    namesKey(rrsig, key) &&
    isUsableKey(key)
  if (!fits) return Promise.resolve(false)
  return backend.verify(key.algorithm, key.publicKey, signedData(rrset, rrsig), rrsig.signature)
}

function namesKey(rrsig: Rrsig, key: Dnskey): boolean {
  return rrsig.tag === key.tag && rrsig.algorithm === key.algorithm
}

/** What to verify an RRset with. */
export interface RrsetQuestion {
  readonly rrset: RRset
  /** RDATA of signatures, in the submitter's order; those that cover something else are skipped. */
  readonly rrsigs: readonly Uint8Array[]
  /** Keys of the zone, trusted. */
  readonly keys: readonly Dnskey[]
  /** The zone that must have signed. */
  readonly zone: Name
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly backend: SignatureBackend
}

/** A signature that verified. */
export interface VerifiedRrset extends SignatureWindow {
  /** RDATA of the signature, its signer lower-cased. */
  readonly rrsig: Uint8Array
  readonly key: Dnskey
  /** The owner was made from a wildcard. */
  readonly expanded: boolean
  /** Weak evidence: SHA-1, or RSA below 1024 bits. */
  readonly weak: boolean
}

/**
 * Finds the newest signature of the RRset by `zone` that is valid at `at`: the one with the latest
 * inception, the first given among equals. Signatures that are malformed, of other signers or of
 * unknown algorithms are skipped.
 *
 * @throws DnssecError `bad-owner`, `no-signature`, `no-matching-key`, `expired`, `not-yet-valid`,
 *   `bad-signature`, `too-many-tries`: why there is none
 */
export async function verifyRrsetWithKeys(question: RrsetQuestion): Promise<VerifiedRrset> {
  const { rrset, zone, at, backend } = question
  const what = (): string => `type ${rrset.type} of ${nameToText(rrset.owner)}`
  if (!isAtOrBelow(rrset.owner, zone)) {
    throw new DnssecError('bad-owner', `${what()} is not in the zone ${nameToText(zone)}`)
  }
  const ours: ({ readonly rrsig: Rrsig } & SignatureWindow)[] = []
  for (const rdata of question.rrsigs) {
    const rrsig = wellFormed(() => parseRrsig(rdata))
    if (rrsig?.typeCovered !== rrset.type || !sameName(rrsig.signer, zone)) continue
    const { expiration, inception } = windowOf(rrsig, at)
    ours.push({ rrsig, inception, expiration })
  }
  if (ours.length === 0) {
    throw new DnssecError('no-signature', `${what()} has no signature by ${nameToText(zone)}`)
  }
  const current = ours.filter((signature) => windowContains(signature, at))
  if (current.length === 0) {
    const early = ours.every((signature) => signature.inception * 1000 > at)
    throw new DnssecError(
      early ? 'not-yet-valid' : 'expired',
      `signature of ${what()} is ${early ? 'not yet valid' : 'expired'}`,
    )
  }
  const keys = question.keys.filter(isUsableKey)
  if (!current.some(({ rrsig }) => keys.some((key) => namesKey(rrsig, key)))) {
    throw new DnssecError('no-matching-key', `no key of ${nameToText(zone)} signed ${what()}`)
  }
  // Newest first, so that the first that verifies is the answer. Sorting is stable.
  current.sort((a, b) => b.inception - a.inception)
  let tries = 0
  for (const { rrsig, inception, expiration } of current) {
    for (const key of keys) {
      if (!namesKey(rrsig, key)) continue
      if (++tries > MAX_SIGNATURE_TRIES) {
        throw new DnssecError('too-many-tries', `${what()} has too many signatures to try`)
      }
      if (!(await verifyRrset(rrset, rrsig, key, backend))) continue
      const expanded = isExpanded(rrset.owner, rrsig)
      return { rrsig: rrsig.rdata, key, inception, expiration, expanded, weak: isWeakKey(key) }
    }
  }
  throw new DnssecError('bad-signature', `signature of ${what()} does not verify`)
}
