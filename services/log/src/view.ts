/** Entries as JSON: the shapes of EntryView in @dslog/schema/api, made from the decoded leaf alone. */
import { toBase64, toHex } from '@dslog/tlog/bytes'
import { DENIAL } from '@dslog/dnssec/denial'
import { nameToText } from '@dslog/dnssec/name'
import { dsToText, keyTag } from '@dslog/dnssec/records'
import { typeToText } from '@dslog/dnssec/rdata'
import type { EntryView } from '@dslog/schema/api'
import {
  decodeEntry,
  type DelegationEntry,
  isParentLink,
  type ZoneKeysEntry,
} from '@dslog/schema/entry'
import { keysId, stateOf } from '@dslog/schema/identity'
import { inceptionOf } from '@dslog/schema/inception'

const PROOF_NAME = new Map<number, string>(
  Object.entries(DENIAL).map(([name, kind]) => [kind, name.toLowerCase().replaceAll('_', '-')]),
)

/** An entry for people and programs, with the raw leaf beside it. */
export function viewOf(index: number, bytes: Uint8Array): EntryView {
  const entry = decodeEntry(bytes)
  const head = { index, raw: toBase64(bytes) }
  switch (entry.type) {
    case 'ds':
      return {
        ...head,
        type: 'ds',
        time: entry.time,
        ...delegationFields(entry),
        ds: entry.ds.map(dsToText),
        rrsig: toBase64(entry.rrsig),
      }
    case 'no-ds':
      return {
        ...head,
        type: 'no-ds',
        time: entry.time,
        ...delegationFields(entry),
        proof: PROOF_NAME.get(entry.proof)!,
        records: entry.records.map(({ owner, rdata, rrsig, type }) => ({
          owner: nameToText(owner),
          type: typeToText(type),
          rdata: toBase64(rdata),
          rrsig: toBase64(rrsig),
        })),
      }
    case 'zone-keys':
      return { ...head, type: 'zone-keys', ...zoneKeysFields(entry) }
    case 'map-head':
      return {
        ...head,
        type: 'map-head',
        time: entry.time,
        covers: entry.covers,
        map_root: toBase64(entry.mapRoot),
        key_count: entry.keyCount,
        previous: entry.previous ?? null,
      }
    case 'unknown':
      return { ...head, type: 'unknown' }
  }
}

function delegationFields(entry: DelegationEntry) {
  const { historical, keysId: keys, outOfOrder, owner, zone } = entry
  return {
    name: nameToText(owner),
    zone: nameToText(zone),
    historical,
    out_of_order: outOfOrder,
    keys_id: toBase64(keys),
    state_id: toBase64(stateOf(entry)),
    inception: inceptionOf(entry),
  }
}

function zoneKeysFields(entry: ZoneKeysEntry) {
  const { historical, keys, link, rrsig, time, zone } = entry
  return {
    time,
    zone: nameToText(zone),
    historical,
    keys_id: toBase64(keysId(zone, keys)),
    keys: keys.map((rdata) => ({
      tag: keyTag(rdata),
      flags: rdata[0]! * 256 + rdata[1]!,
      algorithm: rdata[3]!,
      rdata: toBase64(rdata),
    })),
    rrsig: toBase64(rrsig),
    parent: isParentLink(link)
      ? { zone: nameToText(link.zone), keys_id: toBase64(link.keysId), ds: link.ds.map(dsToText) }
      : null,
    anchor: isParentLink(link) ? null : { tag: link.tag, digest: toHex(link.digest) },
  }
}
