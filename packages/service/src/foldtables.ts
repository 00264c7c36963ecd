/**
 * What a fold remembers (FoldStore of @dslog/verify), in tables: histories of names, key sets of
 * zones and, in {@link MapTables}, buckets of the name map. The log keeps one to build its map, the
 * monitor keeps its own to check it. See NameTables in @dslog/schema/db for the shapes.
 *
 * Trusted: whoever can write these tables can make the log append what it should refuse. Auditors
 * notice, since they fold the entries and not the tables.
 */
import { type RawBuilder, sql, type Transaction } from 'kysely'
import { toHex } from '@dslog/tlog/bytes'
import { asHash, type Hash } from '@dslog/tlog/hash'
import { type Name, nameKey } from '@dslog/dnssec/name'
import type { NameTables } from '@dslog/schema/db'
import { decodeZoneKeys, encodeEntry } from '@dslog/schema/entry'
import { MapKind } from '@dslog/schema/identity'
import { type FoldChanges, type FoldStore, keyText, type NameChange } from '@dslog/verify/foldstore'
import { type History, latestOf } from '@dslog/verify/history'
import type { ZoneKeys } from '@dslog/verify/keys'
import type { Database } from './db.ts'
import { decodeDsSet, encodeDsSet } from './dsset.ts'
import { decodeHistory, encodeHistory, STATE_SIZE } from './histories.ts'
import { MapTables, type TableNames } from './maptables.ts'
import { pagesOf } from './pages.ts'

/** Key sets kept in memory. A parent zone has a handful at a time, and there are 1,500 TLDs. */
const CACHED_KEY_SETS = 20_000

/** A name as it is stored. */
export interface StoredName {
  readonly name: Name
  /** The DS set in force; empty for proven absence. */
  readonly ds: readonly Uint8Array[]
  readonly history: History
}

/** See {@link FoldTables.in}. */
function only<T extends NameTables>(trx: Transaction<T>): Transaction<NameTables> {
  return trx as unknown as Transaction<NameTables>
}

/** The tables of one fold. */
export class FoldTables implements FoldStore {
  /** The buckets of the name map. */
  readonly map: MapTables
  readonly #db: Database<NameTables>
  readonly #names: TableNames
  readonly #zoneIds = new Map<string, number>()
  readonly #keySets = new Map<string, readonly ZoneKeys[]>()
  /** Counts the changes of the table that {@link #keySets} is a copy of. */
  #generation = 0

