/** Proven entries, newest first; of very many the newest at first, and the rest when they are asked for. */
import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import { counted } from '@dslog/verify/counted'
import type { EntryModel } from '../protocol.ts'
import { EntryCard } from './entry-card.tsx'

/** Entries shown at once. */
const PAGE = 50

interface EntryListProps {
  /** Oldest first. */
  readonly entries: readonly EntryModel[]
  readonly titleOf: (entry: EntryModel, i: number) => ComponentChildren
  /** What it may mean. */
  readonly meaningOf?: (entry: EntryModel) => string
  /** What speaks against it. */
  readonly alarmOf?: (entry: EntryModel) => string
}

const silent = (): string => ''

export function EntryList({
  alarmOf = silent,
  entries,
  meaningOf = silent,
  titleOf,
}: EntryListProps) {
  const [shown, setShown] = useState(PAGE)
  const older = Math.max(0, entries.length - shown)
  return (
    <>
      {entries
        .map((entry, i) => ({
          entry,
          title: titleOf(entry, i),
          meaning: meaningOf(entry),
          alarm: alarmOf(entry),
        }))
        .slice(older)
        .reverse()
        .map((card) => (
          <EntryCard key={card.entry.index} {...card} />
        ))}
      {older === 0 ? null : (
        <button type="button" onClick={() => setShown(entries.length)}>
          Show {counted(older, 'older one', 'older ones')}, verified too
        </button>
      )}
    </>
  )
}
