/**
 * The names of tier 0: those with subscribers, handed over by whoever has them, and decoys. A decoy is a
 * signed name of the same zone that nobody watches, asked as often; it stays the same, since one that
 * came and went would be told from a name that is watched.
 */
import { createHmac } from 'node:crypto'
import { type Kysely, sql, type Transaction } from 'kysely'
import type { Name } from '@dslog/dnssec/name'
import type { CrawlerTables } from '@dslog/schema/crawlerdb'
import type { Database } from '@dslog/service/db'
import { despiteDeadlock } from './deadlock.ts'
import { batches, type Frontier } from './frontier.ts'
import { Source, TaskKind, Tier } from './schedule.ts'

/** Decoys for each watched name of a zone; at least one. */
const DECOYS = 0.1

/** How many there are. */
export interface WatchCounts {
  readonly watched: number
  readonly decoys: number
}

/** Replaces the watched names by others. */
export async function watch(
  db: Database<CrawlerTables>,
  frontier: Frontier,
  names: readonly Name[],
  hashKey: Uint8Array,
  now: number,
): Promise<WatchCounts> {
  const replace = async (trx: Transaction<CrawlerTables>): Promise<WatchCounts> => {
    await sql`create temp table wanted (name bytea primary key) on commit drop`.execute(trx)
    for (const batch of batches(names)) {
      await sql`
        insert into wanted select unnest(${batch}::bytea[]) on conflict do nothing`.execute(trx)
    }
    const { rows: gone } = await sql<{ name: Name }>`
      select name from task where tier = 0 and kind = ${TaskKind.poll}
        and sources & ${Source.watch}::int2 <> 0
        and not exists (select from wanted where wanted.name = task.name)`.execute(trx)
    for (const batch of batches(gone)) {
      await frontier.withdrawIn(
        trx,
        Source.watch,
        batch.map(({ name }) => name),
      )
    }
    await addWatched(trx, frontier, names, Source.watch, now)
    return setDecoys(trx, frontier, hashKey, now)
  }
  return despiteDeadlock(() => db.transaction(replace))
}

/** Sees to it that there are decoys enough: the log comes to know zones and names over time. */
export async function refreshDecoys(
  db: Database<CrawlerTables>,
  frontier: Frontier,
  hashKey: Uint8Array,
  now: number,
): Promise<WatchCounts> {
  return despiteDeadlock(() => db.transaction((trx) => setDecoys(trx, frontier, hashKey, now)))
}

async function setDecoys(
  trx: Kysely<CrawlerTables>,
  frontier: Frontier,
  hashKey: Uint8Array,
  now: number,
): Promise<WatchCounts> {
  const { rows: zones } = await sql<{ zone: Name; watched: number; decoys: number }>`
    select zone,
      count(*) filter (where sources & ${Source.watch}::int2 <> 0) as watched,
      count(*) filter (where sources & ${Source.watch | Source.decoy}::int2 = ${Source.decoy}) as decoys
    from task join logged using (name) where tier = 0 and kind = ${TaskKind.poll}
    group by zone`.execute(trx)
  for (const { decoys, watched, zone } of zones) {
    const wanted = Math.ceil(watched * DECOYS) - decoys
    if (wanted > 0) await addDecoys(trx, frontier, { zone, wanted, hashKey, now })
    else if (wanted < 0) await dropDecoys(trx, frontier, zone, -wanted)
  }
  const { rows } = await sql<WatchCounts>`
    select count(*) filter (where sources & ${Source.watch}::int2 <> 0) as watched,
      count(*) filter (where sources & ${Source.watch | Source.decoy}::int2 = ${Source.decoy}) as decoys
    from task where tier = 0 and kind = ${TaskKind.poll}`.execute(trx)
  return rows[0]!
}

/** States are hashes, so names by their states, from a secret point on, are names at random. */
async function addDecoys(
  trx: Kysely<CrawlerTables>,
  frontier: Frontier,
  choice: { zone: Name; wanted: number; hashKey: Uint8Array; now: number },
): Promise<void> {
  const { hashKey, now, wanted, zone } = choice
  const from = createHmac('sha256', hashKey).update(zone).digest()
  const { rows } = await sql<{ name: Name }>`
    (select name, state from logged where zone = ${zone} and signed and state >= ${from}
      and not exists (select from task where task.name = logged.name and tier = 0)
      order by state limit ${wanted})
    union all
    (select name, state from logged where zone = ${zone} and signed and state < ${from}
      and not exists (select from task where task.name = logged.name and tier = 0)
      order by state limit ${wanted})
    limit ${wanted}`.execute(trx)
  await addWatched(
    trx,
    frontier,
    rows.map(({ name }) => name),
    Source.decoy,
    now,
  )
}

async function dropDecoys(
  trx: Kysely<CrawlerTables>,
  frontier: Frontier,
  zone: Name,
  count: number,
): Promise<void> {
  const { rows } = await sql<{ name: Name }>`
    select name from task join logged using (name)
    where zone = ${zone} and tier = 0 and kind = ${TaskKind.poll}
      and sources & ${Source.watch | Source.decoy}::int2 = ${Source.decoy}
    order by rank limit ${count}`.execute(trx)
  await frontier.withdrawIn(
    trx,
    Source.decoy,
    rows.map(({ name }) => name),
  )
}

async function addWatched(
  trx: Kysely<CrawlerTables>,
  frontier: Frontier,
  names: readonly Name[],
  source: Source,
  due: number,
): Promise<void> {
  const task = { kind: TaskKind.poll, tier: Tier.watched, due, source }
  for (const batch of batches(names)) {
    await frontier.addIn(
      trx,
      batch.map((name) => ({ name, ...task })),
    )
  }
}
