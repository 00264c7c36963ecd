/**
 * A log that a command submits to: a running service (remote-target.ts), or a folder on this machine,
 * opened in this process (local-target.ts, load-target.ts). All take the same observations and give the
 * same answers.
 */
import type { Name } from '@dslog/dnssec/name'
import type { Observation, SubmitResult } from '@dslog/schema/api'
import { decodeEntry } from '@dslog/schema/entry'

/** DS records as an entry of the log holds them: RDATA. */
export interface SignedDs {
  readonly ds: readonly Uint8Array[]
  readonly rrsig: Uint8Array
}

/** The state in force after the entries of a name, oldest first. */
export function signedDsOf(history: readonly Uint8Array[]): SignedDs | undefined {
  const entries = history.map((bytes) => decodeEntry(bytes))
  const latest = entries.findLast((entry) => 'outOfOrder' in entry && !entry.outOfOrder)
  return latest?.type === 'ds' ? latest : undefined
}

/** A log that takes observations. */
export interface Target {
  /** Size of the published tree. */
  size(): Promise<number>
  /** Every name of a zone with the DS set in force, in presentation form. */
  states(zone: Name): Promise<Map<string, readonly string[]>>
  /** The DS RRset of a name that is in force, with its signature; `undefined` if it has none. */
  delegation(name: Name): Promise<SignedDs | undefined>
  /** Submits observations of one kind and time; one result each. */
  submit(observations: readonly Observation[]): Promise<SubmitResult[]>
  close(): Promise<void>
}
