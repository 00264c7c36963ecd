/** One entry of the log, verified by itself. */
import { useCheck } from '../check.ts'
import type { EntryModel } from '../protocol.ts'
import { hrefOf } from '../route.ts'
import { plural } from '../words.ts'
import { EntryCard } from '../view/entry-card.tsx'
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
          <EntryCard entry={entry} title={<Title entry={entry} />} />
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

function Title({ entry }: { entry: EntryModel }) {
  const { ds = [], keyCount = 0, name = '', type } = entry
  switch (type) {
    case 'ds':
      return (
        <>
          <a href={hrefOf({ page: 'name', name })}>{name}</a> has {plural(ds.length, 'DS record')}
        </>
      )
    case 'no-ds':
      return (
        <>
          <a href={hrefOf({ page: 'name', name })}>{name}</a> has {entry.absence ?? 'no DS'}
        </>
      )
    case 'zone-keys':
      return (
        <>
          Keys of <a href={hrefOf({ page: 'zone', name })}>{name === '.' ? 'the root' : name}</a>
        </>
      )
    case 'map-head':
      return <>The index of {plural(keyCount, 'name')}, which ends a tree</>
    case 'unknown':
      return <>A kind of entry that this page does not know</>
  }
}
