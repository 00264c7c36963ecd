/** Everything the log holds about the delegation of a name, verified: the picture, the changes, the evidence. */
import { counted } from '@dslog/verify/counted'
import { useCheck } from '../check.ts'
import { inForce, statesOf } from '../entries.ts'
import { useAllowed, useOpinion } from '../opinion.ts'
import { notAllowed } from '../pinned.ts'
import type { EntryModel, Proven } from '../protocol.ts'
import { hrefOf } from '../route.ts'
import { type State as NameState, timelineOf } from '../timeline.ts'
import {
  changeMeaning,
  changeTitle,
  keyText,
  nameText,
  notPinnedWords,
  spanText,
} from '../words.ts'
import { Dating } from '../view/dating.tsx'
import { EntryList } from '../view/entry-list.tsx'
import { MonitorOpinion } from '../view/monitor-opinion.tsx'
import { LookalikeNotice, NameText } from '../view/name-text.tsx'
import { Pinned } from '../view/pinned.tsx'
import { MAX_LANES, TimelineView } from '../view/timeline.tsx'
import { Download, Verdict } from '../view/verdict.tsx'

const STEPS = ['answer', 'checkpoint', 'map', 'evidence', 'past'] as const

export function NamePage({ name }: { name: string }) {
  const check = useCheck({ task: 'name', name })
  const { proven } = check
  return (
    <article>
      <h1>
        <NameText name={name} />
      </h1>
      <LookalikeNotice name={name} />
      {proven === undefined ? null : <State proven={proven} />}
      <Verdict check={check} expected={STEPS} again={check.again}>
        {proven === undefined ? null : (
          <>
            <Sentence name={name} proven={proven} />
            <Dating tree={proven.tree} />
          </>
        )}
      </Verdict>
      {proven === undefined ? null : <Told name={name} proven={proven} />}
    </article>
  )
}

/** What is proven, and beside it what a monitor says. */
function Told({ name, proven }: { name: string; proven: Proven }) {
  const { entries } = proven
  const opinion = useOpinion(name, proven)
  const allowed = useAllowed(name, opinion)
  const states = statesOf(entries)
  const { ds = [], host = '' } = allowed ?? {}
  const hasPins = ds !== 'unreadable' && ds.length > 0
  const barred = hasPins ? notAllowed(states, ds) : NONE
  return (
    <>
      <Picture name={name} entries={entries} states={states} barred={barred} host={host} />
      <Actions name={name} proven={proven} />
      {opinion === undefined ? null : <MonitorOpinion opinion={opinion} proven={proven} />}
      {allowed === undefined ? null : <Pinned allowed={allowed} entries={entries} />}
      <History entries={entries} barred={barred} />
    </>
  )
}

const NONE: ReadonlySet<string> = new Set()

function Sentence({ name, proven: { entries, tree } }: { name: string; proven: Proven }) {
  if (entries.length === 0) {
    return (
      <>
        <p>
          The log has never recorded anything about {nameText(name)}, and proves it: in a tree of{' '}
          {counted(tree.size, 'entry', 'entries')}, nothing is kept under this name. Either it never
          had DNSSEC, or nobody has shown that to the log yet.
        </p>
        <Above name={name} />
      </>
    )
  }
  const [all, each] =
    entries.length === 1
      ? ['The one entry below is', 'It']
      : [`These ${counted(entries.length, 'entry', 'entries')} are`, 'Each']
  return (
    <p>
      {all} everything that the log holds about {nameText(name)}. {each} was signed by its registry,
      and nothing was left out.
    </p>
  )
}

/** People look for hosts; registries hold domains. */
function Above({ name }: { name: string }) {
  const above = name.replace(/^(?:\\.|[^.\\])+\./, '')
  if (above === '' || above === name) return null
  return (
    <p>
      Keys are kept per domain, not per host. Look one level up:{' '}
      <a href={hrefOf({ page: 'name', name: above })}>{above}</a>
    </p>
  )
}

/** What holds now, in a sentence. */
function stateWords(entries: readonly EntryModel[]): string | undefined {
  const now = inForce(entries)
  if (now?.time === undefined) return undefined
  const since = spanText(Math.max(0, Date.now() - now.time))
  const ds = now.ds ?? []
  return ds.length === 0
    ? `No DNSSEC: the registry proved it ${since} ago, and nothing else is logged since.`
    : `Trusted with ${ds.map(keyText).join(' and ')}, unchanged for ${since}.`
}

function State({ proven: { entries } }: { proven: Proven }) {
  const words = stateWords(entries)
  return words === undefined ? null : <p class="lead">{words}</p>
}

interface PictureProps {
  readonly name: string
  readonly entries: readonly EntryModel[]
  readonly states: readonly NameState[]
  /** Keys that the owner does not allow. */
  readonly barred: ReadonlySet<string>
  /** Of the monitor that says so. */
  readonly host: string
}

function Picture({ barred, entries, host, name, states }: PictureProps) {
  if (entries.length === 0) return null
  const timeline = timelineOf(states, Date.now(), MAX_LANES)
  const odd = entries.filter(({ outOfOrder }) => outOfOrder === true).length
  const many = `${counted(entries.length, 'change')}${odd > 0 ? `, ${odd} out of order` : ''}`
  const title = `Timeline of ${nameText(name)}: ${many}. ${stateWords(entries) ?? ''} ${notPinnedWords([...barred])} The changes are listed below.`
  return (
    <TimelineView
      timeline={timeline}
      label={(record) => `${keyText(record)}${barred.has(record) ? ', not pinned' : ''}`}
      title={title}
      barred={barred}
      legend={
        barred.size === 0 ? '' : `a key that the owner has not pinned, says the monitor at ${host}`
      }
    />
  )
}

function Actions({ name, proven: { entries, file } }: { name: string; proven: Proven }) {
  const zone = inForce(entries)?.zone
  return (
    <p class="actions">
      {file === undefined ? null : (
        <Download name={`${name.replace(/\.$/, '') || 'root'}.tlog-proof`} content={file}>
          Keep the proof
        </Download>
      )}
      <a class="button" href={hrefOf({ page: 'watch', name })}>
        Watch this name
      </a>
      {/^[^.]+\.$/.test(name) ? (
        <a class="button" href={hrefOf({ page: 'zone', name })}>
          Names below {name}
        </a>
      ) : null}
      {zone === undefined ? null : (
        <a class="button" href={hrefOf({ page: 'zone', name: zone })}>
          Keys of {zone === '.' ? 'the root' : zone}
        </a>
      )}
    </p>
  )
}

function History({
  barred,
  entries,
}: {
  barred: ReadonlySet<string>
  entries: readonly EntryModel[]
}) {
  if (entries.length === 0) return null
  return (
    <section aria-labelledby="history">
      <h2 id="history">Every change, newest first</h2>
      <EntryList
        entries={entries}
        titleOf={(entry, i) => changeTitle(entry, i === 0)}
        meaningOf={changeMeaning}
        alarmOf={({ change, ds = [], outOfOrder }) =>
          notPinnedWords(
            (outOfOrder === true ? ds : (change?.came ?? [])).filter((each) => barred.has(each)),
          )
        }
      />
    </section>
  )
}
