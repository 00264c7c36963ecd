/**
 * A candidate: verified evidence that has not been decided upon yet. Its signatures are good; what
 * is open is time and novelty, which only the log's sequence settles (fold.ts). The log makes
 * candidates out of DNS records, an auditor out of entries; from here on both go one way.
 */
import type { Hash } from '@dslog/tlog/hash'
import type { Name } from '@dslog/dnssec/name'
import type { DenialKind, DenialRecord } from '@dslog/dnssec/denial'
import type { AnchorLink, Entry, ParentLink } from '@dslog/schema/entry'
import type { Window } from './keys.ts'

/** What proves a state: the signature over the DS RRset, or the records that deny there is one. */
export type StateProof =
  | { readonly ds: readonly Uint8Array[]; readonly rrsig: Uint8Array }
  | { readonly proof: DenialKind; readonly records: readonly DenialRecord[] }

/** A state of a delegation, provably signed by the keys of `zone`. */
export interface StateCandidate {
  readonly kind: 'state'
  readonly owner: Name
  readonly zone: Name
  readonly keysId: Hash
  readonly stateId: Hash
  readonly evidence: StateProof
  /** Seconds since the Unix epoch: inception of the deciding signature. */
  readonly orderKey: number
  /** The span in which every signature of the evidence is valid; the keys have theirs. */
  readonly window: Window
  /** Validly signed, but resolvers treat the delegation as unsigned. */
  readonly insecure: boolean
}

/** The keys of a zone, provably named by the DS RRset at its parent or by a trust anchor. */
export interface KeysCandidate {
  readonly kind: 'keys'
  readonly zone: Name
  readonly keysId: Hash
  readonly keys: readonly Uint8Array[]
  readonly rrsig: Uint8Array
  readonly link: ParentLink | AnchorLink
  /** Seconds since the Unix epoch: inception of the signature over the keys. */
  readonly orderKey: number
  readonly window: Window
}

export type Candidate = StateCandidate | KeysCandidate

/** When evidence is judged, and whether that is the present. */
export interface Moment {
  /** Milliseconds since the Unix epoch. */
  readonly time: number
  readonly historical: boolean
}

/** Whether a state candidate claims a DS RRset, not the absence of one. */
export function isPresent(
  evidence: StateProof,
): evidence is Extract<StateProof, { ds: readonly Uint8Array[] }> {
  return 'ds' in evidence
}

/** The entry that records a candidate. */
export function entryOf(candidate: Candidate, moment: Moment, outOfOrder: boolean): Entry {
  const { time, historical } = moment
  if (candidate.kind === 'keys') {
    const { zone, keys, rrsig, link } = candidate
    return { type: 'zone-keys', time, historical, zone, keys, rrsig, link }
  }
  const { owner, zone, keysId, evidence } = candidate
  if (isPresent(evidence)) {
    const { ds, rrsig } = evidence
    return { type: 'ds', time, historical, outOfOrder, owner, zone, keysId, ds, rrsig }
  }
  const { proof, records } = evidence
  return { type: 'no-ds', time, historical, outOfOrder, owner, zone, keysId, proof, records }
}
