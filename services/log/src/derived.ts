/**
 * What a log derives from its entries, to find quickly what they say, held against what the entries say when they are replayed:
 * names, key sets, the buckets of the name map. For fsck.ts.
 */
import { equal, toHex } from '@dslog/tlog/bytes'
import { type Hash, HASH_SIZE } from '@dslog/tlog/hash'
import { UpperTree } from '@dslog/tlog/maptree'
import { nameToText } from '@dslog/dnssec/name'
import type { LogTables, NameTable, ZoneKeysTable } from '@dslog/schema/db'
import { encodeEntry } from '@dslog/schema/entry'
import type { Database } from '@dslog/service/db'
import { encodeDsSet } from '@dslog/service/dsset'
import { FoldTables } from '@dslog/service/foldtables'
import { encodeHistory } from '@dslog/service/histories'
import { pagesOf } from '@dslog/service/pages'
import { type FoldChanges, keyText, type NameChange } from '@dslog/verify/foldstore'
import type { ZoneKeys } from '@dslog/verify/keys'
import type { TreeRow } from './store.ts'

/** What all entries come to. */
export interface Derived {
  readonly changes: FoldChanges
  readonly upper: UpperTree
}

/** Names, or key sets, read at once. */
const PAGE = 5_000
/** Buckets read at once: 24 KiB each at 25 M names. */
const PAGE_BUCKETS = 500

type Problems = AsyncGenerator<string, void, undefined>

/** What is not as the entries make it, a text each. */
export async function* derivedProblems(
  db: Database<LogTables>,
  tree: TreeRow,
  { changes, upper }: Derived,
): Problems {
  yield* nameProblems(db, changes.names)
  yield* keySetProblems(db, changes.zoneKeys)
  if (!tree.loading) yield* mapProblems(db, tree, { changes, upper })
}

/** By names it is decided what is new, and found which names a zone has. */
async function* nameProblems(db: Database<LogTables>, names: readonly NameChange[]): Problems {
  const expected = new Map(names.map((change) => [keyText(change.key), change]))
  let count = 0
  const pages = pagesOf((last: { readonly key: Uint8Array } | undefined) =>
    db.kysely
      .selectFrom('name')
      .leftJoin('zone', 'zone.id', 'name.zone')
      .select(['key', 'kind', 'name.name', 'zone.name as zone', 'latest', 'history'])
      .where('key', '>', last?.key ?? new Uint8Array(0))
      .orderBy('key')
      .limit(PAGE)
      .execute(),
  )
  for await (const page of pages) {
    for (const row of page) {
      count++
      // A key of another length is none that an entry makes.
      const right =
        row.key.length === HASH_SIZE ? expected.get(keyText(row.key as Hash)) : undefined
      for (const what of wrongIn(row, right)) {
        const name = right === undefined ? '' : ` (${nameToText(right.name)})`
        yield `the stored ${what} of map key ${toHex(row.key)}${name} is not that of the entries`
      }
    }
  }
  if (count !== expected.size) {
    yield `${count} histories are stored, the entries make ${expected.size}`
  }
}

/** By key sets it is decided what else is admitted: one that is wrong would be signed for ever. */
async function* keySetProblems(db: Database<LogTables>, keySets: readonly ZoneKeys[]): Problems {
  const expected = new Map(keySets.map((keys) => [keys.index, keys]))
  let count = 0
  const pages = pagesOf((last: ZoneKeysTable | undefined) =>
    db.kysely
      .selectFrom('zone_keys')
      .selectAll()
      .where('idx', '>', last?.idx ?? -1)
      .orderBy('idx')
      .limit(PAGE)
      .execute(),
  )
  for await (const page of pages) {
    for (const row of page) {
      count++
      if (sameKeys(row, expected.get(row.idx))) continue
      yield `the stored key set of entry ${row.idx} is not that of the entries`
    }
  }
  if (count !== expected.size) {
    yield `${count} key sets are stored, the entries make ${expected.size}`
  }
}

async function* mapProblems(
  db: Database<LogTables>,
  { map_depth: depth, size }: TreeRow,
  { changes, upper }: Derived,
): Problems {
  const { map: tables } = FoldTables.in(db)
  const roots = await tables.roots(size)
  const buckets = 2 ** depth
  const within = [...roots.keys()].filter((prefix) => prefix < buckets)
  const map = new UpperTree(depth)
  for (const prefix of within) map.set(prefix, roots.get(prefix)!)
  // Those that are stored lead to the root: then none is missing, and there is no need to look for one.
  const isWhole = equal(map.root(), upper.root())
  for (const prefix of isWhole ? within : Array(buckets).keys()) {
    const expected = upper.get(prefix)
    const stored = roots.get(prefix)
    const same = expected === null ? stored === undefined : stored && equal(stored, expected)
    if (!same) yield `bucket ${prefix} of the name map is not that of the entries`
  }
  const contents = new Map(changes.buckets.map(({ bytes, prefix }) => [prefix, bytes]))
  const prefixes = [...roots.keys()]
  for (let at = 0; at < prefixes.length; at += PAGE_BUCKETS) {
    const page = prefixes.slice(at, at + PAGE_BUCKETS)
    const stored = await tables.at(page, size)
    for (const prefix of page) {
      const [kept, right] = [stored.get(prefix), contents.get(prefix)]
      if (kept !== undefined && right !== undefined && equal(kept, right)) continue
      yield `the contents of bucket ${prefix} of the name map are not those of the entries`
    }
  }
}

function sameKeys(row: ZoneKeysTable, keys: ZoneKeys | undefined): boolean {
  return (
    keys !== undefined &&
    equal(row.keys_id, keys.keysId) &&
    equal(row.entry, encodeEntry(keys.entry)) &&
    row.not_before === keys.notBefore &&
    row.not_after === keys.notAfter
  )
}

type NameRow = Pick<NameTable, 'kind' | 'name' | 'latest' | 'history'> & {
  /** `null` where there is no zone of that number. */
  readonly zone: Uint8Array | null
}

/** What of a name is not as the entries make it. */
function* wrongIn(row: NameRow, right: NameChange | undefined): Generator<string> {
  if (right === undefined || !equal(row.history, encodeHistory(right.history))) yield 'history'
  // No entry is about such a name.
  if (right === undefined) return
  if (row.kind !== right.kind) yield 'kind'
  if (!equal(row.name, right.name)) yield 'name'
  // The first entry of a name is never out of order: from then on some state is in force.
  const { ds, zone } = right.inForce!
  if (row.zone === null || !equal(row.zone, zone)) yield 'zone'
  if (!equal(row.latest, encodeDsSet(ds))) yield 'DS set'
}
