/**
 * What the keys of a child say, from the answers of its servers: which DS sets vouch for its DNSKEY RRset,
 * and what a CDS or CDNSKEY RRset under those keys asks the parent for (RFC 7344 §4, RFC 8078). An answer
 * about CDS counts only if all servers give the same: one that was taken over, or is behind, must not
 * speak for the owner (RFC 7344 §6.2, RFC 9615 §4.2). Everything here came from strangers.
 */
import { equal } from '@dslog/tlog/bytes'
import type { SignatureBackend } from '@dslog/dnssec/backend/backend'
import { parseKeySet, verifyZoneKeys } from '@dslog/dnssec/chain'
import { dsRecordsOf } from '@dslog/dnssec/ds'
import { DnssecError, wellFormed } from '@dslog/dnssec/error'
import type { Name } from '@dslog/dnssec/name'
import { type Dnskey, type RR, TYPE } from '@dslog/dnssec/records'
import { selectRRset, selectRrsigs } from '@dslog/dnssec/rrset'
import { verifyRrsetWithKeys } from '@dslog/dnssec/rrsig'
import { type ChildKey, type DsSet, names, sameSet, type Sighting } from './judge/state.ts'
import type { Look } from './looks.ts'

/** Keys of a child that are looked at: each costs three digests, and a roll-over needs four. */
const MAX_KEYS = 32

/** What one server of the child answered; undefined for what it did not answer. */
export interface ChildAnswers {
  /** Records of the answer about DNSKEY, signatures among them; likewise of the others. */
  readonly dnskey: readonly RR[] | undefined
  readonly cds: readonly RR[] | undefined
  readonly cdnskey: readonly RR[] | undefined
}

/** A child, and what its servers answered. */
export interface ChildQuestion {
  readonly name: Name
  /** DS sets that may vouch for its keys: those in force now and before. */
  readonly under: readonly DsSet[]
  /** One for each server. */
  readonly answers: readonly ChildAnswers[]
  /** ms. */
  readonly at: number
  readonly backend: SignatureBackend
}

/** Reads what a child says. Never throws for what the answers are. */
export async function readChild(
  question: ChildQuestion,
): Promise<Pick<Look, 'sightings' | 'served'>> {
  const { answers, backend, name, under } = question
  const sets = distinct(answers.map(({ dnskey }) => dnskeysOf(dnskey, name)))
  const sightings: Look['sightings'][number][] = []
  for (const ds of under) {
    if (ds.length === 0) continue
    const sighting = await sightingUnder(question, ds)
    if (sighting !== undefined) sightings.push(sighting)
  }
  if (sets.length === 0) return { sightings }
  const served = await Promise.all(
    parseKeySet(distinct(sets.flat().map((rdata) => [rdata])).flat())
      .slice(0, MAX_KEYS)
      .map((key) => dsRecordsOf(name, key, backend)),
  )
  return { sightings, served }
}

/** What the keys say that a DS set vouches for; undefined if it vouches for none. */
async function sightingUnder(
  question: ChildQuestion,
  ds: DsSet,
): Promise<Omit<Sighting, 'first' | 'last'> | undefined> {
  const { backend, name } = question
  const proven = await keysUnder(question, ds)
  if (proven === undefined) return undefined
  const keys = await Promise.all(
    proven.slice(0, MAX_KEYS).map((key) => dsRecordsOf(name, key, backend)),
  )
  return { under: ds, keys, ...(await wishesOf(question, proven)) }
}

/** The keys that a DS set vouches for, of the first server that has such; undefined if none has. */
export async function keysUnder(
  { answers, at, backend, name }: Omit<ChildQuestion, 'under'>,
  ds: DsSet,
): Promise<readonly Dnskey[] | undefined> {
  for (const { dnskey } of answers) {
    const proven = await attempt(() =>
      verifyZoneKeys({
        zone: name,
        dnskeys: dnskeysOf(dnskey, name),
        rrsigs: selectRrsigs(dnskey ?? [], name, TYPE.DNSKEY),
        trust: { ds },
        at,
        backend,
      }),
    )
    if (proven !== undefined) return proven.keys
  }
  return undefined
}

