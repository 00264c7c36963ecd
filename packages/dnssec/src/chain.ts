/**
 * The chain of trust, link by link (RFC 4035 §5): a zone's keys by its DS or a trust anchor, and the
 * verdict on one delegation by its parent's keys.
 *
 * A verdict is one of three, never two. `present` and `absent` are proven by the parent's signature;
 * whatever cannot be proven is `unverifiable` with a reason, and never counts as absence: not
 * a timeout, not SERVFAIL, not a bad or expired signature.
 */
import type { SignatureBackend } from './backend/backend.ts'
import { anchorsAt, type Anchor } from './anchors.ts'
import { proveNoDs, type NoDsProof } from './denial.ts'
import { isInsecureDsSet, namedKeys, parseDsSet } from './ds.ts'
import { DnssecError, type DnssecErrorCode, wellFormed } from './error.ts'
import { isBelow, nameToText, type Name } from './name.ts'
import { parseDnskey, TYPE, type Dnskey, type Ds, type RR } from './records.ts'
import { rrset, selectRRset, selectRrsigs } from './rrset.ts'
import { verifyRrsetWithKeys, type SignatureWindow } from './rrsig.ts'

/** The keys of a DNSKEY RRset that have the form of one; nothing could verify with the others. */
export function parseKeySet(rdatas: readonly Uint8Array[]): Dnskey[] {
  return rdatas.flatMap((rdata) => wellFormed(() => parseDnskey(rdata)) ?? [])
}

/** A zone's DNSKEY RRset and what it should hang from: its DS RRset, verified, or trust anchors. */
export interface ZoneKeysQuestion {
  readonly zone: Name
  /** RDATA of the DNSKEY RRset, all of it, in any order. */
  readonly dnskeys: readonly Uint8Array[]
  /** RDATA of its signatures, in the submitter's order. */
  readonly rrsigs: readonly Uint8Array[]
  /** RDATA of the zone's DS RRset, or anchors; of these only those that count at `at`. */
  readonly trust: { readonly ds: readonly Uint8Array[] } | { readonly anchors: readonly Anchor[] }
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly backend: SignatureBackend
}

/** A zone's verified keys. */
export interface ZoneKeys extends SignatureWindow {
  readonly zone: Name
  /** RDATA of the DNSKEY RRset in canonical order: what a ZONE_KEYS entry holds. */
  readonly rdatas: readonly Uint8Array[]
  /** The same, parsed, malformed ones left out. */
  readonly keys: readonly Dnskey[]
  /** RDATA of the signature that counts, signer lower-cased. */
  readonly rrsig: Uint8Array
  /** The DS or anchor that names the key that signed. */
  readonly by: { readonly ds: Ds } | { readonly anchor: Anchor }
  readonly weak: boolean
}

/**
 * Verifies a DNSKEY RRset: a usable DS (RFC 4509) or anchor names a key of the set, which has the
 * Zone flag, protocol 3 and is not revoked, and which signed the set. The newest such signature counts.
 *
 * @throws DnssecError `no-secure-entry` if no DS or anchor names a key, `wildcard-expanded`,
 *   `too-many-tries`, and the codes of `verifyRrsetWithKeys`
 */
export async function verifyZoneKeys(question: ZoneKeysQuestion): Promise<ZoneKeys> {
  const { zone, dnskeys, rrsigs, trust, at, backend } = question
  const set = rrset(zone, TYPE.DNSKEY, dnskeys)
  const keys = parseKeySet(set.rdatas)
  const named =
    'ds' in trust
      ? (await namedKeys(parseDsSet(trust.ds), zone, keys, backend)).map(({ key, by }) => ({
          key,
          by: { ds: by },
        }))
      : (await namedKeys(anchorsAt(trust.anchors, at), zone, keys, backend)).map(({ key, by }) => ({
          key,
          by: { anchor: by },
        }))
  if (named.length === 0) {
    const what = 'ds' in trust ? 'usable DS' : 'trust anchor'
    throw new DnssecError('no-secure-entry', `no ${what} names a key of ${nameToText(zone)}`)
  }
  const verified = await verifyRrsetWithKeys({
    rrset: set,
    rrsigs,
    keys: named.map(({ key }) => key),
    zone,
    at,
    backend,
  })
  if (verified.expanded) {
    throw new DnssecError('wildcard-expanded', 'a DNSKEY RRset was made from a wildcard')
  }
  const { rrsig, inception, expiration, weak } = verified
  const by = named.find(({ key }) => key === verified.key)!.by
  return { zone, rdatas: set.rdatas, keys, rrsig, by, inception, expiration, weak }
}

