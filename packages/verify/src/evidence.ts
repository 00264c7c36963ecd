/**
 * From signed DNS data to candidates: the three kinds of evidence that a log entry can hold, each
 * verified against keys that are already vouched for (RFC 4035 section 5; rules in @dslog/dnssec).
 * The log calls it with what a submitter sent, where several signatures or spare records may come
 * along; an auditor with what an entry holds, where exactly the evidence that is needed must be.
 */
import { equal } from '@dslog/tlog/bytes'
import type { Hash } from '@dslog/tlog/hash'
import type { Anchor } from '@dslog/dnssec/anchors'
import type { SignatureBackend } from '@dslog/dnssec/backend/backend'
import { parseKeySet, type Verdict, verifyDs, verifyZoneKeys } from '@dslog/dnssec/chain'
import { checkNoDs } from '@dslog/dnssec/denial'
import { DnssecError, type DnssecErrorCode } from '@dslog/dnssec/error'
import type { Name } from '@dslog/dnssec/name'
import { type Dnskey, parseRrsig } from '@dslog/dnssec/records'
import { type SignatureWindow, windowOf } from '@dslog/dnssec/rrsig'
import { type DelegationEntry, isParentLink, type ZoneKeysEntry } from '@dslog/schema/entry'
import { keysId, stateId } from '@dslog/schema/identity'
import type { KeysCandidate, StateCandidate } from './candidate.ts'
import { VerifyError, type VerifyErrorCode } from './error.ts'
import {
  anchorOf,
  type Chain,
  chainAbove,
  chainAt,
  intersect,
  type KeysLookup,
  type Window,
} from './keys.ts'

/** What verifying takes besides the evidence. */
export interface Verifier {
  readonly anchors: readonly Anchor[]
  readonly backend: SignatureBackend
}

/** Keys of a zone that are trusted at the time in question. */
export interface TrustedKeys {
  readonly zone: Name
  readonly keysId: Hash
  readonly keys: readonly Dnskey[]
}

/** The span of a signature; RRSIG times are whole seconds, both ends included (RFC 4034 §3.1.5). */
export function spanOf(window: SignatureWindow): Window {
  return { notBefore: window.inception * 1000, notAfter: window.expiration * 1000 + 999 }
}

/** The keys at the near end of a chain. */
export function keysOfChain(chain: Chain): TrustedKeys {
  const [nearest] = chain.links
  if (nearest === undefined) throw new RangeError('a chain without keys')
  const { keys, zone } = nearest.entry
  return { zone, keysId: nearest.keysId, keys: parseKeySet(keys) }
}

/** The state that a verdict on a delegation proves, if it proves any. */
export function candidateOf(
  owner: Name,
  trusted: TrustedKeys,
  verdict: Exclude<Verdict, { verdict: 'unverifiable' }>,
  at: number,
): StateCandidate {
  const { keysId, zone } = trusted
  const head = { kind: 'state', owner, zone, keysId, insecure: verdict.insecure } as const
  if (verdict.verdict === 'present') {
    const { ds, inception, rrsig } = verdict
    const state = { stateId: stateId(owner, zone, ds), evidence: { ds, rrsig } }
    return { ...head, ...state, orderKey: inception, window: spanOf(verdict) }
  }
  const { inception, kind, records } = verdict
  const window = records
    .map(({ rrsig }) => spanOf(windowOf(parseRrsig(rrsig), at)))
    .reduce(intersect)
  const state = { stateId: stateId(owner, zone, []), evidence: { proof: kind, records } }
  return { ...head, ...state, orderKey: inception, window }
}

/**
 * The keys of a set that earlier entries vouch for at a time.
 *
 * @param at milliseconds since the Unix epoch
 * @param lookup the ZONE_KEYS entries before the one in question
 * @throws VerifyError `unproven` if they do not
 */
export async function trustedAt(
  keysId: Hash,
  at: number,
  lookup: KeysLookup,
  anchors: readonly Anchor[],
): Promise<TrustedKeys> {
  const chain = await chainAt(keysId, at, lookup, anchors)
  if (chain === undefined) {
    throw new VerifyError(
      'unproven',
      'no chain of earlier ZONE_KEYS is valid at the time of the entry',
    )
  }
  return keysOfChain(chain)
}

/**
 * Verifies what a DS or NO_DS entry holds, to the byte.
 *
 * @param lookup the ZONE_KEYS entries before this one
 * @throws VerifyError
 */
export async function checkState(
  entry: DelegationEntry,
  lookup: KeysLookup,
  { anchors, backend }: Verifier,
): Promise<StateCandidate> {
  return checkStateBy(entry, await trustedAt(entry.keysId, entry.time, lookup, anchors), backend)
}

/** As {@link checkState}, by the keys of the entry, where it is known what they are at its time: {@link trustedAt}. */
export async function checkStateBy(
  entry: DelegationEntry,
  trusted: TrustedKeys,
  backend: SignatureBackend,
): Promise<StateCandidate> {
  const { owner, time: at, zone } = entry
  if (!equal(trusted.zone, zone)) {
    throw new VerifyError('bogus', 'the keys are those of another zone')
  }
  const question = { owner, zone, keys: trusted.keys, at, backend }
  return typed(async () => {
    if (entry.type === 'no-ds') {
      const proof = await checkNoDs({ ...question, kind: entry.proof, records: entry.records })
      return candidateOf(owner, trusted, { verdict: 'absent', ...proof }, at)
    }
    const proven = await verifyDs({ ...question, ds: entry.ds, rrsigs: [entry.rrsig] })
    return candidateOf(owner, trusted, { verdict: 'present', ...proven }, at)
  })
}

