/**
 * What a fold remembers beyond one tree, and what a tree adds to it: histories of names, key sets of zones, buckets of
 * the name map. FoldTables of @dslog/service keeps them in a database, MemoryStore in memory.
 */
import type { Hash } from '@dslog/tlog/hash'
import type { Bucket } from '@dslog/tlog/mapbucket'
import type { Name } from '@dslog/dnssec/name'
import type { MapKind } from '@dslog/schema/identity'
import type { History } from './history.ts'
import type { ZoneKeys } from './keys.ts'

/** What a fold looks up of earlier trees. Never asked for anything newer than the head of the fold. */
export interface FoldStore {
  /** Histories of those map keys that have entries, by {@link keyText}. */
  histories(keys: readonly Hash[]): Promise<ReadonlyMap<string, History>>
  /** Entries of a key set, newest first. */
  zoneKeys(keysId: Hash): Promise<readonly ZoneKeys[]>
  /** Buckets of the name map: sorted key ‖ value pairs; those that are empty may be left out. */
  buckets(prefixes: readonly number[]): Promise<ReadonlyMap<number, Uint8Array>>
}

/** A name with new entries in this fold. */
export interface NameChange {
  readonly key: Hash
  /** {@link keyText} of it. */
  readonly text: string
  readonly kind: MapKind
  readonly name: Name
  readonly history: History
  /** Whether the key has no entry in any earlier tree. */
  readonly fresh: boolean
  /** What is in force, where that changed; the DS set is empty for absence and for keys. */
  readonly inForce: { readonly zone: Name; readonly ds: readonly Uint8Array[] } | undefined
}

/** Everything a fold adds to its store. */
export interface FoldChanges {
  readonly names: readonly NameChange[]
  readonly zoneKeys: readonly ZoneKeys[]
  /** New contents of those buckets of the map that changed. */
  readonly buckets: readonly Bucket[]
}

/**
 * Text form of a map key or a key set's identity, for Maps: a character a byte, flat and so quick to look up. Arguments
 * that are written out stay in registers: 0.1 µs, an eighth of what applying the function to the array takes.
 */
export function keyText(k: Hash): string {
  // prettier-ignore
  return String.fromCharCode(
    k[0]!, k[1]!, k[2]!, k[3]!, k[4]!, k[5]!, k[6]!, k[7]!,
    k[8]!, k[9]!, k[10]!, k[11]!, k[12]!, k[13]!, k[14]!, k[15]!,
    k[16]!, k[17]!, k[18]!, k[19]!, k[20]!, k[21]!, k[22]!, k[23]!,
    k[24]!, k[25]!, k[26]!, k[27]!, k[28]!, k[29]!, k[30]!, k[31]!,
  )
}
