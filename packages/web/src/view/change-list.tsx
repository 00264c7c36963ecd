/** Changes as the log tells them: each leads to the page where it is verified. */
import type { ChangeView } from '../api.ts'
import { hrefOf } from '../route.ts'
import { isoText, keyText, timeText } from '../words.ts'
import { NameText } from './name-text.tsx'

export function ChangeList({
  changes,
  freshFrom = Infinity,
}: {
  changes: readonly ChangeView[]
  freshFrom?: number
}) {
  if (changes.length === 0) return <p class="quiet">No change is logged yet.</p>
  return (
    <ol class="changes">
      {changes.map((change) => (
        <li key={change.index} class={change.index >= freshFrom ? 'fresh' : ''}>
          <time dateTime={isoText(change.time)}>{timeText(change.time)}</time>
          <a href={hrefOf({ page: 'name', name: change.name })}>
            <NameText name={change.name} />
          </a>
          <span class={change.out_of_order ? 'what odd' : `what ${change.type}`}>
            {wordsOf(change)}
          </span>
          <a class="quiet" href={hrefOf({ page: 'entry', index: change.index })}>
            <span class="hidden">Entry </span>#{change.index}
          </a>
        </li>
      ))}
    </ol>
  )
}

function wordsOf(change: ChangeView): string {
  const odd = change.out_of_order ? 'out of order: ' : ''
  if (change.type === 'no-ds') return `${odd}no key any more`
  return `${odd}${change.ds.map(keyText).join(', ')}`
}
