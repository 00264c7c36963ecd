/**
 * What a whole signed zone says anew: its delegations compared with what a log holds of them, each
 * difference with the records that prove it. The zone has been verified whole before
 * (@dslog/dnssec/zone); the log verifies every record again.
 */
import { toBase64 } from '@dslog/tlog/bytes'
import { compareCanonical, type Name, nameFromText, nameToText } from '@dslog/dnssec/name'
import { dsToText, type RR, TYPE } from '@dslog/dnssec/records'
import { recordsOf } from '@dslog/dnssec/rrset'
import { encodeRecord } from '@dslog/dnssec/wire'
import type { SignedZone } from '@dslog/dnssec/zone'
import type { Observation } from '@dslog/schema/api'

/** What happened to a delegation, as far as a log is told. */
export type ChangeKind = 'added' | 'removed' | 'replaced'

/** One difference. */
export interface ZoneChange {
  readonly name: Name
  readonly change: ChangeKind
  /** DS records in presentation form, sorted as text. */
  readonly old: readonly string[]
  readonly new: readonly string[]
  /** What proves it: the DS RRset with its RRSIG, or NSEC or NSEC3 records with theirs. */
  readonly records: readonly RR[]
}

/** States in force by name in presentation form: DS records likewise; empty or missing for none. */
export type KnownStates = ReadonlyMap<string, readonly string[]>

/** The DNSKEY RRset of a zone with the signature that counts, as evidence of its keys. */
export function keyRecords(zone: SignedZone): RR[] {
  const { rdatas, rrsig } = zone.keys
  return recordsOf(zone.zone, TYPE.DNSKEY, rdatas, rrsig)
}

/**
 * The differences between a zone and what is known of it, in canonical order of the names.
 *
 * @throws DnssecError `not-proven` for a name that the zone neither signs nor denies
 */
export function diffZone(zone: SignedZone, known: KnownStates): ZoneChange[] {
  const changes: ZoneChange[] = []
  const present = new Set<string>()
  for (const { ds, owner, rrsig } of zone.delegations) {
    const text = nameToText(owner)
    present.add(text)
    const old = (known.get(text) ?? []).toSorted()
    const now = ds.map(dsToText).sort()
    if (old.join() === now.join()) continue
    const change = old.length === 0 ? 'added' : 'replaced'
    const records = recordsOf(owner, TYPE.DS, ds, rrsig)
    changes.push({ name: owner, change, old, new: now, records })
  }
  for (const [text, old] of known) {
    if (old.length === 0 || present.has(text)) continue
    const name = nameFromText(text)
    const records = zone.denialRecords(name)
    changes.push({ name, change: 'removed', old: old.toSorted(), new: [], records })
  }
  return changes.sort((a, b) => compareCanonical(a.name, b.name))
}

/**
 * What is submitted of a zone: its keys first, then each difference.
 *
 * @param link the DS RRset that the keys hang from, with its signature; nothing for the root
 * @param historicalAt the time of the evidence, ms since the epoch, where that is not the present
 */
export function observationsOf(
  zone: SignedZone,
  link: readonly RR[],
  changes: readonly ZoneChange[],
  historicalAt?: number,
): Observation[] {
  const moment =
    historicalAt === undefined ? {} : { observed_at: historicalAt, historical: true as const }
  const observation = (owner: Name, records: readonly RR[]): Observation => ({
    owner: nameToText(owner),
    ...moment,
    records: records.map((record) => toBase64(encodeRecord(record))),
  })
  return [
    { ...observation(zone.zone, [...keyRecords(zone), ...link]), kind: 'keys' },
    ...changes.map(({ name, records }) => observation(name, records)),
  ]
}
