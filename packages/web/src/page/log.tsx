/** How the log stands: its newest tree, verified, and what a monitor has verified of it. */
import { useEffect, useState } from 'preact/hooks'
import { counted } from '@dslog/verify/counted'
import { ask, askMonitor, type MonitorView, recordOf } from '../api.ts'
import { useCheck } from '../check.ts'
import type { Proven } from '../protocol.ts'
import { hrefOf } from '../route.ts'
import { monitorOf, useSession } from '../session.ts'
import { spanText, timeText } from '../words.ts'
import { Download, Verdict } from '../view/verdict.tsx'

export function LogPage() {
  const session = useSession()
  const { info, log } = session
  const check = useCheck({ task: 'checkpoint' })
  const origin = info !== undefined && 'origin' in info ? info.origin : undefined
  return (
    <article>
      <h1>The log</h1>
      <Verdict check={check} expected={['checkpoint', 'past']} again={check.again}>
        <p>
          Its newest checkpoint is signed by the key you trust
          {check.proven?.continues === undefined
            ? '. It is the first that this browser sees, so there is nothing to compare it with yet'
            : ', and continues what this browser has seen of it'}
          . Whether every entry keeps the rules takes a replay of the whole log: that is what
          monitors do, and <code>dslog audit</code>.
        </p>
      </Verdict>
      {check.proven === undefined ? null : <Facts proven={check.proven} />}
      <section aria-labelledby="monitor">
        <h2 id="monitor">What a monitor says</h2>
        <Monitor monitor={monitorOf(session)} origin={origin} />
      </section>
      <section aria-labelledby="raw">
        <h2 id="raw">For programs</h2>
        <ul>
          <li>
            <a href={`${log}/checkpoint`}>checkpoint</a>,{' '}
            <a href={`${log}/v1/log`}>what this log is</a>,{' '}
            <a href={`${log}/docs`}>description of the API</a>
          </li>
          <li>
            <a href={hrefOf({ page: 'by-hand' })}>Verify by hand</a>
          </li>
        </ul>
      </section>
    </article>
  )
}

function Facts({ proven: { tree } }: { proven: Proven }) {
  const { info, log } = useSession()
  const [published, setPublished] = useState<number>()
  useEffect(() => {
    ask(`${log}/v1/checkpoint`, { cache: 'no-store' })
      .then((answer) => {
        const { published_at: at } = recordOf(answer)
        if (typeof at === 'number') setPublished(at)
      })
      .catch(() => setPublished(undefined))
  }, [log])
  const cosigned = tree.witnesses.map(({ name, time }) => `${name} (${timeText(time)})`).join(', ')
  return (
    <>
      <dl class="facts">
        <div>
          <dt>Entries</dt>
          <dd>{tree.size.toLocaleString('en')}</dd>
        </div>
        <div>
          <dt>Published, it says</dt>
          <dd>
            {published === undefined ? '–' : `${spanText(Math.max(0, Date.now() - published))} ago`}
          </dd>
        </div>
        <div>
          <dt>Witnesses</dt>
          <dd>{tree.witnesses.length === 0 ? 'none' : cosigned}</dd>
        </div>
        <div>
          <dt>Software</dt>
          <dd>{info !== undefined && 'origin' in info ? (info.software ?? '–') : '–'}</dd>
        </div>
      </dl>
      <h2>Checkpoint</h2>
      <pre tabIndex={0} aria-label="The signed checkpoint">
        {tree.note}
      </pre>
      <p class="actions">
        <Download name={`${tree.size}.checkpoint`} content={tree.note}>
          Keep this checkpoint
        </Download>
      </p>
    </>
  )
}

function Monitor({ monitor, origin }: { monitor: string | undefined; origin: string | undefined }) {
  const [view, setView] = useState<MonitorView | 'none' | { readonly error: string }>()
  useEffect(() => {
    if (monitor === undefined || origin === undefined) return
    askMonitor(monitor, origin).then(
      (found) => setView(found ?? 'none'),
      (error: unknown) =>
        setView({ error: error instanceof Error ? error.message : String(error) }),
    )
  }, [monitor, origin])
  if (monitor === undefined) {
    return (
      <p>
        A monitor replays the whole log and keeps evidence of whatever breaks its rules. None is
        known here: <a href={hrefOf({ page: 'trust' })}>give the address of one</a> to compare.
      </p>
    )
  }
  if (view === undefined) return <p class="quiet">Asking {new URL(monitor).host}…</p>
  if (view === 'none') {
    return <p>The monitor at {new URL(monitor).host} does not follow this log.</p>
  }
  if ('error' in view) return <p class="wrong">{view.error}</p>
  return <Compared monitor={monitor} view={view} />
}

/** States of `MonitorStatus`, schema's api.ts: whether every entry keeps the rules. */
const STATES: Readonly<Record<string, string>> = {
  starting: 'it has only begun',
  following: 'all of it does',
  behind: 'all that it has come to does',
  stale: 'all of it does, but nothing new has come for long',
  unreachable: 'the log does not answer it',
  untrusted: 'what it is shown now does not satisfy its policy',
  misbehaving: 'the log does not keep them, and there is evidence',
}

function Compared({ monitor, view }: { monitor: string; view: MonitorView }) {
  const { misbehaviour, root, size, state } = view
  const check = useCheck({ task: 'checkpoint', view: { root, size } })
  const host = new URL(monitor).host
  return (
    <>
      {misbehaviour > 0 || state === 'misbehaving' ? (
        <p class="notice alarm" role="alert">
          The monitor at {host} keeps {counted(misbehaviour, 'piece')} of evidence against this log.{' '}
          <a href={`${monitor}/v1/evidence`}>See the evidence</a>
        </p>
      ) : null}
      <Verdict check={check} expected={['checkpoint', 'past', 'monitor']} again={check.again}>
        <p>
          The tree that the monitor at {host} has replayed, {counted(size, 'entry', 'entries')}, is
          the beginning of the one the log shows you. That every entry in it keeps the rules is the
          monitor's word; it says: {STATES[state] ?? state}
          {view.lastSuccess === null ? '' : `, last complete ${timeText(view.lastSuccess)}`}.
        </p>
      </Verdict>
    </>
  )
}