/** Key records of a zone as they are seen, and what they should hang from. */
export interface KeysEvidence {
  readonly zone: Name
  readonly keys: readonly Uint8Array[]
  readonly rrsigs: readonly Uint8Array[]
  /** Absent for the root, which hangs from an anchor. */
  readonly parent?: {
    readonly trusted: TrustedKeys
    readonly ds: readonly Uint8Array[]
    readonly rrsigs: readonly Uint8Array[]
  }
}

/**
 * Verifies the keys of a zone.
 *
 * @param at milliseconds since the Unix epoch
 * @throws VerifyError
 */
export async function proveKeys(
  evidence: KeysEvidence,
  at: number,
  { anchors, backend }: Verifier,
): Promise<KeysCandidate> {
  const { keys: dnskeys, parent, rrsigs, zone } = evidence
  return typed(async () => {
    if (parent === undefined) {
      const proven = await verifyZoneKeys({
        zone,
        dnskeys,
        rrsigs,
        trust: { anchors },
        at,
        backend,
      })
      if (!('anchor' in proven.by)) throw new Error('keys under anchors hang from an anchor')
      const { digest, tag } = proven.by.anchor
      return keysCandidate(proven, { tag, digest }, spanOf(proven))
    }
    const above = { zone: parent.trusted.zone, keys: parent.trusted.keys, at, backend }
    const set = await verifyDs({ ...above, owner: zone, ds: parent.ds, rrsigs: parent.rrsigs })
    const proven = await verifyZoneKeys({
      zone,
      dnskeys,
      rrsigs,
      trust: { ds: set.ds },
      at,
      backend,
    })
    const link = { zone: above.zone, keysId: parent.trusted.keysId, ds: set.ds, rrsig: set.rrsig }
    return keysCandidate(proven, link, intersect(spanOf(proven), spanOf(set)))
  })
}

/**
 * Verifies what a ZONE_KEYS entry holds.
 *
 * @param lookup the ZONE_KEYS entries before this one
 * @param at ms since the Unix epoch; a link of a chain is checked at the time of what hangs from it
 * @throws VerifyError
 */
export async function checkKeys(
  entry: ZoneKeysEntry,
  lookup: KeysLookup,
  verifier: Verifier,
  at: number = entry.time,
): Promise<KeysCandidate> {
  const { keys, link, rrsig, zone } = entry
  const above = await chainAbove(link, at, lookup, verifier.anchors)
  if (above === undefined) {
    const what = isParentLink(link) ? 'no chain of earlier ZONE_KEYS' : 'no trust anchor'
    throw new VerifyError('unproven', `${what} is valid at that time`)
  }
  const evidence = { zone, keys, rrsigs: [rrsig] }
  if (!isParentLink(link)) {
    const anchor = anchorOf(link, verifier.anchors, at)
    return proveKeys(evidence, at, { ...verifier, anchors: anchor === undefined ? [] : [anchor] })
  }
  const parent = { trusted: keysOfChain(above), ds: link.ds, rrsigs: [link.rrsig] }
  return proveKeys({ ...evidence, parent }, at, verifier)
}

function keysCandidate(
  proven: Awaited<ReturnType<typeof verifyZoneKeys>>,
  link: KeysCandidate['link'],
  window: Window,
): KeysCandidate {
  const { inception, rdatas: keys, rrsig, zone } = proven
  const id = keysId(zone, keys)
  return { kind: 'keys', zone, keysId: id, keys, rrsig, link, orderKey: inception, window }
}

const CODE: Readonly<Record<DnssecErrorCode, VerifyErrorCode>> = {
  'bad-name': 'malformed',
  'bad-record': 'malformed',
  'bad-message': 'malformed',
  'bad-reply': 'malformed',
  'bad-owner': 'bogus',
  'bad-anchor': 'malformed',
  'bad-zonefile': 'malformed',
  'bad-zone': 'malformed',
  'no-signature': 'unproven',
  'no-matching-key': 'unproven',
  'no-secure-entry': 'unproven',
  'not-proven': 'unproven',
  'bad-signature': 'bogus',
  'wildcard-expanded': 'bogus',
  'bad-proof': 'bogus',
  'too-many-tries': 'unsupported',
  'too-many-iterations': 'unsupported',
  expired: 'expired',
  'not-yet-valid': 'not-yet-valid',
}

/** The error of this package for one of DNSSEC validation. */
export function verifyErrorOf(
  code: DnssecErrorCode,
  message: string,
  cause?: unknown,
): VerifyError {
  return new VerifyError(CODE[code], message, { cause })
}

async function typed<T>(verify: () => Promise<T>): Promise<T> {
  try {
    return await verify()
  } catch (error) {
    if (error instanceof DnssecError) throw verifyErrorOf(error.code, error.message, error)
    throw error
  }
}
