/** What came of a verification, in a sentence, and what that sentence rests on. */
import type { ComponentChildren } from 'preact'
import { useEffect, useId, useState } from 'preact/hooks'
import { counted } from '@dslog/verify/counted'
import type { Check } from '../check.ts'
import type { Failure, Proven, StepId } from '../protocol.ts'
import { hrefOf } from '../route.ts'
import { dateText, timeText } from '../words.ts'
import { Steps } from './steps.tsx'

const TITLES: Readonly<Record<Failure['kind'], string>> = {
  unreachable: 'Nothing could be verified',
  refused: 'Not verified: do not rely on this answer',
  caught: 'The log contradicts itself',
  input: 'This cannot be verified',
  bug: 'Something went wrong',
}

/** A verification that takes longer is remarked upon, ms. */
const LONG_MS = 4_000

export interface VerdictProps {
  readonly check: Omit<Check, 'again'>
  readonly expected: readonly StepId[]
  /** The sentence, once it is proven. */
  readonly children: ComponentChildren
  readonly again?: () => void
}

export function Verdict({ again, check, children, expected }: VerdictProps) {
  const { failure, proven } = check
  const id = useId()
  return (
    <section
      class={`verdict ${proven !== undefined ? 'good' : failure === undefined ? 'busy' : failure.kind}`}
      aria-labelledby={id}
    >
      <div aria-live="polite">
        {proven === undefined && failure === undefined ? (
          <>
            <h2 id={id}>Verifying in your browser…</h2>
            <Patience />
          </>
        ) : null}
        {proven === undefined ? null : (
          <>
            <h2 id={id}>
              <Tick /> Verified in your browser
            </h2>
            <div class="sentence">{children}</div>
          </>
        )}
        {failure === undefined ? null : <Refusal id={id} failure={failure} again={again} />}
      </div>
      <details class="how" open={proven === undefined}>
        <summary>
          {proven === undefined
            ? 'Steps'
            : `How: ${counted(check.steps.length, 'step')}, ${proven.took} ms`}
        </summary>
        <Steps check={check} expected={expected} />
      </details>
      {proven === undefined ? null : <Basis proven={proven} />}
    </section>
  )
}

/** Says that it goes on, when it takes long. */
function Patience() {
  const [isLong, setLong] = useState(false)
  useEffect(() => {
    const timer = setTimeout(() => setLong(true), LONG_MS)
    return () => clearTimeout(timer)
  }, [])
  return isLong ? <p class="quiet">This takes longer than usual; nothing is shown before.</p> : null
}

function Refusal({
  again,
  failure,
  id,
}: {
  id: string
  failure: Failure
  again: (() => void) | undefined
}) {
  return (
    <>
      <h2 id={id}>{TITLES[failure.kind]}</h2>
      <p class="sentence">{failure.words}</p>
      {failure.detail === failure.words ? null : <p class="quiet detail">{failure.detail}</p>}
      {failure.evidence === undefined ? null : (
        <ul class="files">
          {failure.evidence.map(({ name, text }) => (
            <li key={name}>
              <Download name={name} content={text}>
                Keep {name}
              </Download>
            </li>
          ))}
        </ul>
      )}
      {again === undefined ? null : (
        <button type="button" onClick={again}>
          Try again
        </button>
      )}
    </>
  )
}

/** What is trusted for it: no verdict is worth more than that. */
function Basis({ proven: { tree, trust } }: { proven: Proven }) {
  const isOwn = trust.policyFrom === 'you'
  const since = dateText(trust.since)
  const witnesses = tree.witnesses.map(({ name }) => name).join(', ')
  return (
    <details class="basis">
      <summary>What this rests on</summary>
      <dl>
        <dt>The log's key</dt>
        <dd>
          {isOwn
            ? `The policy you gave on ${since}. `
            : `The log named its key itself at your first visit, on ${since}. So this shows that it tells you one story, not that it tells everybody the same. `}
          Key <code>{tree.keyId}</code> of <code>{tree.origin}</code>.{' '}
          <a href={hrefOf({ page: 'trust' })}>{isOwn ? 'Change it' : 'Give your own policy'}</a>
        </dd>
        <dt>Witnesses</dt>
        <dd>
          {tree.witnesses.length === 0
            ? 'None confirmed this tree, so only comparing with others would show that the log keeps a second one.'
            : `${witnesses} confirmed that this tree continues all they saw before.`}
          {tree.quorum === undefined
            ? ' Your policy asks for none.'
            : ` Your policy asks for ${tree.quorum}.`}
        </dd>
        <dt>Root keys</dt>
        <dd>
          {trust.anchors === undefined
            ? 'The trust anchors of the DNS root, as IANA publishes them.'
            : 'Test anchors that you accepted: nothing of this is about the real DNS.'}
        </dd>
        <dt>The tree</dt>
        <dd>
          {counted(tree.size, 'entry', 'entries')}
          {tree.time === undefined ? '' : `; closed ${timeText(tree.time)}, by the log's clock`}.
          Root <code>{tree.root}</code>
        </dd>
        <dt>Not proven</dt>
        <dd>
          That a change was wrong or right: only the owner knows. That there is no key which was
          shown to somebody and never reached this log.
        </dd>
      </dl>
    </details>
  )
}

function Tick() {
  return (
    <svg class="tick" viewBox="0 0 24 24" width="26" height="26" aria-hidden="true">
      <circle cx="12" cy="12" r="11" />
      <path d="M7 12.5l3.4 3.4L17 9" />
    </svg>
  )
}

/** A file made here, to keep. */
export function Download({
  children,
  content,
  name,
}: {
  name: string
  content: Uint8Array | string
  children: ComponentChildren
}) {
  const [href, setHref] = useState<string>()
  useEffect(() => {
    const part = typeof content === 'string' ? content : new Uint8Array(content)
    const url = URL.createObjectURL(new Blob([part], { type: 'text/plain' }))
    setHref(url)
    return () => URL.revokeObjectURL(url)
  }, [content])
  if (href === undefined) return null
  return (
    <a class="button" href={href} download={name}>
      {children}
    </a>
  )
}
