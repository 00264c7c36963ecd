/** A verification as a page sees it: its steps so far, and how it ended. */
import { useEffect, useState } from 'preact/hooks'
import type { Failure, Proven, Step, Task } from './protocol.ts'
import { AskError } from './api.ts'
import { focusHeading } from './focus.ts'
import { trustOf } from './memory.ts'
import { useSession } from './session.ts'
import { CheckFailure, verifyTask } from './verifier.ts'

export interface Check {
  readonly steps: readonly Step[]
  readonly proven?: Proven
  readonly failure?: Failure
  /** Verifies anew. */
  readonly again: () => void
}

/** What a page asks of its log; whom to trust is added here. */
export type Question =
  | { readonly task: 'name' | 'zone'; readonly name: string }
  | { readonly task: 'entry'; readonly index: number }
  | {
      readonly task: 'checkpoint'
      readonly view?: { readonly size: number; readonly root: string } | undefined
    }

/** Verifies an answer of the log, once it is known whom to trust, and again when that changes. */
export function useCheck(question: Question): Check {
  const { askAgain, info, log, memory, trusted } = useSession()
  const [round, setRound] = useState(0)
  const [state, setState] = useState<Omit<Check, 'again'>>({ steps: [] })
  const asked = JSON.stringify(question)
  useEffect(() => {
    if (trusted === undefined) return
    let current = true
    setState({ steps: [] })
    // What was seen is read now, not when the page was drawn: another answer may have come since.
    const kept = memory.get(log) ?? trusted
    const task: Task = { ...(JSON.parse(asked) as Question), log, trust: trustOf(kept) }
    void runTask(task, (next) => {
      if (current) setState(next)
    }).then((proven) => {
      if (proven !== undefined) memory.saw(log, proven)
    })
    return () => {
      current = false
    }
  }, [asked, round, log, trusted?.policy, trusted?.anchors])
  const isAway = info instanceof AskError
  const again = (): void => {
    focusHeading()
    if (isAway) askAgain()
    setRound((n) => n + 1)
  }
  if (trusted !== undefined || !isAway) return { ...state, again }
  // Nobody is trusted yet, and the log does not say whom to: nothing will be asked.
  const { message } = info
  return { steps: [], failure: { kind: 'unreachable', words: message, detail: message }, again }
}

/** Runs a task and tells of each step and the end. */
export async function runTask(
  task: Task,
  show: (state: Omit<Check, 'again'>) => void,
): Promise<Proven | undefined> {
  const steps = new Map<string, Step>()
  const shown = (): Step[] => [...steps.values()]
  try {
    const proven = await verifyTask(task, (step) => {
      steps.set(step.id, step)
      show({ steps: shown() })
    })
    show({ steps: shown(), proven })
    return proven
  } catch (error) {
    if (!(error instanceof CheckFailure)) throw error
    show({ steps: shown(), failure: error.failure })
    return undefined
  }
}
