/**
 * Shapes of the monitor's API for owners, as JSON Schema (TypeBox); see shape.ts for how things are written.
 * What changes a subscription, or shows its alerts, needs its token: `Authorization: Bearer …`.
 */
import Type, { type Static } from 'typebox'
import { Alert, AlertLevelName } from './alert.ts'
import { MonitorChange } from './api.ts'
import { Base64, Time } from './shape.ts'

const closed = { additionalProperties: false } as const

/** Where alerts go. */
const ChannelText = Type.String({
  minLength: 3,
  maxLength: 2_048,
  description: 'A mail address, with or without mailto:, or the https:// URL of a webhook',
  examples: ['ops@example.net', 'https://hooks.example.net/dns'],
})
const Levels = Type.Array(AlertLevelName, {
  minItems: 1,
  maxItems: 5,
  description: 'Levels that are sent at once. A level brings those above it along; default NOTICE',
})
const Subtree = Type.Boolean({
  description: 'Watch names below too; by default at and below domains that can be registered',
})

/** `POST /v1/subscriptions` */
export const SubscribeBody = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 1_024, examples: ['example.com'] }),
    channel: ChannelText,
    levels: Type.Optional(Levels),
    subtree: Type.Optional(Subtree),
  },
  closed,
)

const Secret = Type.String({
  description: 'Key of the webhook signatures (Standard Webhooks), shown this once',
})
const Token = Type.String({ description: 'Changes the subscription; shown this once' })

/** A request that waits to be confirmed over its channel. */
export const Subscribed = Type.Object({
  id: Type.String(),
  channel: Type.String({ description: 'Id of the channel' }),
  state: Type.Literal('pending'),
  name: Type.String(),
  subtree: Type.Boolean(),
  token: Type.Optional(Token),
  secret: Type.Optional(Secret),
  warnings: Type.Array(Type.String()),
})
export type Subscribed = Static<typeof Subscribed>

/** `POST /v1/subscriptions/:id/confirm`; of pins `…/pins/confirm` */
export const ConfirmBody = Type.Object(
  { token: Type.String({ maxLength: 64, description: 'As it was sent over the channel' }) },
  closed,
)
export const Confirmed = Type.Object({
  id: Type.String({ description: 'The subscription, an older one if it was there before' }),
  channel: Type.String(),
  state: Type.Literal('active'),
  token: Type.Optional(Token),
})
export type Confirmed = Static<typeof Confirmed>

export const ChannelView = Type.Object({
  id: Type.String(),
  kind: Type.String(),
  target: Type.String(),
  state: Type.String({ description: 'pending, active, failed or ended' }),
  levels: Type.Array(AlertLevelName),
  failing_since: Type.Union([Time('Since when deliveries fail'), Type.Null()]),
  last_error: Type.Union([Type.String(), Type.Null()]),
  dead_letters: Type.Integer({ description: 'Messages that were given up and can be sent again' }),
})

const PinsView = Type.Object({
  seq: Type.Integer({ description: '0: by an acknowledgement, without an owner key' }),
  pins: Type.Array(Type.String({ description: '`DS …` or `DNSKEY …` in presentation form' })),
  not_after: Time('When they end'),
  effective_at: Time('From when on they count'),
  owner_key: Type.Union([Base64('Ed25519 public key'), Type.Null()]),
})
export type PinsView = Static<typeof PinsView>

const WindowView = Type.Object({
  id: Type.Integer(),
  begins_at: Time('Begin'),
  ends_at: Time('End'),
  unsigned: Type.Boolean(),
  note: Type.String(),
  created_at: Time('When it was announced'),
})

/** `GET /v1/subscriptions/:id` */
export const SubscriptionView = Type.Object({
  id: Type.String(),
  name: Type.String(),
  subtree: Type.Boolean(),
  active: Type.Boolean(),
  created_at: Time('When it was made'),
  confirmed_at: Type.Union([Time('When it was confirmed'), Type.Null()]),
  channels: Type.Array(ChannelView),
  pins: Type.Union([PinsView, Type.Null()], { description: 'Those that count' }),
  coming_pins: Type.Union([PinsView, Type.Null()], { description: 'Those that will count' }),
  windows: Type.Array(WindowView),
})
export type SubscriptionView = Static<typeof SubscriptionView>

