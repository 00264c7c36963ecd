/**
 * What a monitor tells an owner: the payload of every channel and of the list of alerts.
 *
 * An alert is one finding about one subscription. It is raised once, may rise in level, and is resolved
 * once; each of these is a notification, which channels deliver at least once, always under the same id.
 * Names are in presentation form with a trailing dot, times milliseconds since the Unix epoch.
 */
import Type, { type Static } from 'typebox'
import { DsText, Time } from './shape.ts'

/** Levels, the lowest first. */
export const ALERT_LEVELS = ['INFO', 'NOTICE', 'WARNING', 'HIGH', 'CRITICAL'] as const
export type AlertLevel = (typeof ALERT_LEVELS)[number]

/** Position of a level: larger is worse. Levels are stored so. */
export function levelRank(level: AlertLevel): number {
  return ALERT_LEVELS.indexOf(level)
}

/** What an operator must see to. */
export const OPERATOR_RULES = [
  'log', // a log is silent, far ahead, or was caught
  'witness', // witnesses do not answer
  'delivery', // a channel does not take what is sent
  'canary', // the daily canary was not seen
] as const

/** What an alert can be about. A rule is never renamed: other people's programs look for it. */
export const ALERT_RULES = [
  // Changes of a delegation, as the table of the rules numbers them.
  'R1', // a DS that no pin allows
  'R2', // all DS gone, not announced
  'R3', // all DS gone, announced
  'R4a', // the name is gone
  'R4b', // the parent answers for the name itself
  'R5', // a DS that the child had announced
  'R6', // a DS that matches no key the child serves
  'R7', // the whole set replaced, unannounced
  'R8', // the whole set replaced, and the name servers
  'R9', // an old DS withdrawn
  'R10', // there and back again
  'R11', // two signed states at the same time
  'R12', // weak digests or algorithms alone
  'R13', // an entry out of order
  'R14', // keys of a zone above changed unannounced
  'R15', // the parent cannot be verified

  // What was found beside the log's entries.
  'withheld', // a signed state that the log does not show
  'unreadable', // an entry that does not decode, or is not proven
  'refused', // a signed state that the log refuses

  // What happens to a subscription.
  'pins', // pins were changed, or have ended
  'window', // a change was announced
  'access', // a new token was handed out
  'channel', // a channel was added, removed, or has failed for good
  'history', // what the log has of a name, on subscribing
  'blind', // the name cannot be watched
  'test',

  ...OPERATOR_RULES,
] as const
export type AlertRule = (typeof ALERT_RULES)[number]

const Index = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })
const DsSet = Type.Array(DsText)

export const AlertLevelName = Type.Enum([...ALERT_LEVELS], { description: 'The worst comes last' })

/** An alert as it is delivered and listed. */
export const Alert = Type.Object({
  id: Type.String({ description: 'The same for ever, whatever becomes of the alert' }),
  subscription: Type.String(),
  name: Type.String({ description: 'Whose delegation it is about' }),
  watched: Type.String({ description: 'The name of the subscription' }),
  rule: Type.Enum([...ALERT_RULES]),
  level: AlertLevelName,
  title: Type.String({ description: 'What happened, in a sentence' }),
  log: Type.Union([Type.String({ description: 'Origin of the log' }), Type.Null()]),
  index: Type.Union([Index, Type.Null()], { description: 'Entry of the log that it is about' }),
  indices: Type.Array(Index, { description: 'All entries that it is about, that one included' }),
  before: Type.Union([DsSet, Type.Null()], { description: 'DS set before; null: not known' }),
  after: Type.Union([DsSet, Type.Null()], { description: 'DS set after; null: not about a set' }),
  why: Type.String({ description: 'Why it has this level' }),
  todo: Type.Array(Type.String(), { description: 'What to do in the next hour' }),
  first_at: Time('When what it is about was first seen'),
  last_at: Time('When it was last seen'),
  raised_at: Time('When the alert was raised'),
  resolved_at: Type.Union([Time('When it was resolved'), Type.Null()]),
  resolution: Type.Union([Type.String({ description: 'How it was resolved' }), Type.Null()]),
  acknowledged_at: Type.Union([Time('When somebody said "that was me"'), Type.Null()]),
})
export type Alert = Static<typeof Alert>

/** Why an alert is sent: once each, and `risen` whenever its level rises. */
export const ALERT_EVENTS = ['raised', 'risen', 'resolved'] as const
export type AlertEvent = (typeof ALERT_EVENTS)[number]
