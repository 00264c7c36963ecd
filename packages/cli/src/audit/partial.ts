/**
 * The audit from an entry on, without what came before it. Checked of every entry in the range: its hash
 * in the signed tree, its encoding, its DNSSEC evidence, its time, and that MAP_HEADs follow one another.
 * Keys that stand before the range are asked of the log, which names them in its proof files; they are
 * read from the signed tree and verified like all others.
 *
 * What needs all entries before cannot be checked: whether an entry was new to the log, and what the
 * name map is. The report says so.
 */
import { MAX_TLOG_PROOF_BYTES, parseTlogProof } from '@dslog/tlog/bundle'
import { toHex } from '@dslog/tlog/bytes'
import { TlogError } from '@dslog/tlog/error'
import type { Hash } from '@dslog/tlog/hash'
import { isNotFound } from '@dslog/tlog/http'
import {
  decodeEntry,
  type DelegationEntry,
  type Entry,
  isParentLink,
  type MapHeadEntry,
  type ZoneKeysEntry,
} from '@dslog/schema/entry'
import { EntryError } from '@dslog/schema/error'
import type { ViolationKind } from '@dslog/verify/audit'
import { VerifyError } from '@dslog/verify/error'
import { checkKeys, checkState } from '@dslog/verify/evidence'
import { chainAbove, chainAt, type KeysLookup, type ZoneKeys } from '@dslog/verify/keys'
import { decodeExtra } from '@dslog/verify/prooffile'
import { counted } from '@dslog/verify/counted'
import { type AuditContext, type AuditReport, checkTiles } from './audit.ts'
import { breach, caughtBy, checkEnd, RUN } from './whole.ts'

/** Key sets above one entry that are fetched: a name has no more zones above it than labels. */
const MAX_CHAIN = 128

/** Audits the entries from `from` on. */
export async function auditFrom(context: AuditContext, from: number): Promise<AuditReport> {
  const { size } = context.client.pinned.checkpoint
  const report = { from, size, names: undefined, unchecked: [] }
  try {
    await checkTiles(context.client, from)
    await checkEnd(context)
    const range = new Range(context, from)
    for await (const entries of context.client.bundles(from, size, context.client.pinned)) {
      for (const { entry, index } of entries) await range.add(index, entry)
      context.progress.step(entries.at(-1)!.index + 1 - from)
    }
    await range.flush()
    return { ...report, caught: [], unchecked: uncheckedOf(from, range.unproven) }
  } catch (error) {
    return { ...report, caught: [caughtBy(error)] }
  }
}

function uncheckedOf(from: number, unproven: number): string[] {
  return [
    `the entries before entry ${from}`,
    'whether each entry was new to the log when it was appended',
    'the roots of the name map',
    ...(unproven === 0
      ? []
      : [
          `the evidence of ${counted(unproven, 'entry', 'entries')}: the log serves no proofs of the keys before`,
        ]),
  ]
}

/** What the entries of the range have shown so far. */
class Range {
  /** Entries whose keys could not be had. */
  unproven = 0
  readonly #context: AuditContext
  readonly #from: number
  readonly #keys = new Map<string, ZoneKeys[]>()
  #run: Promise<{ index: number; entry: Uint8Array; error: VerifyError | undefined }>[] = []
  #mapHead: { readonly index: number; readonly time: number } | undefined
  #liveTime = 0
  #servesProofs = true

  constructor(context: AuditContext, from: number) {
    this.#context = context
    this.#from = from
  }

  /** Takes the next entry. @throws BreachError */
  async add(index: number, bytes: Uint8Array): Promise<void> {
    const entry = await this.#decoded(index, bytes)
    switch (entry.type) {
      case 'ds':
      case 'no-ds':
        await this.#checkTime(index, bytes, entry)
        await this.#addState(index, bytes, entry)
        break
      case 'zone-keys':
        await this.#checkTime(index, bytes, entry)
        await this.#addKeys(index, bytes, entry)
        break
      case 'map-head':
        await this.#addMapHead(index, bytes, entry)
        break
      case 'unknown':
        break
    }
    if (this.#run.length >= RUN) await this.flush()
  }

  /** Waits for the signatures under way. @throws BreachError */
  async flush(): Promise<void> {
    const run = this.#run
    this.#run = []
    for (const { entry, error, index } of await Promise.all(run)) {
      if (error !== undefined) throw await this.#breach('bad-evidence', index, entry, error.message)
    }
  }

  async #decoded(index: number, bytes: Uint8Array): Promise<Entry> {
    try {
      return decodeEntry(bytes)
    } catch (error) {
      if (!(error instanceof EntryError)) throw error
      throw await this.#breach('bad-encoding', index, bytes, error.message)
    }
  }

