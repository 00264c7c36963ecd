/** A zone that signs for others: its keys over time, verified, and the names below it. */
import { useEffect, useState } from 'preact/hooks'
import { pathOf } from '@dslog/schema/path'
import { nameFromText } from '@dslog/dnssec/name'
import { algorithmText } from '@dslog/dnssec/words'
import { counted } from '@dslog/verify/counted'
import { ask, AskError, recordOf } from '../api.ts'
import { useCheck } from '../check.ts'
import { signsKeys } from '../entries.ts'
import type { EntryModel, KeyModel, Proven } from '../protocol.ts'
import { hrefOf } from '../route.ts'
import { useSession } from '../session.ts'
import { timelineOf } from '../timeline.ts'
import { nameText, zoneText } from '../words.ts'
import { Dating } from '../view/dating.tsx'
import { EntryList } from '../view/entry-list.tsx'
import { NameText } from '../view/name-text.tsx'
import { MAX_LANES, TimelineView } from '../view/timeline.tsx'
import { Download, Verdict } from '../view/verdict.tsx'

const STEPS = ['answer', 'checkpoint', 'map', 'evidence', 'past'] as const

/** Names shown at once. */
const PAGE = 50

export function ZonePage({ zone }: { zone: string }) {
  const check = useCheck({ task: 'zone', name: zone })
  const { proven } = check
  return (
    <article>
      <h1>Keys of {zone === '.' ? 'the DNS root' : <NameText name={zone} />}</h1>
      <Verdict check={check} expected={STEPS} again={check.again}>
        <p>
          {proven?.entries.length === 0
            ? `The log holds no keys of ${nameText(zone)}, and proves it: it records nothing that this zone signed.`
            : `These are all key sets of ${zoneText(zone)} in the log. What the zone signed is checked against them.`}
        </p>
        {proven === undefined ? null : <Dating tree={proven.tree} />}
      </Verdict>
      {proven === undefined ? null : <Picture zone={zone} proven={proven} />}
      {proven?.file === undefined ? null : (
        <p class="actions">
          <Download
            name={`keys-of-${zone.replace(/\.$/, '') || 'root'}.tlog-proof`}
            content={proven.file}
          >
            Keep the proof
          </Download>
          {zone === '.' ? null : (
            <a class="button" href={hrefOf({ page: 'name', name: zone })}>
              History of {zone} itself
            </a>
          )}
        </p>
      )}
      {proven === undefined || proven.entries.length === 0 ? null : (
        <section aria-labelledby="sets">
          <h2 id="sets">Key sets, newest first</h2>
          <EntryList
            entries={proven.entries}
            titleOf={(entry, i) => setTitle(entry, proven.entries[i - 1])}
          />
        </section>
      )}
      <Names zone={zone} />
    </article>
  )
}

function idOf({ algorithm, flags, tag }: KeyModel): string {
  return `${tag} ${algorithm} ${flags}`
}

function labelOf(id: string): string {
  const [tag, algorithm, flags] = id.split(' ')
  const role = signsKeys(Number(flags)) ? ', signs keys' : ''
  return `key ${tag} (${algorithmText(Number(algorithm))}${role})`
}

function setTitle({ keys = [] }: EntryModel, before: EntryModel | undefined): string {
  if (before?.keys === undefined) return 'First seen'
  const [old, now] = [before.keys.map(idOf), keys.map(idOf)]
  const came = now.filter((id) => !old.includes(id)).length
  const went = old.filter((id) => !now.includes(id)).length
  if (came === 0 && went === 0) return 'The same keys, signed anew'
  return [
    ...(came > 0 ? [`${counted(came, 'key')} came`] : []),
    ...(went > 0 ? [`${counted(went, 'key')} went`] : []),
  ].join(', ')
}

function Picture({ proven: { entries }, zone }: { zone: string; proven: Proven }) {
  if (entries.length === 0) return null
  const states = entries.flatMap(({ index, keys = [], time }) =>
    time === undefined ? [] : [{ index, time, records: keys.map(idOf), outOfOrder: false }],
  )
  const title = `Keys of ${zoneText(zone)} over time, from ${counted(entries.length, 'key set')}, which are listed below.`
  return (
    <TimelineView
      timeline={timelineOf(states, Date.now(), MAX_LANES)}
      label={labelOf}
      title={title}
    />
  )
}

interface NameRow {
  readonly name: string
  readonly signed: boolean
}

/** The names of the zone: as the log tells it. */
function Names({ zone }: { zone: string }) {
  const { log } = useSession()
  const [counts, setCounts] = useState<{ readonly names: number; readonly signed: number }>()
  const [rows, setRows] = useState<readonly NameRow[]>([])
  const [next, setNext] = useState<string | null>(null)
  const [wrong, setWrong] = useState('')
  const path = `${log}/v1/zones/${pathOf(nameFromText(zone))}`
  const more = (after: string): void => {
    ask(`${path}/names?limit=${PAGE}${after}`)
      .then((answer) => {
        const { names, next: following } = recordOf(answer)
        const page = (Array.isArray(names) ? names : []).flatMap((row: unknown) => {
          const { ds, name } = recordOf(row)
          return typeof name === 'string'
            ? [{ name, signed: Array.isArray(ds) && ds.length > 0 }]
            : []
        })
        setRows((before) => [...before, ...page])
        setNext(typeof following === 'string' ? following : null)
      })
      .catch((error: unknown) =>
        setWrong(error instanceof AskError ? error.message : String(error)),
      )
  }
  useEffect(() => {
    ask(path)
      .then((answer) => {
        const { names, signed } = recordOf(answer)
        if (typeof names === 'number' && typeof signed === 'number') setCounts({ names, signed })
      })
      .catch((error: unknown) =>
        setWrong(error instanceof AskError ? error.message : String(error)),
      )
    more('')
  }, [path])
  return (
    <section aria-labelledby="names">
      <h2 id="names">Names it signs for</h2>
      {wrong === '' ? null : <p class="wrong">{wrong}</p>}
      {counts === undefined ? null : (
        <p>
          As the log counts: {counted(counts.names, 'name')}, of which{' '}
          {counts.signed.toLocaleString('en')} {counts.signed === 1 ? 'has' : 'have'} DNSSEC now.
        </p>
      )}
      <ul class="names">
        {rows.map(({ name, signed }) => (
          <li key={name}>
            <a href={hrefOf({ page: 'name', name })}>
              <NameText name={name} />
            </a>
            {signed ? null : <span class="quiet"> no DNSSEC now</span>}
          </li>
        ))}
      </ul>
      {next === null ? null : (
        <button type="button" onClick={() => more(`&after=${encodeURIComponent(next)}`)}>
          More names
        </button>
      )}
    </section>
  )
}
