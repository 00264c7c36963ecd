/** What an alert is called, and what to do in the next hour: by what an alert is about and how bad it is. */
import { type AlertLevel, type AlertRule, levelRank, OPERATOR_RULES } from '@dslog/schema/alert'

const TITLES: Readonly<Record<AlertRule, string>> = {
  R1: 'has a DS that no pin allows',
  R2: 'has lost all its DS, unannounced',
  R3: 'has gone unsigned, as announced',
  R4a: 'does not exist any more',
  R4b: 'is answered for by the zone above it',
  R5: 'has a new DS, as announced',
  R6: 'has a DS that matches no key it serves',
  R7: 'has another set of DS, unannounced',
  R8: 'has another set of DS and other name servers',
  R9: 'has an old DS withdrawn',
  R10: 'had another DS for a while, and has the old one back',
  R11: 'is answered differently at different places',
  R12: 'has weak digests or algorithms alone',
  R13: 'had a DS that was not seen at its time',
  R14: 'is below a zone whose keys changed unannounced',
  R15: 'is below a zone that cannot be verified',
  withheld: 'has a signed state that the log does not show',
  unreadable: 'has an entry in the log that cannot be read',
  refused: 'has a signed state that the log refuses',
  pins: 'has other pins',
  window: 'has an announced change',
  access: 'has a new token',
  channel: 'is watched over other channels',
  history: 'is being watched: what the log has of it',
  blind: 'cannot be watched',
  test: 'is watched: this is a test',
  log: 'a log needs you',
  witness: 'witnesses do not answer',
  delivery: 'a channel does not take what is sent',
  canary: 'the canary was not seen',
}

/** What an operator's alert is about is no name. */
const NAMELESS: ReadonlySet<AlertRule> = new Set<AlertRule>(OPERATOR_RULES)

/** What happened to a name, in a sentence. */
export function titleOf(rule: AlertRule, name: string): string {
  return NAMELESS.has(rule) ? TITLES[rule] : `${name} ${TITLES[rule]}`
}

/** Somebody may be speaking for the name who should not. */
const TAKEN_OVER: readonly string[] = [
  'Ask whoever runs your DNS whether they changed the DS. If they did, say "that was me" with the link below, or pin the keys.',
  'If nobody did: call the registrar, by a number you already had. Ask who changed the delegation, have it set back and locked.',
  'Search the Certificate Transparency logs (crt.sh) for certificates issued for the name since the change, and have those revoked that are not yours.',
  'Set CAA records with accounturi (RFC 8657), so that no further certificate is issued to another account.',
  'Tell your users by another way than this domain, its mail included, until it is settled.',
]

const UNSIGNED: readonly string[] = [
  'Ask whoever runs your DNS whether the name is meant to go unsigned, as when an operator changes. In DNS that looks exactly like an attack that begins.',
  'If it is not: call the registrar, by a number you already had, and have the DS set back and the delegation locked.',
  'Watch the name servers and the Certificate Transparency logs (crt.sh): whoever removes the DS usually changes those next.',
]

const LOOK: readonly string[] = [
  'Compare with what you planned. Nothing needs to be done if it was you.',
  'Pin your keys (dslog pins): then you are told at once of any other key, and of nothing else.',
]

const BY_RULE: Partial<Record<AlertRule, readonly string[]>> = {
  R2: UNSIGNED,
  R3: UNSIGNED,
  R4a: ['Ask the registrar whether the name has expired or was put on hold.', ...UNSIGNED.slice(1)],
  R12: [
    'Replace SHA-1 digests (type 1) and algorithms 5 and 7: validators have begun to treat them as unsigned.',
  ],
  R14: [
    'The keys of a zone above yours changed. Nothing of yours has; look at what its operator has announced.',
  ],
  R15: [
    'The parent zone cannot be validated, so neither can you. Its operator usually knows; ask if it lasts.',
  ],
  unreadable: [
    'The log holds an entry about your name that this monitor cannot read. Compare with another monitor, and ask its operator to update.',
  ],
  pins: [
    'If you did not change the pins: whoever did has your token or your owner key. Revoke the token (subscribe again with this address) and publish your own pins with a higher number before the change takes effect.',
  ],
  window: [
    'If you did not announce a change: revoke the token, by subscribing again with this address.',
  ],
  access: [
    'If you did not ask for a new token: somebody reads mail of this subscription. Remove the channel.',
  ],
  channel: [
    'Check the channels of the subscription. If you did not change them, revoke the token by subscribing again.',
  ],
  blind: [
    'Until the monitor can see again, check the name yourself (dslog check), or use another monitor.',
  ],
  log: [
    'See /v1/status and /v1/evidence of the monitor.',
    'Tell the operator of the log, and other monitors.',
  ],
  witness: ['Ask the operators of the witnesses; a log whose quorum is not met publishes nothing.'],
  delivery: [
    'Owners are not told of what is found until this works again. Dead letters can be sent again.',
  ],
  canary: [
    'No change of the canary came through: look at the log, the crawler and this monitor in that order.',
  ],
  history: ['Look through it once: a change that you do not remember may be worth a question.'],
  test: ['Nothing: this is a test, and it has arrived.'],
}

/** What to do about an alert. */
export function adviceFor(rule: AlertRule, level: AlertLevel): readonly string[] {
  const own = BY_RULE[rule]
  if (own !== undefined) return own
  return levelRank(level) >= levelRank('HIGH') ? TAKEN_OVER : LOOK
}
