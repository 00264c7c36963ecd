/** RRsets as they were recorded, with what dnspython and ldns say of them (vectors/dnssec). */
import { readJsonLines } from './vectors.ts'

export interface Recorded {
  readonly id: string
  /** Where it comes from. */
  readonly file: string
  /** Of the judgement, s since the epoch. */
  readonly now: number
  readonly signer: string
  readonly owner: string
  readonly type: string
  readonly rdata: readonly string[]
  readonly rrsig: string
  readonly dnskeys: readonly string[]
  readonly outcome: 'valid' | 'bad_signature' | 'expired' | 'not_yet_valid' | 'no_matching_dnskey'
}

/** All of them; none where the data is missing. */
export function recordedRrsets(): Recorded[] {
  return readJsonLines('vectors/dnssec/rrsets.jsonl.gz')
}
