/**
 * The monitor as a cosigner of the logs it follows, with up to two keys (C2SP tlog-witness, tlog-cosignature):
 *
 *   witness    cosigns every tree that extends the largest it has cosigned; it has not looked inside
 *   auditor    cosigns a tree of which the monitor has replayed every entry and every MAP_HEAD, no other
 *
 * so that a policy can ask for audited trees. Both answer at one address and remember one tree. With the
 * auditor's key alone, a tree that is not verified yet is refused for the moment, and nothing remembered.
 *
 * A log that was caught is cosigned no more. One that shows the witness two trees of one size is caught.
 */
import { equal, utf8 } from '@dslog/tlog/bytes'
import { parseCheckpoint } from '@dslog/tlog/checkpoint'
import { signerOf } from '@dslog/tlog/cosignature'
import { TlogError } from '@dslog/tlog/error'
import { KEY_TYPE, parseSkey, type VerifierKey } from '@dslog/tlog/key'
import {
  formatNote,
  formatSignatureLine,
  type NoteSignature,
  type NoteSigner,
  parseNote,
} from '@dslog/tlog/note'
import {
  checkFollows,
  openAddCheckpoint,
  type SubmittedTree,
  WitnessRefusal,
  witnessedPath,
} from '@dslog/tlog/witness'
import type { Clock } from '@dslog/service/clock'
import type { Secret } from '@dslog/service/config'
import { testPoint } from '@dslog/service/testpoint'
import { Turns } from '@dslog/service/turns'
import { MonitorError } from './error.ts'
import type { Follower } from './follow.ts'
import type { WitnessMemory } from './witnessed.ts'

export type CosignerRole = 'witness' | 'auditor'

/** A key that cosigns, and what for. */
export interface Cosigner {
  readonly role: CosignerRole
  readonly signer: NoteSigner
}

export interface WitnessOptions {
  /** Keys of the logs that are cosigned; the name of each is its origin. */
  readonly logKeys: readonly VerifierKey[]
  readonly cosigners: readonly Cosigner[]
  readonly memory: WitnessMemory
  /** Follows the log of an origin, which is one of the keys'. */
  readonly followerOf: (origin: string) => Pick<Follower, 'audit' | 'compare' | 'isCaught'>
  /** Aborted when the monitor stops. */
  readonly signal: AbortSignal
}

/** Thrown when a tree will be cosigned, but not yet. */
export class NotYetVerified extends Error {
  override readonly name = 'NotYetVerified'
}

/** Thrown when the log was caught. */
export class LogCaught extends Error {
  override readonly name = 'LogCaught'
}

/** See the head of this file. */
export class Witness {
  readonly #options: WitnessOptions
  /** Checks and stores of one log take turns: two requests must not both pass before either is stored. */
  readonly #turns = new Turns()
  #cosigned = 0
  #refused = 0

  constructor(options: WitnessOptions) {
    this.#options = options
  }

  get cosigners(): readonly Cosigner[] {
    return this.#options.cosigners
  }

  /** Since the start. */
  get counts(): { readonly cosigned: number; readonly refused: number } {
    return { cosigned: this.#cosigned, refused: this.#refused }
  }

  /**
   * Answers `add-checkpoint`: the signature lines.
   *
   * @throws WitnessRefusal, NotYetVerified or LogCaught
   */
  async add(body: Uint8Array): Promise<string> {
    const { logKeys } = this.#options
    try {
      const submitted = openAddCheckpoint(body, (origin) =>
        logKeys.filter(({ name }) => name === origin),
      )
      const lines = await this.#turns.run(() => this.#cosign(submitted))
      this.#cosigned++
      return lines
    } catch (error) {
      this.#refused++
      throw error
    }
  }

  async #cosign(submitted: SubmittedTree): Promise<string> {
    const { cosigners, followerOf, memory, signal } = this.#options
    const { origin, root, size } = submitted.checkpoint
    const follower = followerOf(origin)
    if (follower.isCaught) throw new LogCaught('the log was caught: see /v1/evidence')
    const latest = await memory.read(origin)
    try {
      checkFollows(submitted, latest)
    } catch (error) {
      if (isSuspect(error, submitted, latest)) {
        // The refusal does not wait for it: what comes of it is evidence, or nothing.
        follower.compare(submitted.note, signal).catch(() => {})
      }
      throw error
    }

    const isAudited =
      cosigners.some(({ role }) => role === 'auditor') &&
      (await follower.audit(submitted.note, signal))
    if (follower.isCaught) throw new LogCaught('the log was caught: see /v1/evidence')
    const due = cosigners.filter(({ role }) => role === 'witness' || isAudited)
    if (due.length === 0) throw new NotYetVerified('the tree is not verified yet')

    const { signatures, text } = parseNote(submitted.note)
    const lines = due.map(({ signer }): NoteSignature => {
      return { name: signer.key.name, id: signer.key.id, signature: signer.sign(utf8(text)) }
    })
    const note = formatNote({ text, signatures: [...signatures, ...lines] })
    await memory.advance(origin, latest, { size, root, note })
    testPoint('witness.remembered')
    // Remembered before anybody sees it: from here on no other tree of this size is ever cosigned.
    return lines.map(formatSignatureLine).join('')
  }

  /** The newest checkpoint that was cosigned of the log whose monitoring path this is. */
  async newest(path: string): Promise<string | undefined> {
    const key = this.#options.logKeys.find(({ name }) => witnessedPath(name) === path)
    return key === undefined ? undefined : (await this.#options.memory.read(key.name))?.note
  }
}

/** Whether a refusal smells of a second history, and not of a client that has lost count. */
function isSuspect(
  error: unknown,
  { checkpoint }: SubmittedTree,
  latest: { readonly note: string } | undefined,
): boolean {
  if (!(error instanceof WitnessRefusal) || latest === undefined) return false
  const known = parseCheckpoint(parseNote(latest.note).text)
  return known.size === checkpoint.size ? !equal(known.root, checkpoint.root) : error.status === 422
}

/** The keys that cosign, as configured. @throws MonitorError `witness` */
export function cosignersOf(
  keys: Readonly<Record<CosignerRole, Secret | undefined>>,
  clock: Clock,
): Cosigner[] {
  const roles = ['witness', 'auditor'] as const
  const cosigners = roles.flatMap((role): Cosigner[] => {
    const text = keys[role]?.reveal().trim()
    return text === undefined ? [] : [{ role, signer: cosignerOf(role, text, clock) }]
  })
  const seeds = new Set(cosigners.map(({ signer }) => signer.key.publicKey.join()))
  const names = new Set(cosigners.map(({ signer }) => signer.key.name))
  if (seeds.size < cosigners.length || names.size < cosigners.length) {
    // An Ed25519 cosignature does not say whose it is: one key of two meanings would have neither.
    throw new MonitorError('witness', 'witness and auditor need keys and names of their own')
  }
  return cosigners
}

function cosignerOf(role: CosignerRole, text: string, clock: Clock): NoteSigner {
  try {
    const key = parseSkey(text)
    if (key.type === KEY_TYPE.ed25519) {
      throw new TlogError('unsupported-key', `type ${key.type} is not for cosigners`)
    }
    return signerOf(key, clock)
  } catch (cause) {
    if (!(cause instanceof TlogError)) throw cause
    throw new MonitorError('witness', `the key of the ${role}: ${cause.message}`, { cause })
  }
}
