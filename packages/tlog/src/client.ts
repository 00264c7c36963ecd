/**
 * A client of a log, over the read API of C2SP tlog-tiles: checkpoint, tiles, entry bundles, all plain files below one
 * URL. The server is trusted in nothing: a checkpoint is held against the policy, tiles against the checkpoint's root,
 * entries against tiles, and a new checkpoint against the one before.
 *
 *   const client = new LogClient('https://log.example/ds', policy, http)
 *   let tree = await client.checkpoint()
 *   for await (const { index, entry } of client.entries(0, tree.checkpoint.size, tree)) …
 *   tree = await client.follow(tree)
 *
 * A server that shows what cannot be true is thrown as a MisbehaviourError with the evidence (misbehaviour.ts); one that
 * does not answer, or with something else, as a TlogError.
 */
import { DEFAULT_AHEAD, readAhead } from './ahead.ts'
import { equal, fromUtf8, toHex } from './bytes.ts'
import { TlogError } from './error.ts'
import { HASH_SIZE, leafHashInto } from './hash.ts'
import type { Hash } from './hash.ts'
import { isNotFound, withoutSlash } from './http.ts'
import type { HttpClient } from './http.ts'
import { LateError } from './late.ts'
import { MisbehaviourError, prefixRoot } from './misbehaviour.ts'
import type { Misbehaviour } from './misbehaviour.ts'
import { MAX_NOTE_BYTES } from './note.ts'
import { checkPolicy } from './policy.ts'
import type { Policy, TrustedCheckpoint } from './policy.ts'
import { TreeReader } from './reader.ts'
import type { TileSource } from './reader.ts'
import {
  MAX_ENTRY_SIZE,
  TILE_HEIGHT,
  TILE_WIDTH,
  bundlePath,
  bundlePrefix,
  decodeBundle,
  innerNodes,
  tileHash,
  tilePath,
  tileWidth,
} from './tile.ts'

/** An entry of a verified tree. */
export interface LogEntry {
  readonly index: number
  readonly entry: Uint8Array
  /** Its leaf hash. */
  readonly leaf: Hash
}

/** How a log is read. */
export interface LogClientOptions {
  /** Bundles asked for ahead of the one in use. Default {@link DEFAULT_AHEAD}. */
  readonly bundlesAhead?: number
}

/** Largest bundle, in bytes: 256 entries of 65,535 bytes behind their lengths. */
export const MAX_BUNDLE_BYTES: number = TILE_WIDTH * (2 + MAX_ENTRY_SIZE)

/** A bundle of `width` entries as it came: the file of that width, or the full one. */
interface ServedBundle {
  readonly index: number
  readonly width: number
  readonly served: number
  readonly data: Uint8Array
}

/** See the head of this file. As a {@link TileSource} it hands on what the server says, unverified. */
export class LogClient implements TileSource {
  /** The log's prefix, without a slash at its end. */
  readonly url: string
  readonly #policy: Policy
  readonly #http: HttpClient
  readonly #bundlesAhead: number
  #latest: { readonly tree: string; readonly reader: TreeReader } | undefined

