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
import { mkdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { ReadableStream } from 'node:stream/web'
import { sql } from 'kysely'
import { equal } from '@dslog/tlog/bytes'
import { isBelow, type Name, nameKey, nameToText } from '@dslog/dnssec/name'
import { type RR, TYPE } from '@dslog/dnssec/records'
import { MAX_ZONE_FILE_BYTES, readZoneFile } from '@dslog/dnssec/zonefile'
import type { CrawlerTables } from '@dslog/schema/crawlerdb'
import { stateId } from '@dslog/schema/identity'
import type { Clock } from '@dslog/service/clock'
import type { Database } from '@dslog/service/db'
import { BATCH_ROWS, type Frontier } from '../frontier.ts'
import { loggedStates } from '../logged.ts'
import { Source, TaskKind, Tier } from '../schedule.ts'
import { mustWait, SourceError, type SourceTable } from './source.ts'
import { refusal, type ZoneTaker } from './zone.ts'

/** Largest download, bytes, as it comes over the wire. */
const MAX_DOWNLOAD_BYTES = MAX_ZONE_FILE_BYTES
/** A download that sends nothing for so long has failed, ms. */
const DOWNLOAD_TIMEOUT_MS = 30 * 60_000

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
    await mkdir(folder, { recursive: true })
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
    try {
      const response = await fetch(this.#place, {
        headers: { 'user-agent': userAgent },
        signal: AbortSignal.any([signal, AbortSignal.timeout(DOWNLOAD_TIMEOUT_MS)]),
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
    }
  }

  async #take(file: string, signal: AbortSignal): Promise<boolean> {
    const { clock, table } = this.#options
    const version = await digestOf(file)
    const row = await table.get(this.id)
    if (row?.version === version) return false
    if (row?.held === version && row.accepted !== version) {
      throw new SourceError('held', 'waits for the operator')
    }
    const { apex, signed } = await kindOf(file)
    if (signed && !this.#trigger) {
      const records = await all(file)
      const taken = await this.#options.taker.take(apex, records, signal)
      await table.taken(this.id, version, taken.signed, clock())
      return true
    }
    const list = await DsList.read(file, apex)
    if (mustWait(row, version, list.size)) {
      const reason = `${list.size} names with DS records, ${row!.signed} before`
      await table.failed(this.id, reason, version, clock())
      throw new SourceError('held', reason)
    }
    await this.#trip(file, apex, list, signal)
    await table.taken(this.id, version, list.size, clock())
    return true
  }

  /** Has asked what the list says otherwise than the log. */
  async #trip(file: string, apex: Name, list: DsList, signal: AbortSignal): Promise<void> {
    const { clock, db, frontier } = this.#options
    const due = clock()
    let batch = new Map<string, { name: Name; ds: Uint8Array[] }>()
    const compare = async (): Promise<void> => {
      signal.throwIfAborted()
      const names = [...batch.values()]
      const logged = await loggedStates(
        db,
        names.map(({ name }) => name),
      )
      const changed = names.filter(({ ds, name }) => {
        const state = logged.get(nameKey(name))
        return state === undefined || !equal(state.state, stateId(name, apex, ds))
      })
      const task = { kind: TaskKind.poll, tier: Tier.signed, due, source: Source.zone }
      await frontier.add(changed.map(({ name }) => ({ name, ...task })))
      await frontier.hurry(
        changed.map(({ name }) => name),
        due,
      )
      batch = new Map()
    }
    for await (const { name, ds } of dsSets(file, apex)) {
      batch.set(nameKey(name), { name, ds })
      if (batch.size >= BATCH_ROWS) await compare()
    }
    await compare()
    for await (const names of loggedNames(db, apex)) {
      await frontier.hurry(
        names.filter((name) => !list.has(name)),
        due,
      )
    }
  }
}

/** Names with DS records, as numbers: a list of millions fits into memory. */
class DsList {
  readonly #hashes: Float64Array

  private constructor(hashes: Float64Array) {
    this.#hashes = hashes
  }

