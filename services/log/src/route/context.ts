/** What the routes of the log share: the parts they ask, and how they read what they are asked. */
import { parseDecimal } from '@dslog/tlog/checkpoint'
import { TlogError } from '@dslog/tlog/error'
import { DnssecError } from '@dslog/dnssec/error'
import { type Name, nameFromText, ROOT } from '@dslog/dnssec/name'
import type { Secret } from '@dslog/service/config'
import { Problem } from '@dslog/service/problem'
import type { Admitter } from '../admit.ts'
import type { LogReader } from '../reader.ts'
import type { Sequencer } from '../sequencer.ts'
import type { ZoneList } from '../zones.ts'

/** What a route may use. */
export interface LogContext {
  readonly reader: LogReader
  readonly admitter: Admitter
  readonly sequencer: Sequencer
  readonly zones: ZoneList
  readonly vkeys: readonly string[]
  /** tlog-policy text: this log, and the witnesses it asks. */
  readonly policy: string
  readonly publishInterval: number
  /** Whoever presents it may submit evidence from the past. */
  readonly operatorToken: Secret | undefined
  readonly software: string
}

/** Immutable things: a week, as the public logs of Certificate Transparency say it. */
export const IMMUTABLE = 'public, max-age=604800, immutable'
/** What the next tree may change. */
export const VOLATILE = 'no-store'

/** A domain name of a path or query; `@` is the root, since a dot would be normalised away. */
export function nameOf(text: string): Name {
  if (text === '@') return ROOT
  try {
    return nameFromText(text)
  } catch (cause) {
    if (!(cause instanceof DnssecError)) throw cause
    throw new Problem('validation', cause.message, { cause })
  }
}

/** A cursor of ours: a decimal index. */
export function cursorOf(text: string | undefined): number {
  const index = text === undefined || text === '' ? 0 : parseDecimal(text)
  if (index === undefined) throw new Problem('validation', 'The cursor is not one of this log')
  return index
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
