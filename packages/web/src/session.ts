/** What all pages share: the log, whom to trust about it, and how to change that. */
import { createContext } from 'preact'
import { useContext } from 'preact/hooks'
import type { AskError, LogInfo } from './api.ts'
import type { LogMemory, Memory } from './memory.ts'

export interface Session {
  /** URL of the log, without a slash at its end. */
  readonly log: string
  readonly memory: Memory
  /** What the log says of itself; why it does not; undefined while it is asked. */
  readonly info: LogInfo | AskError | undefined
  /** What is remembered of this log; undefined before the first answer. */
  readonly trusted: LogMemory | undefined
  /** Changes what is remembered of this log. */
  readonly remember: (change: (kept: LogMemory | undefined) => LogMemory) => void
  /** Forgets this log and starts afresh. */
  readonly forget: () => void
  /** Asks the log once more what it is. */
  readonly askAgain: () => void
}

export const SessionContext = createContext<Session | undefined>(undefined)

export function useSession(): Session {
  const session = useContext(SessionContext)
  if (session === undefined) throw new Error('no session above')
  return session
}

/** The monitor to compare with and to subscribe at: the person's choice before the log's. */
export function monitorOf({ info, trusted }: Session): string | undefined {
  return trusted?.monitor ?? (info !== undefined && 'origin' in info ? info.monitor : undefined)
}
