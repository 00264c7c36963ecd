/**
 * Asks the witnesses of a policy to cosign each signed tree (C2SP tlog-witness), all at once, and waits
 * until as many as the policy wants have done so: a tree that they have not seen is not published.
 *
 * There is one request at a time to a URL, whatever number of keys answer there. Who is slow gets the
 * newest tree next, not each. Lines that come after the quorum is met are kept for the same tree, to be
 * shown with it later. Nothing a witness says is believed: lines are verified, sizes only choose the
 * proof that is sent.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { utf8 } from '@dslog/tlog/bytes'
import { timestampOf, verifierOf } from '@dslog/tlog/cosignature'
import { TlogError } from '@dslog/tlog/error'
import type { Hash } from '@dslog/tlog/hash'
import { type HttpClient, HttpError, withoutSlash } from '@dslog/tlog/http'
import { formatNote, type NoteVerifier, parseNote, type VerifiedSignature } from '@dslog/tlog/note'
import { isQuorum, MAX_CLOCK_SKEW_S, type PolicyWitness } from '@dslog/tlog/policy'
import { addCheckpoint } from '@dslog/tlog/witnessclient'
import type { Clock } from '@dslog/service/clock'
import type { Logger } from '@dslog/service/log'
import { LogError } from './error.ts'
import type { WitnessPolicy } from './policy.ts'

/** Longest wait for an answer, ms: an auditor verifies before it answers, and gives up after half of it. */
const TIMEOUT_MS = 10_000
/** First pause after a failure, ms; it doubles each time. */
const PAUSE_MS = 250
/** Longest pause that is not asked for, ms. */
const LONGEST_PAUSE_MS = 15_000
/** Longest that a witness may ask us to wait, ms: a quorum must not depend on a slip in a header. */
const LONGEST_RETRY_AFTER_MS = 60_000

const MS_PER_SECOND = 1000

/** A signed tree on its way to the witnesses. */
export interface SignedNote {
  readonly size: number
  /** With the log's own lines. */
  readonly note: string
  /** The consistency proof from an older size. */
  proof(from: number): Promise<readonly Hash[]>
}

/** How it stands with one witness of the policy. */
export interface WitnessState {
  /** In the policy. */
  readonly name: string
  /** Of the largest tree that it is known to have cosigned. */
  readonly size: number
  /** When it last cosigned, ms; `undefined` if not since the start. */
  readonly cosignedAt: number | undefined
  /** Requests that did not lead to its line. */
  readonly failures: number
}

export interface WitnessesOptions {
  readonly http: HttpClient
  readonly clock: Clock
  readonly logger: Logger
}

/** The witnesses of one log. */
export class Witnesses {
  readonly policy: WitnessPolicy
  readonly #stopping = new AbortController()
  readonly #peers: readonly Peer[]
  #round: Round | undefined

  /** @throws LogError `witnesses` if those with a URL cannot meet the policy */
  constructor(policy: WitnessPolicy, options: WitnessesOptions) {
    this.policy = policy
    const byUrl = new Map<string, PolicyWitness[]>()
    for (const witness of policy.witnesses) {
      if (witness.url === undefined) continue
      const url = withoutSlash(witness.url)
      byUrl.set(url, [...(byUrl.get(url) ?? []), witness])
    }
    this.#peers = [...byUrl].map(
      ([url, witnesses]) => new Peer(url, witnesses, options, this.#stopping.signal),
    )
    if (!isQuorum(policy, new Set([...byUrl.values()].flat().map(({ name }) => name)))) {
      throw new LogError('witnesses', 'the quorum cannot be met by the witnesses that have a URL')
    }
  }

  get states(): WitnessState[] {
    return this.#peers.flatMap((peer) => peer.states)
  }

