/** What concerns every page: a log that changed its keys, one that is not about the real DNS, one that is away. */
import { focusHeading } from '../focus.ts'
import { vkeysOf } from '../memory.ts'
import { hrefOf } from '../route.ts'
import { useSession } from '../session.ts'
import { dateText } from '../words.ts'

export function Warnings() {
  const { forget, info, log, remember, trusted } = useSession()
  if (info === undefined) return null
  if (!('origin' in info)) {
    return (
      <aside class="notice" aria-label="The log">
        <h2>There is no log to read here</h2>
        <p>
          {info.message} Another log can be named: add <code>?log=https://…</code> to the address of
          this page, or <a href={hrefOf({ page: 'trust' })}>choose one</a>. Proof files can be{' '}
          <a href={hrefOf({ page: 'verify' })}>verified</a> without any.
        </p>
        <p class="quiet">{log}</p>
      </aside>
    )
  }
  if (trusted === undefined) return null
  const known = vkeysOf(trusted.policy)
  const isOther = !info.vkeys.some((vkey) => known.includes(vkey))
  const first = dateText(trusted.since)
  const accept = (anchors: string): void => {
    focusHeading()
    remember((kept) => ({ ...(kept ?? trusted), anchors }))
  }
  return (
    <>
      {isOther ? (
        <div class="notice alarm" role="alert">
          <h2>This log presents another key than the one you trust</h2>
          <p>
            {trusted.policyFrom === 'log'
              ? `At your first visit, on ${first}, it named another key. `
              : `Your policy of ${first} names another key. `}
            A log does not change its key without announcing it long before. It may be another log
            under the same address, or somebody between you and it. Everything is still verified
            against the key you trusted first, and so will fail.
          </p>
          <Keys title="You trust" vkeys={known} />
          <Keys title="It presents now" vkeys={info.vkeys} />
          <p>
            Only if you have learned elsewhere that this is right:{' '}
            <a href={hrefOf({ page: 'trust' })}>paste a policy you trust</a>, or{' '}
            <button type="button" class="danger" onClick={forget}>
              forget this log and start afresh
            </button>
          </p>
        </div>
      ) : null}
      {trusted.policyFrom === 'log' && new URL(log).host !== location.host ? (
        <aside class="strip" aria-label="Which log">
          This is the log at {new URL(log).host}, which the address of this page names. Whose it is,
          it alone says: <a href={hrefOf({ page: 'trust' })}>give a policy you trust</a>.
        </aside>
      ) : null}
      {info.anchors !== undefined && info.anchors !== trusted.anchors ? (
        <aside class="notice" aria-label="Trust anchors">
          <h2>This log is not about the real DNS</h2>
          <p>
            Its entries hang from trust anchors of its own, as in a demo or a test. They prove
            nothing about real domains, and do not verify against the real root.
          </p>
          <button type="button" onClick={() => accept(info.anchors!)}>
            Use its test anchors for this log
          </button>
        </aside>
      ) : null}
      {trusted.anchors === undefined ? null : (
        <aside class="strip" aria-label="Trust anchors">
          Test anchors are in use: nothing here is about the real DNS.{' '}
          <a href={hrefOf({ page: 'trust' })}>Change</a>
        </aside>
      )}
    </>
  )
}

function Keys({ title, vkeys }: { title: string; vkeys: readonly string[] }) {
  return (
    <p class="keys">
      <strong>{title}</strong>
      {vkeys.map((vkey) => (
        <code key={vkey}>{vkey}</code>
      ))}
    </p>
  )
}
