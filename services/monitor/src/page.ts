/**
 * The pages for owners, as HTML made on the server: no scripts, no cookies, nothing from elsewhere.
 *
 * Fetching a page does nothing, since mail scanners fetch every link. Forms carry the token that allows
 * what they do; a browser sends nothing of its own accord that would, so a page elsewhere cannot make it
 * act. Everything that is not ours is escaped by the templates.
 */
import { Eta } from 'eta'
import type { Alert, AlertLevel } from '@dslog/schema/alert'
import type { SubscriptionView } from '@dslog/schema/monitorapi'
import { answerOf, differenceOf } from './channel/mailtext.ts'

/** Content-Security-Policy of the pages. */
export const PAGE_POLICY =
  "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

/** What a page shows beside its form. */
export interface Page {
  readonly title: string
  /** Answers what was done. */
  readonly note?: string
  readonly warning?: string
}

export interface HomePage extends Page {
  /** What was entered, where it could not be taken: nobody wants to type it again. */
  readonly entered?: { readonly name: string; readonly channel: string }
}

export interface ManagePage extends Page {
  readonly subscription: SubscriptionView
  readonly token: string
  readonly alerts: readonly Alert[]
}

/** A question with one button. */
export interface AskPage extends Page {
  readonly text: string
  readonly action: string
  readonly token: string
  readonly button: string
  readonly alert?: Alert
}

const HEAD = `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="robots" content="noindex"><title><%= it.title %> · dslog monitor</title><link rel="icon" type="image/svg+xml" href="/monitor.svg"><link rel="stylesheet" href="/monitor.css"></head><body>
<header><a class="brand" href="/">dslog <small>monitor</small></a></header>
<main><h1><%= it.title %></h1>
<% if (it.note) { %><p class="note" role="status"><%= it.note %></p><% } %>
<% if (it.warning) { %><p class="warning" role="alert"><%= it.warning %></p><% } %>
`
const FOOT = `</main><footer><nav aria-label="This monitor"><a href="/">Watch a domain</a> · <a href="/v1/status">Status</a> · <a href="/v1/evidence">Evidence</a> · <a href="/docs/">API</a></nav></footer></body></html>`

const HOME = `${HEAD}
<p>Be told when the DNSSEC keys of your domain change at its registry: the DS records that a transparency log has of it, with the registry's own signature as evidence.</p>
<form method="post" action="/subscribe">
<label>Domain <input type="text" name="name" value="<%= it.entered?.name ?? '' %>" required maxlength="253" placeholder="example.com" autocomplete="off"></label>
<label>Mail address, or https:// URL of a webhook <input type="text" name="channel" value="<%= it.entered?.channel ?? '' %>" required maxlength="2048" placeholder="you@elsewhere.example"></label>
<label>Tell me at once from this level on <select name="level"><% for (const [level, meaning] of it.levels) { %><option value="<%= level %>"><%= level %>: <%= meaning %></option><% } %></select></label>
<label>Names below <select name="subtree"><option value="">as usual</option><option value="yes">watch them too</option><option value="no">only this name</option></select></label>
<button>Watch</button></form>
<p>Best use a mailbox under another domain than the one you watch: who takes over a domain reads its mail. That a domain is in the log is public; that you watch it is not.</p>
<form method="post" action="/open"><label>Manage a subscription: its id <input type="text" name="id" required maxlength="64"></label><button class="plain">Open</button></form>
${FOOT}`

const ASK = `${HEAD}
<p><%= it.text %></p>
<% if (it.alert) { %><p><strong class="<%= it.alert.level %>"><%= it.alert.level %></strong> <%= it.alert.title %></p>
<pre tabindex="0" aria-label="DS records that went, came and stayed"><% for (const line of it.difference(it.alert)) { %><%= line.mark %> <%= line.ds + '\\n' %><% } %></pre><% } %>
<form method="post" action="<%= it.action %>"><input type="hidden" name="token" value="<%= it.token %>"><button><%= it.button %></button></form>
${FOOT}`

const DONE = `${HEAD}
<% if (it.token) { %><p>The token of this subscription, shown this once. Keep it: it changes pins and channels, and shows the alerts.</p><p><code><%= it.token %></code></p><% } %>
<% if (it.secret) { %><p>The key of the webhook signatures, shown this once:</p><p><code><%= it.secret %></code></p><% } %>
<% if (it.id) { %><p><a href="/manage/<%= it.id %>">Manage the subscription</a> <code><%= it.id %></code></p><% } %>
${FOOT}`

const LOGIN = `${HEAD}
<form method="post" action="/manage/<%= it.id %>"><label>Token of the subscription <input type="password" name="token" required maxlength="64" autocomplete="current-password"></label><button>Open</button></form>
<p>Lost it? <a href="/">Subscribe again</a> with the same address: confirming gives you a new token, and ends the old one.</p>
${FOOT}`