  private constructor(db: Database<NameTables>, suffix: string) {
    this.#db = db
    const named = ['zone', 'name', 'zone_keys', 'map_bucket'].map((table) => [
      table,
      `${table}${suffix}`,
    ])
    // Other tables of the same shape: to the types they are the same.
    this.#names = Object.fromEntries(named) as TableNames
    this.map = new MapTables(db, this.#names)
  }

  /**
   * The tables in a database that may have others beside them.
   *
   * @param suffix of their names, where one database holds several folds
   */
  static in<T extends NameTables>(db: Database<T>, suffix = ''): FoldTables {
    // Kysely's types are invariant in the tables; whoever has more of them has these.
    return new FoldTables(db as unknown as Database<NameTables>, suffix)
  }

  #table(name: keyof NameTables): RawBuilder<unknown> {
    return sql.table(this.#names[name])
  }

  async histories(keys: readonly Hash[]): Promise<ReadonlyMap<string, History>> {
    const found = new Map<string, History>()
    if (keys.length === 0) return found
    // One binary parameter: an array of bytea would travel, and be parsed, as hexadecimal text.
    const all = new Uint8Array(32 * keys.length)
    for (const [i, key] of keys.entries()) all.set(key, 32 * i)
    // An array is always looked up in the index, row by row, whatever the planner knows of the table.
    const { rows } = await sql<{ key: Uint8Array; history: Uint8Array }>`
      select key, history from ${this.#table('name')} where key = any(array(
        select substr(${all}::bytea, 32 * i + 1, 32)
        from generate_series(0, ${keys.length - 1}::int) i))`.execute(this.#db.kysely)
    for (const row of rows) found.set(keyText(asHash(row.key)), decodeHistory(row.history))
    return found
  }

  async zoneKeys(keysId: Hash): Promise<readonly ZoneKeys[]> {
    const text = keyText(keysId)
    const held = this.#keySets.get(text)
    if (held !== undefined) return held
    const generation = this.#generation
    const rows = await this.#db.kysely
      .selectFrom(this.#names.zone_keys)
      .selectAll()
      .where('keys_id', '=', keysId)
      .orderBy('idx', 'desc')
      .execute()
    const keys = rows.map((row): ZoneKeys => {
      const entry = decodeZoneKeys(row.entry)
      const { idx: index, not_after: notAfter, not_before: notBefore } = row
      return { index, keysId, entry, notBefore, notAfter }
    })
    // What was read while a commit was under way may be what was there before it.
    if (generation !== this.#generation) return keys
    if (this.#keySets.size >= CACHED_KEY_SETS) this.#keySets.clear()
    this.#keySets.set(text, keys)
    return keys
  }

  async buckets(prefixes: readonly number[]): Promise<ReadonlyMap<number, Uint8Array>> {
    return this.map.at(prefixes, Number.MAX_SAFE_INTEGER)
  }

  /** Names whose state in force a zone signs, after `after` in the order of wire bytes. */
  async namesOfZone(zone: Name, after: Name | undefined, limit: number): Promise<StoredName[]> {
    const rows = await this.#db.kysely
      .selectFrom(this.#names.name)
      .select(['name', 'latest', 'history'])
      .where('kind', '=', MapKind.delegation)
      .where('zone', '=', (eb) =>
        eb.selectFrom(this.#names.zone).select('id').where('name', '=', zone),
      )
      .where('name', '>', after ?? new Uint8Array(0))
      .orderBy('name')
      .limit(limit)
      .execute()
    return rows.map(({ history, latest, name }) => {
      return { name: name as Name, ds: decodeDsSet(latest), history: decodeHistory(history) }
    })
  }

  /** How many names have their state in force signed by a zone, and how many of them a DS, before entry `below`. */
  async countNames(zone: Name, below: number): Promise<{ names: number; signed: number }> {
    const { rows } = await sql<{ names: number; signed: number; newer: Uint8Array[] | null }>`
      select count(*) filter (where settled)::int8 as names,
        count(*) filter (where settled and substr(latest, 1, 2) <> '\\x0000'::bytea)::int8 as signed,
        array_agg(history) filter (where not settled) as newer
      from (select latest, history,
          substr(history, length(history) - ${STATE_SIZE - 1}::int, 8) < int8send(${below}::int8) as settled
        from ${this.#table('name')} where kind = ${MapKind.delegation}
          and zone = (select id from ${this.#table('zone')} where name = ${zone})) counted`.execute(
      this.#db.kysely,
    )
    const { names, newer, signed } = rows[0]!
    const states = (newer ?? []).map((history) => latestOf(decodeHistory(history, below)))
    return {
      names: names + states.filter((state) => state !== undefined).length,
      signed: signed + states.filter((state) => state?.present === true).length,
    }
  }

  /** All keys with their histories, in the order of the keys, so many at a time. */
  async *pages(limit: number): AsyncGenerator<{ key: Hash; history: History }[]> {
    const pages = pagesOf((last: { readonly key: Uint8Array } | undefined) =>
      this.#db.kysely
        .selectFrom(this.#names.name)
        .select(['key', 'history'])
        .where('key', '>', last?.key ?? new Uint8Array(0))
        .orderBy('key')
        .limit(limit)
        .execute(),
    )
    for await (const page of pages) {
      yield page.map(({ history, key }) => ({ key: asHash(key), history: decodeHistory(history) }))
    }
  }

  /** Histories by name of key sets, newest set first: what a zone's keys are and were. */
  async keysOfZone(zoneKey: Hash): Promise<readonly ZoneKeys[]> {
    const history = (await this.histories([zoneKey])).get(keyText(zoneKey)) ?? []
    const seen = new Set<string>()
    const sets: ZoneKeys[] = []
    for (const { stateId } of history.toReversed()) {
      const text = toHex(stateId)
      if (seen.has(text)) continue
      seen.add(text)
      sets.push(...(await this.zoneKeys(stateId)))
    }
    return sets.sort((a, b) => b.index - a.index)
  }

  /**
   * Stores what a fold added, in the transaction that stores its entries.
   *
   * @param size tree size after the fold, as version of the buckets
   */
  async save<T extends NameTables>(
    trx: Transaction<T>,
    changes: FoldChanges,
    size: number,
  ): Promise<void> {
    await this.saveNames(trx, changes)
    await this.map.save(only(trx), changes.buckets, size)
  }

  /** The part of {@link save} that the map has no part in. */
  async saveNames<T extends NameTables>(trx: Transaction<T>, changes: FoldChanges): Promise<void> {
    const names = only(trx)
    await this.#saveNames(names, changes.names)
    await this.#db.bulkInsert(
      names,
      this.#names.zone_keys,
      ['keys_id', 'idx', 'not_before', 'not_after', 'entry'],
      changes.zoneKeys.map((keys) => [
        keys.keysId,
        keys.index,
        keys.notBefore,
        keys.notAfter,
        encodeEntry(keys.entry),
      ]),
    )
  }

  /** To be called once the transaction of {@link save} has committed. */
  committed(changes: FoldChanges): void {
    this.#generation++
    for (const { keysId } of changes.zoneKeys) this.#keySets.delete(keyText(keysId))
  }

  /** Forgets what a transaction that was rolled back may have put into memory. */
  forget(): void {
    this.#generation++
    this.#zoneIds.clear()
    this.#keySets.clear()
  }

  /** Small numbers of zones, these very objects; unknown ones get a new one. */
  async zoneIds<T extends NameTables>(
    trx: Transaction<T>,
    zones: Iterable<Name>,
  ): Promise<(zone: Name) => number> {
    const tables = only(trx)
    const asked = new Set(zones)
    const missing = new Map<string, Name>()
    for (const zone of asked) {
      if (!this.#zoneIds.has(nameKey(zone))) missing.set(nameKey(zone), zone)
    }
    if (missing.size > 0) {
      const names = [...missing.values()]
      const values = names.map((name) => ({ name }))
      await tables
        .insertInto(this.#names.zone)
        .values(values)
        .onConflict((on) => on.doNothing())
        .execute()
      const rows = await tables
        .selectFrom(this.#names.zone)
        .selectAll()
        .where('name', 'in', names)
        .execute()
      for (const { id, name } of rows) this.#zoneIds.set(nameKey(name as Name), id)
    }
    // Thousands of rows name few zones, most of them by the same object.
    const known = new Map([...asked].map((zone) => [zone, this.#zoneIds.get(nameKey(zone))!]))
    return (zone) => known.get(zone)!
  }

  async #saveNames(trx: Transaction<NameTables>, names: readonly NameChange[]): Promise<void> {
    const zones = new Set<Name>()
    for (const { inForce } of names) if (inForce !== undefined) zones.add(inForce.zone)
    const idOf = await this.zoneIds(trx, zones)
    const zoneOf = ({ inForce }: NameChange): number | null =>
      inForce === undefined ? null : idOf(inForce.zone)
    const latestSet = ({ inForce }: NameChange): Uint8Array | null =>
      inForce === undefined ? null : encodeDsSet(inForce.ds)
    // Rows are made as they are written: thousands that wait would only be moved about by the collector of garbage.
    function* freshRows(): Generator<readonly unknown[]> {
      for (const change of names) {
        if (!change.fresh) continue
        const { history, key, kind, name } = change
        yield [key, kind, name, zoneOf(change), latestSet(change), encodeHistory(history)]
      }
    }
    function* grownRows(): Generator<readonly unknown[]> {
      for (const change of names) {
        if (change.fresh) continue
        yield [change.key, zoneOf(change), latestSet(change), encodeHistory(change.history)]
      }
    }
    const columns = ['key', 'kind', 'name', 'zone', 'latest', 'history']
    if (names.some(({ fresh }) => fresh)) {
      await this.#db.bulkInsert(trx, this.#names.name, columns, freshRows())
    }
    if (names.every(({ fresh }) => fresh)) return
    await sql`
      create temporary table if not exists grown_name
        (key bytea, zone int, latest bytea, history bytea) on commit delete rows`.execute(trx)
    const staged = trx as unknown as Transaction<NameTables & { grown_name: object }>
    const db = this.#db as unknown as Database<NameTables & { grown_name: object }>
    await db.bulkInsert(staged, 'grown_name', ['key', 'zone', 'latest', 'history'], grownRows())
    // By the array the names are looked up in the index: as a join alone, a few thousand of them may seem to the
    // planner to be worth reading the whole table.
    await sql`
      update ${this.#table('name')} known set
        history = grown.history,
        zone = coalesce(grown.zone, known.zone),
        latest = coalesce(grown.latest, known.latest)
      from grown_name grown
      where known.key = any(array(select key from grown_name)) and known.key = grown.key`.execute(
      trx,
    )
  }
}
