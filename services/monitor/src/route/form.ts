/** What the pages for owners have in common: forms, and how they are answered. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import Type, { type Static } from 'typebox'
import Value from 'typebox/value'
import { limitedTo } from '@dslog/service/http/rate-limit'
import { Problem } from '@dslog/service/problem'
import { OwnerError } from '../owner-error.ts'
import { PAGE_POLICY } from '../page.ts'
import { statusOf } from './owner.ts'

/** Largest form: signed pins. */
export const FORM_BYTES: number = 128 * 1024

/** Forms a minute and source. */
export const FORM_LIMIT = limitedTo({ max: 30, window: 60_000 })

const Form = Type.Record(Type.String(), Type.String())
/** Fields by name; of several with one name the last. */
export type Form = Static<typeof Form>

/** Answers with a page. */
export function send(reply: FastifyReply, html: string, status = 200): FastifyReply {
  return reply
    .code(status)
    .headers({
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': PAGE_POLICY,
      // A page may hold a token: nobody else may read it, and nothing may keep it.
      'cache-control': 'no-store',
      // Addresses hold tokens, which nobody else is told. Without any referrer a browser would not say of
      // our own forms where they come from either, and `sameSite` would refuse them.
      'referrer-policy': 'same-origin',
      'cross-origin-resource-policy': 'same-origin',
    })
    .removeHeader('access-control-allow-origin')
    .send(html)
}

/** Refuses a form that another site has sent. @throws Problem `forbidden` */
export async function sameSite({ headers }: FastifyRequest): Promise<void> {
  const { host, origin, 'sec-fetch-site': site } = headers
  const isForeign =
    (site !== undefined && site !== 'same-origin' && site !== 'none') ||
    (origin !== undefined && (!URL.canParse(origin) || new URL(origin).host !== host))
  if (isForeign) throw new Problem('forbidden', 'This form was sent from another site')
}

/** Does something; what the caller is at fault for becomes a page, all else is thrown on. */
export async function orPage(
  reply: FastifyReply,
  work: () => Promise<FastifyReply>,
  failed: (warning: string) => string | Promise<string>,
): Promise<FastifyReply> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof OwnerError) {
      return send(reply, await failed(error.message), statusOf(error))
    }
    if (error instanceof Problem && error.problem === 'validation') {
      return send(reply, await failed(error.message), error.status)
    }
    throw error
  }
}

/** The fields of a form. */
export function formOf({ body }: FastifyRequest): Form {
  return Value.Check(Form, body) ? body : {}
}
