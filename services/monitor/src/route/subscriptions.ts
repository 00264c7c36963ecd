/** Subscribing, confirming, and everything that the token of a subscription opens. */
import Type from 'typebox'
import { type Name, nameToText } from '@dslog/dnssec/name'
import {
  ChannelAdded,
  ChannelBody,
  ChannelPatch,
  Confirmed,
  ConfirmBody,
  MonitorInfo,
  Resent,
  SubscribeBody,
  Subscribed,
  SubscriptionPatch,
  SubscriptionView,
  Tested,
} from '@dslog/schema/monitorapi'
import type { Http } from '@dslog/service/http'
import { sourceOf } from '@dslog/service/http/source'
import { nameOf, VOLATILE } from '@dslog/service/params'
import { formatSecret } from '../channel/webhook.ts'
import type { Subscription } from '../records.ts'
import { sendTest } from '../sendtest.ts'
import type { OwnerContext } from './context.ts'
import { asProblem, tokenOf, IdParam, lowestOf, TOKEN_LIMIT, viewOf, warningsFor } from './owner.ts'

const ChannelParam = Type.Object({
  id: Type.String({ maxLength: 64 }),
  channel: Type.String({ maxLength: 64 }),
})

export function subscriptionRoutes(app: Http, context: OwnerContext): void {
  const { clock, db, info, poke, subscriptions, targetOf } = context
  const tags = ['subscriptions']
  const config = TOKEN_LIMIT
  const open = (id: string, authorization: string | undefined): Promise<Subscription> =>
    subscriptions.authorize(id, tokenOf(authorization))

  app.addHook('onSend', async (request, reply) => {
    if (request.url.startsWith('/v1/subscriptions')) reply.header('cache-control', VOLATILE)
  })

  app.get(
    '/v1/monitor',
    {
      schema: {
        tags,
        summary: 'What this monitor is called, and can do',
        response: { 200: MonitorInfo },
      },
    },
    () => info,
  )

  app.post(
    '/v1/subscriptions',
    {
      schema: {
        tags,
        summary: 'Ask to be told of changes of a delegation',
        description:
          'Nothing is sent before the channel has agreed: by the token that it is sent, or, as a webhook, by answering with the challenge.',
        body: SubscribeBody,
        response: { 202: Subscribed },
      },
    },
    async ({ body, ip }, reply) =>
      asProblem(async () => {
        const name = nameOf(body.name)
        const target = targetOf(body.channel)
        const level = lowestOf(body.levels)
        const source = sourceOf(ip)
        const { channel, id, secret, subtree, token } = await subscriptions.subscribe({
          name,
          target,
          level,
          source,
          ...(body.subtree !== undefined && { subtree: body.subtree }),
        })
        poke()
        return reply.code(202).send({
          id,
          channel,
          state: 'pending' as const,
          name: nameToText(name),
          subtree,
          ...(token !== undefined && { token }),
          ...(secret !== undefined && { secret: formatSecret(secret) }),
          warnings: warningsFor(name, target),
        })
      }),
  )

  app.post(
    '/v1/subscriptions/:id/confirm',
    {
      config,
      schema: {
        tags,
        summary: 'Confirm a channel, by the token that was sent over it',
        params: IdParam,
        body: ConfirmBody,
        response: { 200: Confirmed },
      },
    },
    async ({ body, params }) =>
      asProblem(async () => {
        const confirmed = await subscriptions.confirmIn(params.id, body.token)
        poke()
        const { channel, subscription: id, token } = confirmed
        return { id, channel, state: 'active' as const, ...(token !== undefined && { token }) }
      }),
  )

  app.get(
    '/v1/subscriptions/:id',
    {
      config,
      schema: {
        tags,
        summary: 'A subscription',
        params: IdParam,
        response: { 200: SubscriptionView },
      },
    },
    async ({ headers, params }) =>
      asProblem(async () => {
        return viewOf(await open(params.id, headers.authorization), context)
      }),
  )

  app.patch(
    '/v1/subscriptions/:id',
    {
      config,
      schema: {
        tags,
        summary: 'Change what is watched, or from which level on all channels are told at once',
        params: IdParam,
        body: SubscriptionPatch,
        response: { 200: SubscriptionView },
      },
    },
    async ({ body: { levels, subtree }, headers, params }) =>
      asProblem(async () => {
        const subscription = await open(params.id, headers.authorization)
        if (subtree !== undefined) await subscriptions.setSubtree(subscription, subtree)
        if (levels !== undefined) await subscriptions.setLevel(subscription, lowestOf(levels))
        poke()
        return viewOf(await open(params.id, headers.authorization), context)
      }),
  )

  app.delete(
    '/v1/subscriptions/:id',
    {
      config,
      schema: { tags, summary: 'End a subscription; its channels hear so', params: IdParam },
    },
    async ({ headers, params }, reply) =>
      asProblem(async () => {
        await subscriptions.end(await open(params.id, headers.authorization))
        poke()
        return reply.code(204).send()
      }),
  )

  app.post(
    '/v1/subscriptions/:id/channels',
    {
      config,
      schema: {
        tags,
        summary: 'Add a channel, to be confirmed',
        params: IdParam,
        body: ChannelBody,
        response: { 202: ChannelAdded },
      },
    },
    async ({ body, headers, ip, params }, reply) =>
      asProblem(async () => {
        const subscription = await open(params.id, headers.authorization)
        const target = targetOf(body.channel)
        const level = lowestOf(body.levels)
        const { channel, secret } = await subscriptions.addChannel(
          subscription,
          target,
          level,
          sourceOf(ip),
        )
        poke()
        return reply.code(202).send({
          channel,
          state: 'pending' as const,
          ...(secret !== undefined && { secret: formatSecret(secret) }),
          warnings: warningsFor(subscription.name as Name, target),
        })
      }),
  )

  app.patch(
    '/v1/subscriptions/:id/channels/:channel',
    {
      config,
      schema: {
        tags,
        summary: 'From which level on a channel is told at once',
        params: ChannelParam,
        body: ChannelPatch,
        response: { 200: SubscriptionView },
      },
    },
    async ({ body, headers, params }) =>
      asProblem(async () => {
        const subscription = await open(params.id, headers.authorization)
        await subscriptions.setLevel(subscription, lowestOf(body.levels), params.channel)
        return viewOf(subscription, context)
      }),
  )

  app.delete(
    '/v1/subscriptions/:id/channels/:channel',
    {
      config,
      schema: {
        tags,
        summary: 'Take a channel away; with the last, the subscription ends',
        params: ChannelParam,
      },
    },
    async ({ headers, params }, reply) =>
      asProblem(async () => {
        await subscriptions.removeChannel(
          await open(params.id, headers.authorization),
          params.channel,
        )
        poke()
        return reply.code(204).send()
      }),
  )

  app.post(
    '/v1/subscriptions/:id/channels/:channel/resend',
    {
      config,
      schema: {
        tags,
        summary: 'Send again what was given up',
        params: ChannelParam,
        response: { 200: Resent },
      },
    },
    async ({ headers, params }) =>
      asProblem(async () => {
        const subscription = await open(params.id, headers.authorization)
        const messages = await subscriptions.resend(subscription, params.channel)
        poke()
        return { messages }
      }),
  )

  app.post(
    '/v1/subscriptions/:id/test',
    {
      config,
      schema: {
        tags,
        summary: 'Send a test over all channels',
        params: IdParam,
        response: { 202: Tested },
      },
    },
    async ({ headers, params }, reply) =>
      asProblem(async () => {
        const alert = await sendTest(db, await open(params.id, headers.authorization), clock())
        poke()
        return reply.code(202).send({ alert })
      }),
  )
}
