/** One entry of the log, verified by itself. */
import { useCheck } from '../check.ts'
import type { EntryModel } from '../protocol.ts'
import { hrefOf } from '../route.ts'
import { EntryCard } from '../view/entry-card.tsx'
import { EntryTitle } from '../view/entry-title.tsx'
import { Download, Verdict } from '../view/verdict.tsx'

const STEPS = ['answer', 'checkpoint', 'evidence', 'past'] as const

export function EntryPage({ index }: { index: number }) {
  const check = useCheck({ task: 'entry', index })
  const { proven } = check
  const entry = proven?.entries[0]
  return (
    <article>
      <h1>Entry {index}</h1>
      <Verdict check={check} expected={STEPS} again={check.again}>
        {entry === undefined ? null : (
          <p>
            {hasEvidence(entry)
              ? 'This entry is in the log for good, and its DNSSEC evidence leads up to a root key.'
              : 'This entry is in the log for good. It is of a kind that has no DNSSEC evidence.'}{' '}
            It says nothing about what came before or after it.
          </p>
        )}
      </Verdict>
      {entry === undefined ? null : (
        <>
          <EntryCard entry={entry} title={<EntryTitle entry={entry} />} />
          <p class="actions">
            {proven?.file === undefined ? null : (
              <Download name={`entry-${index}.tlog-proof`} content={proven.file}>
                Keep the proof
              </Download>
            )}
            {index === 0 ? null : (
              <a class="button" href={hrefOf({ page: 'entry', index: index - 1 })}>
                Entry {index - 1}
              </a>
            )}
            <a class="button" href={hrefOf({ page: 'entry', index: index + 1 })}>
              Entry {index + 1}
            </a>
          </p>
        </>
      )}
    </article>
  )
}

function hasEvidence({ type }: EntryModel): boolean {
  return type !== 'map-head' && type !== 'unknown'
}
