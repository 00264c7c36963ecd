/**
 * The signer row: the largest tree that was ever given to the log's key. It is written before the
 * key signs and compared before it is written, so that a restored backup, a copied database or
 * a second process cannot make the log sign two trees that exclude each other.
 *
 * Trusted more than the database: keep it where a restore of the database does not take it along.
 */
import { readFile } from 'node:fs/promises'
import { equal, toBase64 } from '@dslog/tlog/bytes'
import { TlogError } from '@dslog/tlog/error'
import { asHash, hashFromBase64, type Hash } from '@dslog/tlog/hash'
import type { LogTables, SignerTable } from '@dslog/schema/db'
import type { Database } from '@dslog/service/db'
import { writeFileAtomic } from '@dslog/service/files'
import { testPoint } from '@dslog/service/testpoint'
import { LogError } from './error.ts'

/** A tree as the signer remembers it. */
export interface SignedTree {
  readonly origin: string
  readonly size: number
  readonly root: Hash
  /** It is the last: the log was ended for good. */
  readonly frozen?: boolean
}

/** One durable record with compare-and-swap. */
export interface SignerRow {
  /** `undefined` before the first signature of a log. */
  read(): Promise<SignedTree | undefined>
  /**
   * Replaces `from` by `to`, durably, before it resolves.
   *
   * @throws LogError `fenced` if what is recorded is not `from`, `frozen` if that was the last
   */
  advance(from: SignedTree | undefined, to: SignedTree): Promise<void>
}

/** A small file, fsynced; for the embedded database, whose folder has one process at a time. */
export class SignerFile implements SignerRow {
  readonly #path: string

  constructor(path: string) {
    this.#path = path
  }

  async read(): Promise<SignedTree | undefined> {
    let text: string
    try {
      text = await readFile(this.#path, 'utf8')
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw new LogError('signer', `cannot read ${this.#path}`, { cause })
    }
    try {
      const { frozen, origin, root, size } = (JSON.parse(text) ?? {}) as Record<string, unknown>
      if (typeof origin === 'string' && typeof root === 'string' && Number.isSafeInteger(size)) {
        const tree = { origin, size: size as number, root: hashFromBase64(root) }
        return frozen === true ? { ...tree, frozen } : tree
      }
    } catch (cause) {
      if (!(cause instanceof SyntaxError) && !(cause instanceof TlogError)) throw cause
    }
    throw new LogError('signer', `${this.#path} is not a record of a signed tree`)
  }

  async advance(from: SignedTree | undefined, to: SignedTree): Promise<void> {
    demandSame(await this.read(), from)
    testPoint('signer.compared')
    const record = { ...to, root: toBase64(to.root) }
    await writeFileAtomic(this.#path, `${JSON.stringify(record)}\n`)
  }
}

/** A row in a database: that of the log, or better another one. */
export class SignerInTable implements SignerRow {
  readonly #db: Database<LogTables>

  constructor(db: Database<LogTables>) {
    this.#db = db
  }

  async read(): Promise<SignedTree | undefined> {
    const row = await this.#db.kysely.selectFrom('signer').selectAll().executeTakeFirst()
    if (row === undefined) return undefined
    return treeOf(row)
  }

  async advance(from: SignedTree | undefined, to: SignedTree): Promise<void> {
    await this.#db.transaction(async (trx) => {
      const locked = await trx.selectFrom('signer').selectAll().forUpdate().executeTakeFirst()
      const row = locked && treeOf(locked)
      demandSame(row, from)
      const insert = trx.insertInto('signer').values({ id: 1, ...to })
      const update = trx.updateTable('signer').set(to)
      await trx.executeQuery(row === undefined ? insert : update)
      testPoint('signer.writing')
    })
  }
}

function treeOf(row: Omit<SignerTable, 'id' | 'frozen'> & { frozen: boolean }): SignedTree {
  const tree = { origin: row.origin, size: row.size, root: asHash(row.root) }
  return row.frozen ? { ...tree, frozen: true } : tree
}

function demandSame(recorded: SignedTree | undefined, expected: SignedTree | undefined): void {
  if (recorded === undefined && expected === undefined) return
  const same =
    recorded !== undefined &&
    expected !== undefined &&
    recorded.origin === expected.origin &&
    recorded.size === expected.size &&
    equal(recorded.root, expected.root)
  if (!same) throw new LogError('fenced', 'another process has signed a tree of this log')
  if (recorded.frozen === true) throw new LogError('frozen', 'the last tree of this log is signed')
}