/** `PATCH /v1/subscriptions/:id`, and of one channel `…/channels/:channel` */
export const SubscriptionPatch = Type.Object(
  { levels: Type.Optional(Levels), subtree: Type.Optional(Subtree) },
  { ...closed, minProperties: 1 },
)
export const ChannelPatch = Type.Object({ levels: Levels }, closed)

/** `POST /v1/subscriptions/:id/channels` */
export const ChannelBody = Type.Object(
  { channel: ChannelText, levels: Type.Optional(Levels) },
  closed,
)
export const ChannelAdded = Type.Object({
  channel: Type.String(),
  state: Type.Literal('pending'),
  secret: Type.Optional(Secret),
  warnings: Type.Array(Type.String()),
})

/** Pins that an owner shows in public, with the statement's signature (packages/verify, `verifyPins`). */
export const PublicPins = Type.Object({
  owner_key: Base64('Ed25519 public key'),
  signature: Base64('Its signature over the statement'),
  seq: Type.Integer({ minimum: 1, description: 'Number of the statement' }),
  not_after: Time('When they end'),
  pins: Type.Array(Type.String({ description: '`DS …` or `DNSKEY …` in presentation form' })),
})
export type PublicPins = Static<typeof PublicPins>

/** `GET /v1/names/:name`: what this monitor has seen of it, and what its owner says in public. */
export const MonitorName = Type.Object({
  name: Type.String({ description: 'Domain name, ending in a dot' }),
  logs: Type.Array(
    Type.Object({
      origin: Type.String(),
      size: Type.Integer({ minimum: 0, description: 'Everything below has been verified' }),
      checked_at: Type.Union([Time('Last complete verification'), Type.Null()]),
    }),
  ),
  entries: Type.Array(MonitorChange, { description: 'Log by log, oldest first' }),
  pins: Type.Array(PublicPins, {
    description: 'Of owners whose key is at `_dslog.<name>`, signed under a DS set a week old',
  }),
})
export type MonitorName = Static<typeof MonitorName>

/** `PUT /v1/subscriptions/:id/pins`: what packages/verify calls a statement, and its signature. */
export const PinsBody = Type.Object(
  {
    owner_key: Base64('Ed25519 public key, 32 bytes'),
    seq: Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER }),
    not_after: Time('When the statement ends'),
    pins: Type.Array(Type.String({ maxLength: 8_192 }), { maxItems: 32 }),
    signature: Base64('Ed25519, 64 bytes, over the statement'),
  },
  closed,
)
export type PinsBody = Static<typeof PinsBody>
export const PinsTaken = Type.Object({ effective_at: Time('From when on they count') })

/** `POST /v1/subscriptions/:id/windows` */
export const WindowBody = Type.Object(
  {
    begins_at: Time('Begin'),
    ends_at: Time('End'),
    unsigned: Type.Optional(Type.Boolean({ description: 'Whether the name may go unsigned' })),
    note: Type.Optional(Type.String({ maxLength: 200 })),
  },
  closed,
)
export const WindowTaken = Type.Object({ id: Type.Integer() })

/** `GET /v1/subscriptions/:id/alerts` */
export const AlertsQuery = Type.Object({
  after: Type.Optional(Type.String({ description: 'The `next` of the page before' })),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 256 })),
})
export const AlertList = Type.Object({
  alerts: Type.Array(Alert, { description: 'Oldest first' }),
  next: Type.String({ description: 'Cursor; hand it in as `after`' }),
})
export type AlertList = Static<typeof AlertList>

/** `POST /v1/alerts/:id/ack` */
export const Acknowledged = Type.Object({
  id: Type.String(),
  pinned: Type.Boolean({ description: 'The DS of the alert will count as pins' }),
})

/** `POST /v1/subscriptions/:id/test` */
export const Tested = Type.Object({ alert: Type.String() })

/** `POST …/channels/:channel/resend` */
export const Resent = Type.Object({ messages: Type.Integer() })

/** `GET /v1/monitor` */
export const MonitorInfo = Type.Object({
  origin: Type.String({ description: 'Name of the monitor in statements of owners' }),
  url: Type.String(),
  channels: Type.Array(Type.String(), { description: 'Kinds that strangers can subscribe with' }),
  software: Type.String(),
})
export type MonitorInfo = Static<typeof MonitorInfo>
