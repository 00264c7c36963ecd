/**
 * What the log was caught at, kept so that others can check it:
 *
 *   misbehaviour   fork, rollback, bad-entry, bad-bundle, bad-tile    what was served (@dslog/tlog/misbehaviour)
 *   breach         bad-encoding, bad-evidence, bad-admission, bad-map an entry that no honest log would have appended
 *                  no-map-head                                        a signed tree that ends with something else
 *   withheld       withheld                                           what a zone had signed is in no tree since
 *
 * A breach holds the signed checkpoint, the entry, its inclusion path and, where the rules demand another entry in its
 * place, that one. Whether the entry decodes, and what a tree ends with, shows at once; the other rules show to whoever
 * replays the log up to the entry. `withheld` shows what was signed, and when; that it is in no tree since, the name's own
 * proof shows (withheld.ts).
 *
 * Evidence is stored and served as JSON, bytes in base64. Notes are verbatim.
 */
import { concat, equal, fromBase64, toBase64, utf8 } from '@dslog/tlog/bytes'
import { TlogError } from '@dslog/tlog/error'
import { type Hash, hashFromBase64, leafHash, sha256 } from '@dslog/tlog/hash'
import type { VerifierKey } from '@dslog/tlog/key'
import { type Misbehaviour, verifyMisbehaviour } from '@dslog/tlog/misbehaviour'
import { parseNote } from '@dslog/tlog/note'
import { checkPolicy, type Policy } from '@dslog/tlog/policy'
import { verifyInclusion } from '@dslog/tlog/proof'
import Type, { type TSchema } from 'typebox'
import Value from 'typebox/value'
import { decodeEntry } from '@dslog/schema/entry'
import { EntryError } from '@dslog/schema/error'
import type { ViolationKind } from '@dslog/verify/audit'

/** A signed tree that breaks a rule of the log. */
export interface Breach {
  readonly kind: ViolationKind | 'no-map-head'
  readonly evidence: {
    /** A signed tree with the entry in it. */
    readonly checkpoint: string
    readonly index: number
    /** Empty, as is the path, for a signed tree of no entries at all. */
    readonly entry: Uint8Array
    /** Inclusion path of the entry. */
    readonly path: readonly Hash[]
    readonly reason: string
    /** What the rules demand in its place, if they demand any entry there. */
    readonly expected?: Uint8Array
  }
}

/** What a zone had signed, and the log did not show an hour after it was seen and handed in. */
export interface Withheld {
  readonly kind: 'withheld'
  readonly evidence: {
    /** A signed tree from after that hour. */
    readonly checkpoint: string
    /** In presentation form. */
    readonly owner: string
    /** ms since the Unix epoch: when the replies came, and prove the state. */
    readonly observed_at: number
    /** The replies, up to the root; none for what another log has. */
    readonly messages: readonly Uint8Array[]
    /** What another log has: the records of its entries, up to the root. */
    readonly records?: readonly Uint8Array[]
  }
}

export type Finding = Misbehaviour | Breach | Withheld
export type FindingKind = Finding['kind']

/**
 * Kinds after which nothing more can be verified: the log has signed something that no later tree can
 * take back. The others are failures to show what was signed, which caches and disks can cause too.
 */
const FINAL: ReadonlySet<FindingKind> = new Set<FindingKind>([
  'fork',
  'bad-encoding',
  'bad-evidence',
  'bad-admission',
  'bad-map',
  'no-map-head',
])

/** Whether a log that was caught at this can never be followed again. */
export function isFinal(kind: FindingKind): boolean {
  return FINAL.has(kind)
}

/** Thrown when a signed tree breaks a rule. */
export class BreachError extends Error {
  override readonly name = 'BreachError'
  readonly breach: Breach

  constructor(breach: Breach) {
    super(`entry ${breach.evidence.index}: ${breach.evidence.reason}`)
    this.breach = breach
  }
}

/**
 * What makes a finding this one and no other. Two notes of one tree are the same whoever has cosigned
 * them; what could not be verified is the same at each attempt from the same position.
 *
 * @param position verified size, when it was found
 */
export function identityOf(finding: Finding, position: number): Hash {
  const parts: string[] = [finding.kind]
  switch (finding.kind) {
    case 'fork':
      parts.push(parseNote(finding.evidence.smaller).text, parseNote(finding.evidence.larger).text)
      break
    case 'rollback':
      parts.push(parseNote(finding.evidence.seen).text, parseNote(finding.evidence.served).text)
      break
    case 'bad-tile':
      parts.push(String(position))
      break
    case 'withheld':
      parts.push(finding.evidence.owner, String(finding.evidence.observed_at))
      break
    default:
      parts.push(String(finding.evidence.index))
  }
  return sha256(concat(...parts.map((part) => utf8(`${part}\0`))))
}

const Note = Type.String()
const Base64 = Type.String()
const Index = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })
const Path = Type.Array(Base64)
const BreachJson = Type.Object({
  checkpoint: Note,
  index: Index,
  entry: Base64,
  path: Path,
  reason: Type.String(),
  expected: Type.Optional(Base64),
})