/** A DS RRset and the zone that must have signed it. */
export interface DsQuestion {
  readonly owner: Name
  /** The signing zone: above the owner. */
  readonly zone: Name
  /** Keys of the zone, trusted. */
  readonly keys: readonly Dnskey[]
  /** RDATA of the DS RRset, in any order. */
  readonly ds: readonly Uint8Array[]
  /** RDATA of its signatures, in the submitter's order. */
  readonly rrsigs: readonly Uint8Array[]
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly backend: SignatureBackend
}

/** A verified DS RRset. */
export interface VerifiedDs extends SignatureWindow {
  /** RDATA in canonical order. */
  readonly ds: readonly Uint8Array[]
  /** RDATA of the signature that counts, signer lower-cased. */
  readonly rrsig: Uint8Array
  /** Resolvers treat the delegation as unsigned: no usable algorithm or digest in the set. */
  readonly insecure: boolean
  /** Weak evidence: SHA-1, or RSA below 1024 bits. */
  readonly weak: boolean
}

/**
 * Verifies a DS RRset by its parent's keys. One made from a wildcard is refused: the signature would
 * be about no delegation in particular.
 *
 * @throws DnssecError `bad-owner`, `wildcard-expanded`, and the codes of `verifyRrsetWithKeys`
 */
export async function verifyDs(question: DsQuestion): Promise<VerifiedDs> {
  const { owner, zone, keys, rrsigs, at, backend } = question
  if (!isBelow(owner, zone)) {
    const text = `${nameToText(owner)} is not below the zone ${nameToText(zone)}`
    throw new DnssecError('bad-owner', text)
  }
  const set = rrset(owner, TYPE.DS, question.ds)
  const verified = await verifyRrsetWithKeys({ rrset: set, rrsigs, keys, zone, at, backend })
  if (verified.expanded) {
    throw new DnssecError('wildcard-expanded', 'a DS RRset was made from a wildcard')
  }
  const { rrsig, inception, expiration, weak } = verified
  const insecure = isInsecureDsSet(set.rdatas)
  return { ds: set.rdatas, rrsig, inception, expiration, insecure, weak }
}

/** A delegation in question, and everything the parent said about it. */
export interface DelegationQuestion {
  readonly owner: Name
  /** The signing zone: above the owner. */
  readonly zone: Name
  /** Keys of the zone, trusted. */
  readonly keys: readonly Dnskey[]
  /** A bag: DS, NSEC, NSEC3 and their RRSIGs; everything else is ignored. */
  readonly records: readonly RR[]
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly backend: SignatureBackend
}

/** What the parent's signatures prove about a delegation. */
export type Verdict =
  | ({ readonly verdict: 'present' } & VerifiedDs)
  | ({ readonly verdict: 'absent' } & NoDsProof)
  | {
      readonly verdict: 'unverifiable'
      /** Which rule failed. */
      readonly code: DnssecErrorCode
      /** The same, for people. */
      readonly reason: string
    }

/**
 * Judges one delegation by the parent's records. Where there is a DS RRset, it decides: one that does
 * not verify is not made good by a proof of absence beside it.
 */
export async function judgeDelegation(question: DelegationQuestion): Promise<Verdict> {
  const { at, backend, keys, owner, records, zone } = question
  try {
    const ds = selectRRset(records, owner, TYPE.DS)
    if (ds === undefined) return { ...(await proveNoDs(question)), verdict: 'absent' }
    const rrsigs = selectRrsigs(records, owner, TYPE.DS)
    // To spread the question here, or what becomes of it, took a fifth of all where signatures are remembered.
    const asked = { owner, zone, keys, ds: ds.rdatas, rrsigs, at, backend }
    const { expiration, inception, insecure, rrsig, weak, ds: rdatas } = await verifyDs(asked)
    return { verdict: 'present', ds: rdatas, rrsig, inception, expiration, insecure, weak }
  } catch (error) {
    if (!(error instanceof DnssecError)) throw error
    return { verdict: 'unverifiable', code: error.code, reason: error.message }
  }
}
