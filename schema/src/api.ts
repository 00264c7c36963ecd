/**
 * Shapes of the public HTTP APIs, as JSON Schema (TypeBox). The routes validate and serialise with
 * them, the clients check what they are told with them, and OpenAPI is made of them. How numbers, names
 * and bytes are written, shape.ts says.
 */
import Type, { type Static } from 'typebox'
import { Base64, DomainName, DsText, Hash, Time, Uint } from './shape.ts'

/** `GET /v1/log` */
export const LogInfo = Type.Object({
  origin: Type.String(),
  vkeys: Type.Array(Type.String(), { description: 'Verifier keys that sign checkpoints (C2SP)' }),
  policy: Type.String({ description: 'tlog-policy text: this log and the witnesses it asks' }),
  anchors: Type.Optional(
    Type.String({
      description: "Trust anchors, if they are not the root's: no log of the real DNS",
    }),
  ),
  monitor: Type.Optional(Type.String({ description: 'URL of a monitor to subscribe at' })),
  publish_interval_ms: Uint('Shortest time between two trees'),
  limits: Type.Object({
    observations: Uint('Most observations in one request'),
    body_bytes: Uint('Largest request body'),
    entries: Uint('Most entries in one answer'),
  }),
  zones: Type.Array(Type.String(), { description: 'Which signing zones are admitted' }),
  frozen: Type.Boolean({ description: 'The tree is the last: nothing will ever be added' }),
  announcement: Type.Optional(
    Type.String({ description: 'Of the operator, such as when an old key stops signing' }),
  ),
  software: Type.String(),
})
export type LogInfo = Static<typeof LogInfo>

/** `GET /v1/checkpoint` */
export const CheckpointInfo = Type.Object({
  origin: Type.String(),
  size: Uint('Number of leaves'),
  root: Hash('Root hash'),
  note: Type.String({ description: 'The signed note' }),
  published_at: Time('When it was published'),
})
export type CheckpointInfo = Static<typeof CheckpointInfo>

/** `GET /v1/proofs/inclusion` */
export const InclusionQuery = Type.Object({
  index: Type.Optional(Uint('Index of the leaf')),
  leaf_hash: Type.Optional(
    Type.String({ description: 'Leaf hash in base64, instead of the index' }),
  ),
  size: Type.Optional(Uint('Tree size; the published one by default')),
})
export const InclusionProof = Type.Object({
  index: Uint('Index of the leaf'),
  size: Uint('Tree size'),
  leaf_hash: Hash('Leaf hash'),
  root: Hash('Root at that size'),
  proof: Type.Array(Hash('Sibling'), { description: 'Inclusion path, leaf side first' }),
})
export type InclusionProof = Static<typeof InclusionProof>

/** `GET /v1/proofs/consistency` */
export const ConsistencyQuery = Type.Object({ from: Uint('Older size'), to: Uint('Newer size') })
export const ConsistencyProof = Type.Object({
  from: Uint('Older size'),
  to: Uint('Newer size'),
  from_root: Hash('Root at the older size'),
  to_root: Hash('Root at the newer size'),
  proof: Type.Array(Hash('Node'), { description: 'RFC 6962 section 2.1.2' }),
})
export type ConsistencyProof = Static<typeof ConsistencyProof>

const DelegationFields = {
  name: DomainName,
  zone: DomainName,
  historical: Type.Boolean(),
  out_of_order: Type.Boolean({ description: 'Signed before the state in force; never in force' }),
  keys_id: Hash('The ZONE_KEYS that vouch for the zone'),
  state_id: Hash('Identity of the state'),
  inception: Uint('Inception of the deciding signature, seconds since the Unix epoch'),
}
const Head = {
  index: Uint('Index of the entry'),
  raw: Base64('The leaf, as hashed'),
}

/** One entry of the log, decoded. */
export const EntryView = Type.Union([
  Type.Object({
    ...Head,
    type: Type.Literal('ds'),
    time: Time('When the evidence was checked'),
    ...DelegationFields,
    ds: Type.Array(DsText),
    rrsig: Base64('RRSIG RDATA over the DS RRset'),
  }),
  Type.Object({
    ...Head,
    type: Type.Literal('no-ds'),
    time: Time('When the evidence was checked'),
    ...DelegationFields,
    proof: Type.String({ description: 'Which kind of NSEC or NSEC3 proof' }),
    records: Type.Array(
      Type.Object({
        owner: DomainName,
        type: Type.String(),
        rdata: Base64('RDATA'),
        rrsig: Base64('RRSIG RDATA'),
      }),
    ),
  }),
  Type.Object({
    ...Head,
    type: Type.Literal('zone-keys'),
    time: Time('When the evidence was checked'),
    zone: DomainName,
    historical: Type.Boolean(),
    keys_id: Hash('Identity of the key set'),
    keys: Type.Array(
      Type.Object({
        tag: Uint('Key tag'),
        flags: Uint('Flags'),
        algorithm: Uint('Algorithm'),
        rdata: Base64('DNSKEY RDATA'),
      }),
    ),
    rrsig: Base64('RRSIG RDATA over the DNSKEY RRset'),
    parent: Type.Union([
      Type.Object({
        zone: DomainName,
        keys_id: Hash('Keys of the parent'),
        ds: Type.Array(DsText),
      }),
      Type.Null(),
    ]),
    anchor: Type.Union([
      Type.Object({ tag: Uint('Key tag'), digest: Type.String({ description: 'SHA-256, hex' }) }),
      Type.Null(),
    ]),
  }),
  Type.Object({
    ...Head,
    type: Type.Literal('map-head'),
    time: Time('When the tree was closed'),
    covers: Uint('Number of entries the map covers'),
    map_root: Hash('Root of the name map'),
    key_count: Uint('Number of keys in the map'),
    previous: Type.Union([Uint('Index of the previous MAP_HEAD'), Type.Null()]),
  }),
  Type.Object({ ...Head, type: Type.Literal('unknown') }),
])
export type EntryView = Static<typeof EntryView>

