/** What the routes for owners have in common: tokens, errors, how things are shown. */
import Type from 'typebox'
import { toBase64 } from '@dslog/tlog/bytes'
import { type Name, nameToText } from '@dslog/dnssec/name'
import { ALERT_LEVELS, type AlertLevel, levelRank } from '@dslog/schema/alert'
import type { ChannelRow } from '@dslog/schema/alertdb'
import type { PinsView, SubscriptionView } from '@dslog/schema/monitorapi'
import { type ProblemName, PROBLEMS } from '@dslog/schema/problem'
import { bearerOf } from '@dslog/service/http/bearer'
import { limitedTo } from '@dslog/service/http/rate-limit'
import { Problem } from '@dslog/service/problem'
import { isMailboxUnder } from '../channel/email.ts'
import { OwnerError, type OwnerErrorCode } from '../owner-error.ts'
import type { Subscription } from '../records.ts'
import type { ShownPins } from '../pins.ts'
import type { Target } from '../target.ts'
import type { OwnerContext } from './context.ts'

/** An id in a path. */
export const IdParam = Type.Object({ id: Type.String({ maxLength: 64 }) })

/** Requests with a token a minute and source: who guesses 256 bits, does so elsewhere. */
export const TOKEN_LIMIT = limitedTo({ max: 120, window: 60_000 })

const PROBLEM: Readonly<Record<OwnerErrorCode, ProblemName>> = {
  invalid: 'validation',
  token: 'forbidden',
  signature: 'forbidden',
  conflict: 'conflict',
  gone: 'gone',
  limit: 'too-many-requests',
}

/** Seconds to wait after a limit was met: the shortest of them counts hours. */
const LIMIT_RETRY_SECONDS = 3_600

/** Runs what an owner asked for; what it throws for the caller becomes a problem. */
export async function asProblem<T>(work: () => T | Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof OwnerError)) throw error
    throw new Problem(PROBLEM[error.code], error.message, {
      cause: error,
      ...(error.code === 'limit' && { retryAfter: LIMIT_RETRY_SECONDS }),
    })
  }
}

/** The status of a page that says what the caller is at fault for. */
export function statusOf({ code }: OwnerError): number {
  return PROBLEMS[PROBLEM[code]].status
}

/** The token of a request. @throws Problem `unauthorized` */
export function tokenOf(header: string | undefined): string {
  const token = bearerOf(header)
  if (token === undefined) {
    throw new Problem('unauthorized', "Send the subscription's token: Authorization: Bearer …")
  }
  return token
}

/** The lowest of the levels that were asked for: it brings those above along. */
export function lowestOf(levels: readonly AlertLevel[] = ['NOTICE']): AlertLevel {
  return ALERT_LEVELS[Math.min(...levels.map(levelRank))]!
}

/** What whoever chose a channel should know. */
export function warningsFor(name: Name, { kind, target }: Target): string[] {
  if (kind !== 'email' || !isMailboxUnder(target, name)) return []
  return [
    `The mailbox lies under ${nameToText(name)}: whoever takes over the name can read and delete its mail. Add a second channel elsewhere.`,
  ]
}

/** A subscription as it is shown to whoever has its token. */
export async function viewOf(
  subscription: Subscription,
  { pins, subscriptions, windows }: Pick<OwnerContext, 'pins' | 'subscriptions' | 'windows'>,
): Promise<SubscriptionView> {
  const { active, confirmed_at, created_at, id, name, subtree } = subscription
  const channels = await subscriptions.channels(id)
  const dead = await subscriptions.deadLetters(id)
  const { coming, current } = await pins.of(id)
  return {
    id,
    name: nameToText(name as Name),
    subtree,
    active,
    created_at,
    confirmed_at,
    channels: channels.map((channel) => channelView(channel, dead.get(channel.id) ?? 0)),
    pins: pinsView(current),
    coming_pins: pinsView(coming),
    windows: await windows.of(id),
  }
}

function channelView(channel: ChannelRow, dead: number): SubscriptionView['channels'][number] {
  const { failing_since, id, kind, last_error, level, state, target } = channel
  const levels = ALERT_LEVELS.slice(level)
  return { id, kind, target, state, levels, failing_since, last_error, dead_letters: dead }
}

function pinsView(pins: ShownPins | undefined): PinsView | null {
  if (pins === undefined) return null
  const { owner_key: key, ...rest } = pins
  return { ...rest, pins: [...pins.pins], owner_key: key === null ? null : toBase64(key) }
}
