/** What sources have in common: how they fail, and what is kept of each. */
import { stat } from 'node:fs/promises'
import { sql } from 'kysely'
import type { CrawlerTables } from '@dslog/schema/crawlerdb'
import type { Database } from '@dslog/service/db'

/** Why a source gave nothing. */
export type SourceErrorCode =
  | 'unreachable' // no file, no server, no answer
  | 'refused' // what came is broken, and was refused whole
  | 'held' // what came waits for the operator

/** A reading that came to nothing. The next may do better. */
export class SourceError extends Error {
  override readonly name = 'SourceError'
  readonly code: SourceErrorCode

  constructor(code: SourceErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.code = code
  }
}

/**
 * What a file that is written, or another one in its place, does not keep. Writes within one tick of the file system's clock
 * can look alike.
 *
 * @throws SourceError `unreachable`
 */
export async function stampOf(file: string): Promise<string> {
  try {
    const { ino, mtimeMs, size } = await stat(file)
    return `${ino} ${mtimeMs} ${size}`
  } catch (cause) {
    const { code = 'error' } = cause as NodeJS.ErrnoException
    throw new SourceError('unreachable', `${file} cannot be read (${code})`, { cause })
  }
}

/** Share of its names with DS records that a list without signatures may lose from one version to the next. */
const MAX_LOSS = 0.05

/** What is kept of a source. */
export interface SourceRow {
  readonly id: string
  readonly signed: number
  readonly version: string | null
  readonly held: string | null
  readonly accepted: string | null
}

/** The table of sources. */
export class SourceTable {
  readonly #db: Database<CrawlerTables>

  constructor(db: Database<CrawlerTables>) {
    this.#db = db
  }

  async get(id: string): Promise<SourceRow | undefined> {
    return this.#db.kysely.selectFrom('source').selectAll().where('id', '=', id).executeTakeFirst()
  }

  async list() {
    const rows = await this.#db.kysely.selectFrom('source').selectAll().orderBy('id').execute()
    return rows.map(({ held, id, read_at, reason, signed }) => {
      return { id, signed, read_at, reason, held: held !== null }
    })
  }

  /** A version was taken over. */
  async taken(id: string, version: string | null, signed: number, now: number): Promise<void> {
    await sql`
      insert into source (id, signed, read_at, version) values (${id}, ${signed}, ${now}::int8, ${version})
      on conflict (id) do update set signed = excluded.signed, read_at = excluded.read_at,
        version = excluded.version, reason = null, held = null, accepted = null`.execute(
      this.#db.kysely,
    )
  }

  /** A reading came to nothing; with `held`, that version waits for the operator. */
  async failed(id: string, reason: string, held: string | null, now: number): Promise<void> {
    await sql`
      insert into source (id, signed, read_at, reason, held)
      values (${id}, 0, ${now}::int8, ${reason}, ${held})
      on conflict (id) do update set read_at = excluded.read_at, reason = excluded.reason,
        held = excluded.held`.execute(this.#db.kysely)
  }

  /** The operator lets pass what waits; false if nothing does. */
  async accept(id: string): Promise<boolean> {
    const { numUpdatedRows } = await this.#db.kysely
      .updateTable('source')
      .set((eb) => ({ accepted: eb.ref('held') }))
      .where('id', '=', id)
      .where('held', 'is not', null)
      .executeTakeFirst()
    return numUpdatedRows === 1n
  }
}

/**
 * Whether a list without signatures is to wait for the operator: nothing proves that what is missing is
 * gone, so a list that is cut off must not make us ask for it all.
 */
export function mustWait(row: SourceRow | undefined, version: string, signed: number): boolean {
  if (row === undefined || row.accepted === version) return false
  return signed < row.signed * (1 - MAX_LOSS)
}
