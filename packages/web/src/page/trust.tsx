/** Whom somebody trusts: the policy, the root keys, the monitor, and which log this is about. */
import { useState } from 'preact/hooks'
import { isWebUrl } from '../api.ts'
import { FieldForm } from '../view/field-form.tsx'
import type { PolicyModel } from '../protocol.ts'
import { monitorOf, useSession } from '../session.ts'
import { checkText } from '../verifier.ts'
import { dateText } from '../words.ts'

const NO_URL = 'That is no address of a web server.'

export function TrustPage() {
  const session = useSession()
  const { forget, info, trusted } = session
  return (
    <article>
      <h1>Whom you trust</h1>
      <p>
        A verdict is worth as much as what it is held against. All of this stays in your browser.
      </p>
      <section aria-labelledby="policy">
        <h2 id="policy">The log's key and witnesses</h2>
        {trusted === undefined ? (
          <p>No policy yet. Paste one of the log you want to verify.</p>
        ) : (
          <p>
            {trusted.policyFrom === 'you'
              ? `You gave this policy on ${dateText(trusted.since)}.`
              : `The log itself gave this policy at your first visit, on ${dateText(trusted.since)}. Compare it with one from somewhere else: the operator's other channels, a friend, a monitor.`}
          </p>
        )}
        <PolicyForm />
      </section>
      <section aria-labelledby="anchors">
        <h2 id="anchors">Root keys</h2>
        <AnchorsForm />
      </section>
      <section aria-labelledby="others">
        <h2 id="others">A monitor to compare with</h2>
        <MonitorForm current={monitorOf(session)} isOwn={trusted?.monitor !== undefined} />
      </section>
      <section aria-labelledby="which">
        <h2 id="which">Which log</h2>
        <LogForm />
      </section>
      <section aria-labelledby="seen">
        <h2 id="seen">What this browser remembers</h2>
        <p>
          {trusted === undefined
            ? 'Nothing of this log.'
            : 'The policy above, and the newest tree it has verified. Without them it could not tell a log that changes its story.'}
        </p>
        {info === undefined || trusted === undefined ? null : (
          <button type="button" class="danger" onClick={forget}>
            Forget this log
          </button>
        )}
      </section>
    </article>
  )
}

function PolicyForm() {
  const { remember, trusted } = useSession()
  const [said, setSaid] = useState<PolicyModel>()
  const take = async (entered: string): Promise<string | undefined> => {
    setSaid(undefined)
    const text = `${entered}\n`
    const checked = await checkText({ task: 'policy', text })
    if (!('policy' in checked)) return undefined
    const [log] = checked.policy.logs
    if (log === undefined) return 'The policy names no log.'
    setSaid(checked.policy)
    remember((kept) => ({
      ...(kept?.origin === log.origin ? kept : {}),
      origin: log.origin,
      policy: text,
      policyFrom: 'you',
      since: Date.now(),
    }))
    return undefined
  }
  return (
    <FieldForm name="policy" take={take}>
      {(isWrong) => (
        <>
          <label htmlFor="policy-text">
            Policy (<a href="https://c2sp.org/tlog-policy">C2SP tlog-policy</a>)
          </label>
          <textarea
            key={trusted?.policy}
            id="policy-text"
            name="policy"
            rows={5}
            spellcheck={false}
            defaultValue={trusted?.policy ?? ''}
            aria-invalid={isWrong}
          />
          <button type="submit">Trust this policy</button>
          <p role="status">{said === undefined ? '' : `Trusted from now on: ${inWords(said)}.`}</p>
        </>
      )}
    </FieldForm>
  )
}

function inWords({ logs, quorum }: PolicyModel): string {
  const keys = logs.map(({ keyId, origin }) => `${origin} (key ${keyId})`).join(', ')
  const asked = quorum === undefined ? 'no witness is asked for' : `${quorum} has to confirm`
  return `${keys}; ${asked}`
}

function AnchorsForm() {
  const { remember, trusted } = useSession()
  if (trusted === undefined) return <p>Choose a log first.</p>
  const take = async (text: string): Promise<undefined> => {
    if (text !== '') await checkText({ task: 'anchors', text })
    remember((kept) => {
      const { anchors: _, ...rest } = kept ?? trusted
      return text === '' ? rest : { ...rest, anchors: text }
    })
  }
  return (
    <FieldForm name="anchors" take={take}>
      {(isWrong) => (
        <>
          <p>
            {trusted.anchors === undefined
              ? 'Those of the DNS root, as IANA publishes them, are built in.'
              : 'Test anchors are in use. With them nothing says anything about the real DNS.'}
          </p>
          <details open={trusted.anchors !== undefined}>
            <summary>Use other anchors, for a test</summary>
            <label htmlFor="anchors-text">Anchors, one a line; empty for those of the root</label>
            <textarea
              key={trusted.anchors}
              id="anchors-text"
              name="anchors"
              rows={3}
              spellcheck={false}
              placeholder=". DS 20326 8 2 E06D…"
              defaultValue={trusted.anchors ?? ''}
              aria-invalid={isWrong}
            />
            <button type="submit">Use these anchors</button>
          </details>
        </>
      )}
    </FieldForm>
  )
}

function MonitorForm({ current, isOwn }: { current: string | undefined; isOwn: boolean }) {
  const { remember, trusted } = useSession()
  if (trusted === undefined) return <p>Choose a log first.</p>
  const take = (text: string): string | undefined => {
    const url = text.replace(/\/+$/, '')
    if (url !== '' && !isWebUrl(url)) return NO_URL
    remember((kept) => {
      const { monitor: _, ...rest } = kept ?? trusted
      return url === '' ? rest : { ...rest, monitor: url }
    })
    return undefined
  }
  return (
    <FieldForm name="monitor" take={take}>
      {(isWrong) => (
        <>
          <p>
            {current === undefined
              ? 'None is known.'
              : isOwn
                ? 'You chose it.'
                : 'The log named it. One that its operator does not run tells you more.'}
          </p>
          <label htmlFor="monitor-url">Address of the monitor</label>
          <div class="field">
            <input
              key={current}
              id="monitor-url"
              name="monitor"
              type="url"
              placeholder="https://monitor.example"
              defaultValue={current ?? ''}
              aria-invalid={isWrong}
            />
            <button type="submit">Use</button>
          </div>
        </>
      )}
    </FieldForm>
  )
}

function LogForm() {
  const { log } = useSession()
  const take = (url: string): string | undefined => {
    if (!isWebUrl(url)) return NO_URL
    location.search = `?log=${encodeURIComponent(url)}`
    return undefined
  }
  return (
    <FieldForm name="log" take={take}>
      {(isWrong) => (
        <>
          <label htmlFor="log-url">Address of the log</label>
          <div class="field">
            <input id="log-url" name="log" type="url" defaultValue={log} aria-invalid={isWrong} />
            <button type="submit">Open</button>
          </div>
        </>
      )}
    </FieldForm>
  )
}
