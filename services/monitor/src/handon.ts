/**
 * What one log has, as evidence for another: the records that entries were made of, up to the root. It needs no word of
 * ours. What proves nothing any more is no evidence.
 */
import type { Hash } from '@dslog/tlog/hash'
import { type RR, TYPE } from '@dslog/dnssec/records'
import { recordsOf } from '@dslog/dnssec/rrset'
import { type DelegationEntry, isParentLink } from '@dslog/schema/entry'
import type { FoldTables } from '@dslog/service/foldtables'
import type { Verifier } from '@dslog/verify/evidence'
import { chainAt, type ZoneKeys } from '@dslog/verify/keys'
import { isProven } from './withheld.ts'

/** What a log lacks is handed in again after this time, ms. */
export const HAND_ON_AGAIN_MS = 600_000

/** An entry about a delegation and the keys above it; undefined where they prove nothing at a time, ms. */
export async function delegationEvidence(
  entry: DelegationEntry,
  names: FoldTables,
  verifier: Verifier,
  at: number,
): Promise<RR[] | undefined> {
  const keys = await keysEvidence(entry.keysId, names, verifier, at)
  if (keys === undefined) return undefined
  const records = [...delegationRecords(entry), ...keys]
  return (await isProven(entry.owner, records, at, verifier)) ? records : undefined
}

/** A key set and the keys above it; undefined where the log does not vouch for it at a time, ms. */
export async function keysEvidence(
  keysId: Hash,
  names: FoldTables,
  { anchors }: Verifier,
  at: number,
): Promise<RR[] | undefined> {
  const chain = await chainAt(keysId, at, (id) => names.zoneKeys(id), anchors)
  return chain?.links.flatMap(keyRecords)
}

function delegationRecords(entry: DelegationEntry): RR[] {
  if (entry.type === 'ds') return recordsOf(entry.owner, TYPE.DS, entry.ds, entry.rrsig)
  return entry.records.flatMap(({ owner, rdata, rrsig, type }) =>
    recordsOf(owner, type, [rdata], rrsig),
  )
}

function keyRecords({ entry: { keys, link, rrsig, zone } }: ZoneKeys): RR[] {
  const above = isParentLink(link) ? recordsOf(zone, TYPE.DS, link.ds, link.rrsig) : []
  return [...recordsOf(zone, TYPE.DNSKEY, keys, rrsig), ...above]
}