/** Evidence of each kind as JSON. */
const SHAPES = {
  fork: Type.Object({
    smaller: Note,
    larger: Note,
    prefix: Type.Optional(Type.Object({ leaf: Base64, path: Path })),
  }),
  rollback: Type.Object({ seen: Note, served: Note }),
  'bad-entry': Type.Object({
    checkpoint: Note,
    index: Index,
    entry: Base64,
    leaf: Base64,
    path: Path,
  }),
  'bad-bundle': Type.Object({ checkpoint: Note, index: Index, width: Index, data: Base64 }),
  'bad-tile': Type.Object({ checkpoint: Note, detail: Type.String() }),
  'bad-encoding': BreachJson,
  'bad-evidence': BreachJson,
  'bad-admission': BreachJson,
  'bad-map': BreachJson,
  'no-map-head': BreachJson,
  withheld: Type.Object({
    checkpoint: Note,
    owner: Type.String(),
    observed_at: Index,
    messages: Type.Array(Base64),
    records: Type.Optional(Type.Array(Base64)),
  }),
} satisfies Record<FindingKind, TSchema>

/** A finding's evidence as JSON; the kind is kept beside it. */
export function encodeFinding({ evidence }: Finding): string {
  return JSON.stringify(evidence, (_, value: unknown) =>
    value instanceof Uint8Array ? toBase64(value) : value,
  )
}

/**
 * The inverse of {@link encodeFinding}, for evidence of our own or of another monitor.
 *
 * @throws TlogError `encoding`, `bad-hash` or, for a kind that is not known, `bad-proof`
 */
export function decodeFinding(kind: string, json: string): Finding {
  if (!isKind(kind)) throw new TlogError('bad-proof', `evidence of an unknown kind: ${kind}`)
  let evidence: unknown
  try {
    evidence = JSON.parse(json)
  } catch (cause) {
    throw new TlogError('encoding', 'evidence is JSON', { cause })
  }
  if (!Value.Check(SHAPES[kind], evidence)) {
    throw new TlogError('encoding', `not evidence of kind ${kind}`)
  }
  return { kind, evidence: withBytes(evidence) } as Finding
}

function isKind(kind: string): kind is FindingKind {
  return Object.hasOwn(SHAPES, kind)
}

/** The fields that hold bytes, decoded; the same names mean the same in all kinds. */
function withBytes(evidence: object): object {
  const decoded = Object.entries(evidence).map(([name, value]: [string, unknown]) => {
    if (name === 'leaf') return [name, hashFromBase64(value as string)]
    if (name === 'path') return [name, (value as string[]).map(hashFromBase64)]
    const isList = name === 'messages' || name === 'records'
    if (isList) return [name, (value as string[]).map(fromBase64)]
    if (name === 'prefix') return [name, withBytes(value as object)]
    const isBytes = name === 'entry' || name === 'expected' || name === 'data'
    return [name, isBytes ? fromBase64(value as string) : value]
  })
  return Object.fromEntries(decoded) as object
}

/**
 * Verifies evidence with the log's keys alone, as far as it shows by itself.
 *
 * @throws TlogError what is wrong with it
 */
export function verifyFinding(finding: Finding, logKeys: readonly VerifierKey[]): void {
  switch (finding.kind) {
    case 'fork':
    case 'rollback':
    case 'bad-entry':
    case 'bad-bundle':
    case 'bad-tile':
      return verifyMisbehaviour(finding, logKeys)
    case 'withheld':
      checkPolicy(trusting(logKeys), finding.evidence.checkpoint)
      return undefined
    default:
      return verifyBreach(finding, logKeys)
  }
}

/** The policy of who trusts these keys of a log, and no witnesses. */
export function trusting(logKeys: readonly VerifierKey[]): Policy {
  const logs = logKeys.map((key) => ({ key }))
  return { logs, witnesses: [], groups: [], quorum: undefined }
}

function verifyBreach({ evidence, kind }: Breach, logKeys: readonly VerifierKey[]): void {
  const { checkpoint: note, entry, expected, index, path } = evidence
  const { root, size } = checkPolicy(trusting(logKeys), note).checkpoint
  if (kind === 'no-map-head' && size === 0) return
  verifyInclusion(leafHash(entry), index, size, path, root)
  if (kind === 'no-map-head') demand(index === size - 1 && typeOf(entry) !== 'map-head')
  if (kind === 'bad-encoding') demand(typeOf(entry) === undefined)
  if (expected !== undefined) demand(!equal(entry, expected))
}

/** The type of an entry, or `undefined` if it does not decode. */
export function typeOf(entry: Uint8Array): string | undefined {
  try {
    return decodeEntry(entry).type
  } catch (error) {
    if (error instanceof EntryError) return undefined
    throw error
  }
}

function demand(shown: boolean): void {
  if (!shown) throw new TlogError('bad-proof', 'the evidence does not show it')
}
