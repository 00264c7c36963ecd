/**
 * Which subscriptions watch a name. A watch on N is told of N itself, of names below N if it asks for the
 * subtree, and of the names above N: whoever holds a zone above can do what they like below it.
 *
 * Watches stay in the database, under a key that makes all three questions a range of one index: the
 * labels from the root down, each with its length. An ancestor's path is a prefix of its descendants', and
 * a label is at most 63 bytes, so that P, P 00 to P 3f are P itself and everything below it.
 *
 *   www.example.fi.   2 f i  7 e x a m p l e  3 w w w
 */
import { sql, type Transaction } from 'kysely'
import { labelCount, lastLabels, type Name, nameKey } from '@dslog/dnssec/name'
import type { MonitorTables } from '@dslog/schema/db'

/** Where a changed name stands to a watched one. */
export type Reach = 'same' | 'below' | 'above'

/** A subscription that is to be told of a change. */
export interface Watch {
  readonly subscription: string
  /** The name it watches. */
  readonly watched: Name
  /** Where the changed name is: the watched one, below it, or above it. */
  readonly reach: Reach
}

/** Larger than any length of a label: the end of everything below a path. */
const BEYOND_LABELS = 0x40

/** Watches fetched at a time of a zone that may have millions below it. */
const PAGE = 5_000

/** The labels of a name from the root down, each with its length. */
export function pathOf(name: Name): Uint8Array {
  const path = new Uint8Array(name.length - 1)
  let end = path.length
  for (let at = 0; name[at] !== 0;) {
    const length = 1 + name[at]!
    end -= length
    path.set(name.subarray(at, at + length), end)
    at += length
  }
  return path
}

/**
 * Who watches these names, or their subtrees: the watches to which a change of the name is `same` or
 * `below`. Names that nobody watches are not in the answer.
 *
 * @returns watches by `nameKey`
 */
export async function watchesOf(
  trx: Transaction<MonitorTables>,
  names: readonly Name[],
): Promise<Map<string, Watch[]>> {
  const changed = new Map(names.map((name) => [nameKey(name), name]))
  // Ancestors are shared: all of a registry's changes ask for it once.
  const asked = new Map<string, Name>()
  for (const name of changed.values()) {
    for (let count = labelCount(name); count >= 0; count--) {
      const above = lastLabels(name, count)
      const key = nameKey(above)
      if (asked.has(key)) break
      asked.set(key, above)
    }
  }
  const { rows } = await sql<{ id: string; name: Uint8Array; subtree: boolean }>`
    select id, name, subtree from subscription
    where path = any(${[...asked.values()].map(pathOf)}::bytea[]) and active
    order by path, id`.execute(trx)
  const watching = new Map<string, { id: string; name: Name; subtree: boolean }[]>()
  for (const { id, name, subtree } of rows) {
    const key = nameKey(name as Name)
    const all = watching.get(key) ?? []
    all.push({ id, name: name as Name, subtree })
    watching.set(key, all)
  }
  const found = new Map<string, Watch[]>()
  if (watching.size === 0) return found
  for (const [key, name] of changed) {
    const watches: Watch[] = []
    for (let count = labelCount(name); count >= 0; count--) {
      const above = count === labelCount(name) ? key : nameKey(lastLabels(name, count))
      for (const { id: subscription, name: watched, subtree } of watching.get(above) ?? []) {
        if (above === key) watches.push({ subscription, watched, reach: 'same' })
        else if (subtree) watches.push({ subscription, watched, reach: 'below' })
      }
    }
    if (watches.length > 0) found.set(key, watches)
  }
  return found
}

/**
 * Who watches something below a name, to which a change of it is `above`: a page at a time, since there
 * can be millions below a zone of the root.
 */
export async function* watchesBelow(
  trx: Transaction<MonitorTables>,
  name: Name,
): AsyncGenerator<Watch[], void, undefined> {
  const path = pathOf(name)
  const end = new Uint8Array([...path, BEYOND_LABELS])
  for (let from: { path: Uint8Array; id: string } = { path, id: '' }; ;) {
    const { rows } = await sql<{ id: string; name: Uint8Array; path: Uint8Array }>`
      select id, name, path from subscription
      where (path, id) > (${from.path}::bytea, ${from.id}::text)
        and path > ${path}::bytea and path < ${end}::bytea and active
      order by path, id limit ${PAGE}`.execute(trx)
    if (rows.length === 0) return
    yield rows.map(({ id, name: watched }): Watch => {
      return { subscription: id, watched: watched as Name, reach: 'above' }
    })
    if (rows.length < PAGE) return
    from = rows.at(-1)!
  }
}

/** Of these names, those that somebody watches a name below of. */
export async function withWatchesBelow(
  trx: Transaction<MonitorTables>,
  names: readonly Name[],
): Promise<Name[]> {
  const { rows } = await sql<{ i: number }>`
    select i::int8 as i from unnest(${names.map(pathOf)}::bytea[]) with ordinality asked (path, i)
    where exists (select from subscription s where s.path > asked.path
      and s.path < asked.path || ${Uint8Array.of(BEYOND_LABELS)}::bytea and s.active)
    order by i`.execute(trx)
  return rows.map(({ i }) => names[i - 1]!)
}
