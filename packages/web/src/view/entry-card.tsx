/** A proven entry: what it changed, its evidence in words, and the evidence itself. */
import type { ComponentChildren } from 'preact'
import { algorithmText } from '@dslog/dnssec/words'
import type { EntryModel } from '../protocol.ts'
import { hrefOf } from '../route.ts'
import { signsKeys } from '../entries.ts'
import { BarredSign } from './barred-sign.tsx'
import { chainWords, dsParts, isoText, isSwap, timeText } from '../words.ts'

export function EntryCard({
  alarm = '',
  entry,
  meaning = '',
  title,
}: {
  entry: EntryModel
  title: ComponentChildren
  meaning?: string
  /** What speaks against it. */
  alarm?: string
}) {
  const { ds, historical, index, keys, outOfOrder, time } = entry
  // What is signed out of order changes nothing of what is in force.
  const change = outOfOrder === true ? undefined : entry.change
  const isWhole = change !== undefined && isSwap(change)
  const kind = outOfOrder === true ? 'odd' : isWhole ? 'swapped' : (change?.kind ?? entry.type)
  return (
    <section class={`entry ${kind}`}>
      <p class="when">
        {time === undefined ? null : <time dateTime={isoText(time)}>{timeText(time)}</time>}
        <a href={hrefOf({ page: 'entry', index })}>entry {index}</a>
        {historical === true ? (
          <span class="tag" title="Brought in later, from an archive">
            from an archive
          </span>
        ) : null}
      </p>
      <h3>{title}</h3>
      {meaning === '' ? null : <p>{meaning}</p>}
      {alarm === '' ? null : (
        <p class="barred">
          <BarredSign /> {alarm}
        </p>
      )}
      {change === undefined ? null : (
        <ul class="ds">
          {change.came.map((ds) => (
            <DsLine key={ds} ds={ds} sign="+" word="Came: " />
          ))}
          {change.went.map((ds) => (
            <DsLine key={ds} ds={ds} sign="−" word="Went: " />
          ))}
          {change.kept.map((ds) => (
            <DsLine key={ds} ds={ds} sign="=" word="Stayed: " />
          ))}
        </ul>
      )}
      {change !== undefined || ds === undefined ? null : (
        <ul class="ds">
          {ds.map((each) => (
            <DsLine key={each} ds={each} sign="·" word="" />
          ))}
        </ul>
      )}
      {keys === undefined ? null : (
        <ul class="ds">
          {keys.map(({ algorithm, flags, tag }) => (
            <li key={tag}>
              <span class="sign" aria-hidden="true">
                ·
              </span>
              key {tag} <span class="quiet">{algorithmText(algorithm)}</span>
              {signsKeys(flags) ? ' signs the keys' : ''}
            </li>
          ))}
        </ul>
      )}
      <details>
        <summary>Evidence</summary>
        <ul class="chain">
          {chainWords(entry).map((words) => (
            <li key={words}>{words}</li>
          ))}
        </ul>
        {entry.records.length === 0 ? null : (
          <pre tabIndex={0} aria-label="Records of the evidence">
            {entry.records.join('\n')}
          </pre>
        )}
        <p class="quiet">The leaf as it is hashed, base64:</p>
        <pre tabIndex={0} aria-label="The leaf">
          {entry.raw}
        </pre>
      </details>
    </section>
  )
}

const CLASSES: Readonly<Record<string, string>> = { '+': 'came', '−': 'went', '=': 'kept' }

function DsLine({ ds, sign, word }: { ds: string; sign: string; word: string }) {
  const { algorithm, digest, hex, tag } = dsParts(ds)
  return (
    <li class={CLASSES[sign] ?? ''}>
      <span class="sign" aria-hidden="true">
        {sign}
      </span>
      <span class="hidden">{word}</span>
      key {tag}{' '}
      <span class="quiet">
        {algorithm}, {digest}
      </span>{' '}
      <code class="hex">{hex}</code>
    </li>
  )
}
