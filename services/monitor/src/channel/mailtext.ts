/**
 * The words of mails: plain text, and the same as HTML without pictures, styles from elsewhere, or links
 * other than the monitor's own. Everything that comes from the log or from strangers is escaped in HTML,
 * and in presentation form in both.
 */
import { Eta } from 'eta'
import type { Alert } from '@dslog/schema/alert'
import { dateOf } from '@dslog/verify/describe'
import { isClaimable } from '../alert.ts'
import type { Content } from './channel.ts'

/** What the templates are given beside the content. */
export interface MailContext {
  /** Public URL of the monitor. */
  readonly base: string
  readonly manage: string
  readonly unsubscribe: string
  /** To say "that was me", or to confirm. */
  readonly act: string | undefined
  /** The mailbox is under the name it is told about. */
  readonly isUnder: boolean
  /** Name of the attached proof file. */
  readonly proof: string | undefined
}

/** A mail but for its address. */
export interface MailText {
  readonly subject: string
  readonly text: string
  readonly html: string
}

/** A line of the difference between two DS sets. */
interface DiffLine {
  readonly mark: '-' | '+' | ' '
  readonly ds: string
}

/** DS sets as a difference: what went, what came, what stayed. */
export function differenceOf({ after, before }: Pick<Alert, 'before' | 'after'>): DiffLine[] {
  if (after === null) return []
  const old = before ?? []
  return [
    ...old.filter((ds) => !after.includes(ds)).map((ds): DiffLine => ({ mark: '-', ds })),
    ...old.filter((ds) => after.includes(ds)).map((ds): DiffLine => ({ mark: ' ', ds })),
    ...after.filter((ds) => !old.includes(ds)).map((ds): DiffLine => ({ mark: '+', ds })),
  ]
}

/** What an owner answers an alert with, where it asks for an answer. */
export function answerOf(alert: Pick<Alert, 'after' | 'rule'>): string {
  return isClaimable(alert) ? 'That was me' : 'I have seen this'
}

/** A time for people, UTC. */
function timeOf(ms: number): string {
  return `${dateOf(ms).toISOString().slice(0, 19).replace('T', ' ')} UTC`
}

const EVENTS = {
  raised: '',
  risen: 'This alert has risen to a higher level.',
  resolved: 'This alert is resolved.',
} as const

function subjectOf(content: Content): string {
  switch (content.type) {
    case 'raised':
    case 'risen':
      return `${content.alert.level}: ${content.alert.title}`
    case 'resolved':
      return `Resolved: ${content.alert.title}`
    case 'confirm':
      return `Please confirm: watch ${content.name}`
    case 'confirm-pins':
      return `Please confirm: new pins for ${content.name}`
    case 'digest':
      return `${content.name} summary: ${content.alerts.length + content.more} alerts`
    case 'ended':
      return `${content.name} is not watched any more`
  }
}

const TEXT = `<% const { content: c, context: x } = it -%>
<% if (c.alert) { const a = c.alert -%>
<%= a.level %>: <%= a.title %> (<%= a.rule %>)
<% if (it.event) { %>
<%= it.event %><% if (a.resolution !== null && c.type === 'resolved') { %> <%= a.resolution %><% } %>
<% } %>
<% if (it.diff.length > 0) { -%>
DS records of <%= a.name %>

<% for (const line of it.diff) { -%>
  <%= line.mark %> <%= line.ds %>
<% } %>
<% } else if (a.after !== null) { -%>
DS records of <%= a.name %>: none, and the zone above proves it.

<% } -%>
Seen:   <%= it.time(a.first_at) %>
<% if (a.index !== null) { -%>
Entry:  <%= a.index %> of <%= a.log %>
<% } -%>
Watch:  <%= a.watched %>

Why this level
  <%= a.why %>

<% if (c.type !== 'resolved') { -%>
What to do in the next hour
<% for (const [i, step] of a.todo.entries()) { -%>
  <%= i + 1 %>. <%= step %>
<% } %>
<% if (x.act && it.isClaimable(a)) { -%>
Was this you? Then say so, which opens a page and does nothing by itself:
  <%= x.act %>
<% } else if (x.act) { -%>
To say that you have seen this:
  <%= x.act %>
<% } -%>
<% } -%>
<% if (x.proof) { %>
The attached file proves the entry without any server: dslog verify <%= x.proof %>
<% } -%>
<% } else if (c.type === 'confirm') { -%>
Somebody, probably you, asked <%= x.base %> to watch

  <%= c.name %>

and to tell this address when the keys of its delegation (DS records) change.
To confirm, open this page and press the button, before <%= it.time(c.until) %>:

  <%= x.act %>

If it was not you, do nothing: you will hear nothing more.
<% } else if (c.type === 'confirm-pins') { -%>
New pins for <%= c.name %> were published with a valid owner signature:

<% for (const pin of c.pins) { -%>
  <%= pin %>
<% } -%>
<% if (c.pins.length === 0) { -%>
  (none: all pins are taken back)
<% } %>
They count from <%= it.time(c.effective_at) %> on. If they are yours and shall count
at once, open this page and press the button:

  <%= x.act %>

If they are not yours: somebody holds your owner key and the token of this subscription.
<% } else if (c.type === 'digest') { -%>
What was found about <%= c.name %> and not worth a mail of its own<% if (c.folded > 0) { %>, or over the
number of mails a day (<%= c.folded %> alerts)<% } %>:

<% for (const a of c.alerts) { -%>
  <%= it.time(a.first_at) %>  <%= a.level %>  <%= a.title %> (<%= a.rule %><% if (a.index !== null) { %>, entry <%= a.index %><% } %>)
<% } -%>
<% if (c.more > 0) { -%>
  … and <%= c.more %> more.
<% } -%>
<% } else { -%>
The subscription for <%= c.name %> has ended; this was the last mail.
If it was not you who ended it, subscribe again at <%= x.base %>
<% } -%>
<% if (x.isUnder && c.type !== 'ended') { %>
NOTE: this mailbox lies under the name it is told about. Whoever takes over the name can
read and delete its mail. Add a second channel elsewhere.
<% } %>
--
<% if (c.type !== 'ended') { -%>
Manage:       <%= x.manage %>
Unsubscribe:  <%= x.unsubscribe %>
<% } else { -%>
<%= x.base %>
<% } -%>
`

