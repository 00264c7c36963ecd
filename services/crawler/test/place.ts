/** A crawler's database for tests, empty again at will: on a server where there is one, else embedded. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql, type Transaction } from 'kysely'
import type { Name } from '@dslog/dnssec/name'
import type { CrawlerTables } from '@dslog/schema/crawlerdb'
import { CRAWLER_GRANTS } from '@dslog/schema/grants'
import { CRAWLER_MIGRATIONS } from '@dslog/schema/migrate'
import type { Database } from '@dslog/service/db'
import { startPostgres } from '@dslog/testbed/postgres'
import { closeOwned, openOwned } from '../../../test/role.ts'

/** A secret of tests. */
export const HASH_KEY: Uint8Array = new Uint8Array(32).fill(7)

/** Never aborted. */
export const RUNNING: AbortSignal = new AbortController().signal

export interface Place {
  readonly db: Database<CrawlerTables>
  /** The same for who owns the tables. */
  readonly owner: Database<CrawlerTables>
  /** URL of the server; undefined for an embedded database. */
  readonly url: string | undefined
  empty(): Promise<void>
  close(): Promise<void>
}

/** Where the tables are on a server. */
export const SCHEMA: string = `crawler_test_${process.pid}`

const TABLES = [
  'worker',
  'duty',
  'task',
  'logged',
  'followed_log',
  'zone_status',
  'server',
  'source',
  'view',
]

/** Opens a database. @param kind `embedded` though there may be a server */
export async function openPlace(kind?: 'embedded'): Promise<Place> {
  const postgres = kind === undefined ? await startPostgres() : undefined
  const folder = await mkdtemp(join(tmpdir(), 'dslog-crawler-'))
  const owned = await openOwned<CrawlerTables>(postgres, {
    folder: join(folder, 'db'),
    schema: SCHEMA,
    migrations: CRAWLER_MIGRATIONS,
    grants: CRAWLER_GRANTS,
  })
  return {
    ...owned,
    url: postgres?.url,
    async empty() {
      await sql`truncate ${sql.raw(TABLES.join(', '))} restart identity`.execute(owned.owner.kysely)
    },
    async close() {
      await closeOwned(owned)
      await postgres?.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** What the log is known to hold of a name: a state with DS records. */
export async function putLogged(
  { db }: Place,
  name: Name,
  zone: Name,
  state: Uint8Array,
): Promise<void> {
  const row = { name, zone, state, inception: 1, signed: true }
  await db.kysely.insertInto('logged').values(row).execute()
}

type Step = (trx: Transaction<CrawlerTables>) => Promise<unknown>

/**
 * Somebody else's transaction: it takes a second row once another waits for the first, or for both. Resolves when it has
 * the first. @returns waits for its end
 */
export async function takeBoth(
  { db }: Place,
  first: Step,
  second: Step,
): Promise<() => Promise<void>> {
  let begin = (): void => {}
  const begun = new Promise<void>((resolve) => (begin = resolve))
  const taking = db.transaction(async (trx) => {
    await first(trx)
    begin()
    for (let looks = 0; ; looks++) {
      const { rows } = await sql<{ waits: boolean }>`
        select exists (select from pg_locks
          where not granted and pg_backend_pid() = any (pg_blocking_pids(pid))) as waits`.execute(
        trx,
      )
      if (rows[0]!.waits) break
      if (looks === 6_000) throw new Error('nobody waits')
      await sleep(5)
    }
    await second(trx)
  })
  await Promise.race([begun, taking])
  return () => taking
}
