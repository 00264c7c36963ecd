/**
 * The buckets of a name map, in a table: versioned by tree size, so that the map of the published tree can be proven from
 * while the next one is built. FoldTables keeps them beside the names whose histories they hold; see NameTables in
 * @dslog/schema/db for the shapes.
 */
import { type Kysely, type RawBuilder, sql, type Transaction } from 'kysely'
import { asHash, type Hash } from '@dslog/tlog/hash'
import type { MapPair } from '@dslog/tlog/map'
import { type Bucket, prefixOf } from '@dslog/tlog/mapbucket'
import { updateBuckets, type UpperTree } from '@dslog/tlog/maptree'
import type { NameTables } from '@dslog/schema/db'
import { mapValue } from '@dslog/schema/identity'
import type { Database } from './db.ts'
import { decodeHistory, STATE_SIZE } from './histories.ts'

/**
 * Leading bits of a map key that name a bucket, in a map that begins now: 262,144 buckets, of 4 keys at a million names and
 * 95 at 25 million. Whoever changes a key reads, hashes and writes all of its bucket. A stored map keeps the depth that it
 * was begun with, which stands in its tree's row.
 */
export const MAP_DEPTH = 18

/** What the tables of one fold are called. */
export type TableNames = { readonly [T in keyof NameTables]: T }

/** The map of one fold. */
export class MapTables {
  readonly #db: Database<NameTables>
  readonly #names: TableNames

  constructor(db: Database<NameTables>, names: TableNames) {
    this.#db = db
    this.#names = names
  }

  #table(name: keyof NameTables): RawBuilder<unknown> {
    return sql.table(this.#names[name])
  }

  /** Buckets as of tree `size`. */
  async at(prefixes: readonly number[], size: number): Promise<ReadonlyMap<number, Uint8Array>> {
    return this.#newest(this.#db.kysely, prefixes, size)
  }

  /** Roots of all buckets as of tree `size`, to build the upper tree from. */
  async roots(size: number): Promise<Map<number, Hash>> {
    const { rows } = await sql<{ prefix: number; root: Uint8Array }>`
      select distinct on (prefix) prefix, root from ${this.#table('map_bucket')}
      where tree_size <= ${size} order by prefix, tree_size desc`.execute(this.#db.kysely)
    return new Map(rows.map(({ prefix, root }) => [prefix, asHash(root)]))
  }

  /** Roots of the buckets that trees after `since` changed, as of tree `size`. */
  async changedRoots<T extends NameTables>(
    trx: Transaction<T>,
    since: number,
    size: number,
  ): Promise<Map<number, Hash>> {
    const { rows } = await sql<{ prefix: number; root: Uint8Array }>`
      select distinct on (prefix) prefix, root from ${this.#table('map_bucket')}
      where tree_size > ${since} and tree_size <= ${size}
      order by prefix, tree_size desc`.execute(trx)
    return new Map(rows.map(({ prefix, root }) => [prefix, asHash(root)]))
  }

  /** Buckets that tree `size` changed. */
  async changedAt(size: number): Promise<number[]> {
    const rows = await this.#db.kysely
      .selectFrom(this.#names.map_bucket)
      .select('prefix')
      .where('tree_size', '=', size)
      .execute()
    return rows.map(({ prefix }) => prefix)
  }

  /** Stores new versions of buckets. */
  async save<T extends NameTables>(
    trx: Transaction<T>,
    buckets: readonly Bucket[],
    size: number,
  ): Promise<void> {
    const rows = buckets.map(({ bytes, prefix, root }) => [prefix, size, root, bytes])
    await this.#db.bulkInsert(
      // Kysely's types are invariant in the tables; whoever has more of them has these.
      trx as unknown as Transaction<NameTables>,
      this.#names.map_bucket,
      ['prefix', 'tree_size', 'root', 'data'],
      rows,
    )
  }

  /**
   * Drops versions of buckets that no reader of tree `size` or newer can need.
   *
   * @param prefixes buckets that tree `size` has a version of its own of
   */
  async prune<T extends NameTables>(
    trx: Transaction<T>,
    prefixes: readonly number[],
    size: number,
  ): Promise<void> {
    // An array that a subquery makes is always looked up in the index; for a parameter of thousands the planner would
    // rather read the whole table.
    await sql`
      delete from ${this.#table('map_bucket')}
      where prefix = any(array(select unnest(${prefixes}::int[]))) and tree_size < ${size}`.execute(
      trx,
    )
  }

  /**
   * Brings the map up to date with every name that has entries at or above index `since`: for trees so large that no
   * fold holds all their names at once. Goes through the names by the first byte of their keys, so that memory stays flat.
   *
   * @param upper upper tree of the map without those entries; is moved forward
   * @param size tree size, as version of the changed buckets
   */
  async remap<T extends NameTables>(
    trx: Transaction<T>,
    upper: UpperTree,
    since: number,
    size: number,
  ): Promise<void> {
    if (upper.depth < 8) throw new RangeError('buckets wider than a byte of their keys')
    for (let byte = 0; byte < 256; byte++) {
      const end = byte < 255 ? sql`and key < ${Uint8Array.of(byte + 1)}::bytea` : sql``
      const { rows } = await sql<{ key: Uint8Array; history: Uint8Array }>`
        select key, history from ${this.#table('name')}
        where key >= ${Uint8Array.of(byte)}::bytea ${end}
          and substr(history, length(history) - ${STATE_SIZE - 1}::int, 8) >= int8send(${since}::int8)
      `.execute(trx)
      if (rows.length === 0) continue
      const pairs = rows.map(({ history, key }): MapPair => {
        const indices = decodeHistory(history).map(({ index }) => index)
        return { key: asHash(key), value: mapValue(indices) }
      })
      const prefixes = [...new Set(pairs.map(({ key }) => prefixOf(key, upper.depth)))]
      const stored = await this.#newest(trx, prefixes, Number.MAX_SAFE_INTEGER)
      await this.save(trx, updateBuckets(upper, stored, pairs), size)
    }
    // All at once: pruned a byte at a time, each time would go through the whole table.
    await sql`
      delete from ${this.#table('map_bucket')} old using ${this.#table('map_bucket')} newer
      where newer.tree_size = ${size} and newer.prefix = old.prefix and old.tree_size < ${size}
    `.execute(trx)
  }

  async #newest<T extends NameTables>(
    db: Kysely<T>,
    prefixes: readonly number[],
    size: number,
  ): Promise<ReadonlyMap<number, Uint8Array>> {
    if (prefixes.length === 0) return new Map()
    const { rows } = await sql<{ prefix: number; data: Uint8Array }>`
      select wanted.prefix, newest.data
      from unnest(${prefixes}::int[]) as wanted (prefix)
      cross join lateral (
        select data from ${this.#table('map_bucket')} bucket
        where bucket.prefix = wanted.prefix and tree_size <= ${size}
        order by tree_size desc limit 1
      ) newest`.execute(db)
    return new Map(rows.map(({ data, prefix }) => [prefix, data]))
  }
}
