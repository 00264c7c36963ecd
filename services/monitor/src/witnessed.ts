/**
 * What the witness remembers: of each log the largest tree that it has cosigned. It is written before
 * the cosignature is given out and compared before it is written, so that no crash, no second request
 * at the same time and no second process makes the witness cosign two trees that exclude each other.
 *
 * Trusted: whoever sets it back can have a fork cosigned. On the embedded database, which does not
 * wait for the disk, it is a file of its own that does.
 */
import { readFile } from 'node:fs/promises'
import { equal, toBase64 } from '@dslog/tlog/bytes'
import { TlogError } from '@dslog/tlog/error'
import { asHash, hashFromBase64 } from '@dslog/tlog/hash'
import type { KnownTree } from '@dslog/tlog/witness'
import type { MonitorTables } from '@dslog/schema/db'
import type { Database } from '@dslog/service/db'
import { writeFileAtomic } from '@dslog/service/files'
import { Turns } from '@dslog/service/turns'
import { MonitorError } from './error.ts'

/** A cosigned tree. */
export interface WitnessedTree extends KnownTree {
  /** The note with the log's signatures and the witness's. */
  readonly note: string
}

/** A durable record for each log, with compare-and-swap. */
export interface WitnessMemory {
  /** `undefined` for a log of which nothing was ever cosigned. */
  read(origin: string): Promise<WitnessedTree | undefined>
  /**
   * Replaces `from` by `to`, durably, before it resolves.
   *
   * @throws MonitorError `fenced` if what is recorded is not `from`
   */
  advance(origin: string, from: KnownTree | undefined, to: WitnessedTree): Promise<void>
}

/** A small file, fsynced; for the embedded database, whose folder has one process at a time. */
export class WitnessedFile implements WitnessMemory {
  readonly #path: string
  /** Calls of one process take their turns: the file holds all logs. */
  readonly #turns = new Turns()

  constructor(path: string) {
    this.#path = path
  }

  async read(origin: string): Promise<WitnessedTree | undefined> {
    return (await this.#all()).get(origin)
  }

  advance(origin: string, from: KnownTree | undefined, to: WitnessedTree): Promise<void> {
    return this.#turns.run(async () => {
      const all = await this.#all()
      demandSame(all.get(origin), from)
      all.set(origin, to)
      const lines = [...all].map(([log, { note, root, size }]) =>
        JSON.stringify({ origin: log, size, root: toBase64(root), note }),
      )
      await writeFileAtomic(this.#path, `${lines.join('\n')}\n`)
    })
  }

  async #all(): Promise<Map<string, WitnessedTree>> {
    let text: string
    try {
      text = await readFile(this.#path, 'utf8')
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return new Map()
      throw new MonitorError('witness', `cannot read ${this.#path}`, { cause })
    }
    try {
      return new Map(text.trimEnd().split('\n').map(recordOf))
    } catch (cause) {
      if (!(cause instanceof SyntaxError) && !(cause instanceof TlogError)) throw cause
      throw new MonitorError('witness', `${this.#path} is not a record of cosigned trees`, {
        cause,
      })
    }
  }
}

function recordOf(line: string): [string, WitnessedTree] {
  const { note, origin, root, size } = (JSON.parse(line) ?? {}) as Record<string, unknown>
  if (
    typeof origin !== 'string' ||
    typeof note !== 'string' ||
    typeof root !== 'string' ||
    !Number.isSafeInteger(size)
  ) {
    throw new SyntaxError('not a cosigned tree')
  }
  return [origin, { size: size as number, root: hashFromBase64(root), note }]
}

/** A row for each log, in the monitor's database. */
export class WitnessedTable implements WitnessMemory {
  readonly #db: Database<MonitorTables>

  constructor(db: Database<MonitorTables>) {
    this.#db = db
  }

  async read(origin: string): Promise<WitnessedTree | undefined> {
    const row = await this.#db.kysely
      .selectFrom('witnessed')
      .selectAll()
      .where('origin', '=', origin)
      .executeTakeFirst()
    return row && { size: row.size, root: asHash(row.root), note: row.note }
  }

  async advance(origin: string, from: KnownTree | undefined, to: WitnessedTree): Promise<void> {
    await this.#db.transaction(async (trx) => {
      const { note, root, size } = to
      // Of two first cosignatures at the same time one finds the row of the other.
      const { numInsertedOrUpdatedRows: inserted } = await trx
        .insertInto('witnessed')
        .values({ origin, size, root, note })
        .onConflict((on) => on.doNothing())
        .executeTakeFirst()
      if (inserted === 1n) return demandSame(undefined, from)
      const row = await trx
        .selectFrom('witnessed')
        .selectAll()
        .where('origin', '=', origin)
        .forUpdate()
        .executeTakeFirst()
      demandSame(row && { size: row.size, root: asHash(row.root) }, from)
      const set = { size, root, note }
      await trx.updateTable('witnessed').set(set).where('origin', '=', origin).execute()
    })
  }
}

function demandSame(recorded: KnownTree | undefined, expected: KnownTree | undefined): void {
  if (recorded === undefined && expected === undefined) return
  const same =
    recorded !== undefined &&
    expected !== undefined &&
    recorded.size === expected.size &&
    equal(recorded.root, expected.root)
  if (!same) throw new MonitorError('fenced', 'another process has cosigned a tree of this log')
}
