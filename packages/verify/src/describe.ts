/** Proven entries for programs, as objects, and for people, in lines. */
import { toBase64, toHex } from '@dslog/tlog/bytes'
import type { TrustedCheckpoint } from '@dslog/tlog/policy'
import { DENIAL } from '@dslog/dnssec/denial'
import { nameToText } from '@dslog/dnssec/name'
import { dsToText, keyTag } from '@dslog/dnssec/records'
import { type DelegationEntry, isParentLink } from '@dslog/schema/entry'
import { counted } from './counted.ts'
import type { ProvenEntry } from './verify.ts'

const DENIAL_TEXT = new Map<number, string>(
  Object.entries(DENIAL).map(([name, kind]) => [kind, name.toLowerCase().replaceAll('_', ' ')]),
)

/** An entry for programs. Times are ms since the Unix epoch, `inception` seconds, as signed. */
export function entryObject({ entry, inception, index }: ProvenEntry): object {
  switch (entry.type) {
    case 'ds':
    case 'no-ds':
      return {
        index,
        type: entry.type,
        time: entry.time,
        name: nameToText(entry.owner),
        zone: nameToText(entry.zone),
        present: entry.type === 'ds',
        ds: dsOf(entry),
        out_of_order: entry.outOfOrder,
        historical: entry.historical,
        inception,
      }
    case 'zone-keys':
      return {
        index,
        type: entry.type,
        time: entry.time,
        zone: nameToText(entry.zone),
        keys: entry.keys.map(keyTag),
        parent: isParentLink(entry.link) ? nameToText(entry.link.zone) : null,
        anchor: isParentLink(entry.link) ? null : entry.link.tag,
        historical: entry.historical,
        inception,
      }
    case 'map-head':
      return {
        index,
        type: entry.type,
        time: entry.time,
        covers: entry.covers,
        map_root: toBase64(entry.mapRoot),
        key_count: entry.keyCount,
      }
    case 'unknown':
      return { index, type: entry.type, raw: toBase64(entry.bytes) }
  }
}

/** A checkpoint for programs. */
export function checkpointObject({ checkpoint }: TrustedCheckpoint): object {
  const { origin, root, size } = checkpoint
  return { origin, size, root: toBase64(root) }
}

/** Who cosigned, for programs. */
export function witnessObjects({ witnesses }: TrustedCheckpoint): object[] {
  return witnesses.map(({ name, timestamp }) => ({ name, time: timestamp * 1000 }))
}

/** An entry by itself for people. */
export function entryLines({ entry, index }: ProvenEntry): string[] {
  const head = `entry ${index}`
  switch (entry.type) {
    case 'ds':
    case 'no-ds': {
      const what = entry.type === 'ds' ? 'has these DS records' : absence(entry)
      return [
        `${headOf(entry, index)} ${what}; ${remarksOf(entry)}`,
        ...dsOf(entry).map((ds) => `      ${ds}`),
      ]
    }
    case 'zone-keys': {
      const above = isParentLink(entry.link)
        ? `vouched for by ${nameToText(entry.link.zone)}`
        : `vouched for by the trust anchor ${entry.link.tag} (${toHex(entry.link.digest)})`
      const tags = entry.keys.map(keyTag).join(', ')
      const zone = nameToText(entry.zone)
      return [`${isoTime(entry.time)}  ${head}: the keys of ${zone} are ${tags}; ${above}`]
    }
    case 'map-head':
      return [
        `${isoTime(entry.time)}  ${head}: MAP_HEAD, the root of a name map of ${counted(entry.keyCount, 'key')}`,
      ]
    case 'unknown':
      return [`${head}: of a type that this version does not know`]
  }
}

/** What an entry of a history is to the state in force before it. */
export interface Change {
  readonly kind: 'added' | 'replaced' | 'removed'
  /** DS records in presentation form: what came, what went, what stayed. */
  readonly came: readonly string[]
  readonly went: readonly string[]
  readonly kept: readonly string[]
}

/** What each entry of a name's history changed, oldest first; `undefined` for entries of other types. */
export function changesOf(history: readonly ProvenEntry[]): (Change | undefined)[] {
  let before: readonly string[] = []
  return history.map(({ entry }) => {
    if (entry.type !== 'ds' && entry.type !== 'no-ds') return undefined
    const now = dsOf(entry)
    const change: Change = {
      kind: now.length === 0 ? 'removed' : before.length === 0 ? 'added' : 'replaced',
      came: now.filter((ds) => !before.includes(ds)),
      went: before.filter((ds) => !now.includes(ds)),
      kept: now.filter((ds) => before.includes(ds)),
    }
    if (!entry.outOfOrder) before = now
    return change
  })
}

/** The history of a name for people: what came and what went with each entry. */
export function historyLines(history: readonly ProvenEntry[]): string[] {
  const changes = changesOf(history)
  return history.flatMap(({ entry, index }, i) => {
    const change = changes[i]
    if (change === undefined || (entry.type !== 'ds' && entry.type !== 'no-ds')) {
      return entryLines({ entry, index })
    }
    const what = entry.type === 'ds' ? `DS ${change.kind}` : absence(entry)
    return [
      `${headOf(entry, index)} ${what}; ${remarksOf(entry)}`,
      ...change.went.map((ds) => `    - ${ds}`),
      ...change.came.map((ds) => `    + ${ds}`),
      ...change.kept.map((ds) => `      ${ds}`),
    ]
  })
}

function headOf(entry: DelegationEntry, index: number): string {
  return `${isoTime(entry.time)}  entry ${index}: ${nameToText(entry.owner)}`
}

/** An absence for people, with the kind of its proof. */
export function absence(entry: DelegationEntry & { type: 'no-ds' }): string {
  return `no DS, proven absent (${DENIAL_TEXT.get(entry.proof)})`
}

function remarksOf(entry: DelegationEntry): string {
  const remarks = [
    `signed by ${nameToText(entry.zone)}`,
    ...(entry.historical ? ['historical'] : []),
    ...(entry.outOfOrder ? ['out of order: signed before the state in force'] : []),
  ]
  return remarks.join(', ')
}

/** DS records of an entry in presentation form, sorted as text; none for a proven absence. */
export function dsOf(entry: DelegationEntry): string[] {
  return entry.type === 'ds' ? entry.ds.map(dsToText).sort() : []
}

/** A checkpoint for people, who cosigned it included. */
export function treeText({ checkpoint, witnesses }: TrustedCheckpoint): string {
  const signed =
    witnesses.length === 0
      ? 'no witness'
      : `the witnesses ${witnesses.map(({ name }) => name).join(', ')}`
  return `the tree of ${counted(checkpoint.size, 'entry', 'entries')} of ${checkpoint.origin}, cosigned by ${signed}`
}

/** The last moment that a Date can hold (ECMA-262 §21.4.1.1): an entry may name a later one. */
const LAST_DATE = 8.64e15

/** The moment of an entry as a Date, or the last that there is. @param ms since the Unix epoch */
export function dateOf(ms: number): Date {
  return new Date(Math.min(ms, LAST_DATE))
}

function isoTime(ms: number): string {
  if (ms > LAST_DATE) return `${ms} ms after 1970`
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z')
}
