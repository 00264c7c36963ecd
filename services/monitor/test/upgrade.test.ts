/**
 * A database of the version that followed one log, with everything in it: what it holds becomes that of log
 * 1, the log is followed on from where it was left, and another one may come beside it.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'kysely'
import { afterAll, expect, test } from 'vitest'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { nameToText } from '@dslog/dnssec/name'
import type { MonitorTables } from '@dslog/schema/db'
import { MONITOR_MIGRATIONS } from '@dslog/schema/migrate'
import { HOUR } from '@dslog/schema/time'
import { type Database, openDatabase } from '@dslog/service/db'
import { migrate } from '@dslog/service/migrate'
import { LyingLog } from '@dslog/testbed/lyinglog'
import { startPostgres } from '@dslog/testbed/postgres'
import { Judge } from '../src/cases.ts'
import { Changes } from '../src/changes.ts'
import { evidenceAfter } from '../src/findings.ts'
import { addOwners } from './owners.ts'
import { follower, grow, history, logOf, RUNNING } from './world.ts'

/** Of one log, before `0008_logs`. */
const BEFORE = Object.fromEntries(
  Object.entries(MONITOR_MIGRATIONS).filter(([name]) => name < '0008'),
)

/** Tables that say nothing of which log they are about, or had no number for it. */
const TABLES = [
  'map_bucket',
  'zone_keys',
  'name',
  'zone',
  'followed',
  'change',
  'judged',
  'unlogged',
  'misbehaviour',
  'open_case',
  'subscription',
  'channel',
  'alert',
  'outbox',
]

const postgres = await startPostgres()
const folder = await mkdtemp(join(tmpdir(), 'dslog-upgrade-'))
afterAll(async () => {
  await postgres?.stop()
  await rm(folder, { recursive: true })
})

const open = (schema: string): Promise<Database<MonitorTables>> =>
  openDatabase<MonitorTables>({ folder, url: postgres!.url, schema })

/** Puts what a database of this version holds of one log into one of the version before. */
async function copyBack(from: string, to: Database<MonitorTables>): Promise<void> {
  for (const table of TABLES) {
    const { rows } = await sql<{ name: string }>`
      select column_name as name from information_schema.columns
      where table_schema = current_schema() and table_name = ${table}::text`.execute(to.kysely)
    const columns = rows.map(({ name }) => name)
    // What is called `log` now was an `id` that is always 1.
    const isRenamed = ['followed', 'judged'].includes(table)
    const sources = columns.map((name) => sql.ref(isRenamed && name === 'id' ? 'log' : name))
    await sql`
      insert into ${sql.table(table)} (${sql.join(columns.map((name) => sql.ref(name)))})
      overriding system value
      select ${sql.join(sources)} from ${sql.id(from, table)}`.execute(to.kysely)
  }
}

const rowsOf = async ({ kysely }: Database<MonitorTables>, table: string): Promise<unknown[]> => {
  const { rows } = await sql`
    select to_jsonb(t) as row from ${sql.table(table)} t order by to_jsonb(t)::text`.execute(kysely)
  return rows
}

test.skipIf(postgres === undefined)('a database that holds a log goes on with it', async () => {
  const past = await history(20)
  const { names, net, scribe, trees } = past
  const [model, old] = [await open('model'), await open('old')]
  const log = logOf(past, trees.at(-3))
  const served = await log.serve()
  const clock = net.clock.now
  const world = { log, served, anchors: net.anchors, clock }
  try {
    await migrate(model, MONITOR_MIGRATIONS)
    await migrate(old, BEFORE)

    const watched = names.replaced
    await addOwners(model, [{ id: 'owner', name: nameToText(watched), subtree: false }])
    await (await follower({ ...world, db: model })).round(RUNNING)
    const baseline = { log: 1, baseline: 1, next: 1, forward: 1 }
    await model.kysely.insertInto('judged').values(baseline).execute()
    const judgeOf = (db: Database<MonitorTables>) => {
      const logs = [{ origin: log.origin, log: 1, published: () => 1 }]
      return new Judge({ db, logs, clock, digests: nodeBackend() })
    }
    await judgeOf(model).round(RUNNING)
    net.clock.advance(HOUR)
    await judgeOf(model).round(RUNNING)
    const state = { name: watched, state: new Uint8Array(32), zone: names.gone }
    const seen = { ds: new Uint8Array(0), absence: 'gone', inception: 1, first_at: 2, last_at: 3 }
    await model.kysely
      .insertInto('unlogged')
      .values({ log: 1, ...state, ...seen, messages: '[]', records: null })
      .execute()
    await sql`
      insert into misbehaviour (origin, kind, identity, found_at, detail, evidence)
      values (${log.origin}, 'withheld', '\\x01', 1, 'd', '{}')`.execute(model.kysely)
    for (const table of ['alert', 'open_case', 'outbox']) {
      expect(await rowsOf(model, table), table).not.toEqual([])
    }

    await copyBack('model', old)
    // Before there was an order of handing on, everything had been looked through.
    const { next } = await model.kysely
      .selectFrom('judged')
      .select('next')
      .executeTakeFirstOrThrow()
    await model.kysely.updateTable('judged').set({ forward: next }).execute()
    expect(await migrate(old, MONITOR_MIGRATIONS)).toEqual(
      Object.keys(MONITOR_MIGRATIONS).filter((name) => name >= '0008'),
    )
    for (const table of TABLES) {
      expect(await rowsOf(old, table), table).toEqual(await rowsOf(model, table))
    }

    // It is followed on, not again, and what was told is not told again.
    const monitor = await follower({ ...world, db: old })
    expect(monitor.status.size).toBe(trees.at(-3))
    log.asked.length = 0
    grow(log, scribe)
    await monitor.round(RUNNING)
    expect(monitor.status).toMatchObject({ state: 'following', size: scribe.size })
    expect(log.asked.filter((path) => path.startsWith('tile/entries/')).length).toBeLessThan(3)
    const told = await rowsOf(old, 'alert')
    await judgeOf(old).round(RUNNING)
    for (const alert of told) expect(await rowsOf(old, 'alert')).toContainEqual(alert)
    expect((await evidenceAfter(old, 0, 10)).map(({ origin }) => origin)).toEqual([log.origin])

    // Another one beside it has tables of its own.
    const other = new LyingLog('other.example/log')
    grow(other, scribe)
    const place = await other.serve()
    try {
      const second = await follower({ ...world, log: other, served: place, db: old })
      await second.round(RUNNING)
      expect(second.status).toMatchObject({ state: 'following', size: scribe.size })
    } finally {
      await place.close()
    }
    const rows = await new Changes(old).of(watched)
    const half = rows.length / 2
    expect(rows.map(({ log: number }) => number)).toEqual([
      ...Array.from({ length: half }, () => 1),
      ...Array.from({ length: half }, () => 2),
    ])
  } finally {
    await served.close()
    await model.close()
    await old.close()
  }
})
