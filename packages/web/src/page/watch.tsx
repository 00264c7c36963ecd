/** Subscribes at a monitor to changes of a name. The monitor asks back before it sends anything. */
import { useEffect, useRef, useState } from 'preact/hooks'
import { ask, AskError, recordOf } from '../api.ts'
import { focusHeading } from '../focus.ts'
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

/** What the monitor takes where nothing is said. */
const DEFAULT_LEVEL = 'NOTICE'

/** What the monitor answered: shapes of schema's monitorapi.ts, as far as they are shown. */
interface Subscribed {
  readonly channel: string
  readonly id: string
  readonly token: string
  readonly secret: string
  readonly warnings: readonly string[]
}

type Outcome =
  | { readonly state: 'asking' | 'editing' }
  | { readonly state: 'wrong'; readonly words: string }
  | ({ readonly state: 'sent' } & Subscribed)

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
      const words = 'The first field takes a domain name, such as example.org.'
      return setOutcome({ state: 'wrong', words })
    }
    const channel = value('channel')
    setOutcome({ state: 'asking' })
    try {
      const answer = await ask(`${monitor}/v1/subscriptions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ name: watched, channel, levels: [value('level')] }),
      })
      setOutcome({ state: 'sent', ...subscribedOf(answer, channel) })
    } catch (error) {
      setOutcome({ state: 'wrong', words: wordsOf(error, host) })
    }
  }

  if (outcome.state === 'sent') return <Sent outcome={outcome} host={host} />
  return (
    <form
      class="card"
      onInput={() => {
        if (outcome.state === 'wrong') setOutcome({ state: 'editing' })
      }}
      onSubmit={(event) => {
        event.preventDefault()
        if (outcome.state !== 'asking') void subscribe(event.currentTarget)
      }}
    >
      <label htmlFor="watched">Domain name</label>
      <input
        id="watched"
        name="watched"
        type="text"
        required
        autoCapitalize="none"
        spellcheck={false}
        defaultValue={name}
        placeholder="example.org"
      />
      <label htmlFor="channel">Where to</label>
      <input
        id="channel"
        name="channel"
        type="text"
        inputMode="email"
        autoComplete="email"
        autoCapitalize="none"
        spellcheck={false}
        required
        placeholder="you@elsewhere.example"
        aria-describedby="channel-hint"
      />
      <p class="quiet" id="channel-hint">
        A mail address, or the https address of a webhook. It goes to the monitor at {host} and
        nowhere else. An address under the domain itself may be read by whoever takes the domain:
        prefer another.
      </p>
      <label htmlFor="level">What for</label>
      <select id="level" name="level">
        {LEVELS.map(([level, text]) => (
          <option key={level} value={level} selected={level === DEFAULT_LEVEL}>
            {text}
          </option>
        ))}
      </select>
      {/* One that is disabled would lose the focus. */}
      <button type="submit" aria-disabled={outcome.state === 'asking'}>
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

function subscribedOf(answer: unknown, channel: string): Subscribed {
  const { id, secret, token, warnings } = recordOf(answer)
  const text = (member: unknown): string => (typeof member === 'string' ? member : '')
  return {
    channel,
    id: text(id),
    secret: text(secret),
    token: text(token),
    warnings: Array.isArray(warnings) ? warnings.map(text).filter((line) => line !== '') : [],
  }
}

function wordsOf(error: unknown, host: string): string {
  if (!(error instanceof AskError)) return String(error)
  return error.status === 404 ? `The monitor at ${host} takes no subscriptions.` : error.message
}

function Sent({ host, outcome }: { host: string; outcome: Subscribed }) {
  const { channel, id, secret, token, warnings } = outcome
  const isMail = !/^https?:/i.test(channel)
  const heading = useRef<HTMLHeadingElement>(null)
  useEffect(() => focusHeading(heading.current), [])
  return (
    <section class="verdict good" aria-labelledby="sent">
      <h2 id="sent" ref={heading}>
        One step is left
      </h2>
      <p>
        {isMail
          ? `The monitor at ${host} sends a message to ${channel}. Open the link in it and confirm: before that, nothing else is sent.`
          : `The monitor at ${host} asks ${channel} to confirm. Before it has, nothing else is sent.`}
      </p>
      {warnings.map((warning) => (
        <p key={warning} class="strip">
          {warning}
        </p>
      ))}
      <Kept
        title={`Token: the only key to your subscription ${id}, not shown again`}
        text={token}
      />
      <Kept title="Key of the webhook's signatures, not shown again" text={secret} />
    </section>
  )
}

function Kept({ text, title }: { title: string; text: string }) {
  if (text === '') return null
  return (
    <>
      <p>{title}:</p>
      <pre tabIndex={0} aria-label={title}>
        {text}
      </pre>
    </>
  )
}
