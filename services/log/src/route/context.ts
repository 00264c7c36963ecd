/** What the routes of the log share: the parts they ask, and how they read what they are asked. */
import { TlogError } from '@dslog/tlog/error'
import type { Secret } from '@dslog/service/config'
import type { Holds } from '@dslog/service/http/lane'
import { Problem } from '@dslog/service/problem'
import type { Admitter } from '../admit.ts'
import type { LogReader } from '../reader.ts'
import type { ZoneList } from '../zones.ts'

/** What a route may use. */
export interface LogContext {
  readonly reader: LogReader
  /** Takes evidence; left out where the log is only read. */
  readonly admitter: Admitter | undefined
  /** Calls back after each publication of a new tree; returns how to stop that. */
  readonly onPublished: (listener: () => void) => () => void
  /** Whether the log takes nothing more, for good. */
  readonly isFrozen: () => boolean
  readonly zones: ZoneList
  readonly vkeys: readonly string[]
  /** tlog-policy text: this log, and the witnesses it asks. */
  readonly policy: string
  /** Trust anchors in the form of an anchors file, if they are not the root's. */
  readonly anchors: string | undefined
  /** URL of a monitor for visitors of the explorer. */
  readonly monitor: string | undefined
  readonly publishInterval: number
  /** In words, of the operator. */
  readonly announcement: string | undefined
  /** Whoever presents it may submit evidence from the past. */
  readonly operatorToken: Secret | undefined
  readonly software: string
}

/** How long an answer of the published tree holds that is begun now. */
export function untilNextTree(reader: LogReader): Holds {
  const { tree } = reader
  return () => reader.tree === tree
}

/** Refuses sizes and indices that the published tree does not reach. */
export function within(size: number, wanted: number, what: string): void {
  if (wanted <= size) return
  throw new Problem('beyond-published-tree', `${what} ${wanted} is beyond the tree of ${size}`)
}

/** Runs what reads a client's text; its mistakes are the client's. */
export function asked<T>(read: () => T): T {
  try {
    return read()
  } catch (cause) {
    if (!(cause instanceof TlogError)) throw cause
    throw new Problem('validation', cause.message, { cause })
  }
}
