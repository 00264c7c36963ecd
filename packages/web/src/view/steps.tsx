/** The steps of a verification, one by one as they are done, and where it stopped. */
import type { Check } from '../check.ts'
import type { StepId } from '../protocol.ts'

/** What each step is for, while it is not done. */
const STEPS: Readonly<Record<StepId, string>> = {
  answer: 'Ask the log for its proof',
  checkpoint: 'Check who signed it',
  map: 'Check that nothing was left out',
  evidence: 'Check the DNSSEC signatures up to the root',
  past: 'Check that the log did not change its story',
  monitor: 'Compare with the monitor',
}

export function Steps({
  check,
  expected,
}: {
  check: Omit<Check, 'again'>
  expected: readonly StepId[]
}) {
  const { failure, proven, steps } = check
  const told = new Map(steps.map((step) => [step.id, step]))
  // A step that did not come is not shown as done.
  const ids = proven === undefined ? expected : expected.filter((id) => told.has(id))
  const current = ids.find((id) => told.get(id) === undefined || told.get(id)?.more === true)
  return (
    <ol class="steps" aria-label="Steps of the verification">
      {ids.map((id) => {
        const step = told.get(id)
        const isDone = step !== undefined && step.more !== true
        const isFailed = failure !== undefined && id === current
        const state = isDone ? 'done' : isFailed ? 'failed' : id === current ? 'now' : 'later'
        return (
          <li key={id} class={state} aria-current={state === 'now' ? 'step' : undefined}>
            <span class="state">{STATE[state]}</span>
            {step?.words ?? STEPS[id]}
          </li>
        )
      })}
    </ol>
  )
}

/** For those who do not see the mark. */
const STATE = { done: 'Done: ', failed: 'Failed: ', now: 'Now: ', later: 'To come: ' } as const