  /** `url` is the log's prefix, http or https; TlogError `bad-url` for anything else. */
  constructor(url: string, policy: Policy, http: HttpClient, options: LogClientOptions = {}) {
    if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
      throw new TlogError('bad-url', `not an http or https URL: ${url}`)
    }
    this.url = withoutSlash(url)
    this.#policy = policy
    this.#http = http
    this.#bundlesAhead = options.bundlesAhead ?? DEFAULT_AHEAD
  }

  /** The log's newest checkpoint, if it satisfies the policy. Throws checkPolicy's errors. */
  async checkpoint(signal?: AbortSignal): Promise<TrustedCheckpoint> {
    const body = await this.#get('checkpoint', MAX_NOTE_BYTES, { fresh: true, signal })
    let note: string
    try {
      note = fromUtf8(body)
    } catch (cause) {
      throw new TlogError('bad-note', 'a checkpoint is UTF-8', { cause })
    }
    return checkPolicy(this.#policy, note, { now: this.#http.now() })
  }

  /** A tile as the server has it: `width` hashes, from the full tile if the partial one is gone. Unverified. */
  async tile(
    level: number,
    index: number,
    width: number,
    signal?: AbortSignal,
  ): Promise<Uint8Array> {
    const size = width * HASH_SIZE
    const get = (w: number): Promise<Uint8Array> =>
      this.#get(tilePath({ level, index, width: w }), w * HASH_SIZE, { signal })
    const data = await orWhenGone(get, width)
    if (data.length !== size && data.length !== TILE_WIDTH * HASH_SIZE) {
      throw new TlogError('bad-tile', `tile ${level}/${index} has ${data.length} bytes`)
    }
    return data.subarray(0, size)
  }

  /** An entry bundle as the server has it, cut to `width` entries if only the full one is left. Unverified. */
  async bundle(index: number, width: number, signal?: AbortSignal): Promise<Uint8Array> {
    return cut(await this.#bundle(index, width, signal))
  }

  /** A reader of a verified tree, for nodes and proofs. Every tile is checked against the tree's root before use. */
  tree(trusted: TrustedCheckpoint): TreeReader {
    const { size, root } = trusted.checkpoint
    const tree = `${size} ${toHex(root)}`
    // One reader is kept for its cache. It is not shared between trees: they might be forks.
    if (this.#latest?.tree !== tree) {
      this.#latest = { tree, reader: new TreeReader(this, size, { root }) }
    }
    return this.#latest.reader
  }

  /**
   * The entries [from, to) of a verified tree, in order, each verified before it is given out. Bundles are fetched
   * ahead. MisbehaviourError `bad-entry`, `bad-bundle` or `bad-tile`; HttpError and other TlogErrors for a server that
   * does not deliver. Throws RangeError for a range beyond the tree.
   */
  async *entries(
    from: number,
    to: number,
    trusted: TrustedCheckpoint,
    signal?: AbortSignal,
  ): AsyncGenerator<LogEntry, void, undefined> {
    for await (const bundle of this.bundles(from, to, trusted, signal)) yield* bundle
  }

  /** {@link entries}, as many at once as a bundle holds of them: for those who read millions. */
  async *bundles(
    from: number,
    to: number,
    trusted: TrustedCheckpoint,
    signal?: AbortSignal,
  ): AsyncGenerator<readonly LogEntry[], void, undefined> {
    const { size } = trusted.checkpoint
    if (!Number.isSafeInteger(from) || from < 0 || to < from || to > size) {
      throw new RangeError(`entries [${from}, ${to}) of a tree of ${size}`)
    }
    if (from === to) return
    const reader = this.tree(trusted)
    const bundles = readAhead(
      Math.floor(from / TILE_WIDTH),
      Math.ceil(to / TILE_WIDTH),
      (index, ending) => this.#bundle(index, tileWidth(size, 0, index), ending),
      { ahead: this.#bundlesAhead, signal },
    )
    for await (const bundle of bundles) {
      const entries = await this.#verified(bundle, reader, trusted)
      yield entries.filter(({ index }) => index >= from && index < to)
    }
  }

  /**
   * Checks that the log went from `older` to `newer` as it may: only by appending. MisbehaviourError `fork` if one is not
   * the beginning of the other, `rollback` if it is but `newer` is the smaller, `bad-tile`; TlogError `bad-checkpoint` if
   * they are not of one log.
   */
  async advance(older: TrustedCheckpoint, newer: TrustedCheckpoint): Promise<void> {
    const [a, b] = [older.checkpoint, newer.checkpoint]
    if (a.origin !== b.origin) {
      throw new TlogError('bad-checkpoint', `${b.origin} is not ${a.origin}`)
    }
    if (a.size === b.size && equal(a.root, b.root)) return
    if (b.size >= a.size) return this.#checkPrefix(older, newer)
    try {
      await this.#checkPrefix(newer, older)
    } catch (error) {
      if (error instanceof MisbehaviourError && error.misbehaviour.kind === 'fork') throw error
      // A log that went back may no longer have the tiles of where it was; that it went back stands.
      if (!(error instanceof TlogError)) throw error
    }
    throw new MisbehaviourError(
      { kind: 'rollback', evidence: { seen: older.note, served: newer.note } },
      `${a.origin} went back from ${a.size} entries to ${b.size}`,
    )
  }

  /**
   * Checks the same of a tree that a server shows after an older one: a smaller tree may come from a cache, and is a
   * LateError if it is how the larger begins, or if there is not enough to tell.
   */
  async succeed(older: TrustedCheckpoint, newer: TrustedCheckpoint): Promise<void> {
    if (newer.checkpoint.size >= older.checkpoint.size) return this.advance(older, newer)
    try {
      await this.advance(newer, older)
    } catch (error) {
      const isLate = error instanceof TlogError && isUndelivered(error)
      throw isLate ? new LateError(older, newer, { cause: error }) : error
    }
    throw new LateError(older, newer)
  }

  /**
   * The log's newest checkpoint after `older`: {@link checkpoint} and {@link succeed} in one. After a LateError `older` is
   * still the newest that is known: look again later.
   */
  async follow(older: TrustedCheckpoint, signal?: AbortSignal): Promise<TrustedCheckpoint> {
    const newer = await this.checkpoint(signal)
    await this.succeed(older, newer)
    return newer
  }

  async #checkPrefix(smaller: TrustedCheckpoint, larger: TrustedCheckpoint): Promise<void> {
    const { origin, size: from, root: fromRoot } = smaller.checkpoint
    const { size: to, root: toRoot } = larger.checkpoint
    const notes = { smaller: smaller.note, larger: larger.note }
    const fork = (evidence: (Misbehaviour & { kind: 'fork' })['evidence']): MisbehaviourError =>
      new MisbehaviourError(
        { kind: 'fork', evidence },
        `${origin} signed two trees, of ${from} and ${to} entries, that exclude each other`,
      )
    if (from === to) throw fork(notes)
    // The empty tree begins every tree, and the policy has checked its root.
    if (from === 0) return
    const reader = this.tree(larger)
    const prefix = await this.#caught(larger, async () => {
      const [leaf, path] = await Promise.all([reader.hash(0, from), reader.inclusionProof(from)])
      return { leaf, path }
    })
    if (!equal(prefixRoot(prefix, from, to, toRoot), fromRoot)) throw fork({ ...notes, prefix })
  }

  /** The entries of a bundle, once their hashes are found in the tree. */
  async #verified(
    bundle: ServedBundle,
    reader: TreeReader,
    trusted: TrustedCheckpoint,
  ): Promise<readonly LogEntry[]> {
    const { index, width } = bundle
    const entries = entriesOf(bundle, trusted)
    const hashes = new Uint8Array(width * HASH_SIZE)
    for (const [i, entry] of entries.entries()) leafHashInto(entry, hashes, i * HASH_SIZE)
    // A full bundle is known by the one hash above it, which spares its tile; a partial one by the tile at the edge.
    const known = await this.#caught(trusted, () =>
      width === TILE_WIDTH ? reader.hash(TILE_HEIGHT, index) : reader.tile(0, index, width),
    )
    const found = width === TILE_WIDTH ? innerNodes(hashes)[TILE_HEIGHT]! : hashes
    if (!equal(found, known)) {
      throw await this.#caught(trusted, () => badEntry(bundle, entries, hashes, reader, trusted))
    }
    const first = index * TILE_WIDTH
    return entries.map((entry, i) => ({ index: first + i, entry, leaf: tileHash(hashes, i) }))
  }

  /** Reads of a tree; tiles that are not the tree's become evidence. */
  async #caught<T>(trusted: TrustedCheckpoint, read: () => Promise<T>): Promise<T> {
    try {
      return await read()
    } catch (error) {
      if (!(error instanceof TlogError) || error.code !== 'bad-tile') throw error
      const evidence = { checkpoint: trusted.note, detail: error.message }
      throw new MisbehaviourError({ kind: 'bad-tile', evidence }, error.message, { cause: error })
    }
  }

  async #bundle(index: number, width: number, signal?: AbortSignal): Promise<ServedBundle> {
    const get = async (w: number): Promise<ServedBundle> => {
      const data = await this.#get(bundlePath({ index, width: w }), MAX_BUNDLE_BYTES, { signal })
      return { index, width, data, served: w }
    }
    return orWhenGone(get, width)
  }

  async #get(
    path: string,
    maxBytes: number,
    { fresh = false, signal }: { fresh?: boolean; signal?: AbortSignal | undefined },
  ): Promise<Uint8Array> {
    const { body } = await this.#http.request(`${this.url}/${path}`, {
      maxBytes,
      fresh,
      ...(signal === undefined ? {} : { signal }),
    })
    return body
  }
}

