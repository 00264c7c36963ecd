/**
 * Zone files, on disk or by URL, plain or gzip. A signed one is evidence, like a transfer. One without
 * signatures, or marked `trigger:` because its terms forbid to pass it on (CZDS), is only a reason to ask:
 * what differs from the log is asked for in the DNS, and that answer is the evidence.
 *
 * Broken files are refused whole. A list that lost more than a twentieth of its DS records waits for the
 * operator: without signatures nothing proves that they are gone.
 */
import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { ReadableStream } from 'node:stream/web'
import { equal } from '@dslog/tlog/bytes'
import { isBelow, type Name, nameKey, nameToText } from '@dslog/dnssec/name'
import { type RR, TYPE } from '@dslog/dnssec/records'
import { MAX_ZONE_FILE_BYTES, readZoneParts } from '@dslog/dnssec/zonefile'
import { firstOf } from '@dslog/resolver/abort'
import type { CrawlerTables } from '@dslog/schema/crawlerdb'
import { MINUTE } from '@dslog/schema/time'
import type { Clock } from '@dslog/service/clock'
import type { Database } from '@dslog/service/db'
import { ensureFolder } from '@dslog/service/files'
import type { Frontier } from '../frontier.ts'
import { type DsSet, LoggedZone } from '../loggedzone.ts'
import { Source, TaskKind, Tier } from '../schedule.ts'
import { mustWait, SourceError, type SourceTable, stampOf } from './source.ts'
import { refusal, type ZoneTaker } from './zone.ts'

/** Largest download, bytes, as it comes over the wire. */
const MAX_DOWNLOAD_BYTES = MAX_ZONE_FILE_BYTES
/** A download that takes longer has failed, ms. */
const DOWNLOAD_TIMEOUT_MS = 30 * MINUTE

/** Differing names that are held, about: with more of them a file is read twice. */
const MAX_HELD = 100_000

const TRIGGER = 'trigger:'

export interface ZoneFileOptions {
  readonly db: Database<CrawlerTables>
  readonly table: SourceTable
  readonly taker: ZoneTaker
  readonly frontier: Frontier
  readonly clock: Clock
  readonly fetch: typeof globalThis.fetch
  /** Where downloads lie while they are read. */
  readonly folder: string
  readonly userAgent: string
}

/** One file that is read again and again. */
export class ZoneFile {
  /** As it was configured. */
  readonly id: string
  readonly #trigger: boolean
  readonly #place: string
  readonly #options: ZoneFileOptions
  /** The file when it was looked at last. */
  #seen:
    { readonly stamp: string; readonly digest: string; readonly isSettled: boolean } | undefined

  constructor(id: string, options: ZoneFileOptions) {
    this.id = id
    this.#trigger = id.startsWith(TRIGGER)
    this.#place = this.#trigger ? id.slice(TRIGGER.length) : id
    this.#options = options
  }

  /**
   * Takes the file over if it is another than the last one.
   *
   * @returns whether it was
   * @throws SourceError
   */
  async read(signal: AbortSignal): Promise<boolean> {
    if (!/^https?:/.test(this.#place)) return this.#take(this.#place, signal)
    const { folder } = this.#options
    await ensureFolder(folder)
    const file = join(folder, `${createHash('sha256').update(this.id).digest('hex')}.zone`)
    try {
      await this.#download(file, signal)
      return await this.#take(file, signal)
    } finally {
      await rm(file, { force: true })
    }
  }

  async #download(file: string, signal: AbortSignal): Promise<void> {
    const { fetch, userAgent } = this.#options
    const end = firstOf(signal, AbortSignal.timeout(DOWNLOAD_TIMEOUT_MS))
    try {
      const response = await fetch(this.#place, {
        headers: { 'user-agent': userAgent },
        signal: end.signal,
      })
      if (!response.ok || response.body === null) {
        throw new SourceError('unreachable', `${this.#place} answered ${response.status}`)
      }
      await pipeline(
        Readable.fromWeb(response.body as ReadableStream),
        limit(),
        createWriteStream(file),
      )
    } catch (cause) {
      signal.throwIfAborted()
      if (cause instanceof SourceError) throw cause
      throw new SourceError('unreachable', `${this.#place} could not be fetched`, { cause })
    } finally {
      end.release()
    }
  }

