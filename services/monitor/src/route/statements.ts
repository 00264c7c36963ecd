/** What owners state about a watched name: pins and announced changes. */
import { fromBase64 } from '@dslog/tlog/bytes'
import { TlogError } from '@dslog/tlog/error'
import { ConfirmBody, PinsBody, PinsTaken, WindowBody, WindowTaken } from '@dslog/schema/monitorapi'
import type { Http } from '@dslog/service/http'
import { VerifyError } from '@dslog/verify/error'
import { pinFromText } from '@dslog/verify/pins'
import { OwnerError } from '../owner-error.ts'
import type { Subscription } from '../records.ts'
import type { SignedPins } from '../pins.ts'
import type { OwnerContext } from './context.ts'
import { asProblem, tokenOf, IdParam, TOKEN_LIMIT } from './owner.ts'

const SIGNATURE_BYTES = 64
const KEY_BYTES = 32

export function statementRoutes(app: Http, context: OwnerContext): void {
  const { pins, poke, subscriptions, windows } = context
  const config = TOKEN_LIMIT
  const open = (id: string, authorization: string | undefined): Promise<Subscription> =>
    subscriptions.authorize(id, tokenOf(authorization))

  app.put(
    '/v1/subscriptions/:id/pins',
    {
      config,
      schema: {
        tags: ['statements'],
        summary: 'Which keys are allowed, signed with the owner key',
        params: IdParam,
        body: PinsBody,
        response: { 202: PinsTaken },
      },
    },
    async ({ body, headers, params }, reply) =>
      asProblem(async () => {
        const subscription = await open(params.id, headers.authorization)
        const effective_at = await pins.set(subscription, readPins(body))
        poke()
        return reply.code(202).send({ effective_at })
      }),
  )

  app.post(
    '/v1/subscriptions/:id/pins/confirm',
    {
      config,
      schema: {
        tags: ['statements'],
        summary: 'Confirm new pins, by the token that was sent over a second channel',
        params: IdParam,
        body: ConfirmBody,
      },
    },
    async ({ body, params }, reply) =>
      asProblem(async () => {
        await pins.confirm(params.id, body.token)
        return reply.code(204).send()
      }),
  )

  app.post(
    '/v1/subscriptions/:id/windows',
    {
      config,
      schema: {
        tags: ['statements'],
        summary: 'Announce a change',
        params: IdParam,
        body: WindowBody,
        response: { 201: WindowTaken },
      },
    },
    async ({ body, headers, params }, reply) =>
      asProblem(async () => {
        const subscription = await open(params.id, headers.authorization)
        const { begins_at, ends_at, note = '', unsigned = false } = body
        const id = await windows.announce(subscription, { begins_at, ends_at, unsigned, note })
        poke()
        return reply.code(201).send({ id })
      }),
  )
}

/** Pins as they are sent. @throws OwnerError `invalid` */
export function readPins(body: PinsBody): SignedPins {
  try {
    const ownerKey = fromBase64(body.owner_key)
    const signature = fromBase64(body.signature)
    if (ownerKey.length !== KEY_BYTES) throw new OwnerError('invalid', 'an owner key has 32 bytes')
    if (signature.length !== SIGNATURE_BYTES) {
      throw new OwnerError('invalid', 'a signature has 64 bytes')
    }
    return {
      ownerKey,
      signature,
      seq: body.seq,
      notAfter: body.not_after,
      pins: body.pins.map(pinFromText),
    }
  } catch (cause) {
    if (cause instanceof TlogError || cause instanceof VerifyError) {
      throw new OwnerError('invalid', cause.message, { cause })
    }
    throw cause
  }
}
