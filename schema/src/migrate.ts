/** The migrations of each service by name; names sort in the order in which they were written. */
import type { Migration } from 'kysely'
import { crawlerTables } from './migrations/crawler/0001-crawler.ts'
import { listedTimes } from './migrations/crawler/0002-listed.ts'
import { dutyTable } from './migrations/crawler/0003-duties.ts'
import { logTables } from './migrations/log/0001-log.ts'
import { logGuards } from './migrations/log/0002-guards.ts'
import { frozenSigner } from './migrations/log/0003-frozen.ts'
import { readerTables } from './migrations/log/0004-readers.ts'
import { entryPlaces } from './migrations/log/0005-places.ts'
import { monitorTables } from './migrations/monitor/0001-monitor.ts'
import { alertTables } from './migrations/monitor/0002-alerts.ts'
import { witnessTables } from './migrations/monitor/0003-witness.ts'
import { judgeTables } from './migrations/monitor/0004-judging.ts'
import { probeTables } from './migrations/monitor/0005-probing.ts'
import { viewTables } from './migrations/monitor/0006-views.ts'
import { monitorGuards } from './migrations/monitor/0007-guards.ts'
import { logsTables } from './migrations/monitor/0008-logs.ts'
import { wildcardsIndex } from './migrations/monitor/0009-wildcards.ts'

export const LOG_MIGRATIONS: Readonly<Record<string, Migration>> = {
  '0001_log': logTables,
  '0002_guards': logGuards,
  '0003_frozen': frozenSigner,
  '0004_readers': readerTables,
  '0005_places': entryPlaces,
}

export const MONITOR_MIGRATIONS: Readonly<Record<string, Migration>> = {
  '0001_monitor': monitorTables,
  '0002_alerts': alertTables,
  '0003_witness': witnessTables,
  '0004_judging': judgeTables,
  '0005_probing': probeTables,
  '0006_views': viewTables,
  '0007_guards': monitorGuards,
  '0008_logs': logsTables,
  '0009_wildcards': wildcardsIndex,
}

export const CRAWLER_MIGRATIONS: Readonly<Record<string, Migration>> = {
  '0001_crawler': crawlerTables,
  '0002_listed': listedTimes,
  '0003_duties': dutyTable,
}
