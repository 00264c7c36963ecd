/** What a command meets of the process that it runs in. Tests hand in their own. */
import type { Writable } from 'node:stream'

/** Where text goes; only a terminal is written progress and colours to. */
export interface Sink extends Writable {
  readonly isTTY?: boolean
  readonly columns?: number
}

/** The edges of a process. */
export interface Io {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly stdin: AsyncIterable<Uint8Array>
  readonly stdout: Sink
  readonly stderr: Sink
}
