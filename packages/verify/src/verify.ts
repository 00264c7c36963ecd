/**
 * Verifies a proof file from nothing but the file, a policy and trust anchors: signature and
 * witnesses → inclusion → (for a name: MAP_HEAD → map → every entry of its history) → DNSSEC
 * evidence of each entry up to the root. What comes out is what was proven, and no more.
 */
import { equal, toHex } from '@dslog/tlog/bytes'
import { parseTlogProof, verifyTlogProof } from '@dslog/tlog/bundle'
import { TlogError } from '@dslog/tlog/error'
import { type Hash, leafHash } from '@dslog/tlog/hash'
import { verifyMap } from '@dslog/tlog/map'
import type { Policy, TrustedCheckpoint } from '@dslog/tlog/policy'
import { verifyInclusion } from '@dslog/tlog/proof'
import type { Name } from '@dslog/dnssec/name'
import { parseRrsig } from '@dslog/dnssec/records'
import { windowOf } from '@dslog/dnssec/rrsig'
import { DnssecError } from '@dslog/dnssec/error'
import { decodeEntry, type Entry, isParentLink, type ZoneKeysEntry } from '@dslog/schema/entry'
import { EntryError } from '@dslog/schema/error'
import { keysId, mapKey, type MapKind, mapKeyOf, mapValue } from '@dslog/schema/identity'
import { VerifyError } from './error.ts'
import { checkKeys, checkState, spanOf, type Verifier } from './evidence.ts'
import { chainAbove, chainAt, intersect, type KeysLookup, type ZoneKeys } from './keys.ts'
import { decodeExtra, type EntryProof, type NameProof, type ProofItem } from './prooffile.ts'

/** An entry that was proven to be logged, its evidence valid at its time. */
export interface ProvenEntry {
  readonly index: number
  readonly entry: Entry
  /** Seconds since the Unix epoch: inception of the deciding signature; entries with evidence only. */
  readonly inception?: number
  /** The keys that its evidence hangs from, nearest first, up to the root; entries with evidence only. */
  readonly chain?: readonly ZoneKeys[]
}

/** What a proof file proves. */
export type ProofReport =
  | ({ readonly kind: 'entry'; readonly trusted: TrustedCheckpoint } & ProvenEntry)
  | {
      readonly kind: 'name'
      readonly trusted: TrustedCheckpoint
      readonly mapKind: MapKind
      readonly name: Name
      /** Every entry of the name in that tree, oldest first; empty: there is none. */
      readonly history: readonly ProvenEntry[]
      readonly mapRoot: Hash
      /** ms since the Unix epoch: when the tree was closed, by its MAP_HEAD. */
      readonly time: number
    }

/** What has just been verified: each of these stands when it is told, whatever the next may bring. */
export type ProofStep =
  /** The checkpoint satisfies the policy, and the file's leaf is in its tree. */
  | { readonly step: 'checkpoint'; readonly trusted: TrustedCheckpoint; readonly index: number }
  /** The map that ends the tree holds this many entries of the name, and they are those in the file. */
  | { readonly step: 'map'; readonly entries: number; readonly time: number }
  /** This entry is in the tree, its evidence good. */
  | { readonly step: 'entry'; readonly proven: ProvenEntry; readonly done: number }

export interface ProofVerifier extends Verifier {
  readonly policy: Policy
  /** ms since the Unix epoch; bounds how far in the future a witness may have signed. */
  readonly now?: number
  /** Told of each step, for those who watch. */
  readonly onStep?: (step: ProofStep) => void
}

/**
 * Verifies a proof file.
 *
 * @param file the file's bytes, from anywhere
 * @throws VerifyError or TlogError: why the file proves nothing
 */
export async function verifyProofFile(
  file: Uint8Array | string,
  verifier: ProofVerifier,
): Promise<ProofReport> {
  const proof = parseTlogProof(file)
  if (proof.extra === undefined) throw new VerifyError('proof', 'the file has no evidence in it')
  const extra = decodeExtra(proof.extra)
  const options = verifier.now === undefined ? {} : { now: verifier.now }
  const trusted = verifyTlogProof(proof, leafHash(extra.leaf), verifier.policy, options)
  verifier.onStep?.({ step: 'checkpoint', trusted, index: proof.index })
  const reader = new ChainReader(extra.chain, trusted, verifier)
  const report =
    extra.kind === 'entry'
      ? await verifyEntry(extra, proof.index, trusted, reader, verifier)
      : await verifyName(extra, proof.index, trusted, reader, verifier)
  reader.done()
  return report
}

async function verifyEntry(
  proof: EntryProof,
  index: number,
  trusted: TrustedCheckpoint,
  reader: ChainReader,
  verifier: ProofVerifier,
): Promise<ProofReport> {
  const proven = await reader.check(index, decoded(proof.leaf))
  verifier.onStep?.({ step: 'entry', proven, done: 1 })
  return { kind: 'entry', trusted, ...proven }
}