/** `GET /v1/entries` */
export const EntriesQuery = Type.Object({
  start: Type.Optional(Uint('First index')),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 256 })),
})
export const Entries = Type.Object({
  entries: Type.Array(EntryView),
  size: Uint('Size of the published tree'),
})
export type Entries = Static<typeof Entries>

/** `GET /v1/names/:name` */
export const NameView = Type.Object({
  name: DomainName,
  size: Uint('Size of the tree that everything here is proven in'),
  present: Type.Boolean({ description: 'Whether the log knows the name' }),
  state: Type.Union([
    Type.Object({
      index: Uint('Index of the entry in force'),
      time: Time('Its time'),
      signed: Type.Boolean({ description: 'Whether the delegation has a DS' }),
      ds: Type.Array(DsText),
    }),
    Type.Null(),
  ]),
  history: Type.Array(EntryView, { description: 'Every entry of the name, oldest first' }),
  proof: Type.Object({
    map_key: Hash('Key of the name map'),
    map_proof: Base64('Proof of presence or absence against map_root'),
    map_head: Uint('Index of the MAP_HEAD: the last leaf of the tree'),
    map_head_entry: Base64('That leaf'),
    map_head_proof: Type.Array(Hash('Sibling'), { description: 'Its inclusion path' }),
    indices: Type.Array(Uint('Index'), { description: 'What the value of the map commits to' }),
    checkpoint: Type.String({ description: 'The signed note of that tree' }),
  }),
})
export type NameView = Static<typeof NameView>

/** `GET /v1/zones/:zone` */
export const ZoneView = Type.Object({
  zone: DomainName,
  size: Uint('Size of the published tree'),
  names: Uint('Names of this zone whose delegation the log knows'),
  signed: Uint('Of those: with a DS in force'),
  last_observed: Type.Union([Time('Time of the newest key set'), Type.Null()]),
  keys: Type.Array(EntryView, { description: 'ZONE_KEYS entries, oldest first' }),
})
export type ZoneView = Static<typeof ZoneView>

/** `GET /v1/zones/:zone/names` */
export const PageQuery = Type.Object({
  after: Type.Optional(Type.String({ description: 'The `next` of the page before' })),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000 })),
})
export const ZoneNames = Type.Object({
  names: Type.Array(
    Type.Object({
      name: DomainName,
      index: Uint('Entry in force'),
      time: Time('Its time'),
      inception: Uint('Inception of its signature, seconds since the Unix epoch'),
      ds: Type.Array(DsText, { description: 'Empty: provably none' }),
    }),
  ),
  next: Type.Union([Type.String(), Type.Null()]),
  size: Uint('Size of the published tree'),
})
export type ZoneNames = Static<typeof ZoneNames>

/** `GET /v1/changes` */
export const ChangesQuery = Type.Object({
  after: Type.Optional(
    Type.String({ description: 'The `next` of the page before, or a `Last-Event-ID`' }),
  ),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 256 })),
  zone: Type.Optional(
    Type.String({ description: 'Only changes signed by this zone; `@` is the root' }),
  ),
})
export const Changes = Type.Object({
  changes: Type.Array(EntryView, { description: 'Entries of types ds and no-ds, in log order' }),
  next: Type.String({ description: 'Cursor; hand it in as `after`' }),
  size: Uint('Size of the published tree'),
})
export type Changes = Static<typeof Changes>

/** Most observations in one request. */
export const MAX_OBSERVATIONS = 1_000
/** Largest body of a submission. */
export const MAX_SUBMIT_BYTES = 8 * 1024 * 1024

