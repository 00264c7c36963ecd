/**
 * How long a monitor with many watched names takes to find who is to be told in a burst of changes, and to
 * put it into the outbox: a tenth of the watched names change, in units as the follower takes them.
 */
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Name, nameFromText, nameKey } from '@dslog/dnssec/name'
import type { MonitorTables } from '@dslog/schema/db'
import { MONITOR_MIGRATIONS } from '@dslog/schema/migrate'
import { type Database, openDatabase } from '@dslog/service/db'
import { migrate } from '@dslog/service/migrate'
import { type AlertDraft, raiseAlerts } from '@dslog/monitor/alert'
import { watchesOf, withWatchesBelow } from '@dslog/monitor/watch'
import { reconcile, type Watched } from '@dslog/monitor/watchlist'
import { startPostgres } from '@dslog/testbed/postgres'
import type { Benchmark } from './harness.ts'

/** Changes of a unit. */
const UNIT = 4_096
/** Of the watched names, the share that changes. */
const SHARE = 10
const MIB = 2 ** 20

export const watching: Benchmark = {
  name: 'watching',
  about: 'who is to be told, in a burst of changes',
  async run(bench) {
    // With fsync: what is committed here must not be lost.
    const postgres = await startPostgres([])
    if (postgres === undefined) return bench.skip('watching: no PostgreSQL')
    const folder = mkdtempSync(join(tmpdir(), 'dslog-watching-'))
    const db = await openDatabase<MonitorTables>({ folder, url: postgres.url, schema: 'watching' })
    try {
      await migrate(db, MONITOR_MIGRATIONS)
      const { names } = bench.sizes
      const target = { kind: 'stdout', target: '' } as const
      const list = Array.from({ length: names }, (_, i): Watched => {
        const name = nameFromText(`name-${i}.zone-${i % 100}.`)
        return { name, target, level: 'NOTICE', subtree: true, secret: undefined }
      })
      let from = performance.now()
      await reconcile(db, 'watchlist', list, 0)
      bench.report(`watch list of ${names} names taken up`, 's', [
        (performance.now() - from) / 1000,
      ])

      const changed = list.filter((_, i) => i % SHARE === 0).map(({ name }) => name)
      const before = process.memoryUsage().rss
      let [told, peak] = [0, before]
      from = performance.now()
      for (let at = 0; at < changed.length; at += UNIT) {
        told += await tell(db, changed.slice(at, at + UNIT), at)
        peak = Math.max(peak, process.memoryUsage().rss)
      }
      const seconds = (performance.now() - from) / 1000
      bench.report(
        `${changed.length} changes: watches found, alerts and outbox stored`,
        's',
        [seconds],
        {
          note: `${told} alerts`,
        },
      )
      bench.report('changes', '1/s', [changed.length / seconds])
      bench.report('memory of the process above what the list takes', 'MiB', [
        (peak - before) / MIB,
      ])
    } finally {
      await db.close()
      await postgres.stop()
    }
  },
}

/** One unit, as the follower takes it. @returns how many alerts were raised */
async function tell(
  db: Database<MonitorTables>,
  unit: readonly Name[],
  at: number,
): Promise<number> {
  return db.transaction(async (trx) => {
    const found = await watchesOf(trx, unit)
    await withWatchesBelow(trx, unit)
    const drafts = unit.flatMap((name, i) =>
      (found.get(nameKey(name)) ?? []).map(({ subscription }): AlertDraft => {
        const entry = { origin: 'log.example', index: at + i }
        const change = { before: [], after: [], why: 'x', at }
        return { subscription, rule: 'R6', level: 'HIGH', name, entry, ...change }
      }),
    )
    await raiseAlerts(trx, drafts, at)
    return drafts.length
  })
}
