/**
 * R14: the keys of a zone above changed without a word from the keys before. A zone announces a key by
 * publishing it in a DNSKEY RRset that a key signs which is known already: this is how all keys are rolled
 * (RFC 6781 §4.1). A set that only a key vouches for that was never seen has come from the zone above
 * alone, and whoever holds that can sign anything below.
 */
import { equal } from '@dslog/tlog/bytes'
import { parseKeySet } from '@dslog/dnssec/chain'
import { nameToText } from '@dslog/dnssec/name'
import { type Dnskey, parseRrsig } from '@dslog/dnssec/records'
import type { ZoneKeysEntry } from '@dslog/schema/entry'
import { MINUTE } from '@dslog/schema/time'
import type { Verdict } from './rules.ts'

const HOLD_MS = 15 * MINUTE

/**
 * Judges a key set that was not seen before.
 *
 * @param earlier DNSKEY RDATA of the sets of this zone that were logged before
 * @param pinned whether the owner has pinned keys: then no zone above is trusted to name others
 */
export function judgeZoneKeys(
  entry: ZoneKeysEntry,
  earlier: readonly (readonly Uint8Array[])[],
  pinned: boolean,
): Verdict | undefined {
  if (earlier.length === 0) return undefined
  const { algorithm, tag } = parseRrsig(entry.rrsig)
  const mayHaveSigned = (key: Dnskey): boolean => key.tag === tag && key.algorithm === algorithm
  const signers = parseKeySet(entry.keys).filter(mayHaveSigned)
  // Of several keys that could have signed, an attacker chooses the tag: all must be known.
  const known = signers.every(({ rdata }) =>
    earlier.some((set) => set.some((other) => equal(other, rdata))),
  )
  if (known) return undefined
  const zone = nameToText(entry.zone)
  return {
    rule: 'R14',
    level: pinned ? 'HIGH' : 'NOTICE',
    hold: HOLD_MS,
    why: `${zone} has keys that none of the keys it had before announced`,
  }
}