/** `POST /v1/observations` */
export const Observation = Type.Object(
  {
    owner: DomainName,
    kind: Type.Optional(Type.Union([Type.Literal('ds'), Type.Literal('keys')])),
    observed_at: Type.Optional(Time('When it was seen; used only with `historical`')),
    historical: Type.Optional(Type.Boolean({ description: "Needs the operator's token" })),
    messages: Type.Optional(Type.Array(Base64('A DNS message as received'), { maxItems: 32 })),
    records: Type.Optional(
      Type.Array(Base64('A resource record, uncompressed wire format'), { maxItems: 512 }),
    ),
  },
  { additionalProperties: false },
)
export type Observation = Static<typeof Observation>
export const Submission = Type.Object(
  { observations: Type.Array(Observation, { minItems: 1, maxItems: MAX_OBSERVATIONS }) },
  { additionalProperties: false },
)
export type Submission = Static<typeof Submission>

/** One item per observation, in order. */
export const SubmitResult = Type.Object({
  status: Type.Union([
    Type.Literal('logged'),
    Type.Literal('known'),
    Type.Literal('stale'),
    Type.Literal('refused'),
    Type.Literal('accepted', { description: 'Not published yet; ask for the name later' }),
  ]),
  index: Type.Optional(Uint('Index of the entry')),
  state_id: Type.Optional(Hash('Identity of the state')),
  out_of_order: Type.Optional(Type.Boolean({ description: 'Logged, but not in force' })),
  reason: Type.Optional(Type.String({ description: 'Problem type, for refused' })),
  detail: Type.Optional(Type.String()),
})
export type SubmitResult = Static<typeof SubmitResult>
export const SubmitResults = Type.Object({ results: Type.Array(SubmitResult) })
export type SubmitResults = Static<typeof SubmitResults>

/** Monitor, `GET /v1/status` */
export const MonitorStatus = Type.Object({
  logs: Type.Array(
    Type.Object({
      origin: Type.String(),
      url: Type.String(),
      size: Uint('Everything below has been verified'),
      root: Hash('Root of that tree'),
      published: Uint('Size of the newest checkpoint seen'),
      backlog: Uint('Entries of it not verified yet'),
      checkpoint_age_ms: Type.Union([
        Uint(
          'Since a quorum of witnesses vouched for the newest checkpoint; under a policy without witnesses, since the log last answered with a good one',
        ),
        Type.Null(),
      ]),
      last_success: Type.Union([Time('Last complete verification'), Type.Null()]),
      state: Type.Union([
        Type.Literal('starting', { description: 'Nothing is known yet' }),
        Type.Literal('following', { description: 'All of the newest checkpoint is verified' }),
        Type.Literal('behind', { description: 'Not all of it yet' }),
        Type.Literal('stale', { description: 'All of it, but it is old' }),
        Type.Literal('unreachable', { description: 'The log does not answer' }),
        Type.Literal('untrusted', { description: 'What it shows does not satisfy the policy' }),
        Type.Literal('misbehaving', { description: 'See /v1/evidence' }),
      ]),
      detail: Type.Optional(Type.String({ description: 'Why it is not `following`' })),
      map_root: Hash('Root of the name map as replayed'),
      names: Uint('Keys in the name map'),
      misbehaviour: Uint('Pieces of evidence kept'),
    }),
  ),
})
export type MonitorStatus = Static<typeof MonitorStatus>

/** Monitor, `GET /v1/evidence` */
export const EvidenceQuery = Type.Object({
  after: Type.Optional(Type.String({ description: 'The `next` of the page before' })),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100 })),
})
export const EvidenceList = Type.Object({
  evidence: Type.Array(
    Type.Object({
      id: Uint('Number of the piece'),
      origin: Type.String(),
      kind: Type.String({ description: 'fork, rollback, bad-entry, bad-map, unserved …' }),
      found_at: Time('When it was found'),
      detail: Type.String(),
      evidence: Type.Unknown({ description: 'Signed notes, entries and what was expected' }),
    }),
    { description: 'Oldest first' },
  ),
  next: Type.String({ description: 'Cursor; hand it in as `after`' }),
})
export type EvidenceList = Static<typeof EvidenceList>

/** Monitor, `GET /v1/changes`: its own view, from verified trees alone. */
export const MonitorChange = Type.Object({
  log: Type.String({ description: 'Origin of the log' }),
  index: Uint('Index of the entry'),
  name: DomainName,
  zone: DomainName,
  time: Time('When the evidence was checked'),
  signed: Type.Boolean(),
  historical: Type.Boolean(),
  out_of_order: Type.Boolean(),
  ds: Type.Array(DsText),
})
export type MonitorChange = Static<typeof MonitorChange>
export const MonitorChangesQuery = Type.Object({
  ...Type.Omit(ChangesQuery, ['zone']).properties,
  log: Type.Optional(
    Type.String({ description: 'Origin of the log; by default the first of the policy' }),
  ),
})
export const MonitorChanges = Type.Object({
  changes: Type.Array(MonitorChange),
  next: Type.String(),
  size: Uint('Everything below has been verified'),
})
export type MonitorChanges = Static<typeof MonitorChanges>
