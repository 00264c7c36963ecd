/** Changes of all names as they are published. */
import { useState } from 'preact/hooks'
import { useChanges } from '../changes.ts'
import { ChangeList } from '../view/change-list.tsx'

const STATES = {
  asking: 'Asking the log…',
  live: 'Live',
  waiting: 'Connecting…',
  failed: 'Not connected',
} as const

export function ChangesPage() {
  const [isPaused, setPaused] = useState(false)
  const { changes, detail, freshFrom, state } = useChanges(50, isPaused)
  const fresh = changes.filter(({ index }) => index >= freshFrom).length
  return (
    <article>
      <h1>Changes</h1>
      <p>
        As the log tells them, newest first. Nothing in this list is verified yet: open a name, and
        its whole history is.
      </p>
      <div class="row">
        <p class={`live ${isPaused ? 'paused' : state}`} role="status">
          {isPaused ? 'Paused' : STATES[state]}
          {fresh === 0 ? '' : `, ${fresh} new`}
        </p>
        <button type="button" onClick={() => setPaused(!isPaused)}>
          {isPaused ? 'Go on' : 'Pause'}
        </button>
      </div>
      {state === 'failed' ? <p class="wrong">{detail}</p> : null}
      {state === 'asking' || state === 'failed' ? null : (
        <ChangeList changes={changes} freshFrom={freshFrom} />
      )}
    </article>
  )
}