async function verifyName(
  proof: NameProof,
  index: number,
  trusted: TrustedCheckpoint,
  reader: ChainReader,
  verifier: ProofVerifier,
): Promise<ProofReport> {
  const { mapKind, mapProof, name } = proof
  const { root, size } = trusted.checkpoint
  const head = decoded(proof.leaf)
  if (head.type !== 'map-head' || head.covers !== index || index !== size - 1) {
    throw new VerifyError('map', 'the leaf is not the MAP_HEAD that ends the tree')
  }
  const key = mapKey(mapKind, name)
  const indices = proof.history.map((item) => item.index)
  verifyMap(head.mapRoot, key, indices.length === 0 ? null : mapValue(indices), mapProof)
  verifier.onStep?.({ step: 'map', entries: indices.length, time: head.time })
  const history: ProvenEntry[] = []
  for (const item of proof.history) {
    verifyInclusion(leafHash(item.entry), item.index, size, item.path, root)
    const entry = decoded(item.entry)
    const entryKey = mapKeyOf(entry)
    if (entryKey === undefined || !equal(entryKey, key)) {
      throw new VerifyError('map', `entry ${item.index} is about another name`)
    }
    const proven = await reader.check(item.index, entry)
    history.push(proven)
    verifier.onStep?.({ step: 'entry', proven, done: history.length })
  }
  const { mapRoot, time } = head
  return { kind: 'name', trusted, mapKind, name, history, mapRoot, time }
}

/** The ZONE_KEYS items of a file: included in the tree, verified at the time of what needs them. */
class ChainReader {
  readonly #items: readonly ZoneKeys[]
  /** The same by key set, newest first. */
  readonly #sets = new Map<string, ZoneKeys[]>()
  readonly #verifier: Verifier
  /** In the order in which they were first needed. */
  readonly #used = new Set<ZoneKeys>()

  constructor(items: readonly ProofItem[], trusted: TrustedCheckpoint, verifier: Verifier) {
    const { root, size } = trusted.checkpoint
    this.#verifier = verifier
    this.#items = items.map((item) => {
      verifyInclusion(leafHash(item.entry), item.index, size, item.path, root)
      const entry = decoded(item.entry)
      if (entry.type !== 'zone-keys') throw new VerifyError('proof', 'a chain holds ZONE_KEYS only')
      return claimedKeys(item.index, entry)
    })
    for (const keys of this.#items.toSorted((a, b) => b.index - a.index)) {
      const id = toHex(keys.keysId)
      const set = this.#sets.get(id)
      if (set === undefined) this.#sets.set(id, [keys])
      else set.push(keys)
    }
  }

  /** Verifies the evidence of an entry by the items that stand before it in the log. */
  async check(index: number, entry: Entry): Promise<ProvenEntry> {
    if (entry.type === 'map-head' || entry.type === 'unknown') return { index, entry }
    const { anchors } = this.#verifier
    const at = entry.time
    const lookup = this.#before(index)
    const chain =
      entry.type === 'zone-keys'
        ? await chainAbove(entry.link, at, lookup, anchors)
        : await chainAt(entry.keysId, at, lookup, anchors)
    const links = chain?.links ?? []
    for (const keys of links) {
      this.#used.add(keys)
      await checkKeys(keys.entry, lookup, this.#verifier, at)
    }
    const { orderKey: inception } = await (entry.type === 'zone-keys'
      ? checkKeys(entry, lookup, this.#verifier)
      : checkState(entry, lookup, this.#verifier))
    return { index, entry, inception, chain: links }
  }

  /** Refuses items that nothing needed, or that stand in another order than they were needed in. */
  done(): void {
    const used = [...this.#used]
    const same = this.#items.every((item, i) => item === used[i])
    if (!same || this.#items.length !== used.length) {
      throw new VerifyError(
        'proof',
        'the file holds keys that nothing in it needs, or out of order',
      )
    }
  }

  #before(index: number): KeysLookup {
    return async (id) => (this.#sets.get(toHex(id)) ?? []).filter((keys) => keys.index < index)
  }
}

/** A ZONE_KEYS entry as it claims to be: the span of its signatures, none of them verified yet. */
export function claimedKeys(index: number, entry: ZoneKeysEntry): ZoneKeys {
  const { keys, link, rrsig, time, zone } = entry
  const span = (rdata: Uint8Array) => spanOf(windowOf(parseRrsig(rdata), time))
  const window = isParentLink(link) ? intersect(span(rrsig), span(link.rrsig)) : span(rrsig)
  return { index, keysId: keysId(zone, keys), entry, ...window }
}

function decoded(bytes: Uint8Array): Entry {
  try {
    return decodeEntry(bytes)
  } catch (cause) {
    if (cause instanceof EntryError) throw new VerifyError('malformed', cause.message, { cause })
    throw cause
  }
}

/** Whether an error says that a proof is bad, not that this program is. */
export function isVerificationFailure(error: unknown): error is Error {
  return (
    error instanceof VerifyError ||
    error instanceof TlogError ||
    error instanceof EntryError ||
    error instanceof DnssecError
  )
}
