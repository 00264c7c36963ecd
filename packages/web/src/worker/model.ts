/** Proven entries as plain data for the page: names in text, signatures with their windows, records as lines. */
import { toBase64 } from '@dslog/tlog/bytes'
import type { Policy, TrustedCheckpoint } from '@dslog/tlog/policy'
import { type Name, nameToText } from '@dslog/dnssec/name'
import { keyTag, parseRrsig, TYPE } from '@dslog/dnssec/records'
import { rdataToText, typeToText } from '@dslog/dnssec/rdata'
import { windowOf } from '@dslog/dnssec/rrsig'
import { encodeEntry, type Entry, isParentLink } from '@dslog/schema/entry'
import { absence, changesOf, dsOf } from '@dslog/verify/describe'
import type { ZoneKeys } from '@dslog/verify/keys'
import type { ProvenEntry } from '@dslog/verify/verify'
import type { EntryModel, KeyModel, LinkModel, PolicyModel, TreeModel } from '../protocol.ts'

/** The entries of a history, each with what it changed. */
export function entryModels(history: readonly ProvenEntry[]): EntryModel[] {
  const changes = changesOf(history)
  return history.map((proven, i) => {
    const change = changes[i]
    return { ...entryModel(proven), ...(change === undefined ? {} : { change }) }
  })
}

/** An entry by itself: of what was before it, and so of what it changed, nothing is known. */
export function entryModel({ chain = [], entry, index }: ProvenEntry): EntryModel {
  const head = {
    index,
    type: entry.type,
    raw: toBase64(encodeEntry(entry)),
    records: recordLines(entry),
    chain: chain.map(linkModel),
  }
  switch (entry.type) {
    case 'ds':
    case 'no-ds': {
      const rrsigs = entry.type === 'ds' ? [entry.rrsig] : entry.records.map((r) => r.rrsig)
      return {
        ...head,
        time: entry.time,
        name: nameToText(entry.owner),
        zone: nameToText(entry.zone),
        historical: entry.historical,
        outOfOrder: entry.outOfOrder,
        ds: dsOf(entry),
        ...(entry.type === 'no-ds' ? { absence: absence(entry) } : {}),
        ...signatureOf(rrsigs[0]!, entry.time),
      }
    }
    case 'zone-keys':
      return {
        ...head,
        time: entry.time,
        name: nameToText(entry.zone),
        zone: nameToText(entry.zone),
        historical: entry.historical,
        keys: entry.keys.map(keyModel),
        ...signatureOf(entry.rrsig, entry.time),
      }
    case 'map-head':
      return { ...head, time: entry.time, keyCount: entry.keyCount }
    case 'unknown':
      return head
  }
}

function signatureOf(rrsig: Uint8Array, time: number) {
  const fields = parseRrsig(rrsig)
  const { expiration, inception } = windowOf(fields, time)
  return { inception: inception * 1000, expiration: expiration * 1000, signer: fields.tag }
}

function keyModel(rdata: Uint8Array): KeyModel {
  // RFC 4034 section 2.1: flags, protocol, algorithm.
  return { tag: keyTag(rdata), flags: rdata[0]! * 256 + rdata[1]!, algorithm: rdata[3]! }
}

function linkModel({ entry, index }: ZoneKeys): LinkModel {
  return {
    index,
    zone: nameToText(entry.zone),
    keys: entry.keys.map(keyModel),
    signer: parseRrsig(entry.rrsig).tag,
    ...(isParentLink(entry.link) ? {} : { anchor: entry.link.tag }),
  }
}

/** What an entry holds, as lines of a zone file. Nothing of an entry has a TTL that counts, so none is shown. */
function recordLines(entry: Entry): string[] {
  const line = (owner: Name, type: number, rdata: Uint8Array): string =>
    `${nameToText(owner)} IN ${typeToText(type)} ${rdataToText(type, rdata)}`
  switch (entry.type) {
    case 'ds':
      return [
        ...entry.ds.map((rdata) => line(entry.owner, TYPE.DS, rdata)),
        line(entry.owner, TYPE.RRSIG, entry.rrsig),
      ]
    case 'no-ds':
      return entry.records.flatMap(({ owner, rdata, rrsig, type }) => [
        line(owner, type, rdata),
        line(owner, TYPE.RRSIG, rrsig),
      ])
    case 'zone-keys': {
      const { keys, link, rrsig, zone } = entry
      const above = isParentLink(link)
        ? [
            ...link.ds.map((rdata) => line(zone, TYPE.DS, rdata)),
            line(zone, TYPE.RRSIG, link.rrsig),
          ]
        : []
      return [
        ...keys.map((rdata) => line(zone, TYPE.DNSKEY, rdata)),
        line(zone, TYPE.RRSIG, rrsig),
        ...above,
      ]
    }
    case 'map-head':
    case 'unknown':
      return []
  }
}

/** A tree and who vouches for it. */
export function treeModel(trusted: TrustedCheckpoint, policy: Policy, time?: number): TreeModel {
  const { checkpoint, logKey, note, witnesses } = trusted
  return {
    origin: checkpoint.origin,
    size: checkpoint.size,
    root: toBase64(checkpoint.root),
    note,
    keyId: logKey.id,
    witnesses: witnesses.map(({ name, timestamp }) => ({ name, time: timestamp * 1000 })),
    quorum: policy.quorum,
    ...(time === undefined ? {} : { time }),
  }
}

export function policyModel(policy: Policy): PolicyModel {
  return {
    logs: policy.logs.map(({ key }) => ({ origin: key.name, keyId: key.id })),
    witnesses: policy.witnesses.map(({ name }) => name),
    quorum: policy.quorum,
  }
}