  async #checkTime(
    index: number,
    bytes: Uint8Array,
    { historical, time }: DelegationEntry | ZoneKeysEntry,
  ): Promise<void> {
    if (historical) return
    if (this.#mapHead !== undefined && time < this.#mapHead.time) {
      const reason = 'the entry is older than the tree before it'
      throw await this.#breach('bad-admission', index, bytes, reason)
    }
    this.#liveTime = Math.max(this.#liveTime, time)
  }

  async #addState(index: number, bytes: Uint8Array, entry: DelegationEntry): Promise<void> {
    const { anchors } = this.#context.verifier
    const found = async (): Promise<boolean> =>
      (await chainAt(entry.keysId, entry.time, this.#lookup, anchors)) !== undefined
    if (!(await this.#haveChain(index, entry.time, found))) return
    const lookup = this.#before(index)
    this.#run.push(
      checkState(entry, lookup, this.#context.verifier).then(
        () => ({ index, entry: bytes, error: undefined }),
        (error: unknown) => {
          if (error instanceof VerifyError) return { index, entry: bytes, error }
          throw error
        },
      ),
    )
  }

  async #addKeys(index: number, bytes: Uint8Array, entry: ZoneKeysEntry): Promise<void> {
    const { verifier } = this.#context
    const found = async (): Promise<boolean> =>
      (await chainAbove(entry.link, entry.time, this.#lookup, verifier.anchors)) !== undefined
    if (isParentLink(entry.link) && !(await this.#haveChain(index, entry.time, found))) return
    try {
      const { keysId, window } = await checkKeys(entry, this.#lookup, verifier)
      this.#remember({ index, keysId, entry, ...window })
    } catch (error) {
      if (!(error instanceof VerifyError)) throw error
      throw await this.#breach('bad-evidence', index, bytes, error.message)
    }
  }

  async #addMapHead(index: number, bytes: Uint8Array, entry: MapHeadEntry): Promise<void> {
    const wrong = (reason: string) => this.#breach('bad-map', index, bytes, reason)
    const before = this.#mapHead ?? (await this.#mapHeadBefore(entry))
    if (entry.covers !== index || entry.previous !== before?.index) {
      throw await wrong('the MAP_HEAD does not follow the one before it')
    }
    if (before !== undefined && entry.time <= before.time) {
      throw await wrong('the time of the MAP_HEAD does not grow')
    }
    if (entry.time < this.#liveTime) {
      throw await wrong('the MAP_HEAD is older than an entry it covers')
    }
    this.#mapHead = { index, time: entry.time }
    this.#liveTime = 0
  }

  /** The MAP_HEAD that the first of the range names as the one before it, if it is one. */
  async #mapHeadBefore({
    previous,
  }: MapHeadEntry): Promise<{ index: number; time: number } | undefined> {
    if (previous === undefined || previous >= this.#from) return undefined
    const entry = await this.#entryAt(previous)
    return entry.type === 'map-head' ? { index: previous, time: entry.time } : undefined
  }

  /** Whether the keys that an entry needs are here, or could be fetched. */
  async #haveChain(index: number, at: number, found: () => Promise<boolean>): Promise<boolean> {
    if (await found()) return true
    if (this.#servesProofs) await this.#fetchChain(index, at)
    // A log that serves proofs and has none for this entry has appended it without evidence.
    if (this.#servesProofs) return true
    this.unproven++
    return false
  }

  /** Verifies the keys that the log names for an entry, from the root down. */
  async #fetchChain(index: number, at: number): Promise<void> {
    const { verifier } = this.#context
    for (const hint of (await this.#chainHints(index)).slice(0, MAX_CHAIN)) {
      const entry = hint < index ? await this.#entryAt(hint) : undefined
      if (entry?.type !== 'zone-keys') continue
      try {
        const { keysId, window } = await checkKeys(entry, this.#lookup, verifier, at)
        this.#remember({ index: hint, keysId, entry, ...window })
      } catch (error) {
        // Keys that prove nothing are no keys; the entry will lack them.
        if (!(error instanceof VerifyError)) throw error
      }
    }
  }

  /** Indices of the keys above an entry, the root's first, as the log tells them. */
  async #chainHints(index: number): Promise<number[]> {
    const { client, http } = this.#context
    try {
      const { body } = await http.request(`${client.url}/v1/entries/${index}/proof`, {
        maxBytes: MAX_TLOG_PROOF_BYTES,
      })
      const { extra } = parseTlogProof(body)
      return extra === undefined
        ? []
        : decodeExtra(extra)
            .chain.map((item) => item.index)
            .reverse()
    } catch (error) {
      if (isNotFound(error)) {
        this.#servesProofs = false
        return []
      }
      if (error instanceof VerifyError) return []
      if (error instanceof TlogError && error.code === 'bad-proof-file') return []
      throw error
    }
  }

  async #entryAt(index: number): Promise<Entry> {
    const { client } = this.#context
    for await (const { entry } of client.entries(index, index + 1, client.pinned)) {
      return this.#decoded(index, entry)
    }
    throw new Error(`entry ${index} was not delivered`)
  }

  readonly #lookup: KeysLookup = async (keysId: Hash) => this.#keys.get(toHex(keysId)) ?? []

  /** Keys as they were known to the log before an entry: others may be added while it is verified. */
  #before(index: number): KeysLookup {
    return async (keysId) => (await this.#lookup(keysId)).filter((keys) => keys.index < index)
  }

  #remember(keys: ZoneKeys): void {
    const id = toHex(keys.keysId)
    const known = this.#keys.get(id) ?? []
    if (known.some(({ index }) => index === keys.index)) return
    this.#keys.set(
      id,
      [...known, keys].sort((a, b) => b.index - a.index),
    )
  }

  async #breach(kind: ViolationKind, index: number, entry: Uint8Array, reason: string) {
    return breach(this.#context, { kind, index, entry, reason })
  }
}
