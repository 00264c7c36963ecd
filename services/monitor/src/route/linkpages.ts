/** Where links in messages lead: a question with one button, and what pressing it does. */
import type { FastifyRequest } from 'fastify'
import Type, { type Static } from 'typebox'
import type { Http } from '@dslog/service/http'
import { HIDDEN } from '@dslog/service/http/openapi'
import { acknowledge } from '../acknowledge.ts'
import { isClaimable } from '../alert.ts'
import { answerOf } from '../channel/mailtext.ts'
import { alertOf, alertRows } from '../content.ts'
import { OwnerError } from '../owner-error.ts'
import { askPage, donePage } from '../page.ts'
import type { LinkPurpose } from '../token.ts'
import type { OwnerContext } from './context.ts'
import { FORM_LIMIT, formOf, orPage, sameSite, send } from './form.ts'
import { IdParam } from './owner.ts'

const TokenQuery = Type.Object({ token: Type.Optional(Type.String({ maxLength: 64 })) })

type LinkRequest = FastifyRequest<{ Params: Static<typeof IdParam> }>

/** Adds the pages. */
export function linkPages(app: Http, context: OwnerContext): void {
  const { clock, db, pins, poke, subscriptions, tokens } = context
  const schema = { ...HIDDEN, params: IdParam, querystring: TokenQuery }
  const post = { schema, config: FORM_LIMIT }
  const tokenOf = (request: FastifyRequest): string => {
    const { token } = request.query as Static<typeof TokenQuery>
    return formOf(request)['token'] ?? token ?? ''
  }
  const failed = (warning: string): string => donePage({ title: 'Nothing was done', warning })

  app.get('/confirm/:id', { schema }, async (request, reply) => {
    const action = `/confirm/${encodeURIComponent(request.params.id)}`
    const text = 'Press the button to be told of changes over this channel.'
    return send(
      reply,
      askPage({ title: 'Confirm', text, action, token: tokenOf(request), button: 'Confirm' }),
    )
  })
  app.post('/confirm/:id', { ...post, onRequest: sameSite }, (request, reply) =>
    orPage(
      reply,
      async () => {
        const { subscription: id, token } = await subscriptions.confirm(
          request.params.id,
          tokenOf(request),
        )
        poke()
        return send(
          reply,
          donePage({
            title: 'Confirmed',
            note: 'This channel is told from now on.',
            id,
            ...(token !== undefined && { token }),
          }),
        )
      },
      failed,
    ),
  )

  app.get('/confirm-pins/:id', { schema }, async (request, reply) => {
    const action = `/confirm-pins/${encodeURIComponent(request.params.id)}`
    const text = 'Press the button if the new pins are yours, and shall count at once.'
    return send(
      reply,
      askPage({
        title: 'Confirm pins',
        text,
        action,
        token: tokenOf(request),
        button: 'They are mine',
      }),
    )
  })
  app.post('/confirm-pins/:id', { ...post, onRequest: sameSite }, (request, reply) =>
    orPage(
      reply,
      async () => {
        await pins.confirm(request.params.id, tokenOf(request))
        return send(
          reply,
          donePage({ title: 'Confirmed', note: 'The new pins count from now on.' }),
        )
      },
      failed,
    ),
  )

  /** The object of a link that may do something. @throws OwnerError `token` */
  const linkedTo = (request: LinkRequest, purpose: LinkPurpose): string => {
    const { id } = request.params
    if (tokens.check(purpose, id, tokenOf(request))) return id
    throw new OwnerError('token', 'this link is not one of this monitor')
  }
  app.get('/ack/:id', { schema }, (request, reply) =>
    orPage(
      reply,
      async () => {
        const id = linkedTo(request, 'acknowledge')
        const [row] = await alertRows(db).where('alert.id', '=', id).execute()
        if (row === undefined) throw new OwnerError('gone', 'this alert is not there any more')
        const alert = alertOf(row)
        const text = isClaimable(alert)
          ? 'Press the button if this was you. Where there are no pins yet, these DS become pins after a day.'
          : 'Press the button if you have seen this.'
        const button = answerOf(alert)
        return send(
          reply,
          askPage({
            title: 'Acknowledge',
            text,
            action: `/ack/${encodeURIComponent(id)}`,
            token: tokenOf(request),
            button,
            alert,
          }),
        )
      },
      failed,
    ),
  )
  app.post('/ack/:id', { ...post, onRequest: sameSite }, (request, reply) =>
    orPage(
      reply,
      async () => {
        const id = linkedTo(request, 'acknowledge')
        const pinned = await acknowledge(db, id, clock())
        poke()
        const note = pinned
          ? 'Noted. These DS will count as pins in a day; all channels are told.'
          : 'Noted.'
        return send(reply, donePage({ title: 'Acknowledged', note }))
      },
      failed,
    ),
  )

  app.get('/unsubscribe/:id', { schema }, (request, reply) =>
    orPage(
      reply,
      async () => {
        const id = linkedTo(request, 'unsubscribe')
        const text = 'Press the button to hear nothing more over this channel.'
        return send(
          reply,
          askPage({
            title: 'Unsubscribe',
            text,
            action: `/unsubscribe/${encodeURIComponent(id)}`,
            token: tokenOf(request),
            button: 'Unsubscribe',
          }),
        )
      },
      failed,
    ),
  )
  // Sent by mail programs too, from wherever they are: its token is all that counts.
  app.post('/unsubscribe/:id', post, (request, reply) =>
    orPage(
      reply,
      async () => {
        const id = linkedTo(request, 'unsubscribe')
        await subscriptions.unsubscribe(id)
        poke()
        return send(
          reply,
          donePage({ title: 'Unsubscribed', note: 'You hear nothing more over this channel.' }),
        )
      },
      failed,
    ),
  )
}