  static async read(file: string, apex: Name): Promise<DsList> {
    let hashes = new Float64Array(BATCH_ROWS)
    let size = 0
    for await (const { name } of dsSets(file, apex)) {
      if (size === hashes.length) {
        const bigger = new Float64Array(2 * size)
        bigger.set(hashes)
        hashes = bigger
      }
      hashes[size++] = hashOf(name)
    }
    return new DsList(hashes.slice(0, size).sort())
  }

  get size(): number {
    return this.#hashes.length
  }

  has(name: Name): boolean {
    const wanted = hashOf(name)
    let low = 0
    let high = this.#hashes.length
    while (low < high) {
      const middle = Math.floor((low + high) / 2)
      if (this.#hashes[middle]! < wanted) low = middle + 1
      else high = middle
    }
    return this.#hashes[low] === wanted
  }
}

/** 48 bits: a name that is taken for another is asked with the next round. */
function hashOf(name: Name): number {
  return createHash('sha256').update(name).digest().readUIntBE(0, 6)
}

/** DS sets of a zone file; those whose records do not stand together come in parts. */
async function* dsSets(
  file: string,
  apex: Name,
): AsyncGenerator<{ name: Name; ds: Uint8Array[] }, void, undefined> {
  let set: { name: Name; ds: Uint8Array[] } | undefined
  for await (const { owner, rdata, type } of recordsIn(file)) {
    if (type !== TYPE.DS || !isBelow(owner, apex)) continue
    if (set !== undefined && equal(set.name, owner)) {
      set.ds.push(rdata)
      continue
    }
    if (set !== undefined) yield set
    set = { name: owner, ds: [rdata] }
  }
  if (set !== undefined) yield set
}

/** The apex of a file, and whether it is signed. A file that does not begin with its SOA is none. */
async function kindOf(file: string): Promise<{ apex: Name; signed: boolean }> {
  let apex: Name | undefined
  let signed = false
  for await (const { owner, type } of recordsIn(file)) {
    if (apex === undefined) {
      if (type !== TYPE.SOA) throw new SourceError('refused', 'no SOA record at its beginning')
      apex = owner
    } else if (!isBelow(owner, apex) && !equal(owner, apex)) {
      throw new SourceError('refused', `${nameToText(owner)} is not of this zone`)
    }
    signed ||= type === TYPE.RRSIG
  }
  if (apex === undefined) throw new SourceError('refused', 'no records')
  return { apex, signed }
}

async function* recordsIn(file: string): AsyncGenerator<RR, void, undefined> {
  try {
    yield* readZoneFile(createReadStream(file))
  } catch (cause) {
    // A file of gzip that ends too early, or is none, fails in the decompressor's words.
    const fault = cause instanceof TypeError || (cause instanceof Error && 'code' in cause)
    const refused = refusal(cause)
    if (refused !== cause || !fault) throw refused
    throw new SourceError('refused', cause instanceof Error ? cause.message : 'broken', { cause })
  }
}

async function all(file: string): Promise<RR[]> {
  const records: RR[] = []
  for await (const record of recordsIn(file)) records.push(record)
  return records
}

/** Names of a zone with a DS in the log, some hundreds at a time. */
async function* loggedNames(
  db: Database<CrawlerTables>,
  zone: Name,
): AsyncGenerator<Name[], void, undefined> {
  for (let after: Uint8Array = new Uint8Array(0); ;) {
    const { rows } = await sql<{ name: Name }>`
      select name from logged where zone = ${zone} and signed and name > ${after}
      order by name limit ${BATCH_ROWS}`.execute(db.kysely)
    const last = rows.at(-1)
    if (last === undefined) return
    yield rows.map(({ name }) => name)
    after = last.name
  }
}

async function digestOf(file: string): Promise<string> {
  try {
    await stat(file)
  } catch (cause) {
    const { code = 'error' } = cause as NodeJS.ErrnoException
    throw new SourceError('unreachable', `${file} cannot be read (${code})`, { cause })
  }
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
