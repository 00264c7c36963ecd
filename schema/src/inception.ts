/**
 * The order key of an entry (docs/spec/entry.md, "Admission" 3): when the signature began that decides in
 * which order states come. It is not stored beside the evidence, since that says it.
 */
import { decidingInception } from '@dslog/dnssec/denial'
import { parseRrsig, unfoldTime } from '@dslog/dnssec/records'
import type { DelegationEntry } from './entry.ts'

/** Inception of the deciding signature, seconds since the epoch. Throws DnssecError for what is no proof. */
export function inceptionOf(entry: DelegationEntry): number {
  const { time } = entry
  return entry.type === 'ds'
    ? unfoldTime(parseRrsig(entry.rrsig).inception, Math.floor(time / 1000))
    : decidingInception(entry.owner, entry.zone, entry.records, time)
}
