/** A log in memory as its readers see it: a signed tree, and proof files made from it. */
import { utf8 } from '@dslog/tlog/bytes'
import { setBackend } from '@dslog/tlog/backend'
import { formatTlogProof } from '@dslog/tlog/bundle'
import { formatCheckpoint } from '@dslog/tlog/checkpoint'
import { signerOf } from '@dslog/tlog/cosignature'
import { leafHash } from '@dslog/tlog/hash'
import { formatVkey, KEY_TYPE, type SignerKey } from '@dslog/tlog/key'
import { proveMap } from '@dslog/tlog/maptree'
import { signNote } from '@dslog/tlog/note'
import { parsePolicy, type Policy } from '@dslog/tlog/policy'
import { inclusionNodes } from '@dslog/tlog/proof'
import { rootOf } from '@dslog/tlog/tree'
import type { Anchor } from '@dslog/dnssec/anchors'
import type { Name } from '@dslog/dnssec/name'
import { decodeEntry } from '@dslog/schema/entry'
import { mapKey, type MapKind, mapKeyOf } from '@dslog/schema/identity'
import { chainAbove, chainAt, type KeysLookup, type ZoneKeys } from '@dslog/verify/keys'
import {
  encodeExtra,
  type EntryProof,
  type NameProof,
  type ProofItem,
} from '@dslog/verify/prooffile'
import { claimedKeys } from '@dslog/verify/verify'
import { nodeBackend } from '@dslog/service/crypto'
import { testKey } from '@dslog/testbed/notekey'
import { day } from './registry.ts'
import type { TestLog } from './testlog.ts'

/** When notes are signed. */
const SIGNED_AT = day(100)

export const LOG_KEY = testKey('log.example/ds', KEY_TYPE.ed25519, 1)
export const WITNESS = testKey('witness.example', KEY_TYPE.cosignature, 2)
/** Signs too, and no policy here knows it. */
export const STRANGER = testKey('stranger.example', KEY_TYPE.cosignature, 3)

/** The policy of who trusts the log and asks for its witness. */
export const POLICY: Policy = parsePolicy(
  `log ${formatVkey(LOG_KEY)}\nwitness w ${formatVkey(WITNESS)}\nquorum w\n`,
)

/** Verifies signatures of notes by node:crypto, and each only once: mangled files ask thousands of times. */
export function rememberNotes(): void {
  const answers = new Map<string, boolean>()
  const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')
  setBackend({
    ...nodeBackend,
    ed25519Verify(key, message, signature) {
      const question = [key, message, signature].map(text).join('|')
      const answer = answers.get(question) ?? nodeBackend.ed25519Verify(key, message, signature)
      answers.set(question, answer)
      return answer
    },
  })
}

/** The inclusion path of a leaf. */
function pathOf(entries: readonly Uint8Array[], index: number): ProofItem['path'] {
  const { length } = entries
  return inclusionNodes(index, length).map(({ index: at, level }) => {
    const leaves = entries.slice(at * 2 ** level, (at + 1) * 2 ** level)
    return rootOf(leaves.map(leafHash))
  })
}

/** A tree that was signed. It proves what it is asked to; whether it is a good log nobody asks. */
export class PublishedLog {
  readonly entries: readonly Uint8Array[]
  readonly anchors: readonly Anchor[]
  readonly note: string
  readonly #keys: readonly ZoneKeys[]
  readonly #log: TestLog | undefined

  /** @param log where map proofs come from: the log that has made these entries, at this very size */
  constructor(
    entries: readonly Uint8Array[],
    anchors: readonly Anchor[],
    options: { readonly log?: TestLog; readonly signers?: readonly SignerKey[] } = {},
  ) {
    const { log, signers = [LOG_KEY, WITNESS, STRANGER] } = options
    this.entries = [...entries]
    this.anchors = anchors
    this.#log = log
    const checkpoint = {
      origin: LOG_KEY.name,
      size: entries.length,
      root: rootOf(entries.map(leafHash)),
      extensions: [],
    }
    const noteSigners = signers.map((key) => signerOf(key, () => SIGNED_AT))
    this.note = signNote(formatCheckpoint(checkpoint), noteSigners)
    this.#keys = entries.flatMap((bytes, index) => {
      const entry = decodeEntry(bytes)
      return entry.type === 'zone-keys' ? [claimedKeys(index, entry)] : []
    })
  }

  item(index: number): ProofItem {
    return { index, path: pathOf(this.entries, index), entry: this.entries[index]! }
  }

  /** The keys that an entry hangs from, nearest first. */
  async chain(index: number): Promise<ProofItem[]> {
    const entry = decodeEntry(this.entries[index]!)
    if (entry.type === 'map-head' || entry.type === 'unknown') return []
    const lookup: KeysLookup = async (id) =>
      this.#keys
        .filter((keys) => keys.index < index && keys.keysId.join() === id.join())
        .toReversed()
    const chain =
      entry.type === 'zone-keys'
        ? await chainAbove(entry.link, entry.time, lookup, this.anchors)
        : await chainAt(entry.keysId, entry.time, lookup, this.anchors)
    return chain?.links.map((keys) => this.item(keys.index)) ?? []
  }

  async entryProof(index: number): Promise<EntryProof> {
    return { kind: 'entry', leaf: this.entries[index]!, chain: await this.chain(index) }
  }

  /** Everything about a name, as the log has it. */
  async nameProof(mapKind: MapKind, name: Name): Promise<NameProof> {
    const log = this.#log
    if (log === undefined) throw new Error('no log to prove from')
    const key = mapKey(mapKind, name)
    const { proof: mapProof } = await proveMap(log.upper, key, async (prefix) => {
      return (await log.store.buckets([prefix])).get(prefix) ?? new Uint8Array(0)
    })
    const history = [...this.entries.keys()].filter((index) => {
      return mapKeyOf(decodeEntry(this.entries[index]!))?.join() === key.join()
    })
    const chain = new Map<number, ProofItem>()
    for (const index of history) {
      for (const item of await this.chain(index)) {
        if (!chain.has(item.index)) chain.set(item.index, item)
      }
    }
    return {
      kind: 'name',
      leaf: this.entries.at(-1)!,
      mapKind,
      name,
      mapProof,
      history: history.map((index) => this.item(index)),
      chain: [...chain.values()],
    }
  }

  /** A proof as a file. */
  file(proof: EntryProof | NameProof, index: number = this.entries.length - 1): string {
    return this.rawFile(encodeExtra(proof), index)
  }

  /** A file with anything as its extra line. */
  rawFile(extra: Uint8Array, index: number): string {
    const path = pathOf(this.entries, index)
    return formatTlogProof({ extra, index, path, checkpoint: this.note })
  }

  async entryFile(index: number): Promise<string> {
    return this.file(await this.entryProof(index), index)
  }

  async nameFile(mapKind: MapKind, name: Name): Promise<string> {
    return this.file(await this.nameProof(mapKind, name))
  }
}

/** The parts of an extra value: its domain, then type, length and value of each. */
export function tlvsOf(extra: Uint8Array): { head: Uint8Array; tlvs: Uint8Array[] } {
  const start = utf8('dslog/proof/v1\0').length
  const tlvs: Uint8Array[] = []
  for (let at = start; at < extra.length;) {
    const length = new DataView(extra.buffer, extra.byteOffset + at + 1).getUint32(0)
    tlvs.push(extra.subarray(at, at + 5 + length))
    at += 5 + length
  }
  return { head: extra.subarray(0, start), tlvs }
}