/** Whether a server merely had not what was asked for. */
function isUndelivered({ code }: TlogError): boolean {
  return code === 'http' || code === 'network'
}

/** What there is at `width`, or at the full width if a log has deleted the partial file since (tlog-tiles). */
async function orWhenGone<T>(get: (width: number) => Promise<T>, width: number): Promise<T> {
  try {
    return await get(width)
  } catch (error) {
    if (width === TILE_WIDTH || !isNotFound(error)) throw error
    return get(TILE_WIDTH)
  }
}

function cut({ data, served, width }: ServedBundle): Uint8Array {
  return served === width ? data : data.subarray(0, bundlePrefix(data, width))
}

function entriesOf(bundle: ServedBundle, trusted: TrustedCheckpoint): Uint8Array[] {
  const { index, width, served, data } = bundle
  try {
    return decodeBundle(cut(bundle), width)
  } catch (cause) {
    if (!(cause instanceof TlogError)) throw cause
    throw new MisbehaviourError(
      { kind: 'bad-bundle', evidence: { checkpoint: trusted.note, index, width: served, data } },
      `entry bundle ${index}: ${cause.message}`,
      { cause },
    )
  }
}

/** Which entry of a bundle is not the tree's, and the proof of what should be there. */
async function badEntry(
  bundle: ServedBundle,
  entries: readonly Uint8Array[],
  hashes: Uint8Array,
  reader: TreeReader,
  trusted: TrustedCheckpoint,
): Promise<MisbehaviourError> {
  const tile = await reader.tile(0, bundle.index, bundle.width)
  const at = entries.findIndex((_, i) => !equal(tileHash(hashes, i), tileHash(tile, i)))
  const index = bundle.index * TILE_WIDTH + at
  const evidence = {
    checkpoint: trusted.note,
    index,
    entry: entries[at]!.slice(),
    leaf: tileHash(tile, at),
    path: await reader.inclusionProof(index),
  }
  return new MisbehaviourError(
    { kind: 'bad-entry', evidence },
    `entry ${index} is not the one in the tree`,
  )
}
