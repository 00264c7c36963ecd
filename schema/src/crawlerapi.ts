/** Shapes of the crawler's HTTP API, in the manner of api.ts. */
import Type, { type Static } from 'typebox'
import { DomainName, Time, Uint } from './shape.ts'

/** `GET /v1/views` */
export const ViewsQuery = Type.Object({
  after: Type.Optional(Type.String({ description: 'The `next` of the page before' })),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000 })),
})
export const View = Type.Object({
  name: DomainName,
  zone: Type.String({ description: 'The zone that signed it' }),
  vantage: Type.String({ description: 'From where it was seen' }),
  server: Type.String({ description: 'Address, or the URL of a resolver' }),
  transport: Type.String({ description: 'udp, tcp, doh, axfr' }),
  state_id: Type.String({ description: 'Identity of the state, base64' }),
  inception: Uint('Inception of the deciding signature, seconds since the Unix epoch'),
  time: Time('When it was seen'),
  differs: Type.Boolean({ description: 'Another view of the last two hours had another state' }),
})
export type View = Static<typeof View>
export const Views = Type.Object({
  views: Type.Array(View, { description: 'The newest of each name and place, oldest first' }),
  next: Type.String({ description: 'Cursor; hand it in as `after`' }),
})
export type Views = Static<typeof Views>

/** Most names in one list of watched names. */
export const MAX_WATCHED = 100_000

/** `PUT /v1/watch` */
export const WatchList = Type.Object(
  {
    names: Type.Array(Type.String({ maxLength: 1024 }), {
      maxItems: MAX_WATCHED,
      description: 'All names of tier 0: this list replaces the one before',
    }),
  },
  { additionalProperties: false },
)
export type WatchList = Static<typeof WatchList>
export const Watched = Type.Object({
  watched: Uint('Names in tier 0 now'),
  decoys: Uint('Other names that are asked as often, so that those do not stand out'),
})
export type Watched = Static<typeof Watched>

/** `GET /v1/zones/:zone` */
export const CrawledZone = Type.Object({
  zone: DomainName,
  names: Uint('Names whose state in the log it has signed'),
  last_observed: Type.Union([Time('Last provable answer of its servers'), Type.Null()]),
  failures: Uint('Failures since'),
  reason: Type.Union([Type.String({ description: 'Why the last one failed' }), Type.Null()]),
  blocked_until: Type.Union([
    Time('When the first of its servers that are left alone may be asked again'),
    Type.Null(),
  ]),
  opted_out: Type.Boolean({ description: 'Not asked at all: its operator wishes so' }),
  serial: Type.Union([Uint('Of the zone as it was transferred last'), Type.Null()]),
  transferred_at: Type.Union([Time('When that was'), Type.Null()]),
})
export type CrawledZone = Static<typeof CrawledZone>

/** `GET /v1/sources` */
export const Sources = Type.Object({
  sources: Type.Array(
    Type.Object({
      id: Type.String(),
      signed: Uint('Names with DS records in the version in use'),
      read_at: Time('When it was read last'),
      reason: Type.Union([Type.String({ description: 'Why that came to nothing' }), Type.Null()]),
      held: Type.Boolean({ description: 'Whether a newer version waits for the operator' }),
    }),
  ),
})
export type Sources = Static<typeof Sources>

/** `POST /v1/sources/accept` */
export const AcceptSource = Type.Object(
  { id: Type.String({ maxLength: 2048 }) },
  { additionalProperties: false },
)
export const AcceptedSource = Type.Object({
  accepted: Type.Boolean({ description: 'Whether a version was waiting' }),
})
