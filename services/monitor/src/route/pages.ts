/**
 * The pages at which people subscribe, confirm, pin, announce, acknowledge, test and unsubscribe. GET
 * never acts. A form from another site is refused where the browser says that it is one: what needs no
 * token, such as asking for a mail, must not be done from there either.
 */
import type { FastifyRequest } from 'fastify'
import { DnssecError } from '@dslog/dnssec/error'
import { nameFromTyped } from '@dslog/dnssec/idn'
import type { Name } from '@dslog/dnssec/name'
import { ALERT_LEVELS } from '@dslog/schema/alert'
import type { Http } from '@dslog/service/http'
import { HIDDEN } from '@dslog/service/http/openapi'
import { sourceOf } from '@dslog/service/http/source'
import { formatSecret } from '../channel/webhook.ts'
import { donePage, homePage } from '../page.ts'
import { ICON, STYLE } from '../style.ts'
import { OwnerError } from '../owner-error.ts'
import type { OwnerContext } from './context.ts'
import { type Form, FORM_BYTES, FORM_LIMIT, formOf, orPage, sameSite, send } from './form.ts'
import { linkPages } from './linkpages.ts'
import { managePages, openingPage } from './managepages.ts'
import { warningsFor } from './owner.ts'

export function pageRoutes(app: Http, context: OwnerContext): void {
  void app.register((pages: Http, _options: unknown, done: () => void) => {
    pages.addContentTypeParser(
      'application/x-www-form-urlencoded',
      { parseAs: 'string', bodyLimit: FORM_BYTES },
      (_request: FastifyRequest, body: string, parsed: (error: null, form: Form) => void) => {
        parsed(null, Object.fromEntries(new URLSearchParams(body)))
      },
    )
    // What a mail program sends to unsubscribe (RFC 8058) may come so as well; nothing in it matters.
    pages.addContentTypeParser(
      'multipart/form-data',
      { parseAs: 'string', bodyLimit: FORM_BYTES },
      (_request: FastifyRequest, _body: string, parsed: (error: null, form: Form) => void) => {
        parsed(null, {})
      },
    )
    publicPages(pages, context)
    linkPages(pages, context)
    managePages(pages, context)
    done()
  })
}

function publicPages(app: Http, context: OwnerContext): void {
  const { poke, subscriptions, targetOf } = context
  const title = 'Watch a domain'

  app.get('/monitor.css', { schema: HIDDEN }, async (_request, reply) =>
    reply.type('text/css').header('cache-control', 'public, max-age=3600').send(STYLE),
  )

  app.get('/monitor.svg', { schema: HIDDEN }, async (_request, reply) =>
    reply.type('image/svg+xml').header('cache-control', 'public, max-age=3600').send(ICON),
  )

  app.get('/', { schema: HIDDEN }, async (_request, reply) => send(reply, homePage({ title })))

  app.post(
    '/subscribe',
    { schema: HIDDEN, config: FORM_LIMIT, onRequest: sameSite },
    (request, reply) => {
      const form = formOf(request)
      const entered = { name: form['name'] ?? '', channel: form['channel'] ?? '' }
      return orPage(
        reply,
        async () => {
          const name = typedName(entered.name.trim())
          const target = targetOf(entered.channel.trim())
          const level = ALERT_LEVELS.find((known) => known === form['level']) ?? 'NOTICE'
          const { id, secret, token } = await subscriptions.subscribe({
            name,
            target,
            level,
            source: sourceOf(request.ip),
            ...(form['subtree'] === 'yes' && { subtree: true }),
            ...(form['subtree'] === 'no' && { subtree: false }),
          })
          poke()
          const [warning] = warningsFor(name, target)
          const page = donePage({
            title: 'Almost done',
            note:
              target.kind === 'email'
                ? `A mail is on its way to ${target.target}. Open the link in it to confirm.`
                : 'A challenge is on its way to the webhook; answering with it confirms.',
            ...(warning !== undefined && { warning }),
            ...(token !== undefined && { token, id }),
            ...(secret !== undefined && { secret: formatSecret(secret) }),
          })
          return send(reply, page, 202)
        },
        (warning) => homePage({ title, warning, entered }),
      )
    },
  )

  app.post(
    '/open',
    { schema: HIDDEN, config: FORM_LIMIT, onRequest: sameSite },
    async (request, reply) => send(reply, openingPage(formOf(request)['id'] ?? '')),
  )
}

/** A name as people type it. @throws OwnerError `invalid` */
function typedName(text: string): Name {
  try {
    return nameFromTyped(text)
  } catch (cause) {
    if (!(cause instanceof DnssecError)) throw cause
    throw new OwnerError('invalid', `not a domain name: ${cause.message}`, { cause })
  }
}
