/**
 * Webhooks (https://www.standardwebhooks.com): a POST of JSON, signed with a key of the channel's own.
 *
 *   webhook-id: alert_1f0c…_1             the same at each attempt
 *   webhook-timestamp: 1732100000         of this attempt
 *   webhook-signature: v1,<base64 HMAC-SHA-256 of id.timestamp.body>
 *
 *   {"type": "alert.raised", "timestamp": "2026-11-28T12:00:00.000Z", "data": {…}}
 *
 * 2xx is taken, 410 ends the channel, all else is tried again; there are no redirects. A channel is
 * confirmed by answering `channel.confirm` with its challenge, as JSON or as it is: only who meant to
 * receive our messages does that.
 */
import { timingSafeEqual } from 'node:crypto'
import { Webhook } from 'standardwebhooks'
import type { Clock } from '@dslog/service/clock'
import { type Channel, type Content, type Message, type Outcome, SENT } from './channel.ts'
import { type Egress, EgressError } from './egress.ts'

const GONE = 410

/** How the key of a channel is written, for its receiver. */
export function formatSecret(secret: Uint8Array): string {
  return `whsec_${Buffer.from(secret).toString('base64')}`
}

/** The body of a message. */
export function bodyOf({ at, content }: Pick<Message, 'at' | 'content'>): string {
  const { data, type } = payloadOf(content)
  return JSON.stringify({ type, timestamp: new Date(at).toISOString(), data })
}

function payloadOf(content: Content): { type: string; data: object } {
  switch (content.type) {
    case 'raised':
    case 'risen':
    case 'resolved':
      return { type: `alert.${content.type}`, data: content.alert }
    case 'confirm': {
      const { name, token: challenge, until } = content
      return { type: 'channel.confirm', data: { name, challenge, until } }
    }
    case 'confirm-pins': {
      const { effective_at, name, pins, token } = content
      return { type: 'pins.confirm', data: { name, pins, effective_at, token } }
    }
    case 'digest': {
      const { type, ...data } = content
      return { type: `alert.${type}`, data }
    }
    case 'ended':
      return { type: 'subscription.ended', data: { name: content.name } }
  }
}

export class WebhookChannel implements Channel {
  readonly #egress: Egress
  readonly #clock: Clock
  readonly #isTrusted: (channel: Message['channel']) => Promise<boolean>

  /** @param isTrusted whether the operator has configured a channel, and not a stranger */
  constructor(
    egress: Egress,
    clock: Clock,
    isTrusted: (channel: Message['channel']) => Promise<boolean>,
  ) {
    this.#egress = egress
    this.#clock = clock
    this.#isTrusted = isTrusted
  }

  async send(message: Message, signal: AbortSignal): Promise<Outcome> {
    const { channel, content, id } = message
    const body = bodyOf(message)
    const now = new Date(this.#clock())
    const headers = {
      'content-type': 'application/json',
      'user-agent': 'dslog-monitor',
      'webhook-id': id,
      'webhook-timestamp': String(Math.floor(now.getTime() / 1000)),
      ...(channel.secret !== null && {
        'webhook-signature': new Webhook(channel.secret, { format: 'raw' }).sign(id, now, body),
      }),
    }
    try {
      const trusted = await this.#isTrusted(channel)
      const answer = await this.#egress.post(channel.target, { headers, body }, { signal, trusted })
      return outcomeOf(answer, content)
    } catch (error) {
      if (!(error instanceof EgressError)) throw error
      return { status: error.isRefused ? 'refused' : 'retry', reason: error.message }
    }
  }
}

function outcomeOf({ body, status }: { status: number; body: string }, content: Content): Outcome {
  if (status === GONE) return { status: 'gone', reason: 'the receiver answered 410' }
  if (status < 200 || status > 299) {
    return { status: 'retry', reason: `the receiver answered ${status}` }
  }
  if (content.type !== 'confirm') return SENT
  return echoes(body, content.token)
    ? { status: 'confirmed' }
    : { status: 'retry', reason: 'the receiver did not answer with the challenge' }
}

/** Whether an answer holds the challenge: alone, or as the member of an object. */
function echoes(body: string, challenge: string): boolean {
  let echoed: unknown = body.trim()
  try {
    const parsed = JSON.parse(body) as unknown
    echoed =
      typeof parsed === 'object' && parsed !== null && 'challenge' in parsed
        ? parsed.challenge
        : parsed
  } catch {
    // As it is.
  }
  if (typeof echoed !== 'string') return false
  const [a, b] = [Buffer.from(echoed), Buffer.from(challenge)]
  return a.length === b.length && timingSafeEqual(a, b)
}