/** What CDS and CDNSKEY under these keys ask for. */
async function wishesOf(
  question: ChildQuestion,
  keys: readonly Dnskey[],
): Promise<Pick<Sighting, 'wanted' | 'deletes'>> {
  const nothing = { wanted: undefined, deletes: false }
  const { backend, name } = question
  const cds = await agreed(question, keys, TYPE.CDS, ({ cds: records }) => records)
  const cdnskey = await agreed(question, keys, TYPE.CDNSKEY, ({ cdnskey: records }) => records)
  if (cds === 'unequal' || cdnskey === 'unequal') return nothing
  const sets = [
    { set: cds, toDelete: CDS_DELETE },
    { set: cdnskey, toDelete: CDNSKEY_DELETE },
  ].filter(({ set }) => set !== undefined)
  if (sets.some(({ set, toDelete }) => isDelete(set, toDelete))) {
    return { ...nothing, deletes: sets.every(({ set, toDelete }) => isDelete(set, toDelete)) }
  }
  const wantedKeys = await Promise.all(
    parseKeySet((cdnskey ?? []).slice(0, MAX_KEYS)).map((key) => dsRecordsOf(name, key, backend)),
  )
  if (cds === undefined) return { wanted: cdnskey && wantedKeys, deletes: false }
  // Where there are both, they must be about the same keys (RFC 7344 §4).
  if (cdnskey !== undefined && !cds.every((ds) => names(ds, wantedKeys))) return nothing
  const wanted: readonly ChildKey[] = [...cds.map((ds) => [ds]), ...wantedKeys]
  return { wanted, deletes: false }
}

/** RDATA that asks for all DS to be taken away (RFC 8078 §4): algorithm 0. */
const CDS_DELETE = Uint8Array.of(0, 0, 0, 0, 0)
const CDNSKEY_DELETE = Uint8Array.of(0, 0, 3, 0, 0)

function isDelete(set: readonly Uint8Array[] | undefined, rdata: Uint8Array): boolean {
  return set !== undefined && set.length === 1 && equal(set[0]!, rdata)
}

/**
 * An RRset that is signed with these keys, and the same on all servers; undefined if none of them has it.
 */
async function agreed(
  { answers, at, backend, name }: ChildQuestion,
  keys: readonly Dnskey[],
  type: number,
  of: (answers: ChildAnswers) => readonly RR[] | undefined,
): Promise<readonly Uint8Array[] | undefined | 'unequal'> {
  const sets: (readonly Uint8Array[])[] = []
  for (const answer of answers) {
    const records = of(answer)
    if (records === undefined) return 'unequal'
    const set = await signedSet(records, { owner: name, type, zone: name, keys, at, backend })
    if (set === undefined) return 'unequal'
    sets.push(set)
  }
  const [first, ...others] = sets
  if (first === undefined || !others.every((set) => sameSet(set, first))) return 'unequal'
  return first.length === 0 ? undefined : first
}

/** What an answer is asked for. */
export interface SignedSetQuestion extends Pick<ChildQuestion, 'at' | 'backend'> {
  readonly owner: Name
  readonly type: number
  /** The zone that is to have signed it, and its keys. */
  readonly zone: Name
  readonly keys: readonly Dnskey[]
}

/** RDATA of an RRset in an answer; none if it is not there; undefined if it is not signed with these keys. */
export function signedSet(
  records: readonly RR[],
  { at, backend, keys, owner, type, zone }: SignedSetQuestion,
): Promise<readonly Uint8Array[] | undefined> {
  return attempt(async () => {
    const rrset = selectRRset(records, owner, type)
    if (rrset === undefined) return []
    const rrsigs = selectRrsigs(records, owner, type)
    const proven = await verifyRrsetWithKeys({ rrset, rrsigs, keys, zone, at, backend })
    return proven.expanded ? undefined : rrset.rdatas
  })
}

function dnskeysOf(records: readonly RR[] | undefined, name: Name): readonly Uint8Array[] {
  return wellFormed(() => selectRRset(records ?? [], name, TYPE.DNSKEY))?.rdatas ?? []
}

function distinct(sets: readonly (readonly Uint8Array[])[]): (readonly Uint8Array[])[] {
  return sets.filter(
    (set, i) => set.length > 0 && sets.findIndex((other) => sameSet(set, other)) === i,
  )
}

/** What is proven, or undefined. */
async function attempt<T>(prove: () => Promise<T>): Promise<T | undefined> {
  try {
    return await prove()
  } catch (error) {
    if (error instanceof DnssecError) return undefined
    throw error
  }
}