  /**
   * Has a tree cosigned. A tree that is cosigned already is taken to the witnesses again, for newer
   * timestamps, without waiting for them.
   *
   * @returns the note with the lines there are, once they are a quorum
   * @throws LogError `unwitnessed` after {@link stop}
   */
  async cosign(tree: SignedNote): Promise<string> {
    const round = new Round(tree, this.policy)
    if (this.#round?.text === round.text) round.takeOver(this.#round)
    this.#round = round
    for (const peer of this.#peers) peer.take(round)
    const { signal } = this.#stopping
    let stop!: () => void
    const stopped = new Promise<never>((_, reject) => {
      stop = () =>
        reject(new LogError('unwitnessed', 'stopped before the witnesses have cosigned the tree'))
    })
    if (signal.aborted) stop()
    signal.addEventListener('abort', stop)
    try {
      await Promise.race([round.met, stopped])
    } finally {
      // There is a tree every second, and one signal for all of them.
      signal.removeEventListener('abort', stop)
    }
    return round.note
  }

  /** A published note with the lines that have come since, if there are any. */
  since(note: string): string | undefined {
    const round = this.#round
    return round !== undefined && round.isOf(note) && round.note !== note ? round.note : undefined
  }

  /**
   * Takes up a note that was published before a restart: its lines tell what the witnesses know.
   *
   * @returns whether it satisfies the policy
   */
  resume(tree: SignedNote): boolean {
    const round = new Round(tree, this.policy)
    for (const peer of this.#peers) peer.resume(tree, round)
    this.#round = round
    return round.isMet
  }

  /** Gives up: nothing more is asked, and what waits is told. */
  stop(): void {
    this.#stopping.abort()
  }
}

/** One tree and who has cosigned it. */
class Round {
  readonly tree: SignedNote
  readonly text: string
  /** Resolves when the policy is satisfied. */
  readonly met: Promise<void>
  readonly #policy: WitnessPolicy
  readonly #lines = new Map<string, VerifiedSignature>()
  #meet: () => void = () => {}

  constructor(tree: SignedNote, policy: WitnessPolicy) {
    this.tree = tree
    this.text = parseNote(tree.note).text
    this.#policy = policy
    this.met = new Promise((resolve) => {
      this.#meet = resolve
    })
    if (this.isMet) this.#meet()
  }

  get isMet(): boolean {
    return isQuorum(this.#policy, new Set(this.#lines.keys()))
  }

  isOf(note: string): boolean {
    return parseNote(note).text === this.text
  }

  add(witness: string, line: VerifiedSignature): void {
    this.#lines.set(witness, line)
    if (this.isMet) this.#meet()
  }

  takeOver(earlier: Round): void {
    for (const [witness, line] of earlier.#lines) this.add(witness, line)
  }

  /** The log's lines and the witnesses', in the order of the policy. */
  get note(): string {
    const { signatures, text } = parseNote(this.tree.note)
    const lines = this.#policy.witnesses.flatMap(({ name }) => this.#lines.get(name) ?? [])
    return formatNote({ text, signatures: [...signatures, ...lines] })
  }
}

/** What answers at one URL: a witness, with as many keys as the policy lists there. */
class Peer {
  readonly url: string
  readonly #witnesses: readonly PolicyWitness[]
  readonly #verifiers: readonly NoteVerifier[]
  readonly #options: WitnessesOptions
  readonly #signal: AbortSignal
  readonly #cosigned = new Map<string, { size: number; at: number }>()
  #wanted: Round | undefined
  #isRunning = false
  /** What is sent as `old`: from its answers, or 0, which it corrects. */
  #size = 0
  #failures = 0
  #inARow = 0
  /** It was said that it does not cosign. */
  #isAway = false
  #notBefore = 0

  constructor(
    url: string,
    witnesses: readonly PolicyWitness[],
    options: WitnessesOptions,
    signal: AbortSignal,
  ) {
    this.url = url
    this.#witnesses = witnesses
    this.#verifiers = witnesses.map(({ key }) => verifierOf(key))
    this.#options = options
    this.#signal = signal
  }

  get states(): WitnessState[] {
    return this.#witnesses.map(({ name }) => {
      const { at, size = 0 } = this.#cosigned.get(name) ?? {}
      return { name, size, cosignedAt: at, failures: this.#failures }
    })
  }

  /** Goes for this tree next, and for none before it. */
  take(round: Round): void {
    this.#wanted = round
    if (!this.#isRunning) void this.#run()
  }

  /** Reads from a published note what this witness has cosigned. */
  resume({ note, size }: SignedNote, round: Round): void {
    const { signatures, text } = parseNote(note)
    for (const { key, name } of this.#witnesses) {
      const verifier = verifierOf(key)
      const line = signatures.find((s) => s.name === key.name && s.id === key.id)
      if (line === undefined || !verifier.verify(utf8(text), line.signature)) continue
      round.add(name, { ...line, key })
      this.#size = size
    }
  }

  async #run(): Promise<void> {
    this.#isRunning = true
    try {
      while (this.#wanted !== undefined && !this.#signal.aborted) {
        await this.#pause()
        const round = this.#wanted
        const isComplete = await this.#try(round)
        if (isComplete && this.#wanted === round) this.#wanted = undefined
      }
    } catch (error) {
      if (!this.#signal.aborted) throw error
    } finally {
      this.#isRunning = false
    }
  }

  async #pause(): Promise<void> {
    const wait = this.#notBefore - performance.now()
    if (wait > 0) await delay(wait, undefined, { signal: this.#signal, ref: false })
  }

  /** One attempt. @returns whether there is no point in another for this tree */
  async #try(round: Round): Promise<boolean> {
    const { logger } = this.#options
    let retryAfter = 0
    try {
      const names = await this.#ask(round)
      if (this.#isAway) logger.info({ url: this.url }, 'the witness cosigns again')
      this.#isAway = false
      this.#inARow = 0
      if (names.size === this.#witnesses.length) return true
      // The auditor behind the same URL may need some time yet; that is no failure.
    } catch (error) {
      if (this.#signal.aborted) return true
      this.#failures++
      if (error instanceof HttpError) retryAfter = error.retryAfterMs ?? 0
      // Also where it is our own database that fails: then the sequencer finds out, and says so.
      const log = { url: this.url, detail: error instanceof Error ? error.message : String(error) }
      if (this.#isAway) logger.debug(log, 'a witness does not cosign')
      else logger.warn(log, 'a witness does not cosign')
      this.#isAway = true
    }
    const pause = Math.min(PAUSE_MS * 2 ** this.#inARow, LONGEST_PAUSE_MS)
    // Jitter on top: all that were sent away together must not come back together.
    const spread = pause * (0.5 + Math.random())
    this.#inARow++
    this.#notBefore = performance.now() + Math.min(retryAfter, LONGEST_RETRY_AFTER_MS) + spread
    return false
  }

  /** Sends the tree, a second time if the witness has another one than we thought. @returns who cosigned */
  async #ask(round: Round): Promise<ReadonlySet<string>> {
    const { tree } = round
    let old = Math.min(this.#size, tree.size)
    for (let attempt = 0; ; attempt++) {
      const proof = old === 0 || old === tree.size ? [] : await tree.proof(old)
      const answer = await addCheckpoint(
        this.#options.http,
        this.url,
        { old, proof, note: tree.note },
        this.#verifiers,
        { signal: this.#signal, timeoutMs: TIMEOUT_MS },
      )
      if ('signatures' in answer) return this.#take(round, answer.signatures)
      this.#size = answer.size
      if (answer.size > tree.size) {
        const has = `the witness has cosigned a tree of ${answer.size} entries`
        throw new TlogError('bad-checkpoint', `${has}, this one has ${tree.size}`)
      }
      if (attempt > 0) throw new TlogError('bad-checkpoint', 'the witness has changed its mind')
      old = answer.size
    }
  }

  #take(round: Round, lines: readonly VerifiedSignature[]): ReadonlySet<string> {
    const now = this.#options.clock()
    const names = new Set<string>()
    for (const line of lines) {
      const time = timestampOf(line) ?? 0
      // Verifiers would not count it, so it does not make a quorum either.
      if (time === 0 || time > now / MS_PER_SECOND + MAX_CLOCK_SKEW_S) continue
      const { name } = this.#witnesses.find(({ key }) => key === line.key)!
      round.add(name, line)
      names.add(name)
      this.#cosigned.set(name, { size: round.tree.size, at: now })
    }
    this.#size = round.tree.size
    if (names.size === 0) {
      throw new TlogError('bad-signature', 'a cosignature of an impossible time')
    }
    return names
  }
}
