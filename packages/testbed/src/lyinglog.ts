/**
 * A log that says whatever a test wants it to, and signs it: for the tests of those who must find out.
 *
 *     const scribe = new Scribe({ anchors: net.anchors, now: net.clock.now })
 *     await scribe.mapHead()
 *     await scribe.observe(owner, net.evidence(owner))
 *     await scribe.mapHead()
 *     const log = new LyingLog()
 *     log.append(...scribe.entries)
 *     log.sign()                                 an honest log so far
 *
 * A {@link Scribe} writes the entries that an honest log would, by the same fold as the log; what it
 * is told to slip in, it keeps out of histories and map. A {@link LyingLog} publishes any bytes as
 * entries of a tree, under its own key: nothing it signs has to be true, and every file it serves may
 * be changed afterwards.
 */
import { createServer } from 'node:http'
import { utf8 } from '@dslog/tlog/bytes'
import { formatCheckpoint } from '@dslog/tlog/checkpoint'
import { signerOf } from '@dslog/tlog/cosignature'
import { HASH_SIZE, leafHash } from '@dslog/tlog/hash'
import type { Fetch } from '@dslog/tlog/http'
import { formatVkey, KEY_TYPE, signerKey, type SignerKey } from '@dslog/tlog/key'
import { UpperTree } from '@dslog/tlog/maptree'
import { signNote } from '@dslog/tlog/note'
import { bundlePath, encodeBundle, TILE_WIDTH, tilePath } from '@dslog/tlog/tile'
import { TileWriter } from '@dslog/tlog/tilewriter'
import type { Anchor } from '@dslog/dnssec/anchors'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import type { Name } from '@dslog/dnssec/name'
import type { RR } from '@dslog/dnssec/records'
import { encodeEntry } from '@dslog/schema/entry'
import type { Candidate, Moment } from '@dslog/verify/candidate'
import { type Admission, EMPTY_HEAD, Fold } from '@dslog/verify/fold'
import { MemoryStore } from '@dslog/verify/memory'
import { Observer } from '@dslog/verify/observe'
import { closeServer, listenOnLoopback } from './loopback.ts'

/** Leading bits of a map key that name a bucket; shows in no hash. */
const MAP_DEPTH = 4

/** Writes the entries of an honest log, one after the other. */
export class Scribe {
  /** All entries so far. */
  readonly entries: Uint8Array[] = []
  readonly #fold: Fold
  readonly #anchors: readonly Anchor[]
  readonly #now: () => number
  readonly #backend = nodeBackend()

  /** @param options a log of many names wants a greater depth */
  constructor({
    anchors,
    mapDepth = MAP_DEPTH,
    now,
  }: {
    anchors: readonly Anchor[]
    mapDepth?: number
    now: () => number
  }) {
    const store = new MemoryStore()
    this.#fold = new Fold(EMPTY_HEAD, new UpperTree(mapDepth), { store, anchors })
    this.#anchors = anchors
    this.#now = now
  }

  get size(): number {
    return this.entries.length
  }

