/** The page of one subscription, and its forms; each carries the token that it was opened with. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import Value from 'typebox/value'
import { type Name, nameToText } from '@dslog/dnssec/name'
import { PinsBody } from '@dslog/schema/monitorapi'
import type { Http } from '@dslog/service/http'
import { HIDDEN } from '@dslog/service/http/openapi'
import { sourceOf } from '@dslog/service/http/source'
import { acknowledge } from '../acknowledge.ts'
import { formatSecret } from '../channel/webhook.ts'
import { alertOf, alertRows } from '../content.ts'
import { OwnerError } from '../owner-error.ts'
import { donePage, loginPage, managePage } from '../page.ts'
import type { Subscription } from '../records.ts'
import { sendTest } from '../sendtest.ts'
import { isOperators } from '../operatorwatches.ts'
import type { OwnerContext } from './context.ts'
import { type Form, FORM_LIMIT, formOf, orPage, sameSite, send } from './form.ts'
import { IdParam, statusOf, viewOf } from './owner.ts'
import { readPins } from './statements.ts'

/** Alerts on the page, the newest. */
const SHOWN_ALERTS = 50

/** A time of a form, UTC. @throws OwnerError `invalid` */
function timeOf(text: string | undefined): number {
  const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?$/.test(text ?? '')
    ? Date.parse(`${text}Z`)
    : Number.NaN
  if (Number.isNaN(time)) throw new OwnerError('invalid', 'a time is written 2026-12-01T08:00')
  return time
}

/** Signed pins of a form. @throws OwnerError `invalid` */
function statementOf(text: string | undefined): PinsBody {
  let statement: unknown
  try {
    statement = JSON.parse(text ?? '')
  } catch (cause) {
    throw new OwnerError('invalid', 'the statement is not JSON', { cause })
  }
  if (Value.Check(PinsBody, statement)) return statement
  throw new OwnerError('invalid', 'this is not what dslog pins sign prints')
}

/**
 * Asks for the token of a subscription. Those of the operator have none; which they are is told by the id
 * alone, so that nobody learns here which there are.
 */
export function openingPage(id: string, warning?: string): string {
  if (isOperators(id)) {
    return donePage({
      title: 'A subscription of whoever runs this monitor',
      note:
        'It has no token: it stands in the configuration of the monitor (DSLOG_MONITOR_OPERATOR, or the file of ' +
        'DSLOG_MONITOR_WATCHLIST), and is changed there. How the monitor stands with its logs is under Status, ' +
        'what they were caught at under Evidence, both below.',
    })
  }
  return loginPage({
    title: 'Manage a subscription',
    id: encodeURIComponent(id),
    ...(warning !== undefined && { warning }),
  })
}

/** Adds the pages. */
export function managePages(app: Http, context: OwnerContext): void {
  const { clock, db, pins, poke, subscriptions, targetOf, windows } = context

  const show = async (
    reply: FastifyReply,
    id: string,
    token: string,
    more: { note?: string; warning?: string } = {},
    status = 200,
  ) => {
    const subscription = await subscriptions.authorize(id, token)
    const rows = await alertRows(db)
      .where('alert.subscription', '=', id)
      .orderBy('alert.seq', 'desc')
      .limit(SHOWN_ALERTS)
      .execute()
    const title = nameToText(subscription.name as Name)
    const view = await viewOf(subscription, context)
    return send(
      reply,
      managePage({ title, ...more, subscription: view, token, alerts: rows.map(alertOf) }),
      status,
    )
  }

  app.get('/manage/:id', { schema: { ...HIDDEN, params: IdParam } }, async ({ params }, reply) =>
    send(reply, openingPage(params.id)),
  )

  /** A form of the page: does what it says, and shows the page again. */
  const form = (
    path: string,
    act: (
      subscription: Subscription,
      form: Form,
      request: FastifyRequest,
    ) => Promise<string | undefined>,
  ) => {
    app.post(
      `/manage/:id${path}`,
      { schema: { ...HIDDEN, params: IdParam }, config: FORM_LIMIT, onRequest: sameSite },
      async (request, reply) => {
        const fields = formOf(request)
        const token = fields['token'] ?? ''
        const { id } = request.params
        return orPage(
          reply,
          async () => {
            const subscription = await subscriptions.authorize(id, token)
            try {
              const note = await act(subscription, fields, request)
              poke()
              return await show(reply, id, token, note === undefined ? {} : { note })
            } catch (error) {
              if (!(error instanceof OwnerError)) throw error
              return await show(reply, id, token, { warning: error.message }, statusOf(error))
            }
          },
          (warning) => openingPage(id, warning),
        )
      },
    )
  }

  form('', async () => undefined)
  form('/test', async (subscription) => {
    await sendTest(db, subscription, clock())
    return 'A test is on its way over all channels.'
  })
  form('/pins', async (subscription, { statement }) => {
    const at = await pins.set(subscription, readPins(statementOf(statement)))
    return `Taken. The pins count from ${new Date(at).toISOString()} on, or once another channel has confirmed them.`
  })
  form('/window', async (subscription, fields) => {
    await windows.announce(subscription, {
      begins_at: timeOf(fields['begins']),
      ends_at: timeOf(fields['ends']),
      unsigned: fields['unsigned'] === 'yes',
      note: fields['note'] ?? '',
    })
    return 'Announced; all channels are told.'
  })
  form('/ack', async (subscription, { alert = '' }) => {
    const row = await db.kysely
      .selectFrom('alert')
      .select('subscription')
      .where('id', '=', alert)
      .executeTakeFirst()
    if (row?.subscription !== subscription.id) {
      throw new OwnerError('invalid', 'this alert is not of this subscription')
    }
    return (await acknowledge(db, alert, clock()))
      ? 'Noted. These DS will count as pins in a day.'
      : 'Noted.'
  })
  form('/channel', async (subscription, { channel = '' }, { ip }) => {
    const target = targetOf(channel.trim())
    const { secret } = await subscriptions.addChannel(subscription, target, 'NOTICE', sourceOf(ip))
    const key =
      secret === undefined
        ? ''
        : ` The key of its signatures, shown this once: ${formatSecret(secret)}`
    return `Asked to confirm.${key}`
  })

  app.post(
    '/manage/:id/end',
    { schema: { ...HIDDEN, params: IdParam }, config: FORM_LIMIT, onRequest: sameSite },
    (request, reply) =>
      orPage(
        reply,
        async () => {
          const fields = formOf(request)
          const subscription = await subscriptions.authorize(
            request.params.id,
            fields['token'] ?? '',
          )
          if (fields['sure'] !== 'yes') {
            throw new OwnerError('invalid', 'nothing was ended: the box was not ticked')
          }
          await subscriptions.end(subscription)
          poke()
          return send(
            reply,
            donePage({
              title: 'Unsubscribed',
              note: 'The subscription has ended; its channels hear so.',
            }),
          )
        },
        (warning) => donePage({ title: 'Nothing was done', warning }),
      ),
  )
}
