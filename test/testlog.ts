/**
 * A log over a small signed internet, put together as the service does it, but without HTTP and without a pool: each
 * submission is a tree. What lies under the log (database, signer row, keys) can be wrapped on the way, to make it fail.
 */
import { equal, toBase64 } from '@dslog/tlog/bytes'
import { openCheckpoint } from '@dslog/tlog/checkpoint'
import { verifierOf } from '@dslog/tlog/cosignature'
import { UpperTree } from '@dslog/tlog/maptree'
import { verifyConsistency } from '@dslog/tlog/proof'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { type Name, nameToText } from '@dslog/dnssec/name'
import type { RR } from '@dslog/dnssec/records'
import { encodeRecord } from '@dslog/dnssec/wire'
import type { Observation, SubmitResult } from '@dslog/schema/api'
import type { LogTables } from '@dslog/schema/db'
import type { Clock } from '@dslog/service/clock'
import { readConfig } from '@dslog/service/config'
import type { Database } from '@dslog/service/db'
import type { Internet } from '@dslog/testbed/internet'
import { Auditor, type Violation } from '@dslog/verify/audit'
import { EMPTY_HEAD, Fold } from '@dslog/verify/fold'
import { MemoryStore } from '@dslog/verify/memory'
import { Admitter, type EvidenceSink } from '@dslog/log/admit'
import { LOG_CONFIG, type LogConfig } from '@dslog/log/config'
import { createLog } from '@dslog/log/create'
import { fsck } from '@dslog/log/fsck'
import type { Batch } from '@dslog/log/decide'
import { Log, type LogOptions } from '@dslog/log/log'
import { openLogDatabase } from '@dslog/log/main'
import { LogReader } from '@dslog/log/reader'
import { TreeStore } from '@dslog/log/store'
import { ZoneList } from '@dslog/log/zones'
import { keyOf, type Place } from './place.ts'
import { silent } from './silent.ts'

const backend = nodeBackend()

/** Configuration of a log at a place. */
export function configOf(place: Place, env: Readonly<Record<string, string>> = {}): LogConfig {
  return readConfig({ log: LOG_CONFIG }, { ...place.env, ...env }).log
}

/** How a test log is put together. */
export interface TestLogOptions {
  readonly clock: Clock
  /** Replaces parts of what the log stands on. */
  readonly wrap?: (options: LogOptions) => LogOptions
  /** Signing zones admitted besides the usual ones. */
  readonly zones?: readonly Name[]
  /** What takes evidence, instead of the log itself. */
  readonly sink?: (log: Log) => EvidenceSink
}

/** Opens the database of a place, and what else a log stands on. */
export async function openPlace(place: Place, clock: Clock): Promise<LogOptions> {
  return openLogDatabase({ config: configOf(place), logger: silent, clock })
}

/** A log that is open. */
export class TestLog {
  readonly options: LogOptions
  readonly log: Log
  readonly reader: LogReader
  readonly admitter: Admitter

  private constructor(log: Log, options: LogOptions, own: TestLogOptions) {
    this.log = log
    this.options = options
    this.reader = new LogReader(log, options.db)
    const zones = new ZoneList(own.zones)
    const sink = own.sink?.(log) ?? directly(log)
    this.admitter = new Admitter({ log, sink, zones, backend, clock: own.clock })
  }

  /** Opens the log at a place; creates it where there is none. Throws what the service would. */
  static async open(own: TestLogOptions & { readonly place: Place }): Promise<TestLog> {
    const plain = await openPlace(own.place, own.clock)
    try {
      return await TestLog.over(plain, own)
    } catch (error) {
      await plain.db.close()
      throw error
    }
  }

  /** Opens the log in a database that is open already, and stays so when this fails. */
  static async over(plain: LogOptions, own: TestLogOptions): Promise<TestLog> {
    const options = own.wrap?.(plain) ?? plain
    if ((await new TreeStore(plain.db).tree()) === undefined) await createLog(options)
    return new TestLog(await Log.open(options), options, own)
  }

  get db(): Database<LogTables> {
    return this.options.db
  }

  /** What became of some observations, in one tree. */
  submit(...observations: readonly Observation[]): Promise<SubmitResult[]> {
    return this.admitter.submit(observations)
  }

  async close(): Promise<void> {
    await this.log.close()
    await this.db.close()
  }
}

/** Gives each submission to the log as a tree of its own, one after the other. */
export function directly(log: Log): EvidenceSink {
  let tail: Promise<unknown> = Promise.resolve()
  return {
    submit(batches: readonly Batch[]) {
      const done = tail.then(() => log.sequence(batches))
      tail = done.catch(() => {})
      return done
    },
  }
}

/** Records as they travel in a submission. */
export function wire(records: readonly RR[]): string[] {
  return records.map((record) => toBase64(encodeRecord(record)))
}

/** What an observer of a name sees now, with everything it hangs from. */
export function observe(net: Internet, owner: Name): Observation {
  return { owner: nameToText(owner), records: wire(net.evidence(owner)) }
}

/** Which of these checkpoints the log does not continue, and why: none, for a log that keeps its word. */
export async function broken({ log, reader }: TestLog, notes: Iterable<string>): Promise<string[]> {
  const found: string[] = []
  const { tree } = reader
  const verifiers = [verifierOf(keyOf(log.origin))]
  for (const note of new Set([...notes, tree.note])) {
    const { root, size } = openCheckpoint(note, verifiers).checkpoint
    if (size > tree.size) {
      found.push(`a checkpoint of ${size} was signed, the log has ${tree.size}`)
      continue
    }
    const proof = await tree.reader.consistencyProof(size)
    try {
      verifyConsistency(size, tree.size, proof, root, tree.root)
    } catch (error) {
      found.push(`the checkpoint of ${size} is of another tree: ${String(error)}`)
    }
  }
  return found
}

/** Everything an auditor would say against a log, and everything fsck would: nothing, for a sound one. */
export async function complaints({ options, reader }: TestLog): Promise<string[]> {
  const violation = await audit(reader, options)
  const { problems } = await fsck(options, backend)
  return violation === undefined
    ? [...problems]
    : [`entry ${violation.index}: ${violation.reason}`, ...problems]
}

/** A whole audit of the published tree, from leaf 0 on, by entries alone. */
async function audit(
  reader: LogReader,
  { anchors }: Pick<LogOptions, 'anchors'>,
): Promise<Violation | undefined> {
  const { tree } = reader
  const fold = new Fold(EMPTY_HEAD, new UpperTree(4), { store: new MemoryStore(), anchors })
  const entries = (await reader.entries(0, tree.size)).map(({ bytes }) => bytes)
  const violation = await new Auditor(fold, { anchors, backend }).check(entries)
  if (violation !== undefined) return violation
  const { mapHead, size } = fold.head
  if (mapHead !== size - 1 || !equal(fold.upper.root(), tree.upper.root())) {
    throw new Error('the tree does not end with the MAP_HEAD of its map')
  }
  return undefined
}
