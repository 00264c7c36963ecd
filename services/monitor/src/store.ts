/**
 * What the monitor remembers of a log that it follows: how far everything has been verified, and the
 * changes of delegations up to there. What it was caught at is in findings.ts, the replayed name map in
 * @dslog/service/foldtables.
 *
 * Trusted: whoever can write these tables can make the monitor take for verified what it has never
 * seen. That is why it keeps a database of its own.
 */
import type { Transaction } from 'kysely'
import { concat, equal } from '@dslog/tlog/bytes'
import { TlogError } from '@dslog/tlog/error'
import { asHash, type Hash, HASH_SIZE } from '@dslog/tlog/hash'
import { UpperTree } from '@dslog/tlog/maptree'
import { CompactRange } from '@dslog/tlog/tree'
import type { ChangeTable, FollowedTable, MonitorTables } from '@dslog/schema/db'
import type { DelegationEntry } from '@dslog/schema/entry'
import { MAX_LOGS, suffixOf } from '@dslog/schema/lognumber'
import type { Database } from '@dslog/service/db'
import { encodeDsSet } from '@dslog/service/dsset'
import { FoldTables } from '@dslog/service/foldtables'
import { MAP_DEPTH } from '@dslog/service/maptables'
import {
  forgetting,
  type Replayed,
  type ReplayPosition,
  type ReplayStore,
} from '@dslog/service/replay'
import { testPoint } from '@dslog/service/testpoint'
import { EMPTY_HEAD } from '@dslog/verify/fold'
import { MonitorError } from './error.ts'
import type { Finding, FindingKind, Withheld } from './evidence.ts'
import { findingsOf, keepFinding } from './findings.ts'
import { stateOf } from './judge/state.ts'
import { tellUnreadable } from './unreadable.ts'

/** How far a log has been verified, with everything that going on from there takes. */
export interface Position extends ReplayPosition {
  /** Right edge of the tree of those entries, made of their own hashes: its peaks, largest first. */
  readonly peaks: readonly Hash[]
}

/** What was last found right. */
export interface Followed {
  readonly position: Position
  /** The newest checkpoint that was consistent with everything before, and when it came (ms). */
  readonly accepted: { readonly note: string; readonly freshAt: number } | undefined
  /** When all of the newest checkpoint was last found right (ms). */
  readonly verifiedAt: number | undefined
  /** A tree that the log has signed and not published yet, consistent with everything before. */
  readonly pending: string | undefined
}

/** A change of a delegation, and where it stands in the log. */
export interface Change {
  readonly index: number
  readonly entry: DelegationEntry
}

/** Root of the tree of verified entries. */
export function rootOf({ head, peaks }: Position): Hash {
  return CompactRange.from(head.size, peaks).root()
}

const CHANGE_COLUMNS = [
  'log',
  'idx',
  'name',
  'zone',
  'time',
  'present',
  'out_of_order',
  'historical',
  'ds',
  'inception',
  'absence',
] as const satisfies readonly (keyof ChangeTable)[]

/** The tables of one followed log. */
export class MonitorStore implements ReplayStore<MonitorTables, Position> {
  readonly origin: string
  /** Its number in this database. */
  readonly log: number
  /** Histories, keys and map, as replayed. */
  readonly names: FoldTables
  readonly #db: Database<MonitorTables>

  private constructor(db: Database<MonitorTables>, origin: string, log: number) {
    this.#db = db
    this.origin = origin
    this.log = log
    this.names = FoldTables.in(db, suffixOf(log))
  }

  /**
   * A log in a database; one that was never followed is entered, with nothing verified.
   *
   * @throws MonitorError `policy` if there are too many
   */
  static async enter(db: Database<MonitorTables>, origin: string): Promise<MonitorStore> {
    const log = await db.transaction(async (trx) => {
      const rows = await trx.selectFrom('followed').select(['log', 'origin']).execute()
      const known = rows.find((row) => row.origin === origin)
      if (known !== undefined) return known.log
      const next = Math.max(0, ...rows.map((row) => row.log)) + 1
      if (next > MAX_LOGS) {
        const reason = `a database follows ${MAX_LOGS} logs, those of the past included`
        throw new MonitorError('policy', `${reason}: take another one for ${origin}`)
      }
      const position = { head: EMPTY_HEAD, peaks: [], upper: new UpperTree(MAP_DEPTH) }
      await trx
        .insertInto('followed')
        .values({ log: next, origin, ...rowOf(position) })
        .execute()
      return next
    })
    return new MonitorStore(db, origin, log)
  }

  /** Runs `work` in one transaction; what it may have put into memory is forgotten if it fails. */
  async transaction<T>(work: (trx: Transaction<MonitorTables>) => Promise<T>): Promise<T> {
    return forgetting(this.names, async () => {
      const result = await this.#db.transaction(work)
      testPoint('monitor.committed')
      return result
    })
  }

  /** The position after these entries, and the changes among them. */
  async move(
    trx: Transaction<MonitorTables>,
    from: Position,
    { entries, fold, unit }: Replayed,
  ): Promise<Position> {
    const range = CompactRange.from(from.head.size, from.peaks)
    for (const { leaf } of unit) range.append(leaf)
    const to = { head: fold.head, peaks: range.peaks(), upper: fold.upper }
    const changes = entries.flatMap((entry, i): Change[] => {
      return entry.type === 'ds' || entry.type === 'no-ds' ? [{ index: unit[i]!.index, entry }] : []
    })
    await this.advance(trx, from, to, changes)
    testPoint('monitor.committing')
    return to
  }