const HTML = `<% const { content: c, context: x } = it -%>
<!doctype html><html lang="en"><head><meta charset="utf-8"><title><%= it.subject %></title></head><body>
<% if (c.alert) { const a = c.alert -%>
<h1><%= a.level %>: <%= a.title %></h1>
<% if (it.event) { %><p><strong><%= it.event %></strong> <% if (a.resolution !== null && c.type === 'resolved') { %><%= a.resolution %><% } %></p><% } -%>
<% if (it.diff.length > 0) { -%>
<p>DS records of <%= a.name %></p>
<pre><% for (const line of it.diff) { %><%= line.mark %> <%= line.ds + '\\n' %><% } %></pre>
<% } else if (a.after !== null) { -%>
<p>DS records of <%= a.name %>: none, and the zone above proves it.</p>
<% } -%>
<p>Seen <%= it.time(a.first_at) %><% if (a.index !== null) { %>; entry <%= a.index %> of <%= a.log %><% } %>; rule <%= a.rule %>; watch <%= a.watched %></p>
<h2>Why this level</h2><p><%= a.why %></p>
<% if (c.type !== 'resolved') { -%>
<h2>What to do in the next hour</h2><ol><% for (const step of a.todo) { %><li><%= step %></li><% } %></ol>
<% if (x.act) { %><p><a href="<%= x.act %>"><%= it.answer(a) %></a> (opens a page, does nothing by itself)</p><% } -%>
<% } -%>
<% if (x.proof) { %><p>The attached file proves the entry without any server: <code>dslog verify <%= x.proof %></code></p><% } -%>
<% } else if (c.type === 'confirm') { -%>
<p>Somebody, probably you, asked <%= x.base %> to watch <strong><%= c.name %></strong> and to tell this address when the keys of its delegation (DS records) change.</p>
<p>To confirm, open <a href="<%= x.act %>">this page</a> and press the button, before <%= it.time(c.until) %>.</p>
<p>If it was not you, do nothing: you will hear nothing more.</p>
<% } else if (c.type === 'confirm-pins') { -%>
<p>New pins for <strong><%= c.name %></strong> were published with a valid owner signature:</p>
<pre><% for (const pin of c.pins) { %><%= pin + '\\n' %><% } %><% if (c.pins.length === 0) { %>(none: all pins are taken back)<% } %></pre>
<p>They count from <%= it.time(c.effective_at) %> on. If they are yours and shall count at once, open <a href="<%= x.act %>">this page</a> and press the button.</p>
<p>If they are not yours: somebody holds your owner key and the token of this subscription.</p>
<% } else if (c.type === 'digest') { -%>
<p>What was found about <strong><%= c.name %></strong> and not worth a mail of its own<% if (c.folded > 0) { %>, or over the number of mails a day (<%= c.folded %> alerts)<% } %>:</p>
<ul><% for (const a of c.alerts) { %><li><%= it.time(a.first_at) %> <%= a.level %> <%= a.title %> (<%= a.rule %>)</li><% } %></ul>
<% if (c.more > 0) { %><p>… and <%= c.more %> more.</p><% } -%>
<% } else { -%>
<p>The subscription for <strong><%= c.name %></strong> has ended; this was the last mail. If it was not you who ended it, subscribe again at <%= x.base %></p>
<% } -%>
<% if (x.isUnder && c.type !== 'ended') { %><p><strong>This mailbox lies under the name it is told about.</strong> Whoever takes over the name can read and delete its mail. Add a second channel elsewhere.</p><% } -%>
<% if (c.type !== 'ended') { %><hr><p><a href="<%= x.manage %>">Manage</a> · <a href="<%= x.unsubscribe %>">Unsubscribe</a></p><% } -%>
</body></html>
`

const textTemplates = new Eta({ autoEscape: false, autoTrim: false })
const htmlTemplates = new Eta({ autoEscape: true, autoTrim: false })
const textTemplate = textTemplates.compile(TEXT)
const htmlTemplate = htmlTemplates.compile(HTML)

/** Writes a mail. */
export function writeMail(content: Content, context: MailContext): MailText {
  const subject = subjectOf(content)
  const data = {
    content,
    context,
    subject,
    diff: 'alert' in content ? differenceOf(content.alert) : [],
    event: 'alert' in content ? EVENTS[content.type] : '',
    time: timeOf,
    answer: answerOf,
    isClaimable,
  }
  return {
    subject,
    text: textTemplates.render(textTemplate, data),
    html: htmlTemplates.render(htmlTemplate, data),
  }
}