  async #take(file: string, signal: AbortSignal): Promise<boolean> {
    const { clock, db, table } = this.#options
    const version = await this.#version(file)
    const row = await table.get(this.id)
    if (row?.version === version) return false
    if (row?.held === version && row.accepted !== version) {
      throw new SourceError('held', 'waits for the operator')
    }
    const apex = await apexOf(file)
    if (!this.#trigger && (await isSigned(file))) {
      const taken = await this.#options.taker.take(apex, await all(file), signal)
      // What the log refused may do next time: then the file is not taken over yet.
      await table.taken(this.id, taken.refused > 0 ? null : version, taken.signed, clock())
      return true
    }
    const logged = await LoggedZone.read(db, apex)
    // Nothing is asked before the file is read to its end: a broken one is refused whole.
    let size = 0
    let differing: Name[] | undefined = []
    for await (const sets of dsSets(file, apex)) {
      signal.throwIfAborted()
      size += sets.length
      const names = logged.differing(sets)
      if (differing !== undefined && differing.length <= MAX_HELD) differing.push(...names)
      else differing = undefined
    }
    if (mustWait(row, version, size)) {
      const reason = `${size} names with DS records, ${row!.signed} before`
      await table.failed(this.id, reason, version, clock())
      throw new SourceError('held', reason)
    }
    await this.#ask(differing === undefined ? differingIn(file, apex, logged) : [differing], signal)
    await this.#ask(logged.missing(), signal)
    await table.taken(this.id, version, size, clock())
    return true
  }

  /** The digest of a file. It is computed until two looks in a row have found the file untouched. */
  async #version(file: string): Promise<string> {
    const stamp = await stampOf(file)
    const before = this.#seen
    const isSame = stamp === before?.stamp
    if (isSame && before.isSettled) return before.digest
    const digest = await digestOf(file)
    this.#seen = { stamp, digest, isSettled: isSame }
    return digest
  }

  /** Has names asked now. */
  async #ask(
    names: AsyncIterable<readonly Name[]> | Iterable<readonly Name[]>,
    signal: AbortSignal,
  ): Promise<void> {
    const { clock, frontier } = this.#options
    const due = clock()
    const task = { kind: TaskKind.poll, tier: Tier.signed, due, source: Source.zone }
    for await (const part of names) {
      signal.throwIfAborted()
      // A set whose records do not stand together is there in parts.
      const once = [...new Map(part.map((name) => [nameKey(name), name])).values()]
      await frontier.add(once.map((name) => ({ name, ...task })))
      await frontier.hurry(once, due)
    }
  }
}

/** Names of which the log says otherwise than a file, some hundreds at a time. */
async function* differingIn(
  file: string,
  apex: Name,
  logged: LoggedZone,
): AsyncGenerator<Name[], void, undefined> {
  for await (const sets of dsSets(file, apex)) yield logged.differing(sets)
}

/** DS sets of a zone file, some hundreds at a time; those whose records do not stand together come in parts. */
async function* dsSets(file: string, apex: Name): AsyncGenerator<DsSet[], void, undefined> {
  let set: DsSet | undefined
  let before: Name | undefined
  for await (const records of recordsIn(file)) {
    const whole: DsSet[] = []
    for (const { owner, rdata, type } of records) {
      // Records of one name that stand together share it.
      if (owner !== before && !isBelow(owner, apex) && !equal(owner, apex)) {
        throw new SourceError('refused', `${nameToText(owner)} is not of this zone`)
      }
      before = owner
      if (type !== TYPE.DS || equal(owner, apex)) continue
      if (set !== undefined && equal(set.name, owner)) {
        set.ds.push(rdata)
        continue
      }
      if (set !== undefined) whole.push(set)
      set = { name: owner, ds: [rdata] }
    }
    yield whole
  }
  if (set !== undefined) yield [set]
}

/** The apex of a file. One that does not begin with its SOA is none. */
async function apexOf(file: string): Promise<Name> {
  for await (const [first] of recordsIn(file)) {
    if (first === undefined) continue
    if (first.type === TYPE.SOA) return first.owner
    throw new SourceError('refused', 'no SOA record at its beginning')
  }
  throw new SourceError('refused', 'no records')
}

async function isSigned(file: string): Promise<boolean> {
  for await (const records of recordsIn(file)) {
    if (records.some(({ type }) => type === TYPE.RRSIG)) return true
  }
  return false
}

/** Records of a file, some hundreds at a time. */
async function* recordsIn(file: string): AsyncGenerator<readonly RR[], void, undefined> {
  const bytes = createReadStream(file)
  try {
    yield* readZoneParts(bytes)
  } catch (cause) {
    // A file of gzip that ends too early, or is none, fails in the decompressor's words.
    const fault = cause instanceof TypeError || (cause instanceof Error && 'code' in cause)
    const refused = refusal(cause)
    if (refused !== cause || !fault) throw refused
    throw new SourceError('refused', cause instanceof Error ? cause.message : 'broken', { cause })
  } finally {
    bytes.destroy()
  }
}

async function all(file: string): Promise<RR[]> {
  const all: RR[] = []
  for await (const records of recordsIn(file)) for (const record of records) all.push(record)
  return all
}

async function digestOf(file: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer)
  return hash.digest('hex')
}

function limit(): Transform {
  let total = 0
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      total += chunk.length
      if (total > MAX_DOWNLOAD_BYTES) done(new SourceError('refused', 'larger than a zone may be'))
      else done(null, chunk)
    },
  })
}