const HIDDEN = `<input type="hidden" name="token" value="<%= it.token %>">`
const MANAGE = `${HEAD}
<% const s = it.subscription; const act = '/manage/' + s.id; const day = (ms) => new Date(ms).toISOString().slice(0, 16).replace('T', ' ') %>
<p><%= s.subtree ? 'With all names below.' : 'This name alone.' %> <code><%= s.id %></code></p>
<h2>Alerts</h2>
<% if (it.alerts.length === 0) { %><p>None yet.</p><% } %>
<% for (const a of it.alerts) { %><form method="post" action="<%= act %>/ack">${HIDDEN}<input type="hidden" name="alert" value="<%= a.id %>">
<p id="<%= a.id %>"><strong class="<%= a.level %>"><%= a.level %></strong> <%= a.title %> (<%= a.rule %>), <%= day(a.first_at) %> UTC<% if (a.resolved_at !== null) { %>, resolved<% } %><% if (a.acknowledged_at !== null) { %>, acknowledged<% } %></p>
<pre tabindex="0" aria-label="DS records that went, came and stayed"><% for (const line of it.difference(a)) { %><%= line.mark %> <%= line.ds + '\\n' %><% } %></pre><p><%= a.why %></p>
<% if (a.acknowledged_at === null) { %><button class="plain" aria-describedby="<%= a.id %>"><%= it.answer(a) %></button><% } %></form><% } %>
<h2>Pins</h2>
<% for (const [title, pins] of [['They count', s.pins], ['They will count from ' + (s.coming_pins ? day(s.coming_pins.effective_at) : '') + ' UTC on', s.coming_pins]]) { if (pins) { %>
<p><%= title %>, until <%= day(pins.not_after) %> UTC (number <%= pins.seq %>):</p><pre tabindex="0" aria-label="Pins"><% for (const pin of pins.pins) { %><%= pin + '\\n' %><% } %></pre><% } } %>
<% if (!s.pins && !s.coming_pins) { %><p>None: every change that your DNS has not announced is a question to you.</p><% } %>
<form method="post" action="<%= act %>/pins">${HIDDEN}<label>Signed pins, as <code>dslog pins sign</code> prints them <textarea name="statement" rows="6" required maxlength="65536"></textarea></label><button>Publish</button></form>
<h2>Announced changes</h2>
<% for (const w of s.windows) { %><p><%= day(w.begins_at) %> to <%= day(w.ends_at) %> UTC<%= w.unsigned ? ', may go unsigned' : '' %> <%= w.note %></p><% } %>
<form method="post" action="<%= act %>/window">${HIDDEN}<label>From (UTC) <input type="datetime-local" name="begins" required></label><label>To (UTC) <input type="datetime-local" name="ends" required></label>
<label><input type="checkbox" name="unsigned" value="yes"> the name may go unsigned</label><label>Note <input type="text" name="note" maxlength="200"></label><button>Announce</button></form>
<h2>Channels</h2><table><tr><th scope="col">Kind</th><th scope="col">Where to</th><th scope="col">State</th></tr><% for (const c of s.channels) { %><tr><td><%= c.kind %></td><td><code><%= c.target %></code></td><td><%= c.state %>, from <%= c.levels[0] %> on<% if (c.last_error) { %>; fails: <%= c.last_error %><% } %><% if (c.dead_letters > 0) { %>; <%= c.dead_letters %> given up<% } %></td></tr><% } %></table>
<form method="post" action="<%= act %>/channel">${HIDDEN}<label>A further mail address or https:// URL <input type="text" name="channel" required maxlength="2048"></label><button>Add</button></form>
<form method="post" action="<%= act %>/test">${HIDDEN}<button class="plain">Send a test</button></form>
<form method="post" action="<%= act %>/end">${HIDDEN}<label><input type="checkbox" name="sure" value="yes" required> end this subscription</label><button class="danger">Unsubscribe</button></form>
${FOOT}`

const eta = new Eta({ autoEscape: true, autoTrim: false })
const TEMPLATES = { HOME, ASK, DONE, LOGIN, MANAGE }
const compiled = Object.fromEntries(
  Object.entries(TEMPLATES).map(([name, text]) => [name, eta.compile(text)]),
) as Record<keyof typeof TEMPLATES, ReturnType<Eta['compile']>>

function render(template: keyof typeof TEMPLATES, page: object): string {
  return eta.render(compiled[template], { ...page, difference: differenceOf, answer: answerOf })
}

/** Levels of alerts, and what they mean (docs/watch.md). */
const LEVELS: readonly (readonly [AlertLevel, string])[] = [
  ['NOTICE', 'worth knowing'],
  ['WARNING', 'weak, or done to your subscription'],
  ['HIGH', 'was this you?'],
  ['CRITICAL', 'a key that you have not allowed'],
]

/** Where people subscribe. */
export function homePage(page: HomePage): string {
  return render('HOME', { ...page, levels: LEVELS })
}

/** Asks before anything is done. */
export function askPage(page: AskPage): string {
  return render('ASK', page)
}

/** Says what was done. */
export function donePage(page: Page & { id?: string; token?: string; secret?: string }): string {
  return render('DONE', page)
}

/** Asks for the token of a subscription. */
export function loginPage(page: Page & { id: string }): string {
  return render('LOGIN', page)
}

/** Everything about a subscription. */
export function managePage(page: ManagePage): string {
  return render('MANAGE', page)
}