  /** Appends the MAP_HEAD that ends a tree; the first entry of a log must be one. */
  async mapHead(): Promise<Uint8Array> {
    const { liveTime, mapTime, size } = this.#fold.head
    const time = Math.max(this.#now(), liveTime, size === 0 ? 0 : mapTime + 1)
    return this.#push(encodeEntry(await this.#fold.appendMapHead(time)))
  }

  /**
   * Observes a delegation: appends what the rules allow of what these records prove.
   *
   * @param at as historical evidence of that time (ms); live unless told
   * @returns what became of the key sets and, last, of the state
   * @throws VerifyError if the records prove nothing
   */
  async observe(owner: Name, bag: readonly RR[], at?: number): Promise<Admission[]> {
    const moment = this.#moment(at)
    return this.admit(await this.#observer(moment).delegation(owner, bag), moment)
  }

  /** Observes the keys of a zone, likewise. */
  async observeKeys(zone: Name, bag: readonly RR[], at?: number): Promise<Admission[]> {
    const moment = this.#moment(at)
    return this.admit(await this.#observer(moment).zoneKeys(zone, bag), moment)
  }

  /** Appends what the rules allow of these candidates. */
  async admit(candidates: readonly Candidate[], moment: Moment): Promise<Admission[]> {
    const admissions: Admission[] = []
    for (const candidate of candidates) {
      const admission = await this.#fold.admit(candidate, moment)
      if (admission.status === 'logged') this.#push(admission.bytes)
      admissions.push(admission)
    }
    return admissions
  }

  /** Appends any bytes, of which histories and map will know nothing. */
  slip(entry: Uint8Array): void {
    this.#fold.appendUnknown()
    this.#push(entry)
  }

  #push(entry: Uint8Array): Uint8Array {
    this.entries.push(entry)
    return entry
  }

  #moment(at: number | undefined): Moment {
    if (at !== undefined) return { time: at, historical: true }
    // Never before the tree before, also on a clock that stands still.
    return { time: Math.max(this.#now(), this.#fold.head.mapTime), historical: false }
  }

  #observer(moment: Moment): Observer {
    const known = { lookup: this.#fold.lookup, keysOfZone: async () => [] }
    return new Observer(known, { anchors: this.#anchors, backend: this.#backend }, moment)
  }
}

/** A log that serves, over HTTP, what it was told. */
export interface ServedLog {
  /** Without a slash at its end. */
  readonly url: string
  close(): Promise<void>
}

/** Publishes any entries as a tree. */
export class LyingLog {
  readonly key: SignerKey
  readonly entries: Uint8Array[] = []
  /** Every file that was ever published, by path. Change and delete them at will. */
  readonly files: Map<string, Uint8Array> = new Map()
  /** Paths asked for, in order. */
  readonly asked: string[] = []
  #writer = new TileWriter()

  /** @param log the key of a log, or its name: the same name gives the same key */
  constructor(log: string | SignerKey = 'log.example/lying') {
    this.key = typeof log === 'string' ? keyOf(log) : log
  }

  get origin(): string {
    return this.key.name
  }

  get size(): number {
    return this.entries.length
  }

  get vkey(): string {
    return formatVkey(this.key)
  }

  /** The policy that trusts it, without witnesses. */
  get policy(): string {
    return `log ${this.vkey}\nquorum none\n`
  }

  /** Appends entries; nothing of them shows until the tree is signed. */
  append(...entries: readonly Uint8Array[]): this {
    for (const entry of entries) this.entries.push(entry)
    return this
  }

  /**
   * Signs the tree of the first `size` entries, all of them unless told, and publishes it with its
   * tiles and bundles as the newest, whatever was published before.
   *
   * @returns the signed note
   */
  sign(size: number = this.size): string {
    if (size < this.#writer.size) this.#writer = new TileWriter()
    const from = this.#writer.size
    for (const entry of this.entries.slice(from, size)) this.#writer.appendEntry(entry)
    for (const { data, index, level } of this.#writer.take()) {
      this.files.set(tilePath({ level, index, width: data.length / HASH_SIZE }), data)
    }
    for (let first = from - (from % TILE_WIDTH); first < size; first += TILE_WIDTH) {
      const bundle = this.entries.slice(first, Math.min(first + TILE_WIDTH, size))
      const path = bundlePath({ index: first / TILE_WIDTH, width: bundle.length })
      this.files.set(path, encodeBundle(bundle))
    }
    const root = this.#writer.root()
    const text = formatCheckpoint({ origin: this.origin, size, root, extensions: [] })
    const note = signNote(text, [signerOf(this.key, () => 0)])
    this.files.set('checkpoint', utf8(note))
    return note
  }

  /** Another log of the same name and key, which has the first `size` entries in common with this one. */
  fork(size: number): LyingLog {
    return new LyingLog(this.key).append(...this.entries.slice(0, size))
  }

  /** Changes one bit of a published file. */
  flip(path: string, at: number): void {
    const file = this.files.get(path)?.slice()
    if (file === undefined || !(at < file.length)) throw new RangeError(`no byte ${at} of ${path}`)
    file[at]! ^= 1
    this.files.set(path, file)
  }

  /** `fetch` of a host that has nothing but this log, at any prefix. */
  readonly fetch: Fetch = async (url) => {
    const path = /(?:checkpoint|tile\/.*)$/.exec(url)?.[0] ?? url
    this.asked.push(path)
    const file = this.files.get(path)
    return file === undefined
      ? new Response('not here', { status: 404 })
      : new Response(new Uint8Array(file))
  }

  /** Serves it on a free port of the loopback interface. */
  async serve(): Promise<ServedLog> {
    const server = createServer((request, response) => {
      void (async () => {
        const answer = await this.fetch(request.url ?? '/', {})
        response.statusCode = answer.status
        response.end(new Uint8Array(await answer.arrayBuffer()))
      })()
    })
    const port = await listenOnLoopback(server)
    return { url: `http://127.0.0.1:${port}`, close: () => closeServer(server) }
  }
}

function keyOf(origin: string): SignerKey {
  return signerKey(origin, KEY_TYPE.ed25519, new Uint8Array(leafHash(utf8(origin))))
}