  /**
   * Reads how far the log has been verified, and checks that what is stored fits together.
   *
   * @throws MonitorError `corrupt`
   */
  async open(): Promise<Followed> {
    const row = await this.#db.kysely
      .selectFrom('followed')
      .selectAll()
      .where('log', '=', this.log)
      .executeTakeFirstOrThrow()
    const upper = new UpperTree(row.map_depth)
    for (const [prefix, root] of await this.names.map.roots(row.size)) upper.set(prefix, root)
    const { checkpoint: note, fresh_at: freshAt } = row
    return {
      position: positionOf(row, upper),
      accepted: note === null || freshAt === null ? undefined : { note, freshAt },
      verifiedAt: row.verified_at ?? undefined,
      pending: row.pending ?? undefined,
    }
  }

  /** Records a checkpoint that is consistent with everything before. */
  async accept(note: string, freshAt: number): Promise<void> {
    const set = { checkpoint: note, fresh_at: freshAt }
    await this.#update(set)
  }

  /** Records a signed tree that is not published yet, or that there is none. */
  async await(note: string | undefined): Promise<void> {
    await this.#update({ pending: note ?? null })
  }

  /** Records that all of the newest checkpoint was found right. */
  async verified(at: number): Promise<void> {
    await this.#update({ verified_at: at })
  }

  async #update(
    set: Partial<Pick<FollowedTable, 'checkpoint' | 'fresh_at' | 'verified_at' | 'pending'>>,
  ): Promise<void> {
    await this.#db.kysely.updateTable('followed').set(set).where('log', '=', this.log).execute()
  }

  /**
   * Moves the position, in the transaction that stores everything else about the entries in between.
   *
   * @throws MonitorError `fenced` if the stored position is not `from`
   */
  async advance(
    trx: Transaction<MonitorTables>,
    from: Position,
    to: Position,
    changes: readonly Change[],
  ): Promise<void> {
    const moved = await trx
      .updateTable('followed')
      .set(rowOf(to))
      .where('log', '=', this.log)
      .where('size', '=', from.head.size)
      .executeTakeFirst()
    if (moved.numUpdatedRows !== 1n) throw fenced(from.head.size)
    await this.#db.bulkInsert(
      trx,
      'change',
      CHANGE_COLUMNS,
      changes.map(({ entry, index }) => {
        const { absence, ds, inception, outOfOrder, time, zone } = stateOf(index, entry)
        const { historical, owner } = entry
        const set = encodeDsSet(ds)
        return [
          this.log,
          index,
          owner,
          zone,
          time,
          ds.length > 0,
          outOfOrder,
          historical,
          set,
          inception,
          absence,
        ]
      }),
    )
  }

  /**
   * Keeps evidence for ever, each piece once.
   *
   * @param size verified size, when it was found
   * @returns whether it is new
   * @throws MonitorError `fenced` if the stored position is another: then the finding may be a mix of two processes
   */
  async keep(finding: Finding, detail: string, size: number, at: number): Promise<boolean> {
    return this.#db.transaction(async (trx) => {
      const row = await trx
        .selectFrom('followed')
        .select('size')
        .where('log', '=', this.log)
        .forUpdate()
        .executeTakeFirst()
      if (row?.size !== size) throw fenced(size)
      const isNew = await keepFinding(trx, this.origin, finding, { detail, size, at })
      if (isNew) await tellUnreadable(trx, this.origin, finding, at)
      return isNew
    })
  }

  /** Keeps, beside the newest checkpoint, what a zone had signed and the log does not show. */
  async keepWithheld(
    trx: Transaction<MonitorTables>,
    evidence: Omit<Withheld['evidence'], 'checkpoint'>,
    detail: string,
    at: number,
  ): Promise<boolean> {
    const { checkpoint, size } = await trx
      .selectFrom('followed')
      .select(['checkpoint', 'size'])
      .where('log', '=', this.log)
      .executeTakeFirstOrThrow()
    if (checkpoint === null) return false
    const finding = { kind: 'withheld', evidence: { checkpoint, ...evidence } } as const
    return keepFinding(trx, this.origin, finding, { detail, size, at })
  }

  /** Pieces of evidence against the log, by kind. */
  async findings(): Promise<Map<FindingKind, number>> {
    return findingsOf(this.#db, this.origin)
  }
}

function fenced(size: number): MonitorError {
  return new MonitorError('fenced', `another process has gone on from the position ${size}`)
}

type PositionRow = Omit<
  FollowedTable,
  'log' | 'origin' | 'checkpoint' | 'fresh_at' | 'verified_at' | 'pending'
>

function rowOf({ head, peaks, upper }: Position): PositionRow {
  return {
    size: head.size,
    peaks: concat(...peaks),
    map_root: upper.root(),
    key_count: head.keyCount,
    map_head: head.mapHead ?? null,
    map_time: head.mapTime,
    live_time: head.liveTime,
    map_depth: upper.depth,
  }
}

function positionOf(row: PositionRow, upper: UpperTree): Position {
  const { key_count: keyCount, live_time: liveTime, map_head: mapHead, size } = row
  if (!equal(upper.root(), row.map_root)) {
    throw new MonitorError('corrupt', 'the stored buckets of the name map have another root')
  }
  const peaks: Hash[] = []
  for (let at = 0; at < row.peaks.length; at += HASH_SIZE) {
    peaks.push(asHash(row.peaks.slice(at, at + HASH_SIZE)))
  }
  try {
    CompactRange.from(size, peaks)
  } catch (cause) {
    if (!(cause instanceof TlogError)) throw cause
    throw new MonitorError('corrupt', `not the right edge of ${size} entries`, { cause })
  }
  const head = {
    size,
    mapHead: mapHead ?? undefined,
    mapTime: row.map_time,
    keyCount,
    liveTime,
  }
  return { head, peaks, upper }
}
