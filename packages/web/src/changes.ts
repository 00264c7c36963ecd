/** The latest changes of the log and those that come, as the log tells them. */
import { useEffect, useState } from 'preact/hooks'
import { ask, AskError, changesIn, type ChangeView, recordOf } from './api.ts'
import { followChanges } from './live.ts'
import { useSession } from './session.ts'

/** Entries looked at in one request: the most that a log answers at once. */
const WINDOW = 256

/** Requests for old changes at most: a log may have none for long stretches. */
const MAX_WINDOWS = 8

/** Changes kept on a page. */
const MAX_KEPT = 500

export interface LiveChanges {
  /** Newest first. */
  readonly changes: readonly ChangeView[]
  readonly state: 'asking' | 'live' | 'waiting' | 'failed'
  readonly detail: string
  /** Index from which on a change came while somebody looked. */
  readonly freshFrom: number
}

/** At least `wanted` changes, if there are so many close to the end of the log, and all new ones. */
export function useChanges(wanted: number, paused = false): LiveChanges {
  const { log } = useSession()
  const [state, setState] = useState<LiveChanges>({
    changes: [],
    state: 'asking',
    detail: '',
    freshFrom: Infinity,
  })
  useEffect(() => {
    if (paused) return
    let stop: (() => void) | undefined
    let current = true
    void latest(log, wanted).then(
      ({ changes, size }) => {
        if (!current) return
        setState({ changes, state: 'waiting', detail: '', freshFrom: size })
        stop = followChanges(log, size, {
          onChange: (change) =>
            setState((before) => ({
              ...before,
              changes: [change, ...before.changes].slice(0, MAX_KEPT),
            })),
          onState: (to) => setState((before) => ({ ...before, state: to })),
        })
      },
      (error: unknown) => {
        const detail = error instanceof AskError ? error.message : String(error)
        if (current) setState((before) => ({ ...before, state: 'failed', detail }))
      },
    )
    return () => {
      current = false
      stop?.()
    }
  }, [log, wanted, paused])
  return state
}

async function latest(
  log: string,
  wanted: number,
): Promise<{ changes: ChangeView[]; size: number }> {
  const { size } = recordOf(await ask(`${log}/v1/checkpoint`, { cache: 'no-store' }))
  if (typeof size !== 'number') throw new AskError(200, 'There is no dslog at this address.')
  const found: ChangeView[] = []
  let end = size
  for (let i = 0; i < MAX_WINDOWS && end > 0 && found.length < wanted; i++) {
    const start = Math.max(0, end - WINDOW)
    const answer = recordOf(await ask(`${log}/v1/changes?after=${start}&limit=${WINDOW}`))
    const before = end
    const older = changesIn(answer['changes']).filter(({ index }) => index < before)
    found.push(...older.toReversed())
    end = start
  }
  return { changes: found, size }
}
