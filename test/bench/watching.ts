/**
 * How long a monitor with many watched names takes to judge a burst of changes: a tenth of the watched
 * names get a whole new DS set at once. The first look finds whom each is about, and opens its case; the
 * second, when the hold is over, raises the alerts and puts them into the outbox.
 */
import type { Kysely } from 'kysely'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { type Name, nameFromText } from '@dslog/dnssec/name'
import type { MonitorTables } from '@dslog/schema/db'
import { MONITOR_MIGRATIONS } from '@dslog/schema/migrate'
import { DAY, MINUTE } from '@dslog/schema/time'
import { type Database, openDatabase } from '@dslog/service/db'
import { encodeDsSet } from '@dslog/service/dsset'
import { migrate } from '@dslog/service/migrate'
import { Judge } from '@dslog/monitor/cases'
import { MonitorStore } from '@dslog/monitor/store'
import { reconcile, type Watched } from '@dslog/monitor/operatorwatches'
import { dsNumber } from '@dslog/testbed/key'
import { type Bench, type Benchmark, secondsOf } from './harness.ts'
import { serverUrl } from './server.ts'

/** Rows stored at a time. */
const BATCH = 50_000
/** Of the watched names, the share that changes. */
const SHARE = 10
const ZONES = 100
/** Longer than any hold of a change of the whole set, ms. */
const HOLD = 16 * MINUTE
const START = Date.UTC(2026, 0, 1)
const ORIGIN = 'log.example/bench'
const MIB = 2 ** 20

export const watching: Benchmark = {
  name: 'watching',
  about: 'a burst of changes, judged for who watches them',
  async run(bench) {
    const url = await serverUrl(bench)
    if (url === undefined) return bench.skip('watching: no PostgreSQL')
    const { names } = bench.sizes
    const schema = `watching_${process.pid}`
    const db = await openDatabase<MonitorTables>({ folder: bench.folder(), url, schema })
    bench.after(() => db.close())
    await migrate(db, MONITOR_MIGRATIONS)
    const target = { kind: 'stdout', target: '' } as const
    const list = Array.from({ length: names }, (_, i): Watched => {
      return { name: nameOf(i), target, level: 'NOTICE', subtree: true, secret: undefined }
    })
    const taken = await secondsOf(() => reconcile(db, 'watchlist', list, START))
    bench.report(`watch list of ${names} names taken up`, 's', [taken])
    await burst(bench, db, names)
  },
}

async function burst(bench: Bench, db: Database<MonitorTables>, names: number): Promise<void> {
  const { log } = await MonitorStore.enter(db, ORIGIN)
  let now = START
  // Each name that is going to change has a DS already: the baseline.
  const changed = Array.from({ length: Math.floor(names / SHARE) }, (_, i) => nameOf(i * SHARE))
  await storeStates(db, log, 0, changed, now)
  const published = (): number => changed.length
  const judge = new Judge({
    db,
    logs: [{ origin: ORIGIN, log, published }],
    clock: () => now,
    digests: nodeBackend(),
  })
  const { signal } = new AbortController()
  await judge.round(signal)
  now += DAY
  await storeStates(db, log, changed.length, changed, now)

  const before = process.memoryUsage().rss
  let peak = before
  const sampler = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage().rss)
  }, 100)
  const opening = await secondsOf(() => judge.round(signal))
  bench.report(`${changed.length} changes found, and judged for the first time`, 's', [opening])
  now += HOLD
  const telling = await secondsOf(() => judge.round(signal))
  clearInterval(sampler)
  const told = await alertsOf(db.kysely)
  if (told !== changed.length) throw new Error(`${told} alerts of ${changed.length}`)
  const note = `${told} alerts`
  bench.report('judged again after the hold, alerts and outbox stored', 's', [telling], { note })
  bench.report('changes, both looks together', '/s', [changed.length / (opening + telling)])
  bench.report('memory of the process above what the list takes', 'MiB', [(peak - before) / MIB])
}

function nameOf(index: number): Name {
  return nameFromText(`name-${index}.zone-${index % ZONES}.`)
}

/** What the follower leaves of entries: one for each name. */
async function storeStates(
  db: Database<MonitorTables>,
  log: number,
  from: number,
  names: readonly Name[],
  time: number,
): Promise<void> {
  const columns = ['log', 'idx', 'name', 'zone', 'time', 'present', 'out_of_order', 'historical']
  for (let at = 0; at < names.length; at += BATCH) {
    const rows = names.slice(at, at + BATCH).map((name, i) => {
      const index = from + at + i
      const zone = nameFromText(`zone-${((at + i) * SHARE) % ZONES}.`)
      const ds = encodeDsSet([dsNumber(index)])
      return [log, index, name, zone, time, true, false, false, ds, time / 1000, null]
    })
    await db.transaction((trx) =>
      db.bulkInsert(trx, 'change', [...columns, 'ds', 'inception', 'absence'], rows),
    )
  }
  const size = from + names.length
  await db.kysely.updateTable('followed').set({ size }).where('log', '=', log).execute()
}

async function alertsOf(db: Kysely<MonitorTables>): Promise<number> {
  const { count } = await db
    .selectFrom('alert')
    .select(({ fn }) => fn.countAll<string>().as('count'))
    .executeTakeFirstOrThrow()
  return Number(count)
}
