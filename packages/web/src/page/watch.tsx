/** Subscribes at a monitor to changes of a name. The monitor asks back before it sends anything. */
import { useState } from 'preact/hooks'
import { ask, AskError, recordOf } from '../api.ts'
import { hrefOf, nameOfSearch } from '../route.ts'
import { monitorOf, useSession } from '../session.ts'

/** How urgent a message has to be, weakest first. */
const LEVELS = [
  ['INFO', 'Everything, also expected changes'],
  ['NOTICE', 'What deserves a look'],
  ['WARNING', 'What is likely a mistake'],
  ['HIGH', 'Changes that nobody announced'],
  ['CRITICAL', 'Only what looks like an attack'],
] as const

type Outcome =
  | { readonly state: 'asking' | 'editing' }
  | { readonly state: 'wrong'; readonly words: string }
  | {
      readonly state: 'sent'
      readonly channel: string
      readonly token: string
      readonly id: string
    }

export function WatchPage({ name = '' }: { name?: string }) {
  const monitor = monitorOf(useSession())
  return (
    <article>
      <h1>Watch a name</h1>
      <p>
        A monitor that trusts neither this log nor its operator can tell you when a key of your
        domain changes and you did not change it. It sends nothing before you have confirmed.
      </p>
      {monitor === undefined ? <NoMonitor /> : <Form monitor={monitor} name={name} />}
      <section aria-labelledby="own">
        <h2 id="own">Run your own</h2>
        <p>
          The best watch is one that nobody else can switch off: <code>dslog monitor</code> follows
          any log on your machine, and <code>dslog watch NAME</code> prints changes as they come.
        </p>
      </section>
    </article>
  )
}

/** The field for where messages go, of either kind. */
const ADDRESS = {
  id: 'address',
  name: 'address',
  required: true,
  'aria-describedby': 'address-hint',
} as const

function NoMonitor() {
  return (
    <aside class="notice" aria-label="Monitor">
      <h2>No monitor is known here</h2>
      <p>
        This log names none. <a href={hrefOf({ page: 'trust' })}>Give the address of one</a>, or run
        your own.
      </p>
    </aside>
  )
}

function Form({ monitor, name }: { monitor: string; name: string }) {
  const [outcome, setOutcome] = useState<Outcome>({ state: 'editing' })
  const [kind, setKind] = useState<'email' | 'webhook'>('email')
  const host = new URL(monitor).host

  async function subscribe(form: HTMLFormElement): Promise<void> {
    const fields = new FormData(form)
    const value = (field: string): string => {
      const given = fields.get(field)
      return typeof given === 'string' ? given.trim() : ''
    }
    let watched: string
    try {
      watched = nameOfSearch(value('watched'))
    } catch {
      return setOutcome({
        state: 'wrong',
        words: 'The first field takes a domain name, such as example.org.',
      })
    }
    const address = value('address')
    const channel =
      kind === 'email' ? { type: 'email', address } : { type: 'webhook', url: address }
    setOutcome({ state: 'asking' })
    try {
      const answer = await ask(`${monitor}/v1/subscriptions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ name: watched, channel, level: value('level') }),
      })
      const { id, token } = recordOf(answer)
      const text = (member: unknown): string => (typeof member === 'string' ? member : '')
      setOutcome({ state: 'sent', channel: address, token: text(token), id: text(id) })
    } catch (error) {
      const isMissing = error instanceof AskError && error.status === 404
      const words = isMissing
        ? `The monitor at ${host} takes no subscriptions.`
        : error instanceof AskError
          ? error.message
          : String(error)
      setOutcome({ state: 'wrong', words })
    }
  }

  if (outcome.state === 'sent') return <Sent outcome={outcome} host={host} kind={kind} />
  return (
    <form
      class="card"
      onSubmit={(event) => {
        event.preventDefault()
        void subscribe(event.currentTarget)
      }}
    >
      <label htmlFor="watched">Domain name</label>
      <input
        id="watched"
        name="watched"
        required
        autoCapitalize="none"
        spellcheck={false}
        defaultValue={name}
        placeholder="example.org"
      />
      <fieldset>
        <legend>How shall it reach you?</legend>
        {(['email', 'webhook'] as const).map((option) => (
          <label key={option} class="choice">
            <input
              type="radio"
              name="kind"
              value={option}
              checked={kind === option}
              onChange={() => setKind(option)}
            />
            {option === 'email' ? 'Mail' : 'Webhook, signed'}
          </label>
        ))}
      </fieldset>
      <label htmlFor="address">{kind === 'email' ? 'Mail address' : 'Address (https)'}</label>
      {kind === 'email' ? (
        <input {...ADDRESS} type="email" autoComplete="email" />
      ) : (
        <input {...ADDRESS} type="url" placeholder="https://hooks.example/dslog" />
      )}
      <p class="quiet" id="address-hint">
        It goes to the monitor at {host} and nowhere else.
        {kind === 'email'
          ? ' An address under the domain itself may be read by whoever takes the domain: prefer another.'
          : ''}
      </p>
      <label htmlFor="level">When?</label>
      <select id="level" name="level" defaultValue="NOTICE">
        {LEVELS.map(([level, text]) => (
          <option key={level} value={level}>
            {text}
          </option>
        ))}
      </select>
      <button type="submit" disabled={outcome.state === 'asking'}>
        {outcome.state === 'asking' ? 'Asking…' : 'Subscribe'}
      </button>
      {outcome.state === 'wrong' ? (
        <p class="wrong" role="alert">
          {outcome.words}
        </p>
      ) : null}
    </form>
  )
}

function Sent({
  host,
  kind,
  outcome: { channel, id, token },
}: {
  host: string
  kind: 'email' | 'webhook'
  outcome: Outcome & { state: 'sent' }
}) {
  return (
    <section class="verdict good" aria-labelledby="sent">
      <h2 id="sent">One step is left</h2>
      <p role="status">
        {kind === 'email'
          ? `The monitor at ${host} has sent a message to ${channel}. Open the link in it and confirm: before that, nothing is sent.`
          : `The monitor at ${host} asks ${channel} to confirm. Nothing is sent before it has.`}
      </p>
      {token === '' ? null : (
        <>
          <p>
            Keep this token: it is the only key to your subscription <code>{id}</code>, and is not
            shown again.
          </p>
          <pre tabIndex={0} aria-label="Token of the subscription">
            {token}
          </pre>
        </>
      )}
    </section>
  )
}
